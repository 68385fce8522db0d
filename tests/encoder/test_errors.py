"""What a user reads when an encoder is asked for the impossible."""

import pytest
import torch

from internvl_seg import InternViT, Release, create_encoder, register_encoder
from internvl_seg.encoder import KernelUnavailableError, attention
from internvl_seg.encoder.kernels import is_installed

from ..error_table import DocumentedError
from .conftest import TINY


def test_images_that_are_no_whole_patches(documented_error: DocumentedError) -> None:
    with documented_error("height or width is not a multiple of the patch size", ValueError):
        InternViT(**TINY).forward_features(torch.zeros(1, 3, 28, 30))


def test_a_block_that_is_not_there(documented_error: DocumentedError) -> None:
    with documented_error("a tapped block is outside the encoder", ValueError):
        InternViT(**TINY).forward_intermediates(torch.zeros(1, 3, 28, 28), [0, 3])


def test_a_kernel_that_is_not_there(documented_error: DocumentedError) -> None:
    with documented_error("there is no such attention kernel", ValueError):
        InternViT(**TINY, attention="flash")


@pytest.mark.skipif(is_installed("flash_attn"), reason="flash-attn is installed")
def test_a_kernel_that_is_not_installed(documented_error: DocumentedError) -> None:
    with documented_error("an attention kernel's package is not installed", KernelUnavailableError):
        InternViT(**TINY, attention="flash_attn")


def test_a_kernel_on_the_wrong_device(documented_error: DocumentedError) -> None:
    q = torch.zeros(1, 2, 1, 4)
    with documented_error("an attention kernel cannot run on this device", KernelUnavailableError):
        attention(q, q, q, "flash_attn")


def test_a_name_that_is_not_registered(documented_error: DocumentedError) -> None:
    with documented_error("no encoder has that name", ValueError):
        create_encoder("internvit_7b")


def test_a_name_that_is_taken(documented_error: DocumentedError) -> None:
    with documented_error("an encoder's name is taken", ValueError):
        register_encoder(Release("internvit_6b_224px", depth=1, img_size=28))
