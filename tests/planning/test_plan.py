"""The plan's arithmetic, against formulas that know nothing of the code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from internvl_seg.planning import MemoryPlan, plan_memory
from internvl_seg.planning.fake_model import build_meta
from internvl_seg.planning.footprint import shard_nbytes
from internvl_seg.planning.tracing import trace_step
from internvl_seg.training import ConfigError
from internvl_seg.training.config import load_config

from ..error_table import DocumentedError
from .conftest import CONFIG

ADE20K = Path(__file__).resolve().parents[2] / "configs/ade20k"
FULL = ADE20K / "internvit_6b_448px_v2_5_upernet_full_ade20k-504x504.py"
C, HIDDEN, DEPTH, GRID = 3200, 12800, 45, 36 * 36
# Norms of tokens, queries and keys, scales; qkv; projection; two layers.
BLOCK = 6 * C + 3 * C * C + (C * C + C) + (2 * C * HIDDEN + HIDDEN + C)
ENCODER = DEPTH * BLOCK + (3 * 14 * 14 * C + C) + C + (1 + GRID) * C


@pytest.fixture(scope="module")
def full() -> MemoryPlan:
    """Full tuning of 6B on eight devices."""
    return plan_memory(FULL, devices=8, device_memory=80)


def test_weights_gradients_and_moments_of_6b(full: MemoryPlan) -> None:
    assert BLOCK == 122_918_400
    assert [(p.name, p.dtype) for p in full.parts] == [("encoder", "float32"), ("neck and heads", "float32")]
    assert full.parts[0].parameters == full.parts[0].trained == ENCODER == 5_537_366_400
    replicated, *_ = full.settings
    learning = ENCODER + full.parts[1].trained
    assert replicated.gradients == 4 * learning
    # Beside two moments there is a count of steps for each tensor.
    assert 0 < replicated.optimizer - 8 * learning < 10_000
    # And those of BatchNorm that are not learnt.
    assert 0 <= replicated.parameters - 4 * learning < 500_000
    # DistributedDataParallel averages a copy.
    assert replicated.gathered == 4 * learning


def test_each_of_eight_devices_has_an_eighth(full: MemoryPlan) -> None:
    replicated, sharded = full.settings[0], full.settings[2]
    for field in ("parameters", "gradients", "optimizer"):
        whole, part = getattr(replicated, field), getattr(sharded, field)
        assert whole / 8 <= part < whole / 8 + 40e6  # One process has all of the position embedding, and its moments.
    # Weights and gradients of a block, three times each, and of what is no block.
    rest = full.parts[0].parameters - DEPTH * BLOCK + full.parts[1].trained
    assert sharded.gathered == 4 * (2 * rest + 6 * BLOCK)


def test_blocks_keep_56_bytes_per_channel_and_token_or_4() -> None:
    """The figures of docs/scale.md, from two depths."""
    images, tokens = 2, 1 + GRID
    for with_cp, each, weights in ((False, 56 * C + 4 * (4 + 25), 2 * (12 * C * C)), (True, 4 * C, 0)):
        kept = []
        for depth in (4, 5):
            options: dict[str, Any] = {
                "model.backbone.arch": {"_delete_": True, "depth": depth, "img_size": 448},
                "model.backbone.out_indices": (0, 1, 2, depth - 1),
                "model.backbone.init_cfg": None,
                "model.backbone.drop_path_rate": 0.0,
            }
            kept.append(trace_step(load_config(FULL, options), "cuda", with_cp).moments.peak(0))
        growth = kept[1] - kept[0]
        assert growth == pytest.approx(images * tokens * each + weights, rel=0.01)


def test_sharding_cuts_the_first_dimension() -> None:
    model = build_meta(load_config(FULL))
    position = model.backbone.pos_embed
    assert shard_nbytes([position], 8) == position.nbytes  # (1, N, C)
    assert shard_nbytes([model.backbone.blocks[0].mlp.fc1.weight], 8) == HIDDEN * C * 4 // 8
    assert shard_nbytes([model.decode_head.conv_seg.bias], 8) == -(-150 // 8) * 4


def test_the_verdict_follows_the_memory(full: MemoryPlan) -> None:
    fast, slow = full.settings[2], full.settings[3]
    assert slow.configured
    assert slow.with_cp
    assert slow.sharded
    at = lambda memory: replace(full, device_memory=memory)  # noqa: E731 - one line, used at once
    assert at(fast.needed).cheapest() == fast
    assert "fits, too" in at(fast.needed).verdict()
    assert at(fast.needed - 1).cheapest() == slow
    assert at(fast.needed - 1).verdict().startswith("Fits 8 x ")
    assert at(slow.needed - 1).cheapest() is None
    lacking = at(slow.needed - 5 * 10**9).verdict()
    assert "sharded, with_cp=True lacks 5.0 GB" in lacking


def test_a_frozen_encoder_has_nothing_to_recompute() -> None:
    config = ADE20K / "internvit_6b_448px_v2_5_linear_frozen_ade20k-504x504.py"
    plan = plan_memory(config, device_memory=24)
    (setting,) = plan.settings
    assert plan.parts[0].nbytes == 2 * ENCODER
    assert plan.parts[0].trained == 0
    # BatchNorm over the channels, and 150 classes.
    assert setting.gradients == 4 * (2 * C + 150 * C + 150)
    assert plan.cheapest() == setting


@pytest.mark.parametrize(("kind", "bits"), [("int8", 8), ("int8_dynamic", 8), ("int4", 4.5)])
def test_a_quantized_encoder_takes_what_its_codes_do(kind: str, bits: float) -> None:
    config = ADE20K.parent / "camvid/vit_s_linear_frozen_camvid-378x504.py"
    whole = plan_memory(config, device_memory=24)
    plan = plan_memory(config, device_memory=24, options={"model.backbone.quantization": kind})
    matrices = 12 * 12 * 384 * 384
    saved = whole.settings[0].parameters - plan.settings[0].parameters
    assert saved == pytest.approx(matrices * (16 - bits) / 8, rel=0.03)
    assert plan.settings[0].optimizer == whole.settings[0].optimizer


def test_averages_are_counted() -> None:
    config = ADE20K.parent / "imagenet/internvit_300m_448px_v2_5_linear_frozen_imagenet-448x448.py"
    plan = plan_memory(config, device_memory=24)
    without = plan_memory(config, device_memory=24, options={"custom_hooks": []})
    head = plan.parts[1]
    # Of weights, and of the statistics of BatchNorm; not the mean of pixels.
    assert 0 <= head.nbytes - (plan.settings[0].optimizer - without.settings[0].optimizer) < 100


def test_what_cannot_be_planned(tmp_path: Path, documented_error: DocumentedError) -> None:
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    with documented_error("memory is planned for mixed precision", ConfigError):
        plan_memory(config, device_memory=24, options={"optim_wrapper.type": "AmpOptimWrapper"})
    with documented_error("memory is planned without a size of images", ConfigError):
        plan_memory(config, device_memory=24, options={"model.data_preprocessor.size": None})
    with documented_error("memory is planned for a batch that BatchNorm refuses", ConfigError):
        plan_memory(config, device_memory=24, options={"train_dataloader.batch_size": 1})
    plan_memory(config, devices=2, device_memory=24, options={"train_dataloader.batch_size": 1})
    with documented_error("memory is planned for no device", ValueError):
        plan_memory(config, devices=0, device_memory=24)
