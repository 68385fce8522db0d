"""Reading a config, with errors that name the file and the key."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config

from ..data.preflight.findings import KINDS
from .options import OptionAction
from .replaced_types import name_replaced_types

# Data set fields that name a file or folder which must be there before anything is built.
_PATH_KEYS = ("img_path", "seg_map_path")


class ConfigError(ValueError):
    """A config cannot be read or does not describe a run; the message names the file and the key."""


def walk(node: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dict in a config with its dotted key, outer before inner."""
    if isinstance(node, dict):
        yield key, node
        for name, child in node.items():
            yield from walk(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from walk(child, f"{key}[{i}]")


def add_options(parser: ArgumentParser) -> None:
    """Give a command ``--cfg-options``, whose value is the ``options`` of :func:`load_config`."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionAction,
        metavar="KEY=VALUE",
        help="dotted keys that replace config values",
    )


def add_allow(parser: ArgumentParser) -> None:
    """Give a command ``--allow``: findings of the preflight that are as they should be."""
    parser.add_argument(
        "--allow",
        nargs="+",
        default=[],
        choices=KINDS,
        metavar="KIND",
        help="findings in the data that are as they should be (docs/preflight.md)",
    )


def load_config(path: str | os.PathLike[str], options: dict[str, Any] | None = None) -> Config:
    """Read a config and put options from the command line over it.

    Args:
        path: A Python, YAML or JSON config.
        options: Dotted keys and their values, as :class:`.options.OptionAction` gives them. ``data_root`` moves every
            data set that has the config's own ``data_root``.

    Raises:
        ConfigError: The file or one of its bases is missing or has an error, or an option does not fit it.
    """
    if not Path(path).is_file():
        near = sorted(str(p) for p in Path("configs").rglob("*.py") if "_base_" not in p.parts)
        raise ConfigError(
            f"There is no config {os.fspath(path)!r} (looked from {Path.cwd()})."
            + (f" Configs here: {', '.join(near)}." if near else "")
        )
    try:
        config = Config.fromfile(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: a file of its _base_ is missing: {error}. {_advice_on_bases(path)}") from error
    except Exception as error:
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error
    root = config.get("data_root")
    try:
        config.merge_from_dict(options or {})
    except Exception as error:
        raise ConfigError(f"--cfg-options do not fit {path}: {error}") from error
    try:
        name_replaced_types(node for key in config for _, node in walk(config[key]))
    except ImportError as error:  # A class that a pure Python config names is not there.
        raise ConfigError(f"{path}: {error}") from error
    if config.get("data_root") != root:
        # A config copies its variable into every data set when it is parsed; the copies follow it here.
        config.merge_from_dict(
            {
                f"{key.replace('[', '.').replace(']', '')}.data_root": config.data_root
                for key, node in walk(config.to_dict())
                if key and node.get("data_root") == root
            }
        )
    return config


def _advice_on_bases(path: str | os.PathLike[str]) -> str:
    """What to do where a config was copied away from its bases."""
    advice = "Paths in _base_ are relative to the file they stand in; those of a copy elsewhere have to be written anew"
    try:
        bases = Config._get_base_files(os.fspath(path))
    except Exception:
        return f"{advice}."
    for base in (base for base in bases if not (Path(path).parent / base).is_file()):
        tail = [part for part in Path(base).parts if part not in (".", "..")]
        found = next(iter(sorted(Path("configs").rglob(os.path.join(*tail)))), None) if tail else None
        if found is not None:
            shown = os.path.relpath(found, Path(path).parent)
            return f"{advice}: {base!r} is {shown!r} from here. Or put the copy beside the original."
    return f"{advice}, or the copy be put beside the original."


def python_text(config: Config) -> str:
    """A config as the text of a Python file; MMEngine's ``pretty_text`` takes a hundred times as long."""
    content = config.to_dict()
    return "".join(f"{key} = {pformat(content[key], width=116, sort_dicts=False)}\n" for key in sorted(content))


def check_data_paths(config: Config, loader: str) -> None:
    """Check that the folders of a data loader's set exist.

    Args:
        config: The config.
        loader: Key of the loader, such as ``train_dataloader``.

    Raises:
        ConfigError: One does not, or the config has no such loader.
    """
    if config.get(loader) is None:
        raise ConfigError(f"{config.filename}: {loader} is missing.")
    for key, node in walk(config[loader], loader):
        prefixes = node.get("data_prefix")
        if not isinstance(prefixes, dict):
            continue
        for name in _PATH_KEYS:
            if not isinstance(prefixes.get(name) or "", (str, os.PathLike)):
                raise ConfigError(
                    f"{config.filename}: {key}.data_prefix.{name} = {prefixes[name]!r}: expected one folder. "
                    "For several, put a data set for each into a ConcatDataset."
                )
            folder = Path(node.get("data_root") or "", prefixes.get(name) or "")
            if name in prefixes and not folder.is_dir():
                is_root = bool(node.get("data_root")) and Path(node["data_root"]).is_dir()
                raise ConfigError(
                    f"{config.filename}: {key}.data_prefix.{name} = {prefixes[name]!r} under data_root = "
                    f"{node.get('data_root')!r} is {folder}, which is no folder. Put the data there, or set "
                    "--cfg-options data_root=..."
                    + (" Other layouts, and what labelling tools export: docs/own_data.md." if is_root else "")
                )


def check_output_folders(config: Config, folders: Mapping[str, Any]) -> None:
    """Check that nothing else than a folder is where a run is to write, before it has computed for hours.

    Args:
        config: The config, for the message.
        folders: By their keys; None and addresses of other places are left out.

    Raises:
        ConfigError: A file is there, or in the place of a folder above.
    """
    for key, name in folders.items():
        if not isinstance(name, (str, os.PathLike)) or "://" in os.fspath(name):
            continue
        folder = Path(name).absolute()
        first = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not first.is_dir():
            raise ConfigError(
                f"{config.filename}: {key} = {os.fspath(name)!r} is to be a folder, but {first} is none. Take another "
                "name, or move that file."
            )


def is_segmentation(config: Config) -> bool:
    """Whether a config's model labels pixels, not images: MMPretrain's do that."""
    return bool(config.get("default_scope") != "mmpretrain")


def check_segmentation_options(config: Config, **given: Any) -> None:
    """Check that what only segmentors have is not asked of another model.

    Raises:
        ConfigError: It is.
    """
    if wrong := [name for name, value in given.items() if value]:
        raise ConfigError(
            f"{config.filename}: model.type = {config.model.get('type')!r} labels images; "
            f"--{wrong[0].replace('_', '-')} is for segmentation. Leave it out."
        )


def keep_variants(config: Config, names: Sequence[str]) -> None:
    """Leave out all test sets but some of ImageNet's variants.

    Args:
        config: With a ``ConcatDataset`` of them.
        names: Which to keep.

    Raises:
        ConfigError: One of them is not there.
    """
    datasets = config.test_dataloader.dataset.get("datasets", [])
    there = [dataset.get("variant") for dataset in datasets]
    if unknown := [name for name in names if name not in there]:
        raise ConfigError(
            f"{config.filename}: test_dataloader.dataset has no variant {unknown[0]!r}; it has "
            f"{', '.join(map(str, there))}."
        )
    config.test_dataloader.dataset.datasets = [d for d in datasets if d.get("variant") in names]


def prepare_submission(config: Config) -> bool:
    """Let a test write what ADE20K's server takes; gives whether there are masks, without which it is not scored.

    Raises:
        ConfigError: The test set is another one than ADE20K.
    """
    dataset = config.test_dataloader.dataset
    if dataset.type != "ADE20KDataset":
        raise ConfigError(
            f"{config.filename}: test_dataloader.dataset.type = {dataset.type!r}, but --submit writes the format of "
            "ADE20K's server. Use --out for labels of other data sets."
        )
    if dataset.data_prefix.get("seg_map_path") is None:
        dataset.data_prefix.pop("seg_map_path", None)
        dataset.pipeline = without_annotations(dataset.pipeline)
        return False
    return True


def without_annotations(transforms: Any) -> Any:
    """A pipeline, or the branches of a TestTimeAug, without the steps that read masks."""
    if isinstance(transforms, dict):
        return {key: without_annotations(value) if key == "transforms" else value for key, value in transforms.items()}
    kept = (t for t in transforms if not (isinstance(t, dict) and t["type"] == "LoadAnnotations"))
    return [branch for branch in map(without_annotations, kept) if branch]
