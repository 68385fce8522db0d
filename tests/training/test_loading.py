"""MMEngine reads a checkpoint as data, whichever of its functions reads it."""

import contextlib
import io
import os
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmseg.apis import MMSegInferencer
from mmseg.registry import MODELS
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
    assert config.model == {"type": "A (not registered)", "made": "os.mkdir('made-by-the-text')"}
    assert set(config) == {"model"}
    assert not Path("made-by-the-text").exists()


# Two texts with what MMEngine puts in the place of a variable of the environment, across the text between them.
VARIABLE = ["{{$NOT_SET:x", "}}__import__('os').mkdir('made-by-the-text')]#"]
COMMAND = {"type": "os.mkdir", "path": "made-by-the-text"}


@pytest.mark.parametrize(
    "text",
    [
        f"x = {VARIABLE!r}",
        f"x = {{{VARIABLE[0]!r}: 1, {VARIABLE[1]!r}: 2}}",
        f"x = {[VARIABLE[0].replace('{{', '{{{{'), VARIABLE[1]]!r}",
        f"model = {COMMAND!r}",
        "model = dict(type='os.mkdir', path='made-by-the-text')",
        f"model = dict(type='EncoderDecoder', backbone={COMMAND!r}, decode_head={COMMAND!r})",
        f"model = dict(type='EncoderDecoder', backbone=dict(type='mmseg.os.mkdir'), decode_head=[{COMMAND!r}])",
        f"model = dict(type='EncoderDecoder', _scope_='os', backbone={COMMAND!r}, decode_head=1)\ndefault_scope = 'os'",
    ],
)
def test_nothing_in_a_config_text_is_called(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "meta": {"cfg": text}}, "a.pth")
    found = Config.fromstring(load_from_local("a.pth")["meta"]["cfg"], ".py")
    assert found.keys() == {"model" if text.startswith("model") else "x"}
    if "model" in found:
        with pytest.raises((KeyError, RuntimeError), match="not registered"):
            MODELS.build(found.model)
    with contextlib.suppress(Exception):  # It holds no whole config.
        MMSegInferencer(model=None, weights="a.pth", device="cpu")
    assert not Path("made-by-the-text").exists()


def test_types_that_are_registered_stay(tmp_path: Path) -> None:
    text = "optimizer = dict(type='torch.optim.SGD', lr=0.1)\nmodel = dict(type='mmseg.UPerHead')\nx = '{{ y }}'\n"
    torch.save({"state_dict": {}, "meta": {"cfg": f"{text}default_scope = 'mmseg'"}}, tmp_path / "a.pth")
    config = Config.fromstring(load_from_local(str(tmp_path / "a.pth"))["meta"]["cfg"], ".py")
    assert config.optimizer == {"type": "torch.optim.SGD", "lr": 0.1}
    assert config.model.type == "mmseg.UPerHead"
    assert config.x == "{{ y }}"
    assert config.default_scope == "mmseg"


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
