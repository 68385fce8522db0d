"""Whatever a config names is there, and takes the arguments that the config gives."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.evaluation import IoUMetric
from mmseg.registry import (
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
)

from internvl_seg.training.sharding import WRAPPER

from . import CONFIGS, read


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


def datasets(config: Config) -> Iterator[dict[str, Any]]:
    """Every data set, also those inside another."""
    for key, loader in config.items():
        if key.endswith("_dataloader"):
            yield from loader.dataset.get("datasets", [loader.dataset])


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_names_can_be_built(name: str) -> None:
    config = read(name)
    found = list(datasets(config))
    assert len(found) >= 2
    for dataset in found:
        assert DATASETS.get(dataset["type"]) is not None
    for transform in [
        t for pipeline in (*(d["pipeline"] for d in found), config.get("tta_pipeline", ())) for t in pipeline
    ]:
        TRANSFORMS.build(transform)
    for evaluator in (config.get("val_evaluator"), config.test_evaluator):
        assert evaluator is None or METRICS.build(evaluator).metrics == ["mIoU"]
        # MMSegmentation's metric takes misspelt arguments in silence.
        assert evaluator is None or set(evaluator) - {"type"} <= set(inspect.signature(IoUMetric).parameters)
    for hook in config.default_hooks.values():
        HOOKS.build(hook)
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0))
    for scheduler in config.param_scheduler:
        PARAM_SCHEDULERS.build({**scheduler, "optimizer": optimizer})


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_names_is_registered(name: str) -> None:
    config = read(name)
    wrapper = config.optim_wrapper
    named = [(LOOPS, config[key].type) for key in ("train_cfg", "val_cfg", "test_cfg") if key in config]
    named += [(DATA_SAMPLERS, loader.sampler.type) for key, loader in config.items() if key.endswith("_dataloader")]
    named += [(OPTIM_WRAPPERS, wrapper.type), (OPTIMIZERS, wrapper.optimizer.type)]
    named += [(OPTIM_WRAPPER_CONSTRUCTORS, wrapper.get("constructor", "DefaultOptimWrapperConstructor"))]
    named += [(VISUALIZERS, config.visualizer.type), *((VISBACKENDS, v.type) for v in config.vis_backends)]
    if "tta_model" in config:
        named += [(MODELS, config.tta_model.type)]
    missing = [kind for registry, kind in named if registry.get(kind) is None]
    assert missing == []
    assert (config.get("model_wrapper_cfg") or {"type": WRAPPER})["type"] == WRAPPER
