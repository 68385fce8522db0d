"""Batched optimizers against PyTorch's, and the schedule against MMEngine's."""

import pytest
import torch
from mmengine.optim import LinearLR, OptimWrapper, PolyLR
from torch import nn
from torch.testing import assert_close

from internvl_seg.probing.optimizers import WARMUP_FROM, BatchedOptimizer, schedule

LRS, DECAYS = (1e-3, 1e-2, 1e-1), (0.0, 0.05, 0.5)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_every_head_is_trained_as_if_alone(kind: str) -> None:
    start = {"weight": torch.randn(4, 5), "bias": torch.randn(4)}
    together = {name: value.expand(3, *value.shape).clone().requires_grad_() for name, value in start.items()}
    batched = BatchedOptimizer(together, kind, LRS, DECAYS)
    alone, optimizers = [], []
    for lr, decay in zip(LRS, DECAYS, strict=True):
        own = {name: value.clone().requires_grad_() for name, value in start.items()}
        groups = [{"params": [own["weight"]], "weight_decay": decay}, {"params": [own["bias"]], "weight_decay": 0.0}]
        options = {"momentum": 0.9, "nesterov": True} if kind == "sgd" else {}
        optimizers.append((torch.optim.SGD if kind == "sgd" else torch.optim.AdamW)(groups, lr=lr, **options))
        alone.append(own)
    for step in range(20):
        factor = schedule(step, 20, 5, "cosine")
        for name, value in together.items():
            value.grad = torch.randn_like(value)
            for own, gradient in zip(alone, value.grad, strict=True):
                own[name].grad = gradient.clone()
        batched.step(factor)
        for lr, optimizer in zip(LRS, optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.step()
    for name, value in together.items():
        for found, own in zip(value, alone, strict=True):
            assert_close(found, own[name], rtol=1e-5, atol=1e-6)


def test_the_schedule_is_the_official_one() -> None:
    optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0))
    schedulers = [
        LinearLR(optimizer, start_factor=WARMUP_FROM, by_epoch=False, begin=0, end=11),
        PolyLR(optimizer, power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=51),
    ]
    for step in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2.0 * schedule(step, 50, 10, "poly"), rel=1e-6)
        optimizer.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_a_cosine_ends_at_zero() -> None:
    assert schedule(0, 10, 0, "cosine") == 1
    assert schedule(5, 10, 0, "cosine") == pytest.approx(0.5)
    assert schedule(10, 10, 0, "cosine") == pytest.approx(0)
