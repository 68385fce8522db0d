"""ImageNet and the data sets that are scored with its classes: one row a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .imagenet_classes import imagenet_classes

_EVERY = tuple(range(1000))
_WNID_FOLDERS = "CLASS/IMAGE, with a WordNet id such as n01498041 for CLASS"


@dataclass(frozen=True)
class Variant:
    """A data set with classes of ImageNet.

    Attributes:
        title: What papers call it.
        images: How many there are to be scored.
        ids: The classes that are scored against each other; the others of the 1000 cannot be predicted.
        layout: How it is unpacked, below its folder.
        source: Where it is from.
    """

    title: str
    images: int
    ids: tuple[int, ...]
    layout: str
    source: str


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "imagenet": Variant(
            "ImageNet-1K",
            50_000,
            _EVERY,
            f"train/{_WNID_FOLDERS}; val/ the same, or val/ILSVRC2012_val_00000001.JPEG and so on with meta/val.txt, a "
            "line 'IMAGE LABEL' each; or ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar in their place",
            "https://image-net.org",
        ),
        "imagenet_v2": Variant(
            "ImageNet-V2",
            10_000,
            _EVERY,
            "LABEL/IMAGE, with 0 to 999 for LABEL (matched-frequency)",
            "https://github.com/modestyachts/ImageNetV2",
        ),
        "imagenet_a": Variant(
            "ImageNet-A",
            7_500,
            tuple(c.id for c in imagenet_classes() if c.in_a),
            _WNID_FOLDERS,
            "https://github.com/hendrycks/natural-adv-examples",
        ),
        "imagenet_r": Variant(
            "ImageNet-R",
            30_000,
            tuple(c.id for c in imagenet_classes() if c.in_r),
            _WNID_FOLDERS,
            "https://github.com/hendrycks/imagenet-r",
        ),
        "imagenet_sketch": Variant(
            "ImageNet-Sketch", 50_889, _EVERY, _WNID_FOLDERS, "https://github.com/HaohanWang/ImageNet-Sketch"
        ),
        "objectnet": Variant(
            "ObjectNet",
            18_574,
            _EVERY,
            "images/CLASS/IMAGE and the four files of mappings/",
            "https://objectnet.dev",
        ),
    }
)
# Not images of its own: other labels for those of ImageNet-1K.
REAL_TITLE = "ImageNet-ReaL"
