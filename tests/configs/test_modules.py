"""Whatever a config names is there, and takes the arguments that the config gives."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
    init_default_scope,
)
from mmseg.evaluation import IoUMetric

from internvl_seg.training.config import is_segmentation
from internvl_seg.training.sharding import WRAPPER

from . import CONFIGS, read


def in_scope(name: str) -> Config:
    """A config, in whose scope MMEngine's registries find and build from here on."""
    config = read(name)
    init_default_scope(config.default_scope)
    return config


def find(registry: Registry, kind: str) -> Any:
    """What a name stands for in the scope; None if nothing has it."""
    with registry.switch_scope_and_registry(None) as scoped:
        return scoped.get(kind)


def datasets(config: Config) -> Iterator[dict[str, Any]]:
    """Every data set, also those inside another."""
    for key, loader in config.items():
        if key.endswith("_dataloader"):
            yield from loader.dataset.get("datasets", [loader.dataset])


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_names_can_be_built(name: str) -> None:
    config = in_scope(name)
    found = list(datasets(config))
    assert len(found) >= 2
    for dataset in found:
        assert find(DATASETS, dataset["type"]) is not None
    for transform in [
        t for pipeline in (*(d["pipeline"] for d in found), config.get("tta_pipeline", ())) for t in pipeline
    ]:
        TRANSFORMS.build(transform)
    for evaluator in filter(None, (config.get("val_evaluator"), config.test_evaluator)):
        metric = METRICS.build(evaluator)
        if is_segmentation(config):
            assert metric.metrics == ["mIoU"]
            # MMSegmentation's metric takes misspelt arguments in silence.
            assert set(evaluator) - {"type"} <= set(inspect.signature(IoUMetric).parameters)
    for hook in (*config.default_hooks.values(), *config.get("custom_hooks", ())):
        HOOKS.build(hook)
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0))
    for scheduler in config.param_scheduler:
        PARAM_SCHEDULERS.build({**scheduler, "optimizer": optimizer, "epoch_length": 10})


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_names_is_registered(name: str) -> None:
    config = in_scope(name)
    wrapper = config.optim_wrapper
    named = [(LOOPS, config[key].type) for key in ("train_cfg", "val_cfg", "test_cfg") if key in config]
    named += [(DATA_SAMPLERS, loader.sampler.type) for key, loader in config.items() if key.endswith("_dataloader")]
    named += [(OPTIM_WRAPPERS, wrapper.type), (OPTIMIZERS, wrapper.optimizer.type)]
    named += [(OPTIM_WRAPPER_CONSTRUCTORS, wrapper.get("constructor", "DefaultOptimWrapperConstructor"))]
    named += [(VISUALIZERS, config.visualizer.type), *((VISBACKENDS, v.type) for v in config.vis_backends)]
    if "tta_model" in config:
        named += [(MODELS, config.tta_model.type)]
    missing = [kind for registry, kind in named if find(registry, kind) is None]
    assert missing == []
    assert (config.get("model_wrapper_cfg") or {"type": WRAPPER})["type"] == WRAPPER
