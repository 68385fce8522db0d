"""The launcher, the folder and the weights of a run are looked at before anything is built."""

from pathlib import Path
from typing import Any

import pytest

from internvl_seg.training import ConfigError, train
from internvl_seg.training.checks import check_launch, check_weights, report

from ...error_table import DocumentedError
from .conftest import Read, advised


@pytest.mark.parametrize(
    ("case", "launcher", "options"),
    [
        ("a launcher is misspelt", "none", {"launcher": "pytorchh"}),
        ("the command line's launcher is misspelt", "slrum", {}),
        ("a work folder is a number", "none", {"work_dir": 5}),
    ],
)
def test_what_the_command_line_decides_is_looked_at(
    case: str, launcher: str, options: dict[str, Any], read: Read, documented_error: DocumentedError
) -> None:
    with documented_error(case, ConfigError):
        report(read(options), list(check_launch(read(options), launcher)))
    with pytest.raises(ConfigError):
        train("config.py", options=options, launcher=launcher)
    report(read({"launcher": "slurm", "work_dir": "run"}), list(check_launch(read(), "pytorch")))


@pytest.mark.parametrize(
    ("case", "name", "mended"),
    [
        ("weights to begin with are not there", "run/iter_44.pth", "run/iter_4.pth"),
        ("weights to begin with are nowhere", "elsewhere/iter_4.pth", None),
        ("weights to begin with are a run's folder", "run", "run/iter_4.pth"),
        ("weights to begin with are a folder", "empty", None),
    ],
)
def test_weights_that_are_not_there(
    case: str, name: str, mended: str | None, read: Read, documented_error: DocumentedError
) -> None:
    for folder in ("run", "empty"):
        Path(folder).mkdir()
    Path("run/iter_4.pth").touch()
    Path("run/last_checkpoint").write_text("iter_4.pth")
    config = read({"load_from": name})
    with documented_error(case, ConfigError):
        report(config, list(check_weights(config)))
    if mended:
        with pytest.raises(ConfigError) as caught:
            report(config, list(check_weights(config)))
        assert advised(str(caught.value)) == {"load_from": mended}
    for right in ("run/iter_4.pth", None, "https://example.org/weights.pth", "torchvision://resnet18"):
        assert not list(check_weights(read({"load_from": right})))
