"""The table of kernels: which row fits which machine, what a machine is taken for, and how the choice is told."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from internvl_seg.encoder import KERNELS, InternViT, kernel_table
from internvl_seg.encoder.kernel_table import (
    TABLE,
    Facts,
    choose,
    choose_compile,
    choose_kernel,
    describe,
    facts_of,
    table,
)

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for function in (facts_of, choose):
        function.cache_clear()
    yield
    # What was found out about a pretended machine must not outlive the test.
    for function in (facts_of, choose):
        function.cache_clear()


# Device, dtype, what the machine has; the row of the table by its index, the kernel and the compiler.
MACHINES = [
    ("cpu", BF16, {"bf16_products", "amx_bf16"}, 0, "sdpa", ""),
    ("cpu", BF16, {"bf16_products"}, 1, "per_head", ""),
    ("cpu", BF16, set(), 2, "sdpa_float32", ""),
    # Tiles that oneDNN does not use are none.
    ("cpu", BF16, {"amx_bf16"}, 2, "sdpa_float32", ""),
    ("cpu", FP32, {"bf16_products", "amx_bf16"}, 3, "sdpa", ""),
    ("cpu", FP32, set(), 3, "sdpa", ""),
    (
        "cuda",
        BF16,
        {"sm_9x", "sm_80+", "flash_attn_3", "sdpa_cudnn", "flash_attn", "triton"},
        4,
        "flash_attn_3",
        "triton",
    ),
    ("cuda", FP16, {"sm_9x", "sm_80+", "flash_attn_3"}, 4, "flash_attn_3", "triton"),
    ("cuda", BF16, {"sm_9x", "sm_80+", "sdpa_cudnn", "flash_attn"}, 5, "sdpa_cudnn", "triton"),
    # FlashAttention-3 is made for Hopper.
    ("cuda", BF16, {"sm_10x", "sm_80+", "sdpa_cudnn", "flash_attn_3", "flash_attn"}, 6, "sdpa_cudnn", "triton"),
    ("cuda", BF16, {"sm_9x", "sm_80+", "flash_attn"}, 7, "flash_attn", "triton"),
    ("cuda", FP16, {"sm_8x", "sm_80+", "flash_attn", "flash_attn_3", "sdpa_cudnn"}, 7, "flash_attn", "triton"),
    ("cuda", BF16, {"sm_12x", "sm_80+", "sdpa_cudnn"}, 8, "sdpa", "triton"),
    ("cuda", FP32, {"sm_9x", "sm_80+", "flash_attn_3", "sdpa_cudnn", "flash_attn"}, 8, "sdpa", "triton"),
    ("cuda", FP16, {"sm_7x", "flash_attn", "sdpa_cudnn", "triton"}, 9, "sdpa", ""),
    ("cuda", BF16, set(), 9, "sdpa", ""),
    ("cpu", torch.float64, {"bf16_products"}, 9, "sdpa", ""),
    ("cpu", FP16, {"bf16_products"}, 9, "sdpa", ""),
    ("mps", BF16, set(), 9, "sdpa", ""),
]


class TestRows:
    """The first row that fits wins."""

    @pytest.mark.parametrize(("device", "dtype", "has", "row", "kernel", "compiler"), MACHINES)
    def test_choice(self, device: str, dtype: torch.dtype, has: set[str], row: int, kernel: str, compiler: str) -> None:
        chosen = choose(Facts(device, dtype, frozenset(has)))
        assert TABLE.index(chosen) == row
        assert (chosen.kernel, chosen.compiler) == (kernel, compiler)

    def test_every_row_is_chosen_somewhere(self) -> None:
        assert {row for *_, row, _, _ in MACHINES} == set(range(len(TABLE)))

    def test_every_row_names_a_kernel(self) -> None:
        assert {row.kernel for row in TABLE} <= set(KERNELS)

    def test_only_cpus_were_measured(self) -> None:
        assert [row.device for row in TABLE if row.measured] == ["cpu"] * 4


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, bool], None]:
    """Pretend a CPU with or without bf16 products and AMX."""

    def pretend(bf16: bool, amx: bool) -> None:
        monkeypatch.setattr(kernel_table, "has_bf16_products", lambda: bf16)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": bf16})

    return pretend


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend a GPU of this capability and that these kernels and packages are installed."""

    def pretend(capability: tuple[int, int], *installed: str, cudnn: int = 91501, hip: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(kernel_table, "is_installed", lambda kernel: kernel in installed)
        find = lambda name: object() if name in installed else None  # noqa: E731 - one line
        monkeypatch.setattr(kernel_table.importlib.util, "find_spec", find)

    return pretend


class TestFacts:
    """What a machine is taken for."""

    @pytest.mark.parametrize(
        ("bf16", "amx", "has"),
        [
            (True, True, {"bf16_products", "amx_bf16"}),
            (True, False, {"bf16_products"}),
            (False, False, set()),
        ],
    )
    def test_cpu(self, bf16: bool, amx: bool, has: set[str], cpu: Callable[..., None]) -> None:
        cpu(bf16, amx)
        assert facts_of("cpu", BF16) == Facts("cpu", BF16, frozenset(has))

    @pytest.mark.parametrize(
        ("capability", "has"),
        [
            ((7, 5), {"sm_7x"}),
            ((8, 0), {"sm_8x", "sm_80+"}),
            ((8, 9), {"sm_8x", "sm_80+"}),
            ((9, 0), {"sm_9x", "sm_80+"}),
            ((10, 3), {"sm_10x", "sm_80+"}),
            ((12, 0), {"sm_12x", "sm_80+"}),
        ],
    )
    @pytest.mark.parametrize("installed", [(), ("flash_attn", "triton"), ("flash_attn_3", "sdpa_cudnn")])
    def test_gpu(
        self, capability: tuple[int, int], has: set[str], installed: tuple[str, ...], gpu: Callable[..., None]
    ) -> None:
        gpu(capability, *installed)
        assert facts_of(torch.device("cuda", 0), FP16) == Facts("cuda", FP16, frozenset(has | set(installed)))

    @pytest.mark.parametrize("version", [90100, 91500])
    def test_a_cudnn_that_was_wrong(self, version: int, gpu: Callable[..., None]) -> None:
        gpu((9, 0), "sdpa_cudnn", cudnn=version)
        assert facts_of("cuda", BF16).has == {"sm_9x", "sm_80+"}

    def test_what_has_to_repeat(self, gpu: Callable[..., None]) -> None:
        gpu((9, 0), "sdpa_cudnn", "flash_attn")
        assert choose_kernel("cuda", BF16) == "sdpa_cudnn"
        torch.use_deterministic_algorithms(True)
        try:
            assert choose_kernel("cuda", BF16) == "flash_attn"
        finally:
            torch.use_deterministic_algorithms(False)

    def test_amd(self, gpu: Callable[..., None]) -> None:
        # Its capabilities are numbers, too, and mean something else.
        gpu((9, 4), "flash_attn", "flash_attn_3", "sdpa_cudnn", hip="6.4")
        assert facts_of("cuda", BF16) == Facts("cuda", BF16)

    @pytest.mark.parametrize("device", ["cuda", "mps", "meta"])
    def test_a_device_that_is_not_there(self, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert facts_of(device, BF16) == Facts(device, BF16)
        assert choose_kernel(device, BF16) == "sdpa"


class TestFunctions:
    """Both questions go to the same row, and the answer is told once."""

    def test_kernel(self, cpu: Callable[..., None]) -> None:
        cpu(True, False)
        assert choose_kernel("cpu", BF16) == "per_head"
        assert choose_kernel(torch.device("cpu"), FP32) == "sdpa"

    @pytest.mark.parametrize(
        ("installed", "compiles"), [(("triton",), True), (("flash_attn", "triton"), True), (("flash_attn",), False)]
    )
    def test_compile(self, installed: tuple[str, ...], compiles: bool, gpu: Callable[..., None]) -> None:
        gpu((8, 0), *installed)
        assert choose_compile("cuda", BF16) is compiles

    @pytest.mark.parametrize("dtype", [BF16, FP32])
    def test_no_cpu_compiles(self, dtype: torch.dtype) -> None:
        assert choose_compile("cpu", dtype) is False

    def test_logged_once(self, cpu: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
        cpu(True, False)
        encoder = InternViT(img_size=28, embed_dim=8, depth=2, num_heads=1).bfloat16()
        with caplog.at_level(logging.DEBUG, logger=kernel_table.__name__), torch.no_grad():
            encoder(torch.randn(1, 3, 28, 28))
            encoder(torch.randn(1, 3, 28, 28))
        assert [record.levelname for record in caplog.records] == ["DEBUG"]
        for word in ("'per_head'", "torch.bfloat16", "cpu", "bf16_products", "not compiled", "19.6 ms"):
            assert word in caplog.text, word

    def test_description_of_what_nobody_measured(self) -> None:
        facts = Facts("cuda", BF16, frozenset({"sm_9x", "sm_80+", "flash_attn_3", "triton"}))
        assert describe(facts, choose(facts)) == (
            "torch.bfloat16 on cuda with flash_attn_3, sm_80+, sm_9x, triton: attention 'flash_attn_3', "
            "blocks compiled with triton (not measured)"
        )

    def test_table(self) -> None:
        head, rule, *rows = table().splitlines()
        assert head.count("|") == rule.count("|") == 7
        assert len(rows) == len(TABLE)
        assert rows[4] == (
            "| cuda | float16, bfloat16 | `flash_attn_3`, `sm_9x` | `flash_attn_3` | with triton | not measured |"
        )
        assert all(line.endswith("| not measured |") for line in rows if line.startswith(("| cuda", "| any")))


def test_the_documentation_has_the_table() -> None:
    assert kernel_table.table() in (Path(__file__).parents[2] / "docs/low_memory.md").read_text()
