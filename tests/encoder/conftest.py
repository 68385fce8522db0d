"""The two architectures of the family, tiny, and how close two answers have to be."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from internvl_seg.encoder import InternViT

FAMILY: dict[str, dict[str, Any]] = {
    "6b": {"norm": "rms_norm", "qkv_bias": False, "qk_norm": True},
    "300m": {"norm": "layer_norm", "qkv_bias": True, "qk_norm": False},
}
TINY: dict[str, Any] = {"img_size": 42, "embed_dim": 32, "depth": 3, "num_heads": 2}


def randomize(module: nn.Module) -> None:
    """Give every parameter a value that matters: at the usual initialisation biases are 0 and norms do nothing."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            scale = name.endswith(("gamma", "lambda_1", "lambda_2")) or ("norm" in name and name.endswith("weight"))
            nn.init.normal_(parameter, mean=float(scale), std=0.2)


@pytest.fixture(params=FAMILY, scope="session")
def architecture(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments of a tiny InternViT, once in the manner of the 6B releases and once of the 300M ones."""
    return TINY | FAMILY[request.param]


@pytest.fixture(scope="session")
def build(architecture: dict[str, Any]) -> Callable[..., InternViT]:
    """Make an encoder of ``architecture`` whose every parameter matters, in eval mode."""

    def make(**overrides: Any) -> InternViT:
        encoder = InternViT(**(architecture | overrides))
        randomize(encoder)
        return encoder.eval()

    return make


@pytest.fixture(scope="session")
def close() -> Callable[..., None]:
    """Assert ``|got - want| <= tolerance * (1 + |want|)``, equal shapes and equal dtypes."""

    def compare(got: Tensor, want: Tensor, tolerance: float = 1e-5) -> None:
        torch.testing.assert_close(got, want, atol=tolerance, rtol=tolerance)

    return compare
