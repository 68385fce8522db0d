"""What fails while it is built or called is told with the key under which it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import LOOPS
from mmengine.runner import Runner
from mmseg.registry import MODELS

import internvl_seg  # noqa: F401 - registers
from internvl_seg.training import ConfigError
from internvl_seg.training.explaining import explaining

from ..error_table import DocumentedError

HEAD = {"type": "FCNHead", "in_channels": 32, "channels": 16, "num_classes": 4, "in_index": 0, "norm_cfg": None}


@contextmanager
def building(node: dict[str, Any]) -> Iterator[None]:
    config = Config({"model": {"decode_head": node}}, cfg_text="# None", filename="config.py")
    with explaining(config):
        MODELS.build(dict(node)).init_weights()
    yield


def test_an_assertion_without_words(documented_error: DocumentedError) -> None:
    with (
        documented_error("a part asserts something without saying what", ConfigError),
        building(HEAD | {"num_convs": 0}),
    ):
        pass


def test_an_initialisation_of_a_part_that_is_not_there(documented_error: DocumentedError) -> None:
    init = {"type": "Normal", "std": 0.01, "override": {"name": "nosuch"}}
    with documented_error("an init_cfg is of no part", ConfigError), building(HEAD | {"init_cfg": init}):
        pass


class _Own(Hook):
    def before_train(self, runner: Any) -> None:
        raise ValueError("of a hook of one's own")


@pytest.mark.parametrize(("hook", "told"), [(EMAHook(begin_iter=9), ConfigError), (_Own(), ValueError)])
def test_a_hook_of_the_libraries_that_fails(hook: Hook, told: type[Exception]) -> None:
    config = Config({"custom_hooks": [{"type": type(hook).__name__, "begin_iter": 9}]})
    runner: Any = SimpleNamespace(_hooks=[hook], max_iters=4)
    with pytest.raises(told) as caught, explaining(config):
        Runner.call_hook(runner, "before_train")
    assert type(caught.value) is told
    assert told is ValueError or "custom_hooks[0] (type='EMAHook'): self.begin_iter should be" in str(caught.value)


def test_a_loader_that_cannot_be_built(documented_error: DocumentedError) -> None:
    loader = {"dataset": [1], "sampler": None, "shuffel": True}
    loop = {"type": "IterBasedTrainLoop", "max_iters": 2}
    config = Config({"train_dataloader": loader, "train_cfg": loop}, cfg_text="# None", filename="config.py")
    runner: Any = SimpleNamespace(seed=0, build_dataloader=Runner.build_dataloader, _randomness_cfg={})
    with documented_error("a loader has a field that PyTorch does not have", ConfigError), explaining(config):
        LOOPS.build(dict(loop), default_args={"runner": runner, "dataloader": loader})
