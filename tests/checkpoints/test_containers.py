"""Which of a checkpoint's tensors are its weights: one rule, whoever reads it."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from internvl_seg import load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.in_place import find_places
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.checkpoints.whole_model import load_whole

from ..error_table import DocumentedError
from .encoders import random_encoder

ENCODER = random_encoder()
WEIGHTS = {name: tensor.detach() for name, tensor in ENCODER.state_dict().items()}
OTHERS = {name: tensor + 1 for name, tensor in WEIGHTS.items()}

RIGHT: dict[str, Any] = {
    "a text beside": {"state_dict": WEIGHTS, "model": "UPerNet"},
    "a config beside": {"state_dict": WEIGHTS, "model": {"type": "EncoderDecoder", "backbone": {"depth": 2}}},
    "nothing beside": {"state_dict": WEIGHTS, "module": None},
    "one in the other": {"module": {"state_dict": WEIGHTS}},
    "two in the other": {"state_dict": {"model": {"module": WEIGHTS}}},
    "counters around": {"epoch": torch.tensor(3), "model": {"step": torch.tensor(5), "state_dict": WEIGHTS}},
    "twice the same": {"state_dict": WEIGHTS, "model": WEIGHTS},
    "an average beside": {"state_dict": WEIGHTS, "model_ema": OTHERS},
    "PyTorch's tutorial": {"model_state_dict": WEIGHTS, "optimizer_state_dict": {"state": {}}, "epoch": 1, "loss": 0.3},
    "PyTorch's tutorial, a tensor": {"model_state_dict": WEIGHTS, "epoch": 1, "loss": torch.tensor(0.3)},
    "only an average": {"ema_state_dict": WEIGHTS},
}
SEVERAL: dict[str, Any] = {
    "state_dict and model": {"state_dict": WEIGHTS, "model": OTHERS},
    "module and state_dict": {"module": OTHERS, "state_dict": WEIGHTS},
    "one of them deeper": {"model": {"state_dict": WEIGHTS}, "state_dict": OTHERS},
    "teacher and student": {"teacher": WEIGHTS, "student": OTHERS},
    "other names": {"weights": {"inner": WEIGHTS}, "old": OTHERS},
}


def encoder_of(path: Path) -> dict[str, Tensor]:
    return load_encoder(path, num_heads=2).state_dict()


def model_of(path: Path) -> dict[str, Tensor]:
    model: nn.Module = random_encoder()
    content = read_pickle(path)
    load_whole(model, content, find_places(path, content), path, "config.py")
    return model.state_dict()


@pytest.mark.parametrize("read", [encoder_of, model_of])
@pytest.mark.parametrize("case", RIGHT)
def test_weights_are_found(case: str, read: Any, tmp_path: Path) -> None:
    torch.save(RIGHT[case], tmp_path / "x.pth")
    found = read(tmp_path / "x.pth")
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("read", [encoder_of, model_of])
@pytest.mark.parametrize("case", SEVERAL)
def test_which_of_several_is_not_guessed_and_the_advice_works(case: str, read: Any, tmp_path: Path) -> None:
    torch.save(SEVERAL[case], tmp_path / "x.pth")
    with pytest.raises(errors.NotACheckpointError, match="which of them is wanted is not told") as caught:
        read(tmp_path / "x.pth")
    advice = str(caught.value).partition("Take one out: ")[2].rstrip(".")
    exec(
        advice.replace("'x.pth'", repr(str(tmp_path / "x.pth"))).replace("'weights.pth'", repr(str(tmp_path / "w.pth")))
    )
    assert read(tmp_path / "w.pth").keys() == WEIGHTS.keys()


def test_messages(tmp_path: Path, documented_error: DocumentedError, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(SEVERAL["state_dict and model"], tmp_path / "x.pth")
    with documented_error("a checkpoint holds weights twice", errors.NotACheckpointError):
        load_encoder(tmp_path / "x.pth")
    torch.save({"state_dict": {name: tensor.numpy() for name, tensor in WEIGHTS.items()}}, tmp_path / "x.pth")
    with documented_error("weights are NumPy arrays", errors.UnreadableWeightsError):
        load_encoder(tmp_path / "x.pth")
    torch.save(RIGHT["an average beside"], tmp_path / "x.pth")
    with caplog.at_level(logging.WARNING):
        model_of(tmp_path / "x.pth")
    assert caplog.text.count("holds model_ema, too, which is not what is read") == 1


def test_one_array_among_tensors_is_named(tmp_path: Path) -> None:
    state = WEIGHTS | {"blocks.0.mlp.fc1.weight": WEIGHTS["blocks.0.mlp.fc1.weight"].numpy()}
    torch.save({"state_dict": state}, tmp_path / "x.pth")
    with pytest.raises(errors.UnreadableWeightsError, match=r"blocks\.0\.mlp\.fc1\.weight as a NumPy array"):
        load_encoder(tmp_path / "x.pth", num_heads=2)


def test_an_optimizer_beside_weights_under_another_name(tmp_path: Path) -> None:
    moments = {"state": {"w": {"exp_avg": torch.ones(1)}}, "param_groups": []}
    torch.save({"encoder": WEIGHTS, "optimizer_state_dict": moments}, tmp_path / "x.pth")
    with pytest.raises(errors.NotACheckpointError, match="holds tensors under 'encoder'"):
        load_encoder(tmp_path / "x.pth")
    torch.save({"optimizer_state_dict": moments}, tmp_path / "x.pth")
    with pytest.raises(errors.UnreadableWeightsError, match="the state of an optimizer, no weights"):
        load_encoder(tmp_path / "x.pth")
