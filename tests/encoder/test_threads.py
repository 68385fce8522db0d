"""Threads that share an encoder get what one alone gets."""

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from internvl_seg import InternViT, export_encoder, load_encoder
from internvl_seg.encoder.classifier import InternViTClassifier
from internvl_seg.encoder.quantization import QUANTIZATIONS
from internvl_seg.encoder.releases import building, drawing

from ..in_threads import THREADS, in_threads, one_by_one


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an encoder of four blocks of random weights."""
    encoder = InternViT(img_size=56, embed_dim=64, depth=4, num_heads=4)
    with drawing(0):
        for parameter in encoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path_factory.mktemp("threads") / "encoder.pth"
    export_encoder(encoder, path, to="official")
    return path


def check(function: Callable[[Tensor], Tensor]) -> None:
    """Call a function from many threads, on images of several sizes, and compare with calls from one."""
    images = [torch.randn(1, 3, 28 + 14 * (i % 3), 56) for i in range(8)]
    see = torch.inference_mode()(function)
    wanted = one_by_one(see, images)
    for number, found in enumerate(in_threads(see, images * 4)):
        assert torch.equal(found, wanted[number % 8])


KINDS: list[dict[str, Any]] = [
    {},
    {"dtype": torch.bfloat16},
    {"attention": "per_head"},
    *({"quantization": kind} for kind in QUANTIZATIONS),
    *({"blocks_in_memory": number} for number in (1, 2, 3, 9)),
]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_features_are_those_of_one_thread(options: dict[str, Any], file: Path) -> None:
    encoder = load_encoder(file, **options)
    check(lambda images: encoder.forward_intermediates(images, [-1])[0])


def test_a_classifier(file: Path) -> None:
    made = InternViTClassifier(load_encoder(file), "attention_pooling", pool_heads=4, pool_dim=0, num_classes=5)
    check(made.eval())


@pytest.mark.parametrize("in_memory", [1, 3])
def test_one_that_fails_lets_the_next_begin(in_memory: int, file: Path) -> None:
    encoder = load_encoder(file, blocks_in_memory=in_memory)
    blocks, image = encoder.blocks, torch.randn(1, 3, 28, 28)
    wanted = encoder(image)
    with blocks.in_turn(4) as turn:
        next(turn)  # And no further.
    read = blocks.read

    def fail(number: int, block: torch.nn.Module) -> None:
        raise OSError("the disk is gone")

    blocks.read = fail
    errors = []
    for _ in range(2):
        try:
            encoder(image)
        except OSError as error:  # Whose traceback holds what was going on.
            errors.append(error)
    blocks.read = read
    with ThreadPoolExecutor(1) as pool:
        torch.testing.assert_close(pool.submit(encoder, image).result(60), wanted, rtol=1e-4, atol=1e-4)
    assert len(errors) == 2


def test_a_copy_has_a_lock_of_its_own(file: Path) -> None:
    encoder = load_encoder(file, blocks_in_memory=2)
    other, image = copy.deepcopy(encoder), torch.randn(1, 3, 28, 28)
    with encoder.blocks.in_turn(4), ThreadPoolExecutor(1) as pool:
        found = pool.submit(other, image).result(60)
    torch.testing.assert_close(found, encoder(image), rtol=1e-4, atol=1e-4)


def test_who_builds_has_the_default_dtype_alone() -> None:
    before = torch.get_default_dtype()

    def build(dtype: torch.dtype | None) -> torch.dtype:
        with building("meta", dtype):
            time.sleep(0.001)
            return torch.empty(1).dtype

    dtypes = [torch.bfloat16, None, torch.float16, torch.float64] * 12
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(build, dtypes))
    assert found == [dtype or before for dtype in dtypes]
    assert torch.get_default_dtype() == before


def test_who_draws_has_the_generator_alone() -> None:
    def draw(seed: int) -> Tensor:
        with drawing(seed):
            return torch.cat([torch.randn(4), torch.randn(1, dtype=torch.float64).float(), torch.rand(2)])

    wanted, before = [draw(seed) for seed in range(5)], torch.get_rng_state()
    for number, found in enumerate(in_threads(draw, list(range(5)) * 40)):
        assert torch.equal(found, wanted[number % 5])
    assert torch.equal(torch.get_rng_state(), before)


def test_encoders_that_are_read_at_the_same_time(file: Path) -> None:
    wanted = load_encoder(file).state_dict()
    with ThreadPoolExecutor(THREADS) as pool:
        for encoder in pool.map(partial(load_encoder, dtype=torch.float32), [file] * 16):
            assert all(torch.equal(tensor, wanted[name]) for name, tensor in encoder.state_dict().items())


def test_what_is_drawn_is_that_of_the_seed_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    with drawing(3):
        first = torch.randn(4)
    after = torch.randn(4)
    torch.manual_seed(5)
    assert torch.equal(torch.randn(4), after)
    with drawing(3):
        assert torch.equal(torch.randn(4), first)
    with drawing(4):
        assert not torch.equal(torch.randn(4), first)
