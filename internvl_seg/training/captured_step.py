"""A training step as a file, from which it can be computed again elsewhere."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement, InstanceData, LabelData, PixelData
from mmpretrain.structures import DataSample, MultiTaskDataSample
from mmseg.structures import SegDataSample
from torch import Tensor

from ..checkpoints.in_place import find_places
from ..checkpoints.reading import read_pickle
from ..checkpoints.whole_model import load_whole
from ..common.finite import is_finite
from ..data.writing import whole_file
from ..segmentation.backbone import reading_weights_later
from .config import ConfigError
from .explaining import explaining

# Samples by name: a capture holds no classes, since reading those would run code.
_ELEMENTS: dict[str, type[BaseDataElement]] = {
    kind.__name__: kind
    for kind in (SegDataSample, DataSample, MultiTaskDataSample, PixelData, LabelData, InstanceData, BaseDataElement)
}
_KIND = "_element"


class RandomState(NamedTuple):
    """State of PyTorch's generators, on the CPU and on the accelerator, if there is one."""

    cpu: Tensor
    device: Tensor | None

    @classmethod
    def read(cls) -> "RandomState":
        """The state as it is; it waits for no computation."""
        device = torch.get_device_module().get_rng_state() if torch.accelerator.is_available() else None
        return cls(torch.get_rng_state(), device)

    def restore(self) -> None:
        """Go back to this state; that of an accelerator where there is one."""
        torch.set_rng_state(self.cpu)
        if self.device is not None and torch.accelerator.is_available():
            torch.get_device_module().set_rng_state(self.device)


def as_plain(value: Any) -> Any:
    """A batch in dicts, lists, numbers, text and tensors on the CPU, which ``torch.load(weights_only=True)`` reads."""
    if isinstance(value, BaseDataElement):
        kind = next(kind.__name__ for kind in _ELEMENTS.values() if isinstance(value, kind))
        return {_KIND: kind, "metainfo": as_plain(dict(value.metainfo_items())), "data": as_plain(dict(value.items()))}
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        plain = [as_plain(item) for item in value]
        return tuple(plain) if isinstance(value, tuple) else plain
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def from_plain(value: Any) -> Any:
    """What :func:`as_plain` was given."""
    if isinstance(value, dict) and _KIND in value:
        element = _ELEMENTS[value[_KIND]](metainfo=value["metainfo"])
        element.set_data({key: from_plain(item) for key, item in value["data"].items()})
        return element
    if isinstance(value, dict):
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(from_plain(item) for item in value)
    return value


def image_paths(batch: Any) -> list[str]:
    """The images of a batch, as far as its samples name them."""
    samples = batch.get("data_samples") if isinstance(batch, Mapping) else None
    if not isinstance(samples, (list, tuple)):  # A model of the user's own may take labels in their place.
        return []
    named = [sample.get("img_path") for sample in samples if isinstance(sample, (Mapping, BaseDataElement))]
    return [str(path) for path in named if path is not None]


def write_step(path: Path, content: Mapping[str, Any]) -> None:
    """Write a step.

    Args:
        path: The file.
        content: ``state_dict``, ``batch`` as of :func:`as_plain`, ``random_state``, ``loss_scale`` and ``losses``, as
            :func:`replay` needs them, and what a person may want to know.
    """
    with whole_file(path) as temporary:
        torch.save(dict(content), temporary)


class ReplayedStep(NamedTuple):
    """A step that was computed again.

    Attributes:
        iteration: Which one it was, from 1.
        img_paths: Its images.
        captured: The losses that it had, by name.
        losses: The losses that it has now.
        weights: Names of weights that are not finite, before the step.
        gradients: Names of weights whose gradients are not finite.
    """

    iteration: int
    img_paths: list[str]
    captured: dict[str, float]
    losses: dict[str, float]
    weights: list[str]
    gradients: list[str]


def replay(config: Config, path: str | os.PathLike[str]) -> ReplayedStep:
    """Compute a captured step again: forward, losses and gradients, with the weights and random numbers it had.

    Nothing is trained and nothing is written. A step of several processes is computed as one process's, of which
    BatchNorm sees the batch alone.

    Args:
        config: The config that was trained, with the same options.
        path: The capture, as ``non_finite_step.pth`` in the work folder of a training.

    Raises:
        ConfigError: There is no such file, or it is no capture.
        CheckpointError: It cannot be read, or is another model's.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigError(f"There is no capture {os.fspath(path)!r} (looked from {Path.cwd()}).")
    capture = read_pickle(path)
    try:
        batch, state = from_plain(capture["batch"]), RandomState(*capture["random_state"])
        captured = {str(name): float(value) for name, value in capture["losses"].items()}
        iteration, loss_scale = int(capture["iteration"]), float(capture["loss_scale"])
        images = [str(image) for image in capture["img_paths"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # What is in a file may be anything.
        raise ConfigError(
            f"{path} is no capture of a training step, such as non_finite_step.pth in a work folder."
        ) from error
    init_default_scope(config.get("default_scope", "mmseg"))
    with explaining(config), reading_weights_later():
        if "data_preprocessor" in config:
            config.model.setdefault("data_preprocessor", config.data_preprocessor)
        model = MODELS.build(config.model)
    load_whole(model, capture, find_places(path, capture), path, config.filename)
    weights = [name for name, parameter in model.named_parameters() if not is_finite(parameter)]
    model.to(get_device()).train()
    # For the precision that it computes in; which weight learns how fast does not matter.
    settings = {k: v for k, v in config.optim_wrapper.items() if k not in ("constructor", "paramwise_cfg")}
    wrapper = build_optim_wrapper(model, settings if "type" in settings else config.optim_wrapper)
    wrapper = next(iter(wrapper.values())) if isinstance(wrapper, OptimWrapperDict) else wrapper
    state.restore()
    with wrapper.optim_context(model):
        data = model.data_preprocessor(batch, True)
        found = model(**data, mode="loss") if isinstance(data, dict) else model(*data, mode="loss")
    loss, parts = model.parse_losses(found)
    if loss.requires_grad:
        (loss * loss_scale).backward()
    return ReplayedStep(
        iteration=iteration,
        img_paths=images,
        captured=captured,
        losses={name: float(value.detach()) for name, value in parts.items()},
        weights=weights,
        gradients=[name for name, p in model.named_parameters() if p.grad is not None and not is_finite(p.grad)],
    )
