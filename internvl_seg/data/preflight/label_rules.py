"""Labels that are no class: what they may mean, and the command for each meaning."""

from mmengine.config import Config

from ..confusion import IGNORED
from .findings import Finding
from .listing import Leaf, leaves
from .mask_rules import Counts
from .pasting import Command
from .settings import options_for_classes, options_to_ignore

# Names that say of the first class that it is what is left over, so that 0 has a meaning already.
_NOT_LABELLED = frozenset(
    {"unlabeled", "unlabelled", "void", "ignore", "ignored", "nodata", "no data", "no-data", "no_data"}
)
_LEFT_OVER = _NOT_LABELLED | frozenset(
    {"background", "_background_", "bg", "other", "others", "rest", "clutter", "default", "unknown", "none"}
)
# A label that is in at least so many of the masks, and on so few pixels, is rather void than an object.
_EVERYWHERE, _THIN = 0.5, 0.25
# Of more values than these, those on few pixels were made where two classes meet.
_MOST_GREYS, _GREY = 8, 0.05
# A label on fewer pixels than this is a slip of the pen.
_RARE = 1e-3
# Of as many pixels as a class has, all being equal, a first class called background has at least this share.
_SCARCE = 0.5
_CONVERT = (
    "name each value in FILE, in lines such as 'road 128 128 128': python tools/prepare_dataset.py SOURCE OUT "
    "--classes FILE (docs/own_data.md)"
)


def find_strange_labels(config: Config, counts: Counts, command: Command) -> list[Finding]:
    """Find labels that are no class and are not ignored.

    Args:
        config: The config.
        counts: The labels of a split.
        command: What is run, for the advice.
    """
    if not counts.outside:
        return []
    number = len(counts.classes)
    strange = sorted({label for _, labels in counts.outside for label in labels})
    cases = [_shown(name, labels, number) for name, labels in counts.outside]
    many = _as_classes(config, counts, command, max(strange))
    grey = _as_greys(counts, strange)
    if len(strange) > 1 or counts.reduces_zero or strange[0] < 0:
        ignore = _as_void(config, counts, command, strange[0]) if len(strange) == 1 else ""
        return [Finding.of("label_out_of_range", counts.split, cases, "; ".join(filter(None, (grey, ignore, many))))]
    label = strange[0]
    void = _as_void(config, counts, command, label)
    if label != number:
        return [Finding.of("label_out_of_range", counts.split, cases, "; ".join(filter(None, (grey, void, many))))]
    options = {f"{leaf.key}.reduce_zero_label": True for leaf in _all_sets(config)}
    reduce = f"if 0 means 'other', and the classes count from 1: {command.with_options(options)}"
    reduced_elsewhere = any(leaf.node.get("reduce_zero_label") for leaf in _all_sets(config))
    kind, ways = ("reduce_zero_label", (reduce, void)) if reduced_elsewhere else _judge(counts, label, void, reduce)
    return [Finding.of(kind, counts.split, cases, "; ".join(filter(None, (*ways, many))))]


def _judge(counts: Counts, label: int, void: str, reduce: str) -> tuple[str, tuple[str, ...]]:
    """Whether the label after the last class is void, or 0 is no class; both where the masks do not tell."""
    total = max(counts.total, 1)
    zero, share = counts.stored[0] / total, counts.stored[label] / total
    if not zero:
        return "reduce_zero_label", (reduce,)
    first = counts.classes[0].strip().lower()
    # As in LoveDA, whose 'background' is 1 and whose 0 has no data.
    if first in _LEFT_OVER and (zero >= _SCARCE / (len(counts.classes) + 1) or first in _NOT_LABELLED):
        return "void_label", (void,)
    if zero < _RARE <= share or first in _LEFT_OVER:
        return "reduce_zero_label", (reduce, void)
    # An object is in some images; what was left out between objects is in most, in small pieces.
    if counts.in_masks[label] >= _EVERYWHERE * counts.masks and share < min(_THIN, zero):
        return "void_label", (void,)
    return "reduce_zero_label", (reduce, void)


def _as_void(config: Config, counts: Counts, command: Command, label: int) -> str:
    options = options_to_ignore(config, label)
    if counts.stored[counts.ignored] or options is None:
        return f"if {label} is void, save it as {counts.ignored}, which is ignored"
    return f"if {label} is void, ignore it everywhere: {command.with_options(options)}"


def _as_classes(config: Config, counts: Counts, command: Command, highest: int) -> str:
    if not len(counts.classes) <= highest < IGNORED:
        return ""
    options = options_for_classes(config, highest + 1)
    return f"if they are classes, name all {highest + 1} in the data set, then: {command.with_options(options)}"


def _as_greys(counts: Counts, strange: list[int]) -> str:
    """What to do with values that are greys of a picture: each of a class, or made where two classes meet."""
    held = sorted(counts.stored)
    between = [label for label in held if label not in (0, counts.ignored)]
    if between != strange or strange[0] < 0 or held == list(range(held[0], held[0] + len(held))):
        return ""
    if len(held) > _MOST_GREYS:
        common = [label for label in held if counts.stored[label] >= _GREY * counts.total]
        values, others = ", ".join(map(str, common)), len(held) - len(common)
        return (
            f"if {values} stand for classes, the {others} other values come from smoothed edges or from a JPEG: export "
            f"the masks again, without smoothing, as PNG, or {_CONVERT}"
        )
    if strange[0] < len(counts.classes):
        return ""
    values, ids = (", ".join(map(str, labels)) for labels in (held, range(len(held))))
    return f"if the values {values} stand for classes, as greys in a picture, save them as {ids}: {_CONVERT}"


def _all_sets(config: Config) -> list[Leaf]:
    loaders = {key: config.get(key) for key in ("train_dataloader", "val_dataloader", "test_dataloader")}
    return [leaf for key, loader in loaders.items() if loader for leaf in leaves(loader["dataset"], f"{key}.dataset")]


def _shown(name: str, ids: list[int], classes: int) -> str:
    shown = ", ".join(map(str, ids[:5])) + (" ..." if len(ids) > 5 else "")
    return f"{name}: {shown} of {classes} classes"
