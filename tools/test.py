"""Evaluate a checkpoint on the test set of a config: python tools/test.py CONFIG CHECKPOINT."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse

from internvl_seg import CheckpointError
from internvl_seg.common.finite import NonFiniteError
from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder import FolderError
from internvl_seg.data.own_words import OwnWordsError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, evaluate
from internvl_seg.training.config import add_allow, add_options


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on the test set of a config.")
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--work-dir", help="folder for logs and test_results.json; work_dirs/<config name> by default")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--out", help="folder for predicted labels, a PNG an image, in the ids of the masks")
    labels.add_argument("--submit", help="the same in the format of ADE20K's server; a test set needs no masks then")
    parser.add_argument("--show-dir", help="folder for pictures with the predicted labels over them")
    parser.add_argument("--tta", action="store_true", help="average over the scales and flips of tta_pipeline")
    parser.add_argument(
        "--only", nargs="+", metavar="VARIANT", help="of ImageNet's test sets these, such as imagenet_a"
    )
    add_allow(parser)
    add_options(parser)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    with exit_on(ConfigError, FolderError, DatasetError, CheckpointError, OwnWordsError, NonFiniteError):
        evaluate(
            args.config,
            args.checkpoint,
            work_dir=args.work_dir,
            out=args.out,
            submit=args.submit,
            show_dir=args.show_dir,
            tta=args.tta,
            only=args.only,
            allow=args.allow,
            options=args.cfg_options,
            launcher=args.launcher,
        )


if __name__ == "__main__":
    run_tool(main)
