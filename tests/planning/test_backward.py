"""Walking the graph gives what PyTorch's engine gives, and holds as much."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from internvl_seg.planning.backward import backward
from internvl_seg.planning.fake_model import batch
from internvl_seg.segmentation.live_bytes import LiveBytes
from internvl_seg.training.config import load_config

SMALL = {
    "model.data_preprocessor.size": (56, 56),
    "model.backbone.arch": {"embed_dim": 64, "num_heads": 2},
    "model.backbone.dtype": "bfloat16",
    "model.neck.embed_dim": 64,
    "model.decode_head.in_channels": [64] * 4,
    "model.auxiliary_head.in_channels": 64,
    "train_dataloader.batch_size": 2,
}


def loss(model: nn.Module, data: dict[str, list[Tensor]]) -> Tensor:
    torch.manual_seed(0)
    found: Tensor = model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))[0]
    return found


@pytest.mark.parametrize("with_cp", [False, True])
def test_gradients_and_peak_are_the_engines(with_cp: bool, config: Path) -> None:
    settings = load_config(config, SMALL | {"model.backbone.with_cp": with_cp})
    init_default_scope(settings.default_scope)
    model = MODELS.build(settings.model).train()
    weights, data = list(model.named_parameters()), batch(settings)
    known = [*model.parameters(), *model.buffers()]
    with LiveBytes(known) as expected:
        loss(model, data).backward()
    gradients = {name: weight.grad for name, weight in weights}
    model.zero_grad()
    with LiveBytes(known) as live:
        backward([loss(model, data)], live.settle)
    for name, weight in weights:
        if gradients[name] is None:
            assert weight.grad is None, name
        else:
            torch.testing.assert_close(weight.grad, gradients[name], msg=lambda m, name=name: f"{name}: {m}")
    assert live.peak() == pytest.approx(expected.peak(), rel=0.02)
    # All of them are known to be gradients at the end.
    assert live._now[True] == sum(weight.grad.nbytes for _, weight in weights if weight.grad is not None)
