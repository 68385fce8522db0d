"""Batched heads against MMSegmentation's modules, trained one by one by PyTorch."""

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close

from internvl_seg.probing.batched_heads import BatchedHeads
from internvl_seg.probing.features import Features, Norms
from internvl_seg.probing.head_spec import HeadSpec
from internvl_seg.probing.loss import CrossEntropy
from internvl_seg.probing.objectives import Objectives
from internvl_seg.probing.optimizers import schedule

CHANNELS, CLASSES, STEPS = 6, 4, 8
OBJECTIVES = Objectives(CrossEntropy(), stride=1, dense=True)


def make(
    kind: str,
    blocks: tuple[int, ...],
    solver: str = "adamw",
    batch_norm: bool = True,
    precision: torch.dtype = torch.float32,
) -> BatchedHeads:
    hidden = 5 if kind == "mlp" else 0
    specs = [
        HeadSpec("e", kind, blocks, solver, lr, decay, batch_norm, 0, channels=hidden)
        for lr, decay in ((1e-2, 0.0), (1e-1, 0.3))
    ]
    return BatchedHeads(specs, CHANNELS, CLASSES, "maps", precision)


def module(kind: str, blocks: tuple[int, ...], state: dict[str, Tensor]) -> Any:
    several = len(blocks) > 1
    config: dict[str, Any] = {
        "type": "MLPHead" if kind == "mlp" else "LinearHead",
        "in_channels": [CHANNELS] * len(blocks) if several else CHANNELS,
        "in_index": list(range(len(blocks))) if several else -1,
        "num_classes": CLASSES,
    }
    head = MODELS.build(config | ({"hidden_channels": 5} if kind == "mlp" else {}))
    head.load_state_dict(state)
    return head


def batches(blocks: tuple[int, ...], count: int) -> list[tuple[dict[int, Tensor], Tensor]]:
    # Channels far from 0 and of very different scale, as those of a ViT.
    scale = torch.logspace(-1, 2, CHANNELS)
    return [
        (
            {block: torch.randn(3, 2, 4, CHANNELS) * scale + 3 * scale for block in blocks},
            torch.randint(0, CLASSES, (3, 7, 9)),
        )
        for _ in range(count)
    ]


def as_inputs(maps: dict[int, Tensor]) -> list[Tensor]:
    return [maps[block].permute(0, 3, 1, 2) for block in maps]


