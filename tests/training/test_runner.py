"""Training, resuming, evaluating and the results file, on a data set of a few tiny images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import load_checkpoint
from PIL import Image
from torch import nn

from internvl_seg.checkpoints.errors import UnsafePickleError
from internvl_seg.training import evaluate, train

from ..checkpoints.test_errors import Payload
from .test_config import CONFIG

EXTRA = """
val_dataloader = dict(**train_dataloader, drop_last=False)
val_dataloader['sampler'] = dict(type='DefaultSampler', shuffle=False)
test_dataloader = val_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
tta_model = dict(type='StreamingTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]),
]
model.update(train_cfg=dict(), test_cfg=dict(mode='whole'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    visualization=dict(type='SegVisualizationHook'),
)
log_processor = dict(by_epoch=False)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
randomness = dict(seed=3)
"""


def make_images(folder: Path) -> None:
    """Four images whose left and right halves are of different classes and colours, with their masks."""
    for kind in ("images", "annotations"):
        (folder / "tiny" / kind).mkdir(parents=True)
    for i in range(4):
        labels = np.zeros((28, 42), np.uint8)
        labels[:, 14 * (i % 2 + 1) :] = 1 + i % 3
        image = np.stack([labels * 60, 255 - labels * 60, labels * 30], axis=-1)
        Image.fromarray(image.astype(np.uint8)).save(folder / "tiny" / "images" / f"{i}.png")
        Image.fromarray(labels).save(folder / "tiny" / "annotations" / f"{i}.png")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config and four images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(CONFIG + EXTRA)
    make_images(tmp_path)
    return Path("config.py")


def weights(path: str) -> dict[str, torch.Tensor]:
    model = nn.Module()
    return dict(load_checkpoint(model, path)["state_dict"])


def test_runs_of_one_second_keep_what_they_write_apart(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.7e9)
    for folder, iterations in (("first", 1), ("second", 2)):
        train(config, work_dir=folder, options={"train_cfg.max_iters": iterations})
    for folder, iterations in (("first", 1), ("second", 2)):
        (log,) = Path(folder).rglob("*.log")
        assert f"Iter(train) [{iterations}/{iterations}]" in log.read_text()
        (scalars,) = Path(folder).rglob("scalars.json")
        written = [json.loads(line) for line in scalars.read_text().splitlines()]
        assert [line["step"] for line in written if "loss" in line] == list(range(1, iterations + 1))
        history = torch.load(f"{folder}/iter_{iterations}.pth", weights_only=False)["message_hub"]["log_scalars"]
        assert len(history["train/loss"].data[0]) == iterations


def test_a_run_from_training_to_pictures(config: Path) -> None:
    train(config, work_dir="run")
    metrics = evaluate(config, "run/iter_4.pth", work_dir="run", out="labels", show_dir="pictures")
    results = json.loads(Path("run/test_results.json").read_text())
    assert results["metrics"] == metrics
    assert set(metrics) >= {"mIoU", "mAcc", "aAcc"}
    assert (results["seed"], results["config"], results["checkpoint"]) == (3, "config.py", "run/iter_4.pth")
    assert results["versions"]["torch"] == torch.__version__.split("+")[0]
    assert Config.fromfile("run/config.py").randomness.seed == 3
    for i in range(4):
        assert np.asarray(Image.open(f"labels/{i}.png")).shape == (28, 42)
    assert len(list(Path("pictures").rglob("*.png"))) == 4


@pytest.mark.parametrize("randomness", ["None", "dict(deterministic=False)"])
def test_a_run_without_a_seed_draws_one(config: Path, randomness: str) -> None:
    config.write_text(f"{config.read_text()}\nrandomness = {randomness}\n")
    train(config, work_dir="run")
    drawn = torch.load("run/iter_4.pth", weights_only=False)["meta"]["seed"]
    assert isinstance(drawn, int)
    evaluate(config, "run/iter_4.pth", work_dir="run")
    train(config, work_dir="run", resume=True, options={"train_cfg.max_iters": 5})
    assert torch.load("run/iter_5.pth", weights_only=False)["meta"]["seed"] == drawn


def test_a_resumed_run_goes_on_where_it_was(config: Path) -> None:
    train(config, work_dir="run", options={"train_cfg.max_iters": 2})
    first = weights("run/iter_2.pth")
    train(config, work_dir="run", resume=True)
    assert Path("run/last_checkpoint").read_text().endswith("iter_4.pth")
    log = "".join(path.read_text() for path in Path("run").rglob("*.log"))
    assert "resumed epoch: 0, iter: 2" in log
    assert not torch.equal(
        first["decode_head.conv_seg.weight"], weights("run/iter_4.pth")["decode_head.conv_seg.weight"]
    )


def test_tta_averages_over_flips(config: Path) -> None:
    train(config, work_dir="run")
    plain = evaluate(config, "run/iter_4.pth", work_dir="run")
    averaged = evaluate(config, "run/iter_4.pth", work_dir="run", tta=True)
    assert set(averaged) == set(plain)
    for kind in ("SegTTAModel", "StreamingTTAModel"):  # As a config of MMSegmentation has it, and as ours.
        options = {"model.type": "StreamingEncoderDecoder", "tta_model.type": kind}
        assert evaluate(config, "run/iter_4.pth", work_dir="run", tta=True, options=options) == averaged


def test_amp_on_a_cpu_is_bf16(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dtypes = set()

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if type(module).__name__ == "Mlp" and module.training:
            dtypes.add(output.dtype)

    handle = nn.modules.module.register_module_forward_hook(record)
    try:
        train(config, work_dir="run", amp=True, options={"train_cfg.val_interval": 100, "train_cfg.max_iters": 1})
        assert dtypes == {torch.bfloat16}
        dtypes.clear()
        train(config, work_dir="plain", options={"train_cfg.val_interval": 100, "train_cfg.max_iters": 1})
        assert dtypes == {torch.float32}
    finally:
        handle.remove()


def test_a_checkpoint_with_code_in_it_is_refused(config: Path) -> None:
    torch.save({"state_dict": Payload(Path("made-by-the-pickle"))}, "evil.pth")
    with pytest.raises(UnsafePickleError):
        evaluate(config, "evil.pth", work_dir="run")
    assert not Path("made-by-the-pickle").exists()


def test_default_work_dir_is_named_after_the_config(config: Path) -> None:
    train(config, options={"train_cfg.max_iters": 1, "train_cfg.val_interval": 100})
    assert (Path("work_dirs") / "config" / "config.py").is_file()
