"""Names at the top of a config that nothing reads: misspelt ones, and variables whose value was taken already."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import load
from mmengine.runner import Runner

from ..config import walk
from .contradiction import Contradiction, option

# What MMEngine, the libraries and this package read of a config; all else are variables of its files.
FIELDS = {
    *(name for name in inspect.signature(Runner.__init__).parameters if name not in ("self", "cfg")),
    *("custom_imports", "model_wrapper_cfg", "find_unused_parameters", "sync_bn", "compile", "tta_model"),
    *("tta_pipeline", "auto_scale_schedule", "probe", "env", "init_weights_for_test_or_val"),
}
# Usual names of variables that are nearly those of fields.
_VARIABLES = ("train_pipeline", "val_pipeline", "test_pipeline")
_OF_ONE_LINE = re.compile(r"\{\{\s*_base_\.(\w+)")


class _File:
    """What one file of a config sets and reads.

    Attributes:
        path: The file.
        sets: The names at its top, in order.
        reads: The names that it reads.
        reads_of_bases: The names that it reads of its bases.
        bases: Those files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sets: list[str] = []
        self.reads: set[str] = set()
        text = path.read_text(encoding="utf-8")
        self.reads_of_bases = set(_OF_ONE_LINE.findall(text))
        self.bases: list[Path] = []
        if path.suffix != ".py":
            self.sets = [str(name) for name in load(path)]
            self.bases = _bases(path)
            return
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.reads.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "_base_":
                self.reads_of_bases.add(node.attr)
        for statement in tree.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if isinstance(statement, ast.AnnAssign):
                targets = [statement.target]
            self.sets += [target.id for target in targets if isinstance(target, ast.Name)]
        self.bases = [*_bases(path), *_imported_bases(tree, path)]


def _bases(path: Path) -> list[Path]:
    """The files of ``_base_``, as MMEngine finds them."""
    found = [Config._get_cfg_path(base, str(path))[0] for base in Config._get_base_files(str(path))]
    return [Path(base) for base in found if Path(base).is_file()]


def _imported_bases(tree: ast.Module, path: Path) -> Iterator[Path]:
    """Those of ``with read_base(): from .base import *``."""
    for block in (node for node in tree.body if isinstance(node, ast.With)):
        for node in (node for node in block.body if isinstance(node, ast.ImportFrom) and node.level and node.module):
            base = path.resolve().parents[node.level - 1].joinpath(*str(node.module).split(".")).with_suffix(".py")
            if base.is_file():
                yield base


def check_unread(config: Config, options: Iterable[str] = ()) -> Iterator[Contradiction]:
    """Find names at the top of a config's file, or of options, that nothing reads.

    A name whose value was put into other fields already, or that is nearly a field's, is an error; one that only
    stands there may be a leftover.

    Args:
        config: The config, whose files are there, with the options over it.
        options: Dotted keys of the options.
    """
    path = Path(config.filename or "")
    if not path.is_file():
        return
    leaf = _File(path)
    of_bases = {name for base in map(_File, leaf.bases) for name in _all_names(base)}
    given = dict.fromkeys(key.partition(".")[0] for key in options)
    for name in given:
        # What stands under data_root is moved.
        if name not in FIELDS and name != "data_root":
            is_taken = name in of_bases or name in leaf.reads
            yield from _told(config, name, is_taken, f"--cfg-options {name}", is_fatal=name not in leaf.sets)
    # What a training writes of its config has the variables of all its files, and no longer where they were read.
    is_written = not leaf.bases and not leaf.reads & set(leaf.sets)
    for name in dict.fromkeys(leaf.sets):
        if name in FIELDS or name in leaf.reads or name.startswith("_") or name not in config or name in given:
            continue
        if not _stands_elsewhere(config, name):
            for found in _told(config, name, name in of_bases, name):
                if found.fatal or name == "data_root" or not is_written:
                    yield found


def _stands_elsewhere(config: Config, name: str) -> bool:
    """Whether the value of a variable is in a field, too, so that it is what that one says."""
    value = config[name]
    if not isinstance(value, (str, dict, list, tuple)) or not value:
        return False
    return any(
        value in node.values() or value in [item for part in node.values() if isinstance(part, list) for item in part]
        for field in FIELDS
        for _, node in walk({field: config.get(field)})
    )


def _all_names(file: _File) -> Iterator[str]:
    yield from file.sets
    for base in file.bases:
        yield from _all_names(_File(base))


def _told(config: Config, name: str, is_taken: bool, key: str, is_fatal: bool = False) -> Iterator[Contradiction]:
    near = get_close_matches(name, FIELDS, 1, cutoff=0.8) if name not in _VARIABLES else []
    if name == "data_root" and is_taken:
        yield Contradiction(
            key,
            f"= {config[name]!r} is read by nothing: the files of _base_ have put theirs into every data set already.",
            f"Set {option(name, config[name])}, which moves them all, or write it into each: "
            "train_dataloader = dict(dataset=dict(data_root=data_root)), and the same for val and test.",
        )
    elif is_taken:
        yield Contradiction(
            key,
            "is read by nothing any more: its value was put into other fields when the file was read.",
            "Set those fields instead.",
        )
    elif near:
        yield Contradiction(key, f"is read by nothing; did you mean {near[0]}?", f"Write {near[0]}, or leave it out.")
    else:
        yield Contradiction(
            key, "is read by nothing.", "Leave it out, or set the field that it is meant for.", fatal=is_fatal
        )