@pytest.mark.parametrize("solver", ["adamw", "sgd"])
@pytest.mark.parametrize(("kind", "blocks"), [("linear", (0,)), ("linear", (1, 3)), ("mlp", (0, 2))])
def test_training_is_that_of_the_module(kind: str, blocks: tuple[int, ...], solver: str) -> None:
    heads, norms = make(kind, blocks, solver), Norms(1e-5)
    data = batches(blocks, STEPS)
    norms.apply(blocks[0], torch.zeros(2, CHANNELS), training=False)
    for block in blocks:
        norms.apply(block, torch.zeros(2, CHANNELS), training=False)
    modules = [module(kind, blocks, heads.exported(i, norms)).train() for i in range(2)]
    optimizers = []
    for spec, one in zip(heads.specs, modules, strict=True):
        matrices = [p for p in one.parameters() if p.ndim > 1]
        vectors = [p for p in one.parameters() if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": spec.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        momentum = {"momentum": 0.9, "nesterov": True}
        adamw = solver == "adamw"
        optimizers.append(torch.optim.AdamW(groups, lr=1) if adamw else torch.optim.SGD(groups, lr=1, **momentum))
    for step, (maps, labels) in enumerate(data):
        factor = schedule(step, STEPS, 2, "poly")
        losses = heads.step(Features(maps, "maps", norms, training=True), labels, OBJECTIVES.at(0, step), factor)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        for i, (spec, one, optimizer) in enumerate(zip(heads.specs, modules, optimizers, strict=True)):
            loss = one.loss(as_inputs(maps), samples, None)["loss_ce"]
            assert_close(losses[i], loss.detach(), rtol=1e-4, atol=1e-5)
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = spec.lr * factor
            optimizer.step()
    maps = data[0][0]
    found = heads.predict(Features(maps, "maps", norms, training=False))
    for i, one in enumerate(modules):
        assert_close(found[i].transpose(0, 1), one.eval()(as_inputs(maps)).detach(), rtol=1e-3, atol=1e-3)
        exported = module(kind, blocks, heads.exported(i, norms)).eval()
        assert_close(exported(as_inputs(maps)).detach(), found[i].transpose(0, 1), rtol=1e-5, atol=1e-5)
        assert exported.norm.num_batches_tracked == STEPS


@pytest.mark.parametrize(("kind", "blocks"), [("linear", (0,)), ("linear", (1, 3)), ("mlp", (0, 2))])
def test_bfloat16_is_the_modules_under_autocast(kind: str, blocks: tuple[int, ...]) -> None:
    heads, norms = make(kind, blocks, precision=torch.bfloat16), Norms(1e-5)
    ((maps, labels),) = batches(blocks, 1)
    for block in blocks:
        norms.apply(block, torch.zeros(2, CHANNELS), training=False)
    modules = [module(kind, blocks, heads.exported(i, norms)).train() for i in range(2)]
    features = Features(maps, "maps", norms, training=True)
    logits = heads.logits(features, torch.bfloat16)
    assert logits.dtype == torch.bfloat16
    objective = OBJECTIVES.fixed()
    gradients = torch.autograd.grad(objective(logits, labels).sum(), list(heads.parameters.values()))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    for i, one in enumerate(modules):
        with torch.autocast("cpu", torch.bfloat16):
            loss = one.loss(as_inputs(maps), samples, None)["loss_ce"]
        loss.backward()
        names = {"weight": "conv_seg.weight", "bias": "conv_seg.bias"}
        for name, gradient in zip(heads.parameters, gradients, strict=True):
            expected = one.get_parameter(names.get(name, name)).grad.view_as(gradient[i])
            # Of two bf16 computations, each within its rounding.
            assert (gradient[i] - expected).norm() < 0.03 * expected.norm() + 1e-4, name
    # What is kept, predicted and scored is float32.
    heads.step(features, labels, objective, 1.0)
    assert {p.dtype for p in heads.parameters.values()} == {torch.float32}
    assert heads.predict(features).dtype == torch.float32


def test_a_head_without_norm_is_exported_with_one_that_changes_nothing() -> None:
    heads, norms = make("linear", (0,), batch_norm=False), Norms(1e-5)
    (maps, labels), *_ = batches((0,), 1)
    heads.step(Features(maps, "maps", norms, training=True), labels, OBJECTIVES.fixed(), 1.0)
    found = heads.predict(Features(maps, "maps", norms, training=False))
    exported = module("linear", (0,), heads.exported(1, norms)).eval()
    assert_close(exported(as_inputs(maps)).detach(), found[1].transpose(0, 1), rtol=1e-5, atol=1e-4)


def test_state_goes_on_bit_for_bit() -> None:
    data = batches((0,), 6)

    def train(heads: BatchedHeads, norms: Norms, part: slice) -> None:
        for step, (maps, labels) in list(enumerate(data))[part]:
            heads.step(Features(maps, "maps", norms, training=True), labels, OBJECTIVES.at(0, step), 0.5)

    whole, norms = make("linear", (0,)), Norms(1e-5)
    train(whole, norms, slice(None))
    first, first_norms = make("linear", (0,)), Norms(1e-5)
    train(first, first_norms, slice(3))
    second, second_norms = make("linear", (0,)), Norms(1e-5)
    second.load_state_dict(first.state_dict())
    second_norms.load_state_dict(first_norms.state_dict())
    train(second, second_norms, slice(3, None))
    for name, value in whole.exported(1, norms).items():
        assert torch.equal(value, second.exported(1, second_norms)[name]), name
