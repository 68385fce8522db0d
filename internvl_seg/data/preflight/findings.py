"""Everything that the preflight can find: how bad it is and how it is mended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        severity: 'error' if it stops or ruins a training, 'warning' if it may be harmless.
        meaning: What was found.
        mend: What to do.
    """

    severity: Severity
    meaning: str
    mend: str


KINDS: dict[str, Kind] = {
    "ignore_index": Kind(
        "error",
        "the places that say which label is ignored disagree",
        "give all of them the same value, or leave them all out: 255",
    ),
    "num_classes": Kind(
        "error",
        "a head has another number of classes than the data set",
        "set num_classes of every head to the number of the data set's classes",
    ),
    "no_image": Kind(
        "error",
        "data sets without a single image",
        "check data_root, data_prefix.img_path and img_suffix",
    ),
    "folder": Kind(
        "error",
        "folders whose images, masks, lists or classes do not fit together",
        "see what is said of them, and docs/own_data.md",
    ),
    "missing_mask": Kind(
        "error",
        "images without a mask",
        "add the masks, or take the images away; check data_prefix.seg_map_path and seg_map_suffix",
    ),
    "missing_image": Kind(
        "warning",
        "masks without an image, which nothing reads",
        "add the images, or take the masks away; check data_prefix.img_path and img_suffix",
    ),
    "unreadable": Kind(
        "error", "files that cannot be read to their end", "copy or download them again, or take them away"
    ),
    "size_mismatch": Kind(
        "error",
        "masks of another size than their image",
        "export the masks at the images' size; an image is turned as its EXIF says before it is compared",
    ),
    "label_out_of_range": Kind(
        "error",
        "labels that are no class and are not ignored",
        "make the classes complete, or give such pixels the ignored label",
    ),
    "reduce_zero_label": Kind(
        "error",
        "labels from 0 to the number of classes, as if 0 were no class",
        "if 0 means 'other', set reduce_zero_label=True in the data set; otherwise name one more class",
    ),
    "zero_label_reduced": Kind(
        "warning",
        "reduce_zero_label=True ignores label 0 and shifts the others, but 0 is common and the highest label not there",
        "if 0 is a class, set reduce_zero_label=False in the data set",
    ),
    "rgb_mask": Kind(
        "error",
        "masks with several channels, where one class id for every pixel is needed",
        "turn the colours into class ids: python tools/prepare_dataset.py does (docs/own_data.md)",
    ),
    "palette_mask": Kind(
        "warning",
        "masks with a palette, which are read by the index of the colour",
        "nothing, if the indices are class ids, as in Pascal VOC; otherwise save ids in one channel of 8 bits",
    ),
    "wide_mask": Kind(
        "warning",
        "masks of 16 or 32 bits, where 8 hold all ids up to 255",
        "save them with 8 bits; ids above 255 cannot be used in training",
    ),
    "unseen_class": Kind(
        "warning",
        "classes of which no training image has a pixel",
        "check the order and the number of the classes; what is never seen is never predicted",
    ),
    "overlap": Kind(
        "error",
        "images with the same pixels in training and validation or test",
        "take them out of one of the two: the score would be of what was learnt by heart",
    ),
    "small_image": Kind(
        "warning",
        "images that stay smaller than the crop at the pipeline's largest scale",
        "enlarge them in the pipeline (RandomResize), or choose a smaller crop_size; the rest is padding",
    ),
    "grayscale_image": Kind(
        "warning", "images of one channel, which are read as three equal ones", "nothing, if they are meant to be grey"
    ),
    "alpha_image": Kind(
        "warning",
        "images with transparency, which is dropped: what was hidden below it is seen",
        "flatten them onto a background",
    ),
    "rotated_image": Kind(
        "warning",
        "images with a rotation in EXIF: they are turned when they are read, their masks are not",
        "turn the pixels and remove the tag, then see that the masks fit",
    ),
    "cmyk_image": Kind("warning", "images in CMYK, which are read without their colour profile", "convert them to RGB"),
    "wide_image": Kind(
        "warning", "images of 16 or 32 bits, of which only the highest 8 are read", "save them with 8 bits"
    ),
}


@dataclass(frozen=True)
class Finding:
    """A fault that was found.

    Attributes:
        kind: A key of :data:`KINDS`.
        where: The split, or '' for the config.
        count: How many files, keys or classes have it.
        examples: The first of them, each with what is wrong with it.
    """

    kind: str
    where: str
    count: int
    examples: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, where: str, cases: Sequence[str]) -> "Finding":
        """A finding of all its cases; the first five are kept."""
        return cls(kind, where, len(cases), tuple(cases[:5]))

    @property
    def severity(self) -> Severity:
        """'error' or 'warning'."""
        return KINDS[self.kind].severity

    def __str__(self) -> str:
        """In one line."""
        more = "; ..." if self.count > len(self.examples) else ""
        where = f" in {self.where}" if self.where else ""
        kind = KINDS[self.kind]
        return f"{kind.meaning}, {self.count}{where} ({'; '.join(self.examples)}{more}). To mend: {kind.mend}."
