"""The released InternViTs, a row each, and building one by name."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..common.kinds import check_arguments, integer
from .block import NORM_EPS, NormType
from .dtypes import find_dtype
from .intern_vit import InternViT, Size


@dataclass(frozen=True)
class Release:
    """A named architecture and where its weights are.

    Attributes:
        name: What users type.
        depth: Number of blocks.
        img_size: Pre-training size in pixels.
        hub_id: Repository on the Hugging Face hub, '' when there is none.
        official_file: Name of the official ``.pth`` in the hub's ``OpenGVLab/InternVL``, '' when there is none.

    The other attributes are arguments of :class:`InternViT`.
    """

    name: str
    depth: int
    img_size: int
    embed_dim: int = 3200
    num_heads: int = 25
    norm: NormType = "rms_norm"
    qkv_bias: bool = False
    qk_norm: bool = True
    patch_size: int = 14
    mlp_ratio: float = 4.0
    norm_eps: float = NORM_EPS
    hub_id: str = ""
    official_file: str = ""

    def arguments(self) -> dict[str, Any]:
        """The architecture as keyword arguments of :class:`InternViT`."""
        names = "img_size patch_size embed_dim depth num_heads mlp_ratio norm qkv_bias qk_norm norm_eps"
        return {name: getattr(self, name) for name in names.split()}


_RELEASES: dict[str, Release] = {}


def register_encoder(release: Release) -> None:
    """Add an architecture to the table, e.g. ``register_encoder(Release('mine', depth=12, img_size=518, ...))``.

    A program does so before its threads begin.

    Raises:
        ValueError: The name is taken.
    """
    if release.name in _RELEASES:
        raise ValueError(f"An encoder named {release.name!r} is registered already; choose another name.")
    _RELEASES[release.name] = release


def _register_released() -> None:
    def row_6b(suffix: str, hub: str, depth: int, size: int) -> Release:
        return Release(
            f"internvit_6b_{suffix}",
            depth=depth,
            img_size=size,
            hub_id=f"OpenGVLab/InternViT-6B-{hub}",
            official_file=f"intern_vit_6b_{suffix}.pth",
        )

    def row_300m(suffix: str, hub: str) -> Release:
        return Release(
            f"internvit_300m_{suffix}",
            depth=24,
            img_size=448,
            embed_dim=1024,
            num_heads=16,
            norm="layer_norm",
            qkv_bias=True,
            qk_norm=False,
            hub_id=f"OpenGVLab/InternViT-300M-{hub}",
        )

    for release in (
        row_6b("224px", "224px", 48, 224),
        row_6b("448px_v1_0", "448px-V1-0", 48, 448),
        row_6b("448px_v1_2", "448px-V1-2", 45, 448),
        row_6b("448px_v1_5", "448px-V1-5", 45, 448),
        row_6b("448px_v2_5", "448px-V2_5", 45, 448),
        row_300m("448px", "448px"),
        row_300m("448px_v2_5", "448px-V2_5"),
    ):
        register_encoder(release)


_register_released()


def list_encoders() -> list[str]:
    """Names of all registered architectures, the seven released ones first."""
    return list(_RELEASES)


def get_release(name: str) -> Release:
    """Look a release up by name.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in _RELEASES:
        raise ValueError(f"No encoder is named {name!r}; registered are: {', '.join(_RELEASES)}.")
    return _RELEASES[name]


def find_release_of_name(name: str) -> Release | None:
    """The release of a name, if any."""
    return _RELEASES.get(name)


def find_release(*, hub_id: str | None = None, embed_dim: int | None = None) -> Release | None:
    """The first release with this hub id or this embed_dim, if any."""
    for release in tuple(_RELEASES.values()):  # Another thread may register one meanwhile.
        if (hub_id is not None and release.hub_id == hub_id) or release.embed_dim == embed_dim:
            return release
    return None


# PyTorch has one default dtype and one generator for all threads: who sets one has to be alone until it is set back.
_ALONE = threading.RLock()


@contextlib.contextmanager
def building(device: torch.device | str | None, dtype: torch.dtype | None) -> Iterator[None]:
    """Within this context new tensors are made on ``device`` in ``dtype``; None leaves the default.

    Threads that build wait for each other.
    """
    with _ALONE:
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype or before)
        try:
            with torch.device(device) if device is not None else contextlib.nullcontext():
                yield
        finally:
            torch.set_default_dtype(before)


@contextlib.contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Within this context random numbers are those of a seed; those after it are as if none had been drawn.

    Threads that draw so wait for each other; no other may draw from PyTorch's generator meanwhile.

    Raises:
        ValueError: The seed is no whole number.
    """
    check_arguments({"seed": integer}, {"seed": seed})
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with _ALONE, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


def create_encoder(
    name: str,
    *,
    img_size: Size | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    **overrides: Any,
) -> InternViT:
    """Build a registered architecture with random weights, or without any on ``device='meta'``.

    Threads may build at the same time.

    Args:
        name: One of :func:`list_encoders`.
        img_size: Side, or (height, width), in pixels of the stored position grid; the pre-training size if None.
        dtype: Of the weights, also as text ('bfloat16'); PyTorch's default if None.
        device: Of the weights; PyTorch's default if None.
        **overrides: Other arguments of :class:`InternViT`.

    Raises:
        ValueError: The name is not registered, or an argument does not fit.
    """
    if "torch_dtype" in overrides:
        raise ValueError("torch_dtype= is called dtype= here.")
    arguments = get_release(name).arguments() | overrides
    if img_size is not None:
        arguments["img_size"] = img_size
    with building(device, find_dtype(dtype)):
        return InternViT(**arguments)
