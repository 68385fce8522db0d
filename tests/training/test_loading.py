"""MMEngine reads a checkpoint as data, whichever of its functions reads it."""

import io
import os
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torch import nn

from internvl_seg.checkpoints.errors import UnsafePickleError
from internvl_seg.training.loading import load_from_local

from ..checkpoints.test_errors import Payload

CODE = """
import os
_base_ = ['other.py']
custom_imports = dict(imports=['other'])
model = dict(type='A', made=os.mkdir('made-by-the-text'))
os.mkdir('made-by-the-text')
"""


def test_a_config_text_in_it_has_nothing_left_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.py").write_text("import os\nos.mkdir('made-by-the-text')")
    texts = {"cfg": CODE, "config": CODE.replace("\nos.mkdir('made-by-the-text')\n", "\n")}
    torch.save({"state_dict": {}, "meta": texts, "message_hub": {"runtime_info": {"cfg": CODE}}}, "a.pth")
    found = load_from_local("a.pth")
    assert found["meta"]["cfg"] == found["message_hub"]["runtime_info"]["cfg"] == ""
    # As MMEngine's Runner.resume and its inferencers do.
    config = Config.fromstring(found["meta"]["config"], ".py")
    assert config.model == {"type": "A", "made": "os.mkdir('made-by-the-text')"}
    assert set(config) == {"model"}
    assert not Path("made-by-the-text").exists()


def test_every_scheme_refuses_to_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", os.fspath(tmp_path / "hub"))
    torch.save({"state_dict": {"a": Payload(Path("made-by-the-pickle"))}}, "evil.pth")
    with pytest.raises(UnsafePickleError):
        load_checkpoint(nn.Linear(1, 1), "evil.pth")
    with pytest.raises(UnsafePickleError):
        mmengine_checkpoint._safe_torch_load("evil.pth")
    with pytest.raises(UnsafePickleError):
        mmengine_checkpoint._safe_torch_load(io.BytesIO(Path("evil.pth").read_bytes()))
    with pytest.raises(UnsafePickleError):
        mmengine_checkpoint.load_url((tmp_path / "evil.pth").as_uri())
    assert not Path("made-by-the-pickle").exists()
    torch.save({"state_dict": {"weight": torch.ones(1, 1)}}, "good.pth")
    assert mmengine_checkpoint._safe_torch_load(io.BytesIO(Path("good.pth").read_bytes()))["state_dict"]["weight"] == 1
    assert mmengine_checkpoint.load_url((tmp_path / "good.pth").as_uri())["state_dict"]["weight"] == 1
