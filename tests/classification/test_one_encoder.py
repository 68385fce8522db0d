"""A segmentor and a classifier on one encoder: its weights are in memory once."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image

from examples import one_encoder
from internvl_seg import Classifier, InternViT, Segmenter
from internvl_seg.checkpoints.reference import WrongEncoderError
from internvl_seg.inference.pictures import read_picture
from internvl_seg.training.config import load_config

from ..error_table import DocumentedError
from .small import ARCH, write

SEGMENTOR = """
custom_imports = dict(imports=["internvl_seg"])
default_scope = "mmseg"
model = dict(
    type="StreamingEncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        size=(56, 56)),
    backbone=dict(
        type="InternViT", frozen=True, img_size=56, out_indices=(0, 2), arch={arch},
        init_cfg=dict(type="Pretrained", checkpoint="encoder.safetensors")),
    decode_head=dict(
        type="LinearHead", in_channels=[32, 32], in_index=[0, 1], num_classes=4,
        loss_decode=dict(type="CrossEntropyLoss")),
    train_cfg=dict(), test_cfg=dict(mode="whole"))
pipeline = [dict(type="LoadImageFromFile"), dict(type="ResizeToMultiple", size_divisor=14), dict(type="PackSegInputs")]
test_dataloader = dict(dataset=dict(type="BaseSegDataset", pipeline=pipeline))
"""


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs and checkpoints of both, with random heads."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    Path("segmentor.py").write_text(SEGMENTOR.format(arch=ARCH))
    for name, scope in (("segmentor", "mmseg"), ("config", "mmpretrain")):
        init_default_scope(scope)
        model = MODELS.build(load_config(f"{name}.py").model)
        for parameter in (model.decode_head if name == "segmentor" else model.head).parameters():
            torch.nn.init.normal_(parameter)
        torch.save({"state_dict": model.state_dict()}, f"{name}.pth")


def test_the_weights_are_one_copy_and_the_answers_the_same() -> None:
    segmenter = Segmenter.from_checkpoint("segmentor.py", "segmentor.pth")
    alone = Classifier.from_checkpoint("config.py", "config.pth")
    shared = Classifier.from_checkpoint("config.py", "config.pth", encoder=segmenter.encoder)
    theirs = dict(segmenter.encoder.named_parameters())
    for name, tensor in shared.encoder.named_parameters():
        # The position embedding is resized to 56 pixels there and to 28 here.
        assert (tensor.data_ptr() == theirs[name].data_ptr()) == (name != "pos_embed"), name
    assert not {p.data_ptr() for p in alone.encoder.parameters()} & {p.data_ptr() for p in theirs.values()}
    for path in sorted(Path("photos/val").rglob("*.png")):
        assert shared(path) == alone(path)
    # And the other way round.
    second = Segmenter.from_checkpoint("segmentor.py", "segmentor.pth", encoder=alone.encoder)
    path = Path("photos/val/ant/0.png")
    assert (second(path).labels == segmenter(path).labels).all()
    assert second.encoder.blocks[0].attn.qkv.weight.data_ptr() == alone.encoder.blocks[0].attn.qkv.weight.data_ptr()
    assert not any(p.requires_grad for p in second.encoder.parameters())


def test_both_answers_from_one_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    picture = "photos/val/bee/0.png"
    arguments = ["one_encoder.py", "segmentor.py", "segmentor.pth", "config.py", "config.pth", picture, "--side", "28"]
    monkeypatch.setattr(sys, "argv", arguments)
    calls = []
    original = InternViT._run
    monkeypatch.setattr(InternViT, "_run", lambda *args: calls.append(1) or original(*args))
    one_encoder.main()
    assert len(calls) == 1
    where, what = capsys.readouterr().out.splitlines()
    assert where.startswith("Where: class ")
    assert what.startswith("What:  ")
    assert len(what.split(", ")) == 3
    # The same as each model says of what the encoder saw.
    segmenter = Segmenter.from_checkpoint("segmentor.py", "segmentor.pth")
    classifier = Classifier.from_checkpoint("config.py", "config.pth", encoder=segmenter.encoder)
    image = read_picture(picture)
    labels, probabilities = one_encoder.answer(segmenter, classifier, image, 28)
    pixels = one_encoder.prepare(image, segmenter.model, 28, 14)
    with torch.no_grad():
        want = segmenter.model.encode_decode(pixels, [{"img_shape": pixels.shape[-2:]}])
        tokens = segmenter.encoder.forward_features(pixels)
        torch.testing.assert_close(classifier.model.head([tokens])[0].softmax(0), probabilities)
    want = torch.nn.functional.interpolate(want, image.shape[:2], mode="bilinear").argmax(1)[0]
    assert (want == labels).float().mean() > 0.9  # Logits are interpolated once here and twice there.


def test_encoders_that_do_not_fit(documented_error: DocumentedError) -> None:
    classifier = Classifier.from_checkpoint("config.py", "config.pth")
    backbone = load_config("config.py").model.backbone
    for case, encoder in (
        ("a shared encoder is of another architecture", InternViT(**{**ARCH, "embed_dim": 64})),
        ("a shared encoder is deeper", InternViT(**{**ARCH, "depth": 4})),
        ("a shared encoder has another dtype", InternViT(**ARCH).bfloat16()),
    ):
        with documented_error(case, WrongEncoderError):
            MODELS.build({**backbone, "encoder": encoder})
    with pytest.raises(ValueError, match=r"backbone\.encoder is shared, so it may not be tuned"):
        MODELS.build({**backbone, "encoder": classifier.encoder, "frozen": False})
    # A head that was trained on another encoder; and a checkpoint with an encoder of its own.
    with pytest.raises(WrongEncoderError, match="heads were trained on the frozen encoder"):
        Classifier.from_checkpoint("config.py", "config.pth", encoder=InternViT(**ARCH))
    state = {f"backbone.{name}": tensor for name, tensor in InternViT(**ARCH).state_dict().items()}
    torch.save({"state_dict": state}, "own.pth")
    before = classifier.encoder.blocks[0].attn.qkv.weight.clone()
    with documented_error("a checkpoint would change a shared encoder", WrongEncoderError):
        Classifier.from_checkpoint("config.py", "own.pth", encoder=classifier.encoder)
    assert classifier.encoder.blocks[0].attn.qkv.weight.equal(before)


def test_the_backbone_gives_maps_or_tokens() -> None:
    image = torch.from_numpy(np.asarray(Image.open("photos/val/ant/0.png").resize((42, 28)))).permute(2, 0, 1)[None]
    arguments = {"type": "InternViT", "arch": ARCH, "out_indices": (1, 2), "frozen": True}
    torch.manual_seed(0)
    raw = MODELS.build({**arguments, "out_type": "raw"})
    torch.manual_seed(0)
    maps = MODELS.build(arguments)
    for tokens, found in zip(raw(image.float()), maps(image.float()), strict=True):
        assert tokens.shape == (1, 7, 32)
        assert tokens[:, 1:].equal(found.flatten(2).transpose(1, 2))
    assert raw(image.float())[-1].equal(raw.forward_features(image.float()))
    with pytest.raises(ValueError, match=r"backbone\.out_type='cls' is not known; choose one of featmap, raw"):
        MODELS.build({**arguments, "out_type": "cls"})
