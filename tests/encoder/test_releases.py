"""The released family and building it by name."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from internvl_seg.encoder import (
    InternViT,
    Release,
    create_encoder,
    get_release,
    list_encoders,
    register_encoder,
    releases,
)

RELEASED = [
    "internvit_6b_224px",
    "internvit_6b_448px_v1_0",
    "internvit_6b_448px_v1_2",
    "internvit_6b_448px_v1_5",
    "internvit_6b_448px_v2_5",
    "internvit_300m_448px",
    "internvit_300m_448px_v2_5",
]


@pytest.fixture
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the table, so that what a test registers goes with it."""
    monkeypatch.setattr(releases, "_RELEASES", dict(releases._RELEASES))


@pytest.fixture
def tiny(own_table: None) -> str:
    """Name of a registered architecture that can be built in no time."""
    register_encoder(Release("tiny", depth=2, img_size=28, embed_dim=16, num_heads=2))
    return "tiny"


class TestReleased:
    """The seven."""

    def test_names(self) -> None:
        assert list_encoders()[:7] == RELEASED

    @pytest.mark.parametrize(
        ("name", "depth", "img_size", "hub_id", "official_file"),
        [
            (RELEASED[0], 48, 224, "InternViT-6B-224px", "intern_vit_6b_224px.pth"),
            (RELEASED[1], 48, 448, "InternViT-6B-448px-V1-0", "intern_vit_6b_448px_v1_0.pth"),
            (RELEASED[2], 45, 448, "InternViT-6B-448px-V1-2", "intern_vit_6b_448px_v1_2.pth"),
            (RELEASED[3], 45, 448, "InternViT-6B-448px-V1-5", "intern_vit_6b_448px_v1_5.pth"),
            (RELEASED[4], 45, 448, "InternViT-6B-448px-V2_5", "intern_vit_6b_448px_v2_5.pth"),
            (RELEASED[5], 24, 448, "InternViT-300M-448px", ""),
            (RELEASED[6], 24, 448, "InternViT-300M-448px-V2_5", ""),
        ],
    )
    def test_rows(self, name: str, depth: int, img_size: int, hub_id: str, official_file: str) -> None:
        release = get_release(name)
        assert release.hub_id == f"OpenGVLab/{hub_id}"
        assert release.official_file == official_file
        encoder = create_encoder(name, device="meta")
        assert encoder.depth == depth
        assert encoder.grid_size == (img_size // 14, img_size // 14)
        parameters = sum(parameter.numel() for parameter in encoder.parameters())
        # Published: 5.9 B for 48 blocks, 5.5 B for 45, 304 M.
        assert parameters == pytest.approx({48: 5.9e9, 45: 5.54e9, 24: 304e6}[depth], rel=0.01)

    def test_names_and_shapes_are_the_official_ones(self, manifests: dict[str, Any]) -> None:
        want = manifests["intern_vit_6b_224px.pth"]["parameters"]
        want = {name: shape for name, shape in want.items() if not name.startswith("clip_projector.")}
        got = create_encoder("internvit_6b_224px", device="meta").state_dict()
        assert {name: list(tensor.shape) for name, tensor in got.items()} == want

    def test_six_billion_on_meta_take_no_time(self) -> None:
        start = time.perf_counter()
        encoder = create_encoder("internvit_6b_224px", device="meta")
        assert time.perf_counter() - start < 2
        assert all(parameter.is_meta for parameter in encoder.parameters())


class TestCreate:
    """Building by name."""

    def test_arguments(self, tiny: str) -> None:
        encoder = create_encoder(tiny, img_size=(42, 28), depth=3, drop_path_rate=0.2, grad_checkpointing=True)
        assert isinstance(encoder, InternViT)
        assert (encoder.grid_size, encoder.depth, encoder.grad_checkpointing) == ((3, 2), 3, True)
        assert encoder.blocks[2].drop_path.p == 0.2
        assert create_encoder(tiny).grid_size == (2, 2)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_dtype(self, dtype: torch.dtype, tiny: str) -> None:
        encoder = create_encoder(tiny, dtype=dtype, embed_dim=64)
        assert {parameter.dtype for parameter in encoder.parameters()} == {dtype}
        assert torch.get_default_dtype() == torch.float32
        # In half precision too there is no value far outside the distribution.
        weight = encoder.blocks[0].mlp.fc1.weight.float()
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert weight.abs().max() < 6 * 0.02

    def test_default_dtype_and_device_survive_an_error(self, tiny: str) -> None:
        with pytest.raises(ValueError, match="num_heads"):
            create_encoder(tiny, dtype=torch.bfloat16, device="meta", num_heads=3)
        assert torch.get_default_dtype() == torch.float32
        assert torch.empty(1).device.type == "cpu"

    @pytest.mark.parametrize("device", ["meta", torch.device("meta")])
    def test_device(self, device: Any, tiny: str) -> None:
        assert {parameter.device.type for parameter in create_encoder(tiny, device=device).parameters()} == {"meta"}
        assert {parameter.device.type for parameter in create_encoder(tiny).parameters()} == {"cpu"}

    def test_seed_decides(self, tiny: str) -> None:
        def weight(seed: int) -> torch.Tensor:
            torch.manual_seed(seed)
            return create_encoder(tiny).blocks[0].attn.qkv.weight

        assert torch.equal(weight(1), weight(1))
        assert not torch.equal(weight(1), weight(2))

    def test_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="'internvit_7b'") as error:
            create_encoder("internvit_7b")
        assert all(name in str(error.value) for name in RELEASED)

    def test_unknown_argument(self, tiny: str) -> None:
        with pytest.raises(TypeError, match="qk_nrom"):
            create_encoder(tiny, qk_nrom=False)


class TestRegister:
    """A new architecture is a row."""

    def test_one_line(self, tiny: str) -> None:
        assert list_encoders() == [*RELEASED, "tiny"]
        assert create_encoder("tiny")(torch.randn(1, 3, 28, 28)).shape == (1, 5, 16)

    def test_name_is_taken(self, tiny: str) -> None:
        before = get_release(tiny)
        with pytest.raises(ValueError, match="'tiny' is registered already"):
            register_encoder(Release("tiny", depth=3, img_size=28))
        assert get_release(tiny) is before

    def test_rows_do_not_change(self, tiny: str) -> None:
        with pytest.raises(AttributeError):
            get_release(tiny).depth = 3  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("search", "name"),
        [
            ({"hub_id": "OpenGVLab/InternViT-300M-448px-V2_5"}, "internvit_300m_448px_v2_5"),
            ({"embed_dim": 1024}, "internvit_300m_448px"),
            ({"embed_dim": 3200}, "internvit_6b_224px"),
            ({"embed_dim": 77}, None),
            ({"hub_id": "OpenGVLab/InternVL"}, None),
        ],
    )
    def test_found_again(self, search: dict[str, Any], name: str | None) -> None:
        found: Callable[..., Release | None] = releases.find_release
        release = found(**search)
        assert (release and release.name) == name
