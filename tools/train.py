"""Train a model from a config: python tools/train.py CONFIG."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys

from internvl_seg import CheckpointError
from internvl_seg.common.tools import run_tool
from internvl_seg.data.folder import FolderError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, train
from internvl_seg.training.config import add_options


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train a model from a config.")
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="folder for logs and checkpoints; work_dirs/<config name> by default")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the work folder")
    parser.add_argument("--amp", action="store_true", help="mixed precision: fp16 on accelerators, bf16 on a CPU")
    add_options(parser)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    try:
        train(
            args.config,
            work_dir=args.work_dir,
            resume=args.resume,
            amp=args.amp,
            options=args.cfg_options,
            launcher=args.launcher,
        )
    except (ConfigError, FolderError, DatasetError, CheckpointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    run_tool(main, "Go on from the last checkpoint with --resume.")
