"""The official heads as a head of MMPretrain, on a backbone from a config."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from internvl_seg import load_classifier, load_encoder
from internvl_seg.checkpoints.errors import KeyMismatchError
from internvl_seg.classification import InternViTClsHead

from ..checkpoints.conftest import assert_close
from ..conftest import Golden

KINDS = {"concat": "cls_patch_concat", "attention_pooling": "attention_pooling", "clip_projector": "clip_projector"}
Read = Callable[[str], Golden]


def model_of(golden: Golden, kind: str, encoder: Path, head: Path | None, **backbone: Any) -> dict[str, Any]:
    """Config of a model as a golden file's."""
    arch = {name: golden.config[name] for name in ("img_size", "embed_dim", "depth", "num_heads")}
    classes = golden.state["head.weight"].shape[0]
    pooled = golden.state["head.weight"].shape[1]
    return {
        "type": "ImageClassifier",
        "data_preprocessor": {"type": "ClsDataPreprocessor", "num_classes": classes},
        "backbone": {
            "type": "InternViT",
            "arch": arch,
            "frozen": True,
            "out_type": "raw",
            "init_cfg": {"type": "Pretrained", "checkpoint": str(encoder)},
            **backbone,
        },
        "head": {
            "type": "InternViTClsHead",
            "num_classes": classes,
            "in_channels": golden.state["pos_embed"].shape[-1],
            "pooling": KINDS[kind],
            "pool_heads": 2,
            "pool_dim": pooled,
            "init_cfg": None if head is None else {"type": "Pretrained", "checkpoint": str(head)},
        },
    }


@pytest.fixture(params=KINDS)
def files(request: pytest.FixtureRequest, golden: Read, tmp_path: Path) -> tuple[str, Golden, Path, Path]:
    """A kind of head, its golden file, and that as an encoder's and a head's official files."""
    model = golden(f"official_cls_{request.param}")
    head = {name: value for name, value in model.state.items() if name not in model.encoder_state()}
    torch.save({"module": model.encoder_state()}, tmp_path / "encoder.pth")
    torch.save({"model": head}, tmp_path / "intern_vit_head.pth")
    return request.param, model, tmp_path / "encoder.pth", tmp_path / "intern_vit_head.pth"


@torch.no_grad()
def test_logits_of_a_config_are_the_official_ones(files: tuple[str, Golden, Path, Path]) -> None:
    kind, golden, encoder, head = files
    model = MODELS.build(model_of(golden, kind, encoder, head))
    model.init_weights()
    model.eval()
    assert_close(model(golden.image), golden.expected["logits"])
    official = load_classifier(head, encoder=load_encoder(encoder, num_heads=2))
    assert model(golden.image).equal(official(golden.image))
    (sample,) = model.predict(golden.image[:1])
    assert_close(sample.pred_score, golden.expected["logits"][0].softmax(0))
    pooled = model.head.pre_logits(model.extract_feat(golden.image))
    assert pooled.shape == (len(golden.image), golden.state["head.weight"].shape[1])


@torch.no_grad()
def test_an_official_head_is_a_checkpoint_of_the_model(files: tuple[str, Golden, Path, Path], tmp_path: Path) -> None:
    kind, golden, encoder, head = files
    tensors = torch.load(head, weights_only=True)["model"]
    model = MODELS.build(model_of(golden, kind, encoder, None))
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert (missing, unexpected) == ([], [])
    assert_close(model.eval()(golden.image), golden.expected["logits"])
    # A file of encoder and head, into a model that has no encoder.
    model = MODELS.build(model_of(golden, kind, encoder, None, init_cfg=None, frozen=False))
    assert model.load_state_dict(golden.state, strict=False) == ([], [])
    assert_close(model.eval()(golden.image), golden.expected["logits"])
    # A head alone says nothing of an encoder that is in no file.
    model = MODELS.build(model_of(golden, kind, encoder, None, init_cfg=None))
    assert "backbone.pos_embed" in model.load_state_dict(tensors, strict=False).missing_keys
    # What is trained holds a reference to the encoder, and is read back by load_classifier.
    model = MODELS.build(model_of(golden, kind, encoder, head))
    model.init_weights()
    state = model.state_dict()
    assert not any(name.startswith("backbone.blocks") for name in state)
    torch.save({"state_dict": state}, tmp_path / "trained.pth")
    again = load_classifier(tmp_path / "trained.pth", encoder=load_encoder(encoder, num_heads=2), attn_pool_num_heads=2)
    assert_close(again(golden.image), golden.expected["logits"])


def test_only_the_head_learns(files: tuple[str, Golden, Path, Path]) -> None:
    kind, golden, encoder, head = files
    model = MODELS.build(model_of(golden, kind, encoder, head)).train()
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    samples = [DataSample().set_gt_label(i) for i in range(len(golden.image))]
    losses = model.loss(golden.image, samples)
    losses["loss"].backward()
    optimizer.step()
    changed = {name for name, tensor in model.named_parameters() if not tensor.equal(before[name])}
    assert {"head.classifier.head.weight", "head.classifier.norm.weight"} <= changed
    assert all(name.startswith("head.") for name in changed)
    assert all(p.grad is None for p in model.backbone.parameters())


def test_what_does_not_fit_is_told(golden: Read, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pooling='mean' is not known; choose one of cls_patch_concat, attention"):
        InternViTClsHead(num_classes=2, in_channels=8, pooling="mean")
    with pytest.raises(ValueError, match="pool_heads=3 does not divide the 8 channels"):
        InternViTClsHead(num_classes=2, in_channels=8, pooling="attention_pooling", pool_heads=3)
    with pytest.raises(ValueError, match=r"head\.num_classes=0: a head has at least one class"):
        InternViTClsHead(num_classes=0, in_channels=8)
    with pytest.raises(ValueError, match="is not known; use dict"):
        InternViTClsHead(num_classes=2, in_channels=8, init_cfg={"type": "Xavier"})
    model = golden("official_cls_concat")
    torch.save({"model": model.state}, tmp_path / "concat.pth")
    head = InternViTClsHead(
        num_classes=model.state["head.weight"].shape[0],
        in_channels=32,
        pooling="attention_pooling",
        pool_heads=2,
        init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "concat.pth")},
    )
    with pytest.raises(KeyMismatchError, match=r"with attention_pooling\. It lacks attn_pool"):
        head.init_weights()
