"""An export as a folder that trains: pictures, masks of 8 bits and the classes."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..folder_lock import locked_folder
from ..writing import FULL, remove_leftovers, whole_file, write_encoded
from .class_ids import ClassIds, class_ids, classes_text
from .export import IGNORED, UNLABELLED, Annotated, ClassLabel, Export, SourceError, Window
from .in_order import each
from .pictures import Picture
from .planning import Job, Options, Part, Plan, plan
from .preparation import Preparation, Written, mask_file
from .source import Source
from .splitting import number_of

PURPOSE = "tools/prepare_dataset.py"


class Prepared(NamedTuple):
    """A folder that was made of an export.

    Attributes:
        out: The folder.
        export: What it was made of.
        ids: What the ids in the masks mean.
        plan: What was to be written.
        written: All pictures and tiles, those that were left out as empty among them, by split and name.
        failed: Pictures that could not be read, by name, and why.
        new: How many of ``written`` this run has made.
        removed: How many of an earlier run's are not wanted any more.
    """

    out: Path
    export: Export
    ids: ClassIds
    plan: Plan
    written: tuple[Written, ...]
    failed: dict[str, str]
    new: int
    removed: int


def prepare(
    export: Export,
    source: Source,
    out: Path,
    options: Options,
    named: Sequence[ClassLabel] | None = None,
    begin: Callable[[str, int], Callable[[], object]] = lambda what, total: lambda: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """Write the pictures, masks and ``classes.txt`` of an export; what an earlier run has written stays.

    Args:
        export: The export.
        source: Where it was read from; nothing is changed there.
        out: A folder outside of it.
        options: How.
        named: Classes of a file, as of :func:`~.class_ids.class_ids`.
        begin: Called with what begins and how many steps it has; gives a function to be called after each.
        tell: Called with a sentence if the folder is in use.

    Raises:
        SourceError: It cannot be prepared, or the folder holds something else.
        FolderInUseError: Another run works there.
        OSError: Something cannot be written.
    """
    check_out(source, out)
    ids = class_ids(export, options.unlabelled, named)
    todo = plan(export, options, begin("Looking at sizes", len(export.pictures)) if options.tile else lambda: None)
    with locked_folder(out, PURPOSE, tell):
        state = Preparation(out, _facts(export, source, options, ids))
        for kind in ("images", "annotations"):
            for split in ("train", "val", "test"):
                remove_leftovers(out / kind / split)
        remove_leftovers(out)
        keys = _Keys(source)
        key_of = {job.picture.name: keys.of(job.picture) for job in todo.jobs}
        wanted = [(part.split, part.name, key_of[job.picture.name]) for job in todo.jobs for part in job.parts]
        removed = state.keep(wanted)
        left = [
            job._replace(parts=parts)
            for job in todo.jobs
            if (parts := tuple(part for part in job.parts if (part.split, part.name) not in state.done))
        ]
        seed = todo.splits.seed if todo.splits.seed is not None else options.seed or 0
        writer = _Writer(out, ids, partial(number_of, seed), options.keep_empty, key_of)
        failed: dict[str, str] = {}
        new = 0
        step = begin("Preparing", len(left))
        with ExitStack() as stack:
            file = stack.enter_context(state.open())
            writer.done = lambda written: state.add(file, written)
            stack.callback(writer.stop.set)
            for job, result in each(writer, left):
                step()
                if isinstance(result, SourceError):
                    failed[job.picture.name] = str(result)
                else:
                    new += result
        written = tuple(state.done[place] for place in sorted(state.done))
        if not any(one.empty is None for one in written):
            _raise_nothing(failed, written)
        with whole_file(out / "classes.txt") as temporary:
            temporary.write_text(classes_text(ids.classes), encoding="utf-8")
    return Prepared(out, export, ids, todo, written, failed, new, removed)


def check_out(source: Source, out: Path) -> None:
    """See that nothing would be written into the source, or beside a single file of it.

    Raises:
        SourceError: It would, or it cannot be a folder.
    """
    if out.exists() and not out.is_dir():
        raise SourceError(f"{out} is a file. Name the folder to be made.")
    target = Path(os.path.realpath(out))
    for name, path in (("the source", source.root), ("--images", source.images)):
        if path is None:
            continue
        folder = Path(os.path.realpath(path))
        if target == folder or folder in target.parents or target in folder.parents:
            raise SourceError(
                f"{out} and {name}, {path}, lie in one another: the source is never changed. Take a folder elsewhere."
            )


def _raise_nothing(failed: dict[str, str], written: Sequence[Written]) -> None:
    if failed:
        name, reason = next(iter(failed.items()))
        raise SourceError(f"None of {len(failed)} pictures could be prepared; of {name}: {reason}")
    raise SourceError(
        f"All {len(written)} tiles are empty ({written[0].empty}, for one), and none is kept. See whether the labels "
        "fit the pictures; --keep-empty 1 keeps tiles without an object."
    )


def _facts(export: Export, source: Source, options: Options, ids: ClassIds) -> dict[str, Any]:
    """What the files depend on."""
    facts = {name: value for name, value in vars(options).items() if name != "lists"}
    return {
        "source": os.path.realpath(source.root),
        "format": export.format,
        "images": source.images and os.path.realpath(source.images),
        "colour_distance": source.colour_distance,
        **facts,
        "lists": [os.path.realpath(path) for path in options.lists],
        "classes": [[label.name, label.colour] for label in ids.classes],
        "values": hashlib.sha256(ids.table.tobytes()).hexdigest()[:16],
    }


class _Keys:
    """Sizes and times of the files that pictures and labels are read from."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._others: str | None = None

    def of(self, picture: Annotated) -> str:
        if isinstance(picture.picture, bytes):
            first = hashlib.sha256(picture.picture).hexdigest()[:16]
        else:
            first = _stamp(picture.picture) or "none"
        labels = _stamp(self._source.path(picture.source)) if picture.source else None
        return f"{first} {labels or self._all_others()}"

    def _all_others(self) -> str:
        """Of all files that are no pictures, where it is not known which hold a picture's labels."""
        if self._others is None:
            pictures = Image.registered_extensions()
            names = [name for name in self._source.files if Path(name).suffix.lower() not in pictures]
            text = "\n".join(f"{name} {_stamp(self._source.path(name))}" for name in names)
            self._others = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
        return self._others


