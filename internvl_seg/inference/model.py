"""A config's model with the weights of a checkpoint, and what belongs to it."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import nn

from ..checkpoints.errors import printable
from ..checkpoints.in_place import find_places
from ..checkpoints.reading import read_pickle
from ..checkpoints.sources import find_local
from ..checkpoints.whole_model import load_whole
from ..data.bands import BandReader
from ..encoder import InternViT
from ..encoder.position import RGB
from ..segmentation.backbone import reading_weights_later
from ..training.checks.bands import bands_of
from ..training.checks.contradiction import type_name
from ..training.config import ConfigError, load_config, without_annotations
from ..training.explaining import explaining
from .dataset_meta import read_dataset_meta, read_metainfo

_LOAD = "LoadImageFromFile"
# MMEngine has one scope, in which it looks names up, for all threads.
_BUILDING = threading.RLock()


@contextmanager
def in_scope(scope: str) -> Iterator[None]:
    """Within this context a config's names are looked up in a scope of MMEngine's, and it stays the default one.

    Threads that build from configs wait for each other.
    """
    with _BUILDING:
        init_default_scope(scope)
        yield


def read_config(
    config: str | os.PathLike[str] | Config, options: dict[str, Any] | None, types: Sequence[str], scope: str
) -> Config:
    """A config whose model is of one of some types.

    Args:
        config: The config, or its file.
        options: Dotted keys that replace values of the config.
        types: What ``model.type`` may be.
        scope: MMEngine's scope, if the config names none; to be called in it (:func:`in_scope`).

    Raises:
        ConfigError: It is of another type, or cannot be read.
    """
    if not isinstance(config, Config):
        config = load_config(config, options)
    elif options:
        config = Config(config.to_dict(), filename=config.filename)
        config.merge_from_dict(options)
    init_default_scope(config.get("default_scope", scope))
    kind = type_name(config.model)
    if kind not in types:
        raise ConfigError(
            f"{config.filename}: model.type = {config.model.get('type')!r}, expected {' or '.join(map(repr, types))}."
        )
    return config


def build_model(config: Config, kind: str, encoder: InternViT | None) -> Any:
    """Build a config's model, on an encoder that is there or on its own.

    Args:
        config: The config.
        kind: Its ``model.type``.
        encoder: An encoder of another model, whose weights are used and not copied.

    Raises:
        ConfigError: The config does not describe such a model.
        CheckpointError: The encoder's weights could not be read.
    """
    model = dict(config.model)
    if encoder is not None:
        model["backbone"] = {**model["backbone"], "encoder": encoder}
    with explaining(config), reading_weights_later():
        return MODELS.build({**model, "type": kind})


def read_weights(model: nn.Module, checkpoint: str | os.PathLike[str], config: Config) -> dict[str, Any]:
    """Read a checkpoint into a model; gives what it was trained on, if it says so: ``classes`` and ``palette``.

    Raises:
        ConfigError: There is no such file.
        CheckpointError: It cannot be read, or is another model's.
    """
    path = find_local(os.fspath(checkpoint)) if isinstance(checkpoint, (str, os.PathLike)) else None
    if path is None or not path.is_file():
        named = f"'{printable(os.fspath(checkpoint))}'" if isinstance(checkpoint, (str, os.PathLike)) else checkpoint
        raise ConfigError(f"There is no checkpoint {named} (looked from {Path.cwd()}).")
    content = read_pickle(path)
    load_whole(model, content, find_places(path, content), path, config.filename)
    return read_dataset_meta(content.get("meta"), str(path))


def find_test_set(config: Config) -> dict[str, Any]:
    """Config of the test set, or of the first of several."""
    dataset = (config.get("test_dataloader") or {}).get("dataset") or {}
    while "dataset" in dataset or "datasets" in dataset:
        dataset = dataset["dataset"] if "dataset" in dataset else dataset["datasets"][0]
    return dict(dataset)


def find_meta(meta: dict[str, Any], config: Config) -> dict[str, Any]:
    """What a checkpoint was trained on, if it says so, or else what the config's test set is.

    Raises:
        WrongConfigError: The config's ``metainfo`` is something else than names and colours of classes.
    """
    dataset = find_test_set(config)
    with DATASETS.switch_scope_and_registry(None) as registry:  # Of the default scope, as build() looks there.
        known = getattr(registry.get(dataset.get("type", "")), "METAINFO", {})
    told = dataset.get("metainfo")
    if isinstance(told, dict):  # A text in it is the name of a file with one name a line, as for MMEngine.
        told = {key: list_from_file(v) if isinstance(v, str) and Path(v).is_file() else v for key, v in told.items()}
    where = "test_dataloader.dataset.metainfo"
    return meta or {**known, **read_metainfo(told, str(config.filename or "The config"), where)}


def find_pipeline(config: Config, tta: bool = False) -> list[dict[str, Any]]:
    """The transforms of a config's test set, without those that read files.

    Raises:
        ConfigError: It has none.
    """
    pipeline = config.get("tta_pipeline") if tta else find_test_set(config).get("pipeline")
    if not pipeline:
        key = "tta_pipeline" if tta else "test_dataloader.dataset.pipeline"
        raise ConfigError(f"{config.filename}: {key} is missing; it says how a picture is prepared.")
    return [step for step in without_annotations(pipeline) if step["type"] != _LOAD]


def find_reader(config: Config, tta: bool = False) -> BandReader | None:
    """What reads the bands that a config's test set asks for; None if it takes pictures as RGB.

    Raises:
        ConfigError: It asks for bands that cannot be, or takes other channels than RGB without saying which.
    """
    pipeline = (config.get("tta_pipeline") if tta else find_test_set(config).get("pipeline")) or ()
    load = next((step for step in pipeline if isinstance(step, dict) and type_name(step) == _LOAD), {})
    try:
        reader = BandReader.read_step(load)
    except ValueError as error:
        raise ConfigError(f"{config.filename}: {error}") from error
    if reader is None and load.get("color_type") in ("unchanged", "grayscale"):
        takes = bands_of(config.model.get("backbone"))
        if takes not in (None, RGB):
            raise ConfigError(
                f"{config.filename}: the encoder takes in_chans = {takes}, and color_type = {load['color_type']!r} "
                f"does not say which bands these are. Set bands=[...] of LoadImageFromFile to {takes} numbers, "
                "with model.data_preprocessor's mean and std in that order."
            )
    return reader
