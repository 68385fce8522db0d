"""The converter as a user types it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from internvl_seg import load_encoder

from ..conftest import Golden

TOOL = Path(__file__).resolve().parents[2] / "tools/convert_checkpoint.py"


def test_from_official_to_transformers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    torch.save({"module": golden("official_cls_clip_projector").state}, tmp_path / "a.pth")
    command = [sys.executable, TOOL, tmp_path / "a.pth", tmp_path / "b", "--to", "hf_native", "--num-heads", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "encoder.layer.*" in done.stdout
    assert "left out" in done.stdout
    assert load_encoder(tmp_path / "b").depth == 4
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1].startswith("DestinationError: ")
