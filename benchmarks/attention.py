"""Seconds of every attention kernel on this machine: where ``choose_kernel`` has its preferences from.

``python benchmarks/attention.py`` prints a Markdown table; bold is what ``attention='auto'`` picks.
"""

import argparse
from functools import partial

import torch
from timing import interleaved, machine, table

from internvl_seg.encoder import KERNELS, KernelUnavailableError, attention
from internvl_seg.encoder.attention import choose_kernel

# Heads, tokens and channels per head: 300M at 448 pixels, 6B at 504.
SHAPES = {"300M at 448": (16, 1025, 64), "6B at 504": (25, 1297, 128)}


def measure(shape: tuple[int, int, int], dtype: torch.dtype, device: str, rounds: int) -> dict[str, float]:
    """Median seconds of each kernel that runs here, on thirds of a fused projection as in an encoder."""
    heads, tokens, dim = shape
    qkv = torch.randn(1, tokens, 3 * heads * dim, device=device).to(dtype)
    q, k, v = (third.unflatten(-1, (heads, dim)) for third in qkv.chunk(3, dim=-1))
    want = attention(q.float(), k.float(), v.float(), "plain")
    runs = {}
    for kernel in KERNELS:
        try:
            error = (attention(q, k, v, kernel).float() - want).abs().max().item()
        except (KernelUnavailableError, ImportError):
            continue
        if error > 2e-2:
            raise AssertionError(f"{kernel} in {dtype} is off by {error:.1e}; its time means nothing.")
        runs[kernel] = partial(attention, q, k, v, kernel)
    if device == "cpu":
        return interleaved(runs, rounds, warmup=2)

    def wait(run: partial[torch.Tensor]) -> None:
        run()
        torch.cuda.synchronize()

    return interleaved({kernel: partial(wait, run) for kernel, run in runs.items()}, rounds, warmup=2)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often each kernel is timed")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="names of torch dtypes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()

    torch.manual_seed(0)
    print(f"{machine()}\n")
    rows = []
    with torch.inference_mode():
        for place, shape in SHAPES.items():
            for dtype in (getattr(torch, name) for name in options.dtypes):
                seconds = measure(shape, dtype, options.device, options.rounds)
                picked = choose_kernel(options.device, dtype)
                cells = {kernel: f"{1e3 * seconds[kernel]:.1f}" if kernel in seconds else "-" for kernel in KERNELS}
                cells[picked] = f"**{cells[picked]}**"
                sizes = " x ".join(map(str, shape))
                rows.append([f"{place} ({sizes}), {str(dtype).removeprefix('torch.')}", *cells.values()])
    print(table(["heads x tokens x channels, dtype; ms", *KERNELS], rows))


if __name__ == "__main__":
    main()
