"""Export a model as ONNX or torch.export: python tools/export.py CONFIG CHECKPOINT OUT.onnx."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys

from rich.console import Console
from rich.table import Table

from internvl_seg import CheckpointError
from internvl_seg.common.finite import NonFiniteError
from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.deployment import ExportError
from internvl_seg.deployment.commands import export_encoder, export_segmentor
from internvl_seg.deployment.exporting import DTYPES
from internvl_seg.deployment.verification import EQUAL_LABELS, FEATURE_ERROR
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_options


def _segmentor(args: argparse.Namespace) -> bool:
    config, checkpoint, out = args.paths
    checks = export_segmentor(
        config,
        checkpoint,
        out,
        logits=args.logits,
        dtype=args.dtype,
        opset=args.opset,
        pictures=args.pictures,
        options=args.cfg_options,
    )
    table = Table("height x width", "pictures", *(f"labels equal to PyTorch's in {dtype}" for dtype in checks[0].equal))
    for (height, width), pictures, equal in checks:
        table.add_row(f"{height} x {width}", str(pictures), *(f"{share:.4%}" for share in equal.values()))
    Console().print(table)
    return all(check.equal["float32"] >= EQUAL_LABELS[args.dtype] for check in checks)


def _encoder(args: argparse.Namespace) -> bool:
    (out,) = args.paths
    checks = export_encoder(args.encoder, out, indices=args.indices, dtype=args.dtype, opset=args.opset)
    table = Table("height x width", "relative error to PyTorch's in float32")
    for (height, width), error in checks:
        table.add_row(f"{height} x {width}", f"{error:.1e}")
    Console().print(table)
    return all(check.error <= FEATURE_ERROR[args.dtype] for check in checks)


def main() -> None:
    """Parse the command line, export, and compare; exit with 1 if the graph does not agree with PyTorch."""
    parser = argparse.ArgumentParser(
        description="Export a segmentor or an encoder as a graph for images of any size, and compare it with PyTorch.",
        usage="%(prog)s CONFIG CHECKPOINT OUT [options]\n       %(prog)s --encoder SOURCE OUT [options]",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="CONFIG CHECKPOINT OUT, or OUT alone with --encoder")
    parser.add_argument("--encoder", metavar="SOURCE", help="an encoder alone: release, hub id, folder or file")
    parser.add_argument("--indices", nargs="+", type=int, help="of an encoder, blocks whose maps are given, not tokens")
    parser.add_argument("--logits", action="store_true", help="of a segmentor, give the logits, too")
    parser.add_argument("--pictures", nargs="+", default=[], help="photographs to compare a segmentor's labels on")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the exported encoder")
    parser.add_argument("--opset", type=int, help="ONNX's version of operators; the one PyTorch recommends if left out")
    add_options(parser)
    args = parser.parse_args()
    if len(args.paths) != (1 if args.encoder else 3):
        parser.error("give CONFIG CHECKPOINT OUT, or --encoder SOURCE OUT.")
    with exit_on(ExportError, CheckpointError, ConfigError, NonFiniteError, ValueError):
        agrees = (_encoder if args.encoder else _segmentor)(args)
    if not agrees:
        sys.exit(f"{args.paths[-1]} was written, but does not agree with PyTorch.")


if __name__ == "__main__":
    run_tool(main)
