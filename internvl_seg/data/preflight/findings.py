"""Everything that the preflight can find: how bad it is and how it is mended."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ...common.words import counted
from ..names import readable

Severity = Literal["error", "warning"]
_ENDS_IN_COMMAND = re.compile(r"\bpython tools/(?!.*(?:; | \(docs/))")


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        severity: 'error' if it stops or ruins a training, 'warning' if it may be harmless.
        meaning: What was found.
        mend: What to do, where nothing more is known.
        stops: Whether nothing can run with it, so that allowing it is of no use.
        unit: What is counted, one and many.
    """

    severity: Severity
    meaning: str
    mend: str
    stops: bool = False
    unit: tuple[str, str] = ("file", "files")


_PLACES, _HEADS, _SETS = ("place", "places"), ("head", "heads"), ("data set", "data sets")
_CASES, _CLASSES = ("case", "cases"), ("class", "classes")
KINDS: dict[str, Kind] = {
    "ignore_index": Kind(
        "error",
        "the places that say which label is ignored disagree",
        "give all of them the same value, or leave them all out: 255",
        unit=_PLACES,
    ),
    "num_classes": Kind(
        "error",
        "a head has another number of classes than the data set",
        "set num_classes of every head to the number of the data set's classes",
        stops=True,
        unit=_HEADS,
    ),
    "no_image": Kind(
        "error",
        "data sets without a single image",
        "check data_root, data_prefix.img_path and img_suffix",
        stops=True,
        unit=_SETS,
    ),
    "folder": Kind(
        "error",
        "folders whose images, masks, lists or classes do not fit together",
        "see what is said of them, and docs/own_data.md",
        stops=True,
        unit=_CASES,
    ),
    "listed_image": Kind(
        "error",
        "images that a list or a data set names and that are not there",
        "correct the list, one name a line as the data set wants them: most without a suffix, without empty lines and "
        "without a byte order mark; or check data_prefix.img_path and img_suffix",
        stops=True,
    ),
    "missing_mask": Kind(
        "error",
        "images without a mask",
        "add the masks, or take the images away; check data_prefix.seg_map_path and seg_map_suffix",
        stops=True,
    ),
    "skipped_image": Kind(
        "warning",
        "pictures among the images that are left out: their formats are not read, or they are in no class folder",
        "convert them to PNG, TIFF or JPEG, or take them away",
    ),
    "missing_image": Kind(
        "warning",
        "masks without an image, which nothing reads",
        "add the images, or take the masks away; check data_prefix.img_path and img_suffix",
    ),
    "unreadable": Kind(
        "error",
        "files that cannot be read to their end",
        "copy or download them again, or take them away",
        stops=True,
    ),
    "unsupported_image": Kind(
        "error",
        "images that the pipeline's loading steps cannot decode",
        "save them as 8-bit RGB, or name the bands to read in the pipeline: LoadImageFromFile with bands=[...] "
        "(docs/own_data.md)",
        stops=True,
    ),
    "unsupported_mask": Kind(
        "error",
        "masks that the pipeline's loading steps do not take",
        "see what is said of them, and docs/own_data.md",
        stops=True,
    ),
    "large_image": Kind(
        "error",
        "files with more pixels than their reader opens; they are large, not broken",
        "cut images and masks into tiles: python tools/prepare_dataset.py SOURCE OUT --tile 512 (docs/own_data.md)",
        stops=True,
    ),
    "too_many_classes": Kind(
        "error",
        "more classes than masks of 8 bits can name: 256 at most, or 255 where label 255 is ignored",
        "merge classes, or leave out those that are rare",
        unit=_SETS,
    ),
    "classes_differ": Kind(
        "error",
        "data sets that number their classes in different ways",
        "give all data sets the same classes in the same order",
        unit=_CASES,
    ),
    "classes_renamed": Kind(
        "warning",
        "data sets that name their classes in different ways",
        "nothing, if the names are other words for the same; otherwise give all data sets the same classes",
        unit=_CASES,
    ),
    "object_ignored": Kind(
        "error",
        "masks of 0 and 255 alone, where 255 is the label that is ignored: classes have no pixel",
        "if 255 is the object, save it as 1: python tools/prepare_dataset.py SOURCE OUT (docs/own_data.md)",
        unit=_SETS,
    ),
    "object_partly_ignored": Kind(
        "warning",
        "masks of 0 and 255 beside masks of 0 and 1, where 255 is the label that is ignored",
        "nothing, if 255 is void in them; if it is the object, save it as 1: python tools/prepare_dataset.py SOURCE "
        "OUT (docs/own_data.md)",
    ),
    "no_label": Kind(
        "error",
        "data sets in whose masks every pixel is ignored: no labelled pixel is left",
        "look at the masks' ids, at ignore_index and at reduce_zero_label",
    ),
    "unlabelled_mask": Kind(
        "warning",
        "masks without a labelled pixel: all of it is ignored",
        "nothing, if there is nothing in these images; they teach nothing and are not scored",
    ),
    "size_mismatch": Kind(
        "error",
        "masks of another size than their image",
        "export the masks at the images' size; an image is turned as its EXIF says before it is compared",
        stops=True,
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
    "void_label": Kind(
        "error",
        "labels that are one more than the classes, as if the highest were void",
        "if the highest label is void, give it to ignore_index in all places; otherwise name one more class",
    ),
    "zero_label_reduced": Kind(
        "warning",
        "reduce_zero_label=True ignores label 0 and shifts the others, but 0 is common and the highest label not there",
        "if 0 is a class, set reduce_zero_label=False in the data set",
        unit=_SETS,
    ),
    "rgb_mask": Kind(
        "error",
        "masks with several channels, where one class id for every pixel is needed",
        "turn the colours into class ids: python tools/prepare_dataset.py SOURCE OUT (docs/own_data.md)",
        stops=True,
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
        "classes that no training image shows",
        "check the order and the number of the classes; what is never seen is never predicted",
        unit=_CLASSES,
    ),
    "unscored_class": Kind(
        "warning",
        "classes that no image that is scored shows, though there are images enough",
        "check the split and the order of the classes; such a class has no score",
        unit=_CLASSES,
    ),
    "contradicting_labels": Kind(
        "error",
        "images with the same pixels in several classes of one split",
        "keep each picture in the class that it shows, and take the others away",
    ),
    "overlap": Kind(
        "error",
        "images with the same pixels in training and validation or test",
        "take them out of one of the two: the score would be of what was learnt by heart",
    ),
    "trained_images": Kind(
        "warning",
        "data sets that are scored, though all of their files are those that are trained on",
        "nothing, to see whether a model can learn a few images by heart; otherwise score on others",
        unit=_SETS,
    ),
    "small_image": Kind(
        "warning",
        "images that stay smaller than the crop at the pipeline's largest scale",
        "enlarge them in the pipeline (RandomResize), or choose a smaller crop_size; the rest is padding",
    ),
    "scaled_image": Kind(
        "warning",
        "images that the pipeline makes more than twice as small, or as large, before the model sees them",
        "if small things count, cut large images into tiles at their own resolution (python tools/prepare_dataset.py "
        "SOURCE OUT --tile 512, then the data sets of configs/_base_/datasets/folder_tiles_504x504.py); or set another "
        "scale in the pipeline",
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
        "warning",
        "images of 16 or 32 bits, which the pipeline cuts to 8 bits",
        "save them with 8 bits, scaled to the values that are there, or name the bands to read in the pipeline: "
        "LoadImageFromFile with bands=[...] (docs/own_data.md)",
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
        advice: What to do in this case; the kind's own words if it is empty.
    """

    kind: str
    where: str
    count: int
    examples: tuple[str, ...]
    advice: str = ""

    @classmethod
    def of(cls, kind: str, where: str, cases: Sequence[str], advice: str = "") -> "Finding":
        """A finding of all its cases; the first five are kept."""
        return cls(kind, where, len(cases), tuple(cases[:5]), advice)

    def __post_init__(self) -> None:
        """Names of files may hold what cannot be printed, or would change what is."""
        object.__setattr__(self, "examples", tuple(readable(example) for example in self.examples))

    @property
    def counted(self) -> str:
        """How many of what there are, and where, as '2 files in train'."""
        return counted(self.count, *KINDS[self.kind].unit) + (f" in {self.where}" if self.where else "")

    @property
    def mend(self) -> str:
        """What to do."""
        return self.advice or KINDS[self.kind].mend

    @property
    def mend_sentence(self) -> str:
        """The same with a full stop, but not behind a command, with which it would be pasted."""
        return self.mend if _ENDS_IN_COMMAND.search(self.mend) else f"{self.mend}."

    @property
    def severity(self) -> Severity:
        """'error' or 'warning'."""
        return KINDS[self.kind].severity

    def __str__(self) -> str:
        """In one line."""
        more = "; ..." if self.count > len(self.examples) else ""
        where = f" in {self.where}" if self.where else ""
        meaning = KINDS[self.kind].meaning
        return f"{meaning}, {self.count}{where} ({'; '.join(self.examples)}{more}). To mend: {self.mend_sentence}"
