"""What only the model and the size of the training set tell."""

from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import RunHook

from ...error_table import DocumentedError
from .conftest import CONFIG, Read


@cache
def model() -> nn.Module:
    """Of the config."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        return cast(nn.Module, MODELS.build(Config.fromstring(CONFIG, ".py").model))


def run(
    config: Any,
    images: int,
    drop_last: bool = False,
    size: int = 2,
    done: int = 0,
    scored: int = 1,
    rates: tuple[float, ...] = (0.0, 0.1),
) -> None:
    loader: Any = DataLoader(range(images), batch_size=size, drop_last=drop_last)  # type: ignore[arg-type]
    val: Any = DataLoader(range(scored))  # type: ignore[arg-type]
    loop = SimpleNamespace(max_iters=config.train_cfg.get("max_iters", 6), max_epochs=3)
    optimizer = SimpleNamespace(get_lr=lambda: {"first.lr": list(rates), "second.lr": [0.0]})
    parts: dict[str, Any] = {"optim_wrapper": optimizer}
    parts |= {"train_loop": loop, "val_loop": loop, "train_dataloader": loader, "val_dataloader": val}
    RunHook().before_train(SimpleNamespace(cfg=config, model=model(), iter=done, epoch=0, **parts))


def test_a_last_batch_of_one_image(read: Read, documented_error: DocumentedError) -> None:
    with documented_error("a last batch of one image with BatchNorm of one value", ConfigError):
        run(read(), 5)
    run(read(), 5, drop_last=True)
    run(read(), 6)
    run(read({"model.decode_head.pool_scales": (2, 3)}), 5)


def test_a_warm_up_in_iterations_in_a_run_of_epochs(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    config = read()
    config.train_cfg = {"type": "IterBasedTrainLoop", "max_epochs": 3}
    run(config, 4)
    assert "the run ends inside the warm-up" in capsys.readouterr().out


def test_a_loader_without_a_batch(read: Read, documented_error: DocumentedError) -> None:
    with documented_error("no batch is whole", ConfigError):
        run(read(), 3, drop_last=True, size=4)
    with documented_error("a validation has no images", ConfigError):
        run(read(), 4, scored=0)
    empty: Any = DataLoader(range(3), batch_size=4, drop_last=True)  # type: ignore[arg-type]
    with documented_error("a test has no batch", ConfigError):
        RunHook().before_test(SimpleNamespace(cfg=read(), test_dataloader=empty))


def test_a_run_that_is_longer_already(
    read: Read, documented_error: DocumentedError, capsys: pytest.CaptureFixture[str]
) -> None:
    with documented_error("a resumed run is longer than it is to be", ConfigError):
        run(read(), 4, done=80001)
    run(read(), 4, done=80000)
    assert "the run is at its end. To go on, raise it." in capsys.readouterr().out
    run(read({"auto_scale_schedule": True}), 4, done=80000)
    assert "load_from=CHECKPOINT" in capsys.readouterr().out
    run(read(), 4, done=79999)
    assert not capsys.readouterr().out


def test_a_resumed_run_that_learns_nothing_more(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    run(read(), 4, done=100, rates=(0.0, 1e-9))
    run(read(), 4, done=0, rates=(0.0, 0.0))
    assert not capsys.readouterr().out
    run(read(), 4, done=100, rates=(0.0, 1e-19))
    assert "the learning rate is 0" in capsys.readouterr().out


def test_settings_for_weights_that_are_not_there(read: Read, documented_error: DocumentedError) -> None:
    config = read({"optim_wrapper.paramwise_cfg": {"custom_keys": {"absolute_pos_embed": {"decay_mult": 0.0}}}})
    with documented_error("a custom key is in no weight's name", ConfigError):
        run(config, 4)
    run(read({"optim_wrapper.paramwise_cfg": {"custom_keys": {"pos_embed": {"decay_mult": 0.0}}}}), 4)


def test_initial_values_for_layers_that_are_not_there(read: Read, documented_error: DocumentedError) -> None:
    init = {"type": "Normal", "std": 0.01, "layer": ["Conv2d", "Linera"]}
    with documented_error("initial values are for a layer that the model lacks", ConfigError):
        run(read({"model.decode_head.init_cfg": init}), 4)
    with pytest.raises(ConfigError, match="layer = 'GroupNorm'"):
        run(read({"model.decode_head.init_cfg": {**init, "layer": ["GroupNorm"]}}), 4)
    # A class; one that others are derived from; one of several that are PyTorch's.
    for layer in ("Conv2d", "SyncBatchNorm", ["_BatchNorm", "GroupNorm", "Conv2d"]):
        run(read({"model.decode_head.init_cfg": {**init, "layer": layer}}), 4)
