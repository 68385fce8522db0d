"""Steps that are not finite: left out, told, written down, and the end of a training that has nothing else."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import HOOKS
from torch import Tensor

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.common.finite import NonFiniteError, is_finite
from internvl_seg.training import replay_step, train
from internvl_seg.training.captured_step import as_plain, from_plain, image_paths
from internvl_seg.training.config import ConfigError

from ..error_table import DocumentedError
from .test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)

CAPTURE = "run/non_finite_step.pth"


@HOOKS.register_module()
class Spoil(Hook):
    """Puts NaN into a run at some iterations, counted from 1."""

    def __init__(self, what: str, at: list[int], only_on: int | None = None) -> None:
        self.what, self.at, self.only_on = what, at, only_on

    def before_train(self, runner: Any) -> None:
        if self.what == "gradient":
            for parameter in runner.model.decode_head.conv_seg.parameters():
                parameter.register_hook(lambda g: g * float("nan") if runner.iter + 1 in self.at else g)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.what == "image" and runner.iter + 1 in self.at and self.only_on in (None, runner.rank):
            data_batch["inputs"][0] = data_batch["inputs"][0].float().index_fill_(2, torch.tensor([3]), float("nan"))

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.what == "validation":
            data_batch["inputs"][0] = data_batch["inputs"][0].float().fill_(float("nan"))

    def after_train_iter(self, runner: Any, *_args: Any, **_kwargs: Any) -> None:
        if self.what == "weight" and runner.iter + 1 in self.at:
            next(runner.model.decode_head.conv_seg.parameters()).data[0] = float("inf")


def spoilt(what: str, *at: int, iterations: int = 4, **options: Any) -> dict[str, Any]:
    return {
        "custom_hooks": [{"type": "Spoil", "what": what, "at": list(at)}],
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": 100,
        "default_hooks.checkpoint.interval": 1,
        "optim_wrapper.optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        **options,
    }


def saved(iteration: int, folder: str = "run") -> dict[str, Tensor]:
    return dict(read_pickle(Path(folder, f"iter_{iteration}.pth"))["state_dict"])


def changed(first: dict[str, Tensor], second: dict[str, Tensor]) -> set[str]:
    return {name for name in first if not torch.equal(first[name], second[name])}


def log(folder: str = "run") -> str:
    return "".join(path.read_text() for path in Path(folder).rglob("*.log"))


@pytest.mark.parametrize("loop", ["IterBasedTrainLoop", "EpochBasedTrainLoop"])
def test_a_bad_batch_changes_nothing(config: Path, loop: str) -> None:  # noqa: F811
    options = spoilt("image", 2)
    if loop == "EpochBasedTrainLoop":
        options |= {"train_cfg": {"type": loop, "max_epochs": 1, "_delete_": True}}
        options |= {"train_dataloader.sampler.type": "DefaultSampler"}
    train(config, work_dir="run", options=options)
    # Running statistics, too, though the forward pass has seen the batch.
    assert changed(saved(1), saved(2)) == set()
    assert "decode_head.norm.running_mean" in changed(saved(2), saved(3))
    assert all(is_finite(tensor) for tensor in saved(4).values())
    (line,) = [line for line in log().splitlines() if "left out" in line]
    assert "WARNING" in line
    assert "Iteration 2: " in line
    assert "loss = nan" in line
    assert read_pickle(Path(CAPTURE))["img_paths"][0] in line
    found = replay_step(config, CAPTURE, options=options)
    assert found.iteration == 2
    assert found.weights == []
    assert found.losses["loss"] != found.losses["loss"]
    assert found.captured["loss"] != found.captured["loss"]
    assert "decode_head.conv_seg.weight" in found.gradients


def test_what_is_finite_is_trained_as_without_the_hook(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    train(config, work_dir="run", options=spoilt("nothing"))
    monkeypatch.setattr("internvl_seg.training.commands.NonFiniteStepHook", Spoil)
    train(config, work_dir="plain", options=spoilt("nothing"))
    assert changed(saved(4), saved(4, "plain")) == set()
    assert not Path(CAPTURE).exists()
    assert "left out" not in log()


@pytest.mark.parametrize("batch", [{"data_samples": torch.ones(2)}, {"data_samples": [torch.ones(2), 3]}, [1, 2], None])
def test_a_batch_of_a_users_own_names_no_images(batch: Any) -> None:
    assert image_paths(batch) == []


def test_a_training_that_diverges_ends(config: Path, documented_error: DocumentedError) -> None:  # noqa: F811
    options = spoilt("image", *range(3, 100), iterations=30)
    with documented_error("losses stay NaN", NonFiniteError):
        train(config, work_dir="run", options=options)
    assert sorted(path.name for path in Path("run").glob("iter_*.pth")) == [f"iter_{i}.pth" for i in range(1, 7)]
    assert changed(saved(2), saved(6)) == set()
    # The first of the steps, not the last.
    assert read_pickle(Path(CAPTURE))["iteration"] == 3


def test_weights_that_diverge_are_told_in_the_validation(config: Path, documented_error: DocumentedError) -> None:  # noqa: F811
    options = spoilt("nothing", iterations=8, **{"train_cfg.val_interval": 4})
    with documented_error("the weights of a training diverge", NonFiniteError):
        train(config, work_dir="run", options=options | {"optim_wrapper.optimizer.lr": 1e30})
    warned = [line for line in log().splitlines() if "left out" in line]
    assert len(warned) == 3
    for iteration, line in zip((2, 3, 4), warned, strict=True):
        assert f"Iteration {iteration}: " in line
    assert "3 in a row; 5 end the training" in warned[-1]
    # If all steps were good, it may be the picture.
    with pytest.raises(NonFiniteError, match=r"Iteration 1, validation: .*\.png.* diverged, or this picture holds NaN"):
        train(config, work_dir="run", options=spoilt("validation", **{"train_cfg.val_interval": 1}))


def test_how_many_steps_end_it_is_in_the_config(config: Path) -> None:  # noqa: F811
    options = spoilt("image", 2, 3, 5, 6)
    options["custom_hooks"].append({"type": "NonFiniteStepHook", "stop_after": 3})
    train(config, work_dir="run", options=options | {"train_cfg.max_iters": 6})
    options["custom_hooks"][-1]["stop_after"] = 2
    with pytest.raises(NonFiniteError, match=r"Iteration 3: .*in the 2 steps up to here"):
        train(config, work_dir="run", options=options)
    options["custom_hooks"][-1]["stop_after"] = 0
    with pytest.raises(ConfigError, match="stop_after = 0: expected a whole number"):
        train(config, work_dir="run", options=options)


def test_gradients_alone_are_found(config: Path) -> None:  # noqa: F811
    train(config, work_dir="run", options=spoilt("gradient", 2))
    assert changed(saved(1), saved(2)) <= {name for name in saved(1) if "running_" in name or "num_batches" in name}
    capture = read_pickle(Path(CAPTURE))
    assert capture["non_finite_gradients"] == ["decode_head.conv_seg.weight", "decode_head.conv_seg.bias"]
    assert all(value == value for value in capture["losses"].values())


def test_gathered_gradients_are_left_out_together(config: Path) -> None:  # noqa: F811
    options = spoilt("image", 3, iterations=6, **{"optim_wrapper.accumulative_counts": 2})
    train(config, work_dir="run", options=options | {"default_hooks.checkpoint.interval": 2})
    weight = "decode_head.conv_seg.weight"
    assert weight not in changed(saved(2), saved(4))
    assert weight in changed(saved(4), saved(6))
    assert all(is_finite(tensor) for tensor in saved(6).values())


def test_weights_that_are_not_finite_are_not_saved(config: Path, documented_error: DocumentedError) -> None:  # noqa: F811
    with documented_error("weights of a training are infinite", NonFiniteError):
        train(config, work_dir="run", options=spoilt("weight", 3))
    assert sorted(path.name for path in Path("run").glob("*.pth")) == ["iter_1.pth", "iter_2.pth"]


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Options with MMEngine's wrapper for fp16, which insists on an accelerator, with a scaler of the CPU."""
    monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, "GradScaler", functools.partial(torch.amp.GradScaler, "cpu"))
    monkeypatch.setattr("mmengine.runner.amp.get_device", lambda: "cpu", raising=False)

    def make(*args: Any, scale: Any, **options: Any) -> dict[str, Any]:
        wrapper = {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.loss_scale": scale}
        return spoilt(*args, **options) | wrapper | {"optim_wrapper.dtype": "bfloat16"}

    return make


def test_a_loss_scale_that_is_too_high_is_no_fault(config: Path, scaled: Callable[..., dict[str, Any]]) -> None:  # noqa: F811
    train(config, work_dir="run", options=scaled("gradient", *range(1, 8), iterations=8, scale={"init_scale": 2.0**16}))
    weight = "decode_head.conv_seg.weight"
    assert weight not in changed(saved(1), saved(7))
    assert weight in changed(saved(7), saved(8))
    assert "left out" not in log()
    assert not Path(CAPTURE).exists()


@pytest.mark.parametrize("scale", [{"init_scale": 4.0}, 16.0])
def test_a_loss_scale_that_does_not_help_is_one(
    config: Path,  # noqa: F811
    scaled: Callable[..., dict[str, Any]],
    scale: Any,
) -> None:
    with pytest.raises(NonFiniteError, match="overflow at any loss scale"):
        train(config, work_dir="run", options=scaled("gradient", *range(1, 100), iterations=20, scale=scale))


def test_a_batch_is_read_back_as_it_was(config: Path, documented_error: DocumentedError) -> None:  # noqa: F811
    train(config, work_dir="run", options=spoilt("image", 2))
    capture = torch.load(CAPTURE, weights_only=True)
    batch = from_plain(capture["batch"])
    (sample,) = batch["data_samples"]
    assert sample.gt_sem_seg.data.shape == (1, 28, 42)
    assert sample.ori_shape == (28, 42)
    assert sample.img_path == capture["img_paths"][0]
    assert as_plain(batch)["data_samples"][0]["metainfo"] == capture["batch"]["data_samples"][0]["metainfo"]
    assert capture["seed"] == 3
    assert capture["non_finite_weights"] == []
    with documented_error("no capture of a step", ConfigError):
        replay_step(config, "run/iter_1.pth")
    for damage in (
        {"batch": {"_element": "os"}},
        {"losses": {"loss": "a"}},
        {"random_state": None},
        {"iteration": "x"},
    ):
        torch.save(capture | damage, "damaged.pth")
        with pytest.raises(ConfigError, match="no capture of a training step"):
            replay_step(config, "damaged.pth")
    with documented_error("a capture that is not there", ConfigError):
        replay_step(config, "run/none.pth")
