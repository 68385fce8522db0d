"""The official classification heads and the CLIP projector."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from internvl_seg import load_classifier, load_encoder
from internvl_seg.checkpoints import errors

from ..conftest import Golden
from ..in_threads import in_threads, one_by_one
from .conftest import assert_close

Write = Callable[..., Path]
KINDS = ("concat", "attention_pooling", "clip_projector")


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_the_official_ones(kind: str, official_file: Write, golden: Callable[[str], Golden]) -> None:
    model = golden(f"official_cls_{kind}")
    classifier = load_classifier(official_file(f"official_cls_{kind}"), num_heads=2)
    assert not classifier.training
    assert_close(classifier(model.image), model.expected["logits"])


def test_threads_may_load_at_the_same_time(official_file: Write, golden: Callable[[str], Golden]) -> None:
    file, model = official_file("official_cls_concat"), golden("official_cls_concat")

    @torch.no_grad()
    def load(dtype: torch.dtype) -> tuple[torch.dtype, Tensor]:
        classifier = load_classifier(file, num_heads=2, dtype=dtype)
        return classifier.encoder.dtype, classifier(model.image)

    dtypes = [torch.float32, torch.bfloat16] * 4
    wanted = one_by_one(load, dtypes[:2])
    for number, (dtype, logits) in enumerate(in_threads(load, dtypes)):
        assert dtype == dtypes[number]
        assert torch.equal(logits, wanted[number % 2][1])


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_file_goes_on_an_encoder_of_its_own(kind: str, tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    model = golden(f"official_cls_{kind}")
    torch.save({"module": model.encoder_state()}, tmp_path / "encoder.pth")
    head = {name: value for name, value in model.state.items() if name not in model.encoder_state()}
    torch.save({"model": head}, tmp_path / "head.pth")
    encoder = load_encoder(tmp_path / "encoder.pth", num_heads=2)
    for given in (encoder, tmp_path / "encoder.pth"):
        classifier = load_classifier(
            tmp_path / "head.pth", encoder=given, **({} if given is encoder else {"num_heads": 2})
        )
        assert_close(classifier(model.image), model.expected["logits"])
    assert load_classifier(tmp_path / "head.pth", encoder=encoder).encoder is encoder


@torch.no_grad()
def test_a_projector_without_head_gives_the_embedding(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    model = golden("official_cls_clip_projector")
    torch.save(
        {k: v for k, v in model.state.items() if not k.startswith(("norm.", "head."))}, tmp_path / "released.pth"
    )
    classifier = load_classifier(tmp_path / "released.pth", num_heads=2, attn_pool_num_heads=2)
    embedding = classifier(model.image)
    assert embedding.shape == (2, 24)
    with_head = torch.nn.BatchNorm1d(24, eps=1e-6).eval()
    with_head.load_state_dict({k.removeprefix("norm."): v for k, v in model.state.items() if k.startswith("norm.")})
    logits = torch.nn.functional.linear(with_head(embedding), model.state["head.weight"], model.state["head.bias"])
    assert_close(logits, model.expected["logits"])


@torch.no_grad()
def test_the_head_is_fp32_on_a_bf16_encoder(official_file: Write, golden: Callable[[str], Golden]) -> None:
    model = golden("official_cls_concat")
    classifier = load_classifier(official_file("official_cls_concat"), dtype=torch.bfloat16, num_heads=2)
    assert classifier.encoder.dtype == torch.bfloat16
    assert classifier.head.weight.dtype == torch.float32
    logits = classifier(model.image)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, model.expected["logits"], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["head.weight", "norm.running_mean"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_heads_of_dtypes_that_no_weights_have(
    name: str, dtype: torch.dtype, tmp_path: Path, golden: Callable[[str], Golden]
) -> None:
    state = dict(golden("official_cls_concat").state)
    torch.save(state | {name: state[name].to(dtype)}, tmp_path / "w.pth")
    with pytest.raises(errors.UnreadableWeightsError, match=f"w.pth (is quantised|holds).*{name} as {dtype}"):
        load_classifier(tmp_path / "w.pth", num_heads=2)


@pytest.mark.parametrize("shape", [(), (5,), (5, 64, 1, 1), (0, 64)])
def test_heads_that_are_no_matrix(shape: tuple[int, ...], tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    torch.save(golden("official_cls_concat").state | {"head.weight": torch.ones(shape)}, tmp_path / "w.pth")
    with pytest.raises(errors.ShapeMismatchError, match=r"w\.pth: head\.weight is \(.*expected \(classes, channels\)"):
        load_classifier(tmp_path / "w.pth", num_heads=2)


def test_projectors_that_are_none(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state, bias = golden("official_cls_clip_projector").encoder_state(), "clip_projector.cross_attn.proj.bias"
    torch.save(state | {"clip_projector.foo": torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(errors.KeyMismatchError, match=f"holds a clip_projector without {bias}"):
        load_classifier(tmp_path / "w.pth", num_heads=2)
    for shape in ((), (2, 3), (0,)):
        torch.save(state | {bias: torch.ones(shape)}, tmp_path / "w.pth")
        with pytest.raises(errors.ShapeMismatchError, match=rf"{bias} is \(.*expected \(channels,\)"):
            load_classifier(tmp_path / "w.pth", num_heads=2)


@pytest.mark.parametrize("heads", ["8", -2, 0, 2.0, True, 7])
def test_heads_of_a_pooling_that_are_no_number(heads: Any, official_file: Write) -> None:
    with pytest.raises(ValueError, match=f"pool_heads={heads!r} .*divide"):
        load_classifier(official_file("official_cls_attention_pooling"), num_heads=2, attn_pool_num_heads=heads)


def test_a_variance_below_zero(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state = golden("official_cls_concat").state
    variance = state["norm.running_var"].clone()
    variance[1] = -1
    torch.save(state | {"norm.running_var": variance}, tmp_path / "w.pth")
    with pytest.raises(errors.NonFiniteWeightsError, match=r"w\.pth: norm\.running_var: 1 of .* below 0"):
        load_classifier(tmp_path / "w.pth", num_heads=2)
