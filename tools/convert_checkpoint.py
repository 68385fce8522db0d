"""Convert an encoder or a segmentor, or insert an encoder into a chat model: tools/convert_checkpoint.py SRC DST."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse

import torch
from rich.console import Console
from rich.table import Table

from internvl_seg import CheckpointError
from internvl_seg.checkpoints.converting import FORMATS, convert_checkpoint
from internvl_seg.common.tools import exit_on, run_tool


def main() -> None:
    """Parse the command line, convert, and print what went where."""
    parser = argparse.ArgumentParser(description="Convert an encoder or a segmentor to another format.")
    parser.add_argument("source", help="release, hub id, folder or file")
    parser.add_argument("destination", help="file or folder to write")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--to",
        choices=FORMATS,
        help="format to write; if left out, segmentor of whatever holds a segmentor's head, and of an encoder official "
        "for a file and hf_native for a folder",
    )
    kind.add_argument(
        "--into",
        metavar="CHAT_MODEL_FOLDER",
        help="an InternVL chat model: write a copy of it with this encoder, in the chat model's formats and dtypes",
    )
    parser.add_argument("--encoder", help="the frozen encoder of a checkpoint of heads, if it is elsewhere now")
    parser.add_argument("--num-heads", type=int, help="attention heads, if the file does not tell")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], help="of the encoder; the file's if left out"
    )
    args = parser.parse_args()
    if args.into and args.dtype:
        parser.error("argument --dtype: not allowed with argument --into")
    with exit_on(CheckpointError):
        report = convert_checkpoint(
            args.source,
            args.destination,
            to=args.to,
            into=args.into,
            encoder=args.encoder,
            num_heads=args.num_heads,
            dtype=getattr(torch, args.dtype) if args.dtype else None,
        )
    table = Table("from", "to", "tensors")
    for old, new, number in report.moved:
        table.add_row(old, new, str(number))
    for what, why in report.left_out:
        table.add_row(what, f"left out: {why}", "")
    Console().print(table)


if __name__ == "__main__":
    run_tool(main)
