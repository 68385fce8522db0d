"""Several encoders in one study, random ones among them: each has figures, pictures and files of its own."""

import re
from pathlib import Path

import pytest
import torch

from internvl_seg.probing.frozen_encoder import FrozenEncoder
from internvl_seg.training import evaluate

from .conftest import MakeFeatures, Run

TIMM = {"type": "TimmViT", "arch": "test_vit2", "dtype": "float32"}
OTHER = {"type": "InternViT", "frozen": True}
OTHER |= {"arch": {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 42, "patch_size": 7}}
# Names that differ after their last dot alone.
ENCODERS = {"vit.a": {}, "vit.b": TIMM, "vit.c": OTHER}


def test_encoders_of_other_widths_depths_and_grids(run: Run) -> None:
    options = {"probe__encoders": ENCODERS, "probe__blocks": [-1, 0], "probe__iterations": 4, "probe__views": 1}
    found = run(probe__heads=[{"lr": [1e-2]}], probe__pictures=1, **options)
    assert {(r.spec.encoder, r.spec.blocks) for r in found.results} == {
        *(("vit.a", (block,)) for block in (0, 3)),
        *(("vit.b", (block,)) for block in (0, 7)),
        *(("vit.c", (block,)) for block in (0, 1)),
    }
    page = Path("out/index.html").read_text()
    pictures = re.findall(r"<p>(vit\.[abc]: [^<]*)</p>", page)
    assert pictures == [
        *(f"vit.{name}: 0" for name in "abc"),
        *(f"vit.{name}: feature maps as colours" for name in "abc"),
    ]
    Path("out").rename("moved")
    for result in found.results:
        if result.spec.blocks != (0,):
            metrics = evaluate(f"moved/{result.config}", f"moved/{result.checkpoint}", work_dir="test")
            assert metrics["mIoU"] == pytest.approx(result.score, abs=0.011), result.spec.name
            # The encoder is in one file for all heads.
            assert Path("moved", result.checkpoint or "").stat().st_size < 20_000
    assert {path.name for path in Path("moved/encoders").iterdir()} == {"vit.b.safetensors", "vit.c.safetensors"}


def test_random_encoders_are_the_same_in_every_study_and_order(make_features: MakeFeatures) -> None:
    first = make_features(probe__encoders=ENCODERS, probe__blocks=[-1])
    torch.randn(5)
    assert make_features(probe__encoders=dict(reversed(ENCODERS.items())), probe__blocks=[-1]) == first
    assert len(make_features(probe__encoders=ENCODERS, probe__blocks=[-1], randomness__seed=4)) > len(first)


@pytest.mark.parametrize("backbone", [TIMM, OTHER], ids=["timm", "ours"])
def test_the_seed_alone_decides(backbone: dict) -> None:
    def built(seed: int) -> str:
        return FrozenEncoder("e", backbone, (-1,), seed).sha256()

    first, state = built(0), torch.random.get_rng_state()
    assert built(1) != first
    assert torch.equal(torch.random.get_rng_state(), state)  # What is drawn afterwards is the same, too.
    assert built(0) == first


def test_attention_pooling_has_the_heads_of_its_encoder() -> None:
    assert FrozenEncoder("e", TIMM, (-1,)).pool_heads == 2
    assert FrozenEncoder("e", OTHER, (-1,)).pool_heads == 3
