"""A whole model gets a checkpoint's weights by its own names, and only if they compute the same in it."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from internvl_seg.checkpoints.errors import (
    CheckpointError,
    KeyMismatchError,
    NonFiniteWeightsError,
    NotACheckpointError,
    UnreadableWeightsError,
    WrongConfigError,
)
from internvl_seg.checkpoints.position_grid import GRID
from internvl_seg.checkpoints.whole_model import WrongWeightsError, load_whole, take_state
from internvl_seg.segmentation import InternViTBackbone
from internvl_seg.segmentation.timm_vit import TimmViT

from ..error_table import DocumentedError

ARCH = {"embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 2, "img_size": (4, 16)}
HEAD = "decode_head.weight"


class Model(nn.Module):
    """A backbone and a head."""

    def __init__(self, **backbone: Any) -> None:
        super().__init__()
        self.backbone = InternViTBackbone(**{"arch": ARCH} | backbone)
        self.decode_head = nn.Linear(16, 3)


MODEL = Model()
STATE = MODEL.state_dict()


def checkpoint(state: Any = STATE, **backbone: Any) -> dict[str, Any]:
    """As a run writes it."""
    told = {"type": "InternViT", "arch": ARCH} | backbone
    return {"state_dict": OrderedDict(state), "meta": {"cfg": f"model = dict(backbone={told!r})"}}


def load(content: Any, **backbone: Any) -> Model:
    model = Model(**backbone)
    load_whole(model, content, {}, "iter_2.pth", "config.py")
    return model


@pytest.mark.parametrize("start", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "module.model."])
def test_what_wrapped_the_model_is_no_part_of_names(start: str) -> None:
    torch.manual_seed(1)
    state = OrderedDict((start + name, torch.randn_like(tensor)) for name, tensor in STATE.items())
    loaded = load(checkpoint(state)).state_dict()
    assert all(torch.equal(loaded[name], state[start + name]) for name in loaded)


def test_a_grid_that_is_no_square_is_told_under_a_wrapper() -> None:
    state = OrderedDict(("module." + name, tensor) for name, tensor in STATE.items())
    state._metadata = {"module.backbone": {GRID: [2, 8]}}  # type: ignore[attr-defined]
    loaded = load({"state_dict": state}, img_size=(8, 8)).backbone
    told = load({"state_dict": STATE}, img_size=(8, 8)).backbone
    assert torch.equal(loaded.pos_embed, told.pos_embed)
    assert not torch.equal(loaded.pos_embed, MODEL.backbone.pos_embed)  # It was resized.


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"module." + HEAD: STATE[HEAD]}, KeyMismatchError, "two weights for one place"),
        ({"criterion.weight": torch.ones(1)}, WrongWeightsError, r"such as 'criterion\.weight'"),
        ({HEAD: STATE[HEAD].to(torch.int8)}, UnreadableWeightsError, "as torch.int8"),
        ({"neck.weight": torch.ones(1, dtype=torch.int8)}, UnreadableWeightsError, r"neck\.weight as torch.int8"),
        ({HEAD: STATE[HEAD].numpy()}, WrongWeightsError, "as ndarray, expected a tensor"),
        ({HEAD: STATE[HEAD] * float("nan")}, NonFiniteWeightsError, HEAD),
    ],
)
def test_weights_that_are_none(state: Any, error: type[CheckpointError], message: str) -> None:
    with pytest.raises(error, match=message):
        load(checkpoint(OrderedDict(STATE) | state))


def test_two_copies_of_a_model() -> None:
    state = {f"{copy}.{name}": tensor for copy in ("teacher", "student") for name, tensor in STATE.items()}
    with pytest.raises(NotACheckpointError, match=r"2 copies of a model, under student\.\*, teacher\.\*"):
        load(checkpoint(state))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"arch": ARCH | {"num_heads": 4}}, r"model\.backbone\.arch\.num_heads = 4, but config\.py has 2 there"),
        ({"arch": ARCH | {"norm_eps": 1e-3}}, r"arch\.norm_eps = 0\.001, but config\.py has 1e-06 there"),
        ({"out_indices": (0,)}, r"model\.backbone\.out_indices = \(0,\), but config\.py has \(1,\) there"),
        ({"out_indices": [0, 7]}, r"out_indices = \(0, 7\)"),
    ],
)
@pytest.mark.parametrize("start", ["", "module."])
def test_an_encoder_that_computed_something_else(told: Any, message: str, start: str) -> None:
    state = {start + name: tensor for name, tensor in STATE.items()}
    with pytest.raises(WrongConfigError, match=message):
        load(checkpoint(state, **told))
    load(checkpoint(state, **told | {"arch": ARCH, "out_indices": [-1]}))  # The same block, counted from the end.


def test_other_maps_are_no_matter_where_heads_are_trained() -> None:
    content = checkpoint(out_indices=(0,))
    assert take_state(MODEL, content, "iter_2.pth", "config.py", whole=False).keys() == STATE.keys()
    with pytest.raises(WrongConfigError, match="num_heads = 4"):
        take_state(MODEL, checkpoint(arch=ARCH | {"num_heads": 4}), "iter_2.pth", "config.py", whole=False)
    state = STATE | {HEAD: STATE[HEAD].to(torch.uint8)}
    with pytest.raises(UnreadableWeightsError, match=r"torch\.uint8"):
        take_state(MODEL, checkpoint(state), "iter_2.pth", "config.py", whole=False)


def test_what_this_package_writes_into_a_file_counts() -> None:
    with pytest.raises(WrongConfigError, match=r"'internvl_seg', says num_heads = 4, but config\.py has 2 there"):
        load({"state_dict": OrderedDict(STATE), "internvl_seg": {"num_heads": 4}})


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"arch": "vit_tiny_patch16_384"}, r"model\.backbone\.arch = 'vit_tiny_patch16_384', but config\.py has"),
        ({"norm": True}, r"model\.backbone\.norm = True"),
        ({"out_indices": (3,)}, r"model\.backbone\.out_indices = \(3,\)"),
    ],
)
def test_a_vit_of_timm_that_computed_something_else(told: Any, message: str) -> None:
    model = nn.Sequential(OrderedDict(backbone=TimmViT("vit_tiny_patch16_224")))
    backbone = {"type": "TimmViT", "arch": "timm/vit_tiny_patch16_224.augreg_in21k"}
    content = {"state_dict": OrderedDict(model.state_dict())}
    meta = {"meta": {"cfg": f"model = dict(backbone={backbone!r})"}}
    load_whole(model, content | meta, {}, "iter_2.pth", "config.py")
    with pytest.raises(WrongConfigError, match=message):
        load_whole(model, checkpoint(model.state_dict(), **backbone | told), {}, "iter_2.pth", "config.py")


def test_messages(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("a checkpoint's encoder has other heads than the config's", WrongConfigError):
        load(checkpoint(arch=ARCH | {"num_heads": 4}))
    with documented_error("a checkpoint holds a weight twice", KeyMismatchError):
        load(checkpoint(OrderedDict(STATE) | {"module." + HEAD: STATE[HEAD]}))


def test_other_colours_are_told_where_all_of_a_model_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    content = checkpoint()
    content["meta"]["cfg"] += "; data_preprocessor = dict(mean=[1.0], std=[2.0])"
    model = Model()
    model.data_preprocessor = nn.Identity()
    take_state(model, content, "iter_2.pth", "config.py", whole=False)
    assert not caplog.text
    take_state(model, content, "iter_2.pth", "config.py")
    assert "data_preprocessor.std was [2.0] and is None" in caplog.text
