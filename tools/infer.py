"""Segment or classify pictures: python tools/infer.py CONFIG CHECKPOINT INPUT... --out FOLDER."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys
from pathlib import Path

from rich.console import Console

from internvl_seg import CheckpointError
from internvl_seg.common.devices import device_name
from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder_lock import FolderInUseError
from internvl_seg.inference.classifier import TOP_K
from internvl_seg.inference.commands import infer
from internvl_seg.inference.files import RASTER_PIXELS
from internvl_seg.inference.inputs import InputError
from internvl_seg.inference.run_folder import ResultsError
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_options


def main() -> None:
    """Parse the command line and segment, or classify; exit with 1 if a file could not be read."""
    parser = argparse.ArgumentParser(
        description="Segment pictures, videos and rasters, or classify pictures, as the config's model does."
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("inputs", nargs="+", help="files, folders (all pictures and videos below), or quoted globs")
    parser.add_argument("--out", type=Path, help="folder for the results; ./segmented or ./classified")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave out what is done in the folder already; without it, earlier results there go into earlier_TIME/",
    )
    parser.add_argument("--tta", action="store_true", help="average over the scales and flips of tta_pipeline")
    parser.add_argument(
        "--device", type=device_name, help="where to compute, such as cuda:1; an accelerator if there is one"
    )
    parser.add_argument(
        "--raster-pixels", type=int, default=RASTER_PIXELS, help="pixels from which a picture is read in parts"
    )
    parser.add_argument(
        "--allow-references",
        action="store_true",
        help="read rasters, too, that name other files or addresses to read from, as VRT and WMS do",
    )
    parser.add_argument("--top-k", type=int, default=TOP_K, help="of a classifier, how many classes to give")
    add_options(parser)
    args = parser.parse_args()
    with exit_on(ConfigError, CheckpointError, InputError, ResultsError, FolderInUseError):
        report = infer(
            args.config,
            args.checkpoint,
            args.inputs,
            args.out,
            resume=args.resume,
            tta=args.tta,
            device=args.device,
            raster_pixels=args.raster_pixels,
            top_k=args.top_k,
            allow_references=args.allow_references,
            options=args.cfg_options,
            console=Console(),
        )
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    run_tool(main, "What is done stays: go on with --resume.")
