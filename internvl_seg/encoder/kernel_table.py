"""Which attention kernel runs and whether blocks are compiled, by what the machine is: one table, read from the top.

Nothing is timed at run time, so that a run repeats bit for bit. A row that nobody has measured says so.
"""

import functools
import importlib.util
import logging
from dataclasses import dataclass

import torch

from .cpu import has_bf16_products
from .kernels import NEEDS, is_installed

logger = logging.getLogger(__name__)

HALF = (torch.float16, torch.bfloat16)
# PyTorch itself prefers cuDNN after this version: before, it was wrong where the number of tokens is no multiple of
# 128 (check_prefer_cudnn_attention in sdp_utils.cpp).
CUDNN_VERSION = 91500


@dataclass(frozen=True)
class Facts:
    """What a choice rests on.

    Args:
        device: Device type, such as 'cuda'.
        dtype: Of queries, keys and values.
        has: Words for what the machine has; :data:`TABLE` says which matter.
    """

    device: str
    dtype: torch.dtype
    has: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """What is chosen on some machines.

    Args:
        device: Device type; any if empty.
        dtypes: Any if empty.
        needs: Words that the facts have to have, all of them.
        kernel: A key of :data:`KERNELS`.
        compiler: What has to be installed for blocks to be compiled; they are not if empty.
        measured: What was measured, on which machine; nothing if empty.
    """

    device: str
    dtypes: tuple[torch.dtype, ...]
    needs: frozenset[str]
    kernel: str
    compiler: str = ""
    measured: str = ""

    def fits(self, facts: Facts) -> bool:
        """Whether the row is about such a machine."""
        return (
            self.device in ("", facts.device)
            and (not self.dtypes or facts.dtype in self.dtypes)
            and self.needs <= facts.has
        )


# The shape is 16 heads x 1025 tokens x 64: the 300M encoder at 448 pixels, two threads.
TABLE: tuple[Row, ...] = (
    Row(
        "cpu",
        (torch.bfloat16,),
        frozenset({"bf16_products", "amx_bf16"}),
        "sdpa",
        measured="AMX: 7.8 ms, per_head 13.3",
    ),
    Row(
        "cpu",
        (torch.bfloat16,),
        frozenset({"bf16_products"}),
        "per_head",
        measured="AVX-512 with bf16: 19.6 ms, sdpa 33.0",
    ),
    Row(
        "cpu",
        (torch.bfloat16,),
        frozenset(),
        "sdpa_float32",
        measured="AVX2: bf16 products take 17 times as long as fp32",
    ),
    Row("cpu", (torch.float32,), frozenset(), "sdpa", measured="AVX-512: 28.9 ms, per_head 33.9; compiled no faster"),
    Row("cuda", HALF, frozenset({"sm_9x", "flash_attn_3"}), "flash_attn_3", "triton"),
    Row("cuda", HALF, frozenset({"sm_9x", "sdpa_cudnn"}), "sdpa_cudnn", "triton"),
    Row("cuda", HALF, frozenset({"sm_10x", "sdpa_cudnn"}), "sdpa_cudnn", "triton"),
    Row("cuda", HALF, frozenset({"sm_80+", "flash_attn"}), "flash_attn", "triton"),
    Row("cuda", (), frozenset({"sm_80+"}), "sdpa", "triton"),
    Row("", (), frozenset(), "sdpa"),
)


def _cpu_words() -> set[str]:
    words = {
        "bf16_products": has_bf16_products(),
        "amx_bf16": torch.cpu.get_capabilities().get("amx_bf16", False),
    }
    return {word for word, true in words.items() if true}


def _cuda_words(device: torch.device, deterministic: bool) -> set[str]:
    major, _ = torch.cuda.get_device_capability(device)
    words = {kernel: is_installed(kernel) for kernel in NEEDS} | {
        f"sm_{major}x": True,
        "sm_80+": major >= 8,
        "triton": importlib.util.find_spec("triton") is not None,
    }
    words["sdpa_cudnn"] &= not deterministic and (torch.backends.cudnn.version() or 0) > CUDNN_VERSION
    return {word for word, true in words.items() if true}


@functools.cache
def facts_of(device: str | torch.device, dtype: torch.dtype, deterministic: bool = False) -> Facts:
    """What this machine is, as far as the table asks.

    Args:
        device: Device of queries, keys and values.
        dtype: Of the same.
        deterministic: Whether PyTorch was told to use nothing but what repeats; it then refuses cuDNN.
    """
    device = torch.device(device)
    has = set[str]()
    if device.type == "cpu":
        has = _cpu_words()
    elif device.type == "cuda" and torch.cuda.is_available() and torch.version.hip is None:
        has = _cuda_words(device, deterministic)
    return Facts(device.type, dtype, frozenset(has))


@functools.cache
def choose(facts: Facts) -> Row:
    """The first row of :data:`TABLE` that fits; logged once."""
    row = next(row for row in TABLE if row.fits(facts))
    logger.debug("%s", describe(facts, row))
    return row


def describe(facts: Facts, row: Row) -> str:
    """What was chosen on a machine and why, in one line."""
    has = f" with {', '.join(sorted(facts.has))}" if facts.has else ""
    compiled = f"compiled with {row.compiler}" if row.compiler in facts.has else "not compiled"
    return (
        f"{facts.dtype} on {facts.device}{has}: attention {row.kernel!r}, blocks {compiled} "
        f"({row.measured or 'not measured'})"
    )


# To a compiler the answer is a constant: it need not look into how machines are asked what they are.
@torch.compiler.assume_constant_result
def choose_kernel(device: str | torch.device, dtype: torch.dtype) -> str:
    """The attention kernel for a device and dtype.

    Args:
        device: Such as ``'cpu'``.
        dtype: Of queries, keys and values.

    Returns:
        A key of :data:`KERNELS`.
    """
    return choose(facts_of(device, dtype, torch.are_deterministic_algorithms_enabled())).kernel


def choose_compile(device: str | torch.device, dtype: torch.dtype) -> bool:
    """Whether to compile each block (:func:`compile_blocks`) on a device in a dtype."""
    facts = facts_of(device, dtype)
    return choose(facts).compiler in facts.has


def table() -> str:
    """:data:`TABLE` in Markdown, for the documentation."""
    lines = ["| device | dtype | has | kernel | blocks compiled | measured |", "|---|---|---|---|---|---|"]
    for row in TABLE:
        dtypes = ", ".join(str(dtype).removeprefix("torch.") for dtype in row.dtypes)
        has = ", ".join(f"`{word}`" for word in sorted(row.needs))
        compiled = f"with {row.compiler}" if row.compiler else "no"
        cells = (row.device or "any", dtypes or "any", has, f"`{row.kernel}`", compiled, row.measured or "not measured")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