def _stamp(path: Path) -> str | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return f"{status.st_size}-{status.st_mtime_ns}" if path.is_file() else None


class _Writer:
    """Writes the parts of a picture; called by threads."""

    def __init__(
        self,
        out: Path,
        ids: ClassIds,
        draw: Callable[[str], float],
        keep_empty: float,
        key_of: dict[str, str],
    ) -> None:
        self._out, self._ids, self._draw, self._keep_empty, self._key_of = out, ids, draw, keep_empty, key_of
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.done: Callable[[Written], object] = lambda written: None

    def __call__(self, job: Job) -> int | SourceError:
        count = 0
        try:
            with Picture(job.picture.picture, job.picture.name) as opened:
                for written in self._parts(job, opened):
                    with self._lock:
                        self.done(written)
                    count += 1
        except SourceError as error:
            return error
        return count

    def _parts(self, job: Job, opened: Picture) -> Iterator[Written]:
        for part in job.parts:
            if self.stop.is_set():
                return
            yield self._part(job.picture, part, opened)

    def _part(self, picture: Annotated, part: Part, opened: Picture) -> Written:
        window = part.window or Window(0, 0, *opened.size)
        assert picture.labels is not None
        drawn = picture.labels(opened.size, window)
        if drawn.ids.shape != (window.height, window.width):
            raise SourceError(
                f"{picture.source or picture.name}: labels are {drawn.ids.shape[1]} x {drawn.ids.shape[0]} pixels, the "
                f"picture {window.width} x {window.height}. Export them again at the picture's size."
            )
        mask = self._ids.table[drawn.ids]
        # A transparent pixel of a picture may be background; a raster's without data is nothing.
        valid = None if part.window is None and not opened.georeferenced else opened.valid(window)
        if valid is not None:
            mask[(drawn.ids == UNLABELLED) & ~valid] = IGNORED
        counts = np.bincount(mask.ravel(), minlength=256)
        common: dict[str, Any] = {
            "source": picture.name,
            "key": self._key_of[picture.name],
            "split": part.split,
            "name": part.name,
            "pixels": tuple(int(count) for count in counts[: len(self._ids.classes)]),
            "ignored": int(counts[IGNORED]),
            "overlapped": drawn.overlapped,
            "size": (window.height, window.width),
        }
        if part.window is not None and (empty := self._empty(part, common, valid)) is not None:
            return Written(**common, empty=empty)
        copied = part.window is None and opened.suffix is not None
        if copied:
            opened.check()  # What is not decoded here would fail in training.
        suffix, content = (opened.suffix or "", None) if copied else opened.encode(part.window)
        target = self._out / "images" / part.split / f"{part.name}{suffix}"
        with whole_file(target) as temporary:
            if content is not None:
                temporary.write_bytes(content)
            elif isinstance(picture.picture, bytes):
                temporary.write_bytes(picture.picture)
            else:
                try:
                    shutil.copyfile(picture.picture, temporary)
                except OSError as error:  # It would name the source, whose disk has room.
                    place = target if error.errno in FULL else picture.picture
                    raise OSError(error.errno, error.strerror, str(place)) from error
        labels = mask_file(self._out, part.split, part.name)
        write_encoded(labels, partial(Image.fromarray(mask).save, format="PNG"))
        sizes = target.stat().st_size, labels.stat().st_size
        return Written(**common, suffix=suffix, bytes=sizes, converted=not copied)

    def _empty(self, part: Part, counts: dict[str, Any], valid: Any) -> str | None:
        """Why a tile is left out; None if it is not."""
        if valid is not None and not valid.any():
            return "no data"
        pixels = counts["pixels"]
        if not sum(pixels):
            return "no labelled pixel"
        background = self._ids.background
        if background is None or sum(pixels) > pixels[background]:
            return None
        return "nothing but background" if self._draw(f"keep {part.name}") >= self._keep_empty else None
