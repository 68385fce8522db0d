"""Every public object says whether threads may share it."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS, Registry

import internvl_seg
from internvl_seg.inference.label_raster import LabelWriter
from internvl_seg.inference.predictions import PredictionsFolder
from internvl_seg.inference.raster_reader import RasterReader
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.inference.videos import VideoReader, VideoWriter
from internvl_seg.probing.feature_store import FeatureStore


def registered(registry: Registry) -> Iterator[Any]:
    """What this package has put into a registry or those of MMSegmentation and MMPretrain."""
    yield from registry.module_dict.values()
    for child in registry.children.values():
        yield from registered(child)


def public() -> dict[str, Any]:
    """Classes that hold something, which rooms export, configs name or Python programs make."""
    rooms = [room.name for room in pkgutil.iter_modules(internvl_seg.__path__, "internvl_seg.") if room.ispkg]
    modules = [internvl_seg, *map(importlib.import_module, rooms)]
    exported = [getattr(module, name) for module in modules for name in getattr(module, "__all__", ())]
    named = [one for registry in (MODELS, DATASETS, METRICS, TRANSFORMS) for one in registered(registry)]
    made = [FeatureStore, LabelWriter, PredictionsFolder, RasterReader, ResultsFolder, VideoReader, VideoWriter]
    ours = (one for one in (*exported, *named, *made) if inspect.isclass(one) and "internvl_seg." in one.__module__)
    return {one.__qualname__: one for one in ours if not _is_left_out(one)}


def _is_left_out(one: type) -> bool:
    """Errors and plain values hold nothing that changes; losses and hooks belong to a training, in one thread."""
    value = is_dataclass(one) and one.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return issubclass(one, BaseException) or value or one.__module__ in LEFT_OUT


LEFT_OUT = {"internvl_seg.segmentation.losses", "internvl_seg.training.checks.run_hook"}


@pytest.mark.parametrize("name", sorted(public()))
def test_it_says_whether_threads_may_share_it(name: str) -> None:
    told = " ".join((public()[name].__doc__ or "").split())
    assert "hreads may share" in told or "hreads may not share" in told
