"""Arguments of odd types are named, whoever takes them; no other error leaves a public function."""

from typing import Any

import pytest
import torch

from internvl_seg import InternViT, create_encoder
from internvl_seg.encoder.dtypes import find_dtype
from internvl_seg.encoder.releases import drawing
from internvl_seg.encoder.streamed_blocks import StreamedBlocks

from ..error_table import DocumentedError

ODD: list[Any] = [None, "2", "", 1.5, -3, 0, [], (42, 42, 3), {"a": 1}, b"x", object(), float("nan"), 10**30]
NUMBERS = ("img_size", "patch_size", "in_chans", "embed_dim", "depth", "num_heads", "mlp_ratio", "norm_eps")
SMALL: dict[str, Any] = {"img_size": 28, "embed_dim": 16, "depth": 1, "num_heads": 2}


@pytest.mark.parametrize("value", ODD, ids=lambda value: "object" if type(value) is object else repr(value))
def test_an_odd_argument_is_named(value: Any) -> None:
    for name in (*NUMBERS, "norm", "init_values", "drop_path_rate", "attention"):
        try:
            with torch.device("meta"):
                InternViT(**SMALL | {name: value})
        except ValueError as error:
            assert name in str(error)  # noqa: PT017
        else:
            assert isinstance(value, (int, float)), f"{name}={value!r} was taken"


@pytest.mark.parametrize(
    ("name", "value"), [("img_size", 42.0), ("depth", "2"), ("drop_path_rate", 2.0), ("norm_eps", "1")]
)
def test_some_of_them(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}={value!r} is not "):
        create_encoder("internvit_300m_448px", device="meta", **{name: value})


@pytest.mark.parametrize("indices", [None, 5, "a", [1.5], ["0"], [True], {0}, [None]], ids=repr)
def test_odd_blocks_to_tap(indices: Any) -> None:
    with pytest.raises(ValueError, match=r"indices=.* is not a list of whole numbers"):
        InternViT(**SMALL).resolve_indices(indices)


@pytest.mark.parametrize("value", [0, 1.5, "2", True], ids=repr)
def test_odd_counts_of_blocks(value: Any) -> None:
    with pytest.raises(ValueError, match="blocks_in_memory="):
        StreamedBlocks([torch.nn.Identity()], lambda *_: None, lambda _: None, value)


def test_odd_seeds_and_dtypes() -> None:
    for seed in ("a", 1.5, None):
        with pytest.raises(ValueError, match="seed="), drawing(seed):  # type: ignore[arg-type]
            pass
    for dtype in ("x", 3, "__name__", torch.int8, ["float32"]):
        with pytest.raises(ValueError, match="dtype="):
            find_dtype(dtype)  # type: ignore[arg-type]


def test_messages(documented_error: DocumentedError) -> None:
    with documented_error("an argument of an encoder is of another type", ValueError):
        InternViT(depth="2")  # type: ignore[arg-type]
