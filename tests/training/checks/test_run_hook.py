"""What only the size of the training set tells."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import DataLoader

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import RunHook

from ...error_table import DocumentedError
from .conftest import Read


def run(config: Any, images: int, drop_last: bool = False) -> None:
    loader: Any = DataLoader(range(images), batch_size=2, drop_last=drop_last)  # type: ignore[arg-type]
    RunHook().before_train(SimpleNamespace(cfg=config, train_dataloader=loader))


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
