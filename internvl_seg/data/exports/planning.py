"""What is to be written of an export: which windows of which pictures, into which split, under which names."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..names import folded, output_names
from .export import Annotated, Export, SourceError, Split, Unlabelled, Window
from .in_order import each
from .pictures import Picture
from .splitting import DEFAULT_SHARES, Splits, draw_splits, group_names, read_lists
from .tiling import blocks, cut

# Of tiles along a side of a block that is in one split as a whole.
_BLOCK = 2


@dataclass(frozen=True)
class Options:
    """How an export is prepared.

    Attributes:
        unlabelled: What pixels without a label become; None for what the format's users mean.
        shares: Of train, val and test; None for the source's splits, or the default where it has none.
        lists: Files of names, one a split, in place of shares.
        group: What keeps pictures together, as of :func:`~.splitting.group_names`.
        seed: Of the splits and of the empty tiles that are kept; None for the first that leaves no split empty.
        tile: Side of the tiles that larger pictures are cut into; None to leave them whole.
        overlap: Of neighbouring tiles, in pixels.
        keep_empty: Share of the tiles without an object that are kept.
        by_blocks: Whether parts of one picture may be in different splits.
    """

    unlabelled: Unlabelled | None = None
    shares: tuple[float, float, float] | None = None
    lists: tuple[Path, ...] = ()
    group: str | None = None
    seed: int | None = None
    tile: int | None = None
    overlap: int = 0
    keep_empty: float = 0.1
    by_blocks: bool = False

    def check(self) -> None:
        """See that the options go together.

        Raises:
            SourceError: They do not.
        """
        if self.tile is None and (self.by_blocks or self.overlap):
            raise SourceError("--overlap and --split-tiles are about tiles: give their side, such as --tile 512.")
        if self.tile is not None and self.tile < 1:
            raise SourceError(f"--tile {self.tile}: expected at least 1.")
        if self.tile is not None and not 0 <= self.overlap < self.tile:
            raise SourceError(f"--overlap {self.overlap}: expected from 0 to {self.tile - 1} for tiles of {self.tile}.")
        if not 0 <= self.keep_empty <= 1:
            raise SourceError(f"--keep-empty {self.keep_empty:g}: expected a share from 0 to 1.")
        if self.by_blocks and self.group:
            raise SourceError("--group keeps pictures together and --split-tiles blocks parts them: leave one out.")
        if self.lists and (self.shares or self.by_blocks):
            raise SourceError("--split-list says where pictures go; leave --split and --split-tiles out.")


class Part(NamedTuple):
    """What becomes a file of the data set.

    Attributes:
        split: Where it goes.
        name: Of its files, without a suffix.
        window: Of its picture; None for all of it.
    """

    split: Split
    name: str
    window: Window | None


class Job(NamedTuple):
    """A picture and what is made of it, from the top."""

    picture: Annotated
    parts: tuple[Part, ...]


class Plan(NamedTuple):
    """What is to be written.

    Attributes:
        jobs: By name.
        splits: How they were decided.
        left_out: Pictures that are not written, by name, and why.
        notes: What is to be known, a sentence each.
    """

    jobs: tuple[Job, ...]
    splits: Splits
    left_out: dict[str, str]
    notes: tuple[str, ...]


def plan(export: Export, options: Options, advance: Callable[[], object] = lambda: None) -> Plan:
    """Decide what is written.

    Args:
        export: The export.
        options: How.
        advance: Called for each picture whose size was looked at, if they are.

    Raises:
        SourceError: There is nothing to write, or not so.
    """
    options.check()
    left_out = {picture.name: "it has no labels" for picture in export.pictures if picture.labels is None}
    pictures = [picture for picture in export.pictures if picture.labels is not None]
    if not pictures:
        raise SourceError(
            f"No picture of the export ({export.why}) has labels; it names {len(export.pictures)} pictures. "
            + " ".join(export.notes)
        )
    areas: dict[str, list[Window | None]] = {picture.name: [None] for picture in pictures}
    if options.tile is not None:
        for picture, size in each(_size, pictures):
            advance()
            if isinstance(size, SourceError):
                left_out[picture.name] = str(size)
                del areas[picture.name]
                continue
            if max(size) > options.tile:
                whole = Window(0, 0, *size)
                side = _BLOCK * options.tile - (_BLOCK - 1) * options.overlap
                areas[picture.name] = list(blocks(size, side)) if options.by_blocks else [whole]
        pictures = [picture for picture in pictures if picture.name in areas]
        if not pictures:
            name, reason = next(iter(left_out.items()))
            raise SourceError(f"None of {len(left_out)} pictures can be cut; of {name}: {reason}")
    splits, split_of, notes = _split(pictures, areas, options)
    jobs = _jobs(pictures, areas, split_of, options)
    written = {job.picture.name for job in jobs}
    left_out |= {picture.name: "it is in no split" for picture in pictures if picture.name not in written}
    return Plan(jobs, splits, left_out, notes)


def _size(picture: Annotated) -> tuple[int, int] | SourceError:
    try:
        with Picture(picture.picture, picture.name) as opened:
            return opened.size
    except SourceError as error:
        return error


def _key(name: str, area: Window | None) -> str:
    """A name of a picture, or of a block of it, to draw a split by."""
    return name if area is None or not (area.top or area.left) else f"{name} {area.top} {area.left}"


def _split(
    pictures: Sequence[Annotated], areas: dict[str, list[Window | None]], options: Options
) -> tuple[Splits, dict[str, Split], tuple[str, ...]]:
    """How it was decided, the split of each area by :func:`_key`, and notes."""
    given = Counter(picture.split for picture in pictures if picture.split)
    keys = {picture.name: [_key(picture.name, area) for area in areas[picture.name]] for picture in pictures}
    if options.lists:
        splits = read_lists(pictures, options.lists)
        notes = _leaks(splits.of, group_names(pictures, options.group), "lists'")
        return splits, {key: splits.of[name] for name in keys if name in splits.of for key in keys[name]}, notes
    groups = group_names(pictures, options.group)
    if given and options.shares is None and not options.by_blocks:
        notes = _leaks({picture.name: picture.split for picture in pictures if picture.split}, groups, "source's")
        if len(given) == 1 and sum(given.values()) == len(pictures) > 1:
            (only,) = given
            missing = "measure" if only == "train" else "train"
            notes += (
                f"All {len(pictures)} pictures are in the source's split {only}: nothing is left to {missing} on. "
                "--split 0.8,0.1,0.1 draws other splits.",
            )
        of = {picture.name: picture.split for picture in pictures if picture.split}
        text = ", ".join(f"{split} {count}" for split, count in given.items())
        splits = Splits(of, None, f"those of the source ({text} pictures)", notes)
        return splits, {key: of[name] for name in of for key in keys[name]}, notes
    shares = options.shares or DEFAULT_SHARES
    if options.by_blocks:
        # Parts of a picture that belongs to others, such as a copy that was turned, are not apart from parts of these.
        shared = Counter(groups.values())
        names = {key: key if shared[groups[name]] == 1 else groups[name] for name in keys for key in keys[name]}
    else:
        names = {key: groups[name] for name in keys for key in keys[name]}
    splits = draw_splits(names.values(), shares, options.seed)
    notes = splits.notes
    if given:
        notes += (f"The source's splits ({', '.join(given)}) are not kept, as others are asked for.",)
    return splits, {key: splits.of[group] for key, group in names.items()}, notes


def _leaks(split_of: Mapping[str, Split], groups: Mapping[str, str], whose: str) -> tuple[str, ...]:
    """What is to be said of groups that the source, or lists, have in more than one split."""
    found: dict[str, set[str]] = {}
    for name, split in split_of.items():
        found.setdefault(groups[name], set()).add(split)
    leaking = [group for group, splits in found.items() if len(splits) > 1]
    if not leaking:
        return ()
    return (
        f"{len(leaking)} groups are in more than one of the {whose} splits, the first is {leaking[0]}: what is learnt "
        "of them by heart raises the score. --split 0.8,0.1,0.1 keeps groups together.",
    )


def _jobs(
    pictures: Sequence[Annotated],
    areas: dict[str, list[Window | None]],
    split_of: dict[str, Split],
    options: Options,
) -> tuple[Job, ...]:
    chosen = [
        picture for picture in pictures if any(_key(picture.name, area) in split_of for area in areas[picture.name])
    ]
    if not chosen:
        raise SourceError("No picture is in a split. Leave --split-list out, or name pictures of the export there.")
    names = _file_names(chosen, {picture.name: split_of.get(picture.name) for picture in chosen}, options.by_blocks)
    jobs = []
    for picture in chosen:
        parts: list[Part] = []
        for area in areas[picture.name]:
            split = split_of[_key(picture.name, area)]
            if area is None:
                parts.append(Part(split, names[picture.name], None))
                continue
            assert options.tile is not None
            parts += [
                Part(split, f"{names[picture.name]}_y{window.top:05d}_x{window.left:05d}", window)
                for window in cut(area, options.tile, options.overlap)
            ]
        jobs.append(Job(picture, tuple(parts)))
    seen = Counter((part.split, folded(part.name)) for job in jobs for part in job.parts)
    if clashing := [f"{split}/{name}" for (split, name), count in seen.items() if count > 1]:
        raise SourceError(
            f"{len(clashing)} files would have the name of another, the first is {clashing[0]}. Rename the picture."
        )
    return tuple(jobs)


def _file_names(pictures: Sequence[Annotated], splits: dict[str, Any], together: bool) -> dict[str, str]:
    """Names of files by names of pictures: the stem where that tells all of a split apart."""
    names: dict[str, str] = {}
    for split in {None} if together else set(splits.values()):
        chosen = [picture.name for picture in pictures if together or splits[picture.name] == split]
        # The suffix is taken off again: stems may hold dots.
        found = output_names([f"{name}.png" for name in chosen])
        flat = [name.replace("/", "_") for name in found]
        if len({folded(name) for name in flat}) < len(flat):
            digits = int(math.log10(len(flat))) + 1
            flat = [f"{name}_{number:0{digits}d}" for number, name in enumerate(flat)]
        names |= dict(zip(chosen, flat, strict=True))
    return names


def count_parts(jobs: Iterable[Job]) -> int:
    """How many pictures or tiles are written at most."""
    return sum(len(job.parts) for job in jobs)
