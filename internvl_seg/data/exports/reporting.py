"""What was made of an export, in numbers and words."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...common.words import counted
from ..bands import ImageError, describe, is_rgb, opened
from ..names import readable
from ..writing import whole_file
from .next_command import is_large, testing_command, tiles_of, training_command
from .preparation import Written
from .preparing import Prepared
from .splitting import SPLITS

_NAMED = 20


def report(prepared: Prepared) -> dict[str, Any]:
    """Everything that is to be known of a folder, as JSON."""
    there = [one for one in prepared.written if one.empty is None]
    classes = []
    for i, label in enumerate(prepared.ids.classes):
        pixels = {split: sum(one.pixels[i] for one in there if one.split == split) for split in SPLITS}
        classes.append({"id": i, "name": label.name, "colour": label.colour, "pixels": pixels})
    return {
        "format": prepared.export.format,
        "why": prepared.export.why,
        "pictures": dict(Counter(one.split for one in there)),
        "splits": prepared.plan.splits.how,
        "seed": prepared.plan.splits.seed,
        "classes": classes,
        "ignored_pixels": {split: sum(one.ignored for one in there if one.split == split) for split in SPLITS},
        "overlapping_pixels": sum(one.overlapped for one in prepared.written),
        "tiles_left_out": dict(Counter(one.empty for one in prepared.written if one.empty is not None)),
        "left_out": prepared.plan.left_out,
        "failed": prepared.failed,
        "notes": list(notes(prepared)),
        "train": training_command(prepared),
        "test": testing_command(prepared),
    }


def notes(prepared: Prepared) -> tuple[str, ...]:
    """What is to be known, a sentence each."""
    there = [one for one in prepared.written if one.empty is None]
    found = [*prepared.export.notes, *prepared.ids.notes, *prepared.plan.notes]
    for reason, count in Counter(prepared.plan.left_out.values()).items():
        first = next(name for name, why in prepared.plan.left_out.items() if why == reason)
        found.append(
            f"{counted(count, 'picture was', 'pictures were')} left out, as {reason}; the first is {readable(first)}."
        )
    for reason, count in Counter(one.empty for one in prepared.written if one.empty is not None).items():
        found.append(f"{counted(count, 'tile was', 'tiles were')} left out: {reason}.")
    if blank := [one for one in there if not sum(one.pixels)]:
        found.append(
            f"{counted(len(blank), 'picture has', 'pictures have')} no labelled pixel, the first is "
            f"{readable(blank[0].name)}."
        )
    if overlapped := sum(one.overlapped for one in prepared.written):
        found.append(
            f"{counted(overlapped, 'pixel is', 'pixels are')} claimed by objects of different classes; the one drawn "
            "last has them."
        )
    tiles = tiles_of(prepared)
    if converted := [one for one in there if one.converted and one.name not in tiles]:
        found.append(
            f"{counted(len(converted), 'picture was', 'pictures were')} written anew without loss, as training does "
            f"not read their format; the first is {readable(converted[0].source)}."
        )
    if large := [one for one in there if is_large(one)]:
        height, width = large[0].size
        found.append(
            f"{counted(len(large), 'picture is', 'pictures are')} large, the first {width} x {height}: a config that "
            "scales them shrinks them. --tile 512 cuts them at their own resolution."
        )
    if (bands := _bands(prepared, there)) is not None:
        found.append(
            f"{bands}: training reads pictures of 8 bits in grey or RGB unless the config names the bands, and refuses "
            "the command below as it is. docs/bands.md has a config to begin with."
        )
    trained = [
        i for i in range(len(prepared.ids.classes)) if any(one.pixels[i] for one in there if one.split == "train")
    ]
    if "train" in {one.split for one in there} and (
        unseen := [label.name for i, label in enumerate(prepared.ids.classes) if i not in trained]
    ):
        found.append(f"No training picture has a pixel of {', '.join(map(repr, unseen[:_NAMED]))}.")
    if not there:
        found.append("No picture is left: see above why.")
    elif not any(one.split != "train" for one in there):
        found.append("All pictures are for training: the command trains without a validation, and there is no score.")
    elif not any(one.split == "train" for one in there):
        if not any("left to train on" in note for note in found):  # The plan knows why.
            found.append(
                "No picture is for training, so nothing can be trained: --split 0.8,0.1,0.1 draws other splits."
            )
    elif not any(one.split == "val" for one in there):
        found.append(
            "There is no split val, so the command validates on test and keeps the last checkpoint: one that is chosen "
            "by that score has no other pictures to be scored on. --split 0.8,0.1,0.1 draws three splits."
        )
    empty = set(prepared.plan.splits.of.values()) - {one.split for one in there}
    if empty:
        found.append(f"Nothing is in {', '.join(sorted(empty))}: all that goes there was left out.")
    if prepared.removed:
        found.append(
            f"{counted(prepared.removed, 'file of an earlier run was', 'files of an earlier run were')} removed, as "
            "the source has no such any more."
        )
    return tuple(found)


def _bands(prepared: Prepared, there: Sequence[Written]) -> str | None:
    """What the first picture holds that training does not read without ``bands``, of each suffix; None if none does."""
    for one in {one.suffix.lower(): one for one in reversed(there)}.values():
        with suppress(ImageError), opened(str(prepared.out / "images" / one.split / f"{one.name}{one.suffix}")) as data:
            if not is_rgb(data):
                return f"{readable(one.name)}{one.suffix} has {describe(data)}"
    return None


def next_step(content: Mapping[str, Any]) -> tuple[str, str] | None:
    """What the folder is for, as a title, and the command; None if there is nothing in it.

    Args:
        content: Of :func:`report`.
    """
    if content["train"] is not None:
        return "To train", content["train"]
    return ("To test a checkpoint that was trained elsewhere", content["test"]) if content["test"] else None


def write_report(prepared: Prepared) -> dict[str, Any]:
    """Write ``report.json`` and ``report.md`` into the folder.

    Raises:
        OSError: One cannot be written.
    """
    content = report(prepared)
    with whole_file(prepared.out / "report.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with whole_file(prepared.out / "report.md") as temporary:
        temporary.write_text(_markdown(content, prepared.out), encoding="utf-8")
    return content


def _markdown(content: dict[str, Any], out: Path) -> str:
    total = {split: sum(one["pixels"][split] for one in content["classes"]) or 1 for split in SPLITS}
    lines = [f"# {readable(out.name)}", "", f"Made of {content['format']}: {content['why']}.", ""]
    lines += [
        f"Splits: {content['splits']}.",
        "",
        "| id | class | colour | train | val | test |",
        "|---|---|---|---|---|---|",
    ]
    for one in content["classes"]:
        shares = [f"{one['pixels'][split]:,} ({100 * one['pixels'][split] / total[split]:.2f} %)" for split in SPLITS]
        colour = "#{:02x}{:02x}{:02x}".format(*one["colour"])
        name = one["name"].replace("|", "\\|")
        lines.append(f"| {one['id']} | {name} | {colour} | {' | '.join(shares)} |")
    ignored = [f"{content['ignored_pixels'][split]:,}" for split in SPLITS]
    lines.append(f"| 255 | ignored | | {' | '.join(ignored)} |")
    lines.append(f"| | pictures | | {' | '.join(str(content['pictures'].get(split, 0)) for split in SPLITS)} |")
    lines += ["", "Pixels, and their share of those that are not ignored. Pictures: `contact_sheet.jpg`.", ""]
    lines += [f"- {note}" for note in content["notes"]]
    if content["failed"]:
        lines += ["", "## Pictures that could not be prepared", ""]
        lines += [f"- {readable(name)}: {why}" for name, why in content["failed"].items()]
    if (step := next_step(content)) is not None:
        lines += ["", f"## {step[0]}", "", "```", step[1], "```"]
    return "\n".join([*lines, ""])
