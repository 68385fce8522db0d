"""Train a model from a config: python tools/train.py CONFIG."""

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
from internvl_seg.data.folder_lock import FolderInUseError
from internvl_seg.data.own_words import OwnWordsError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, replay_step, train
from internvl_seg.training.config import add_allow, add_options

_NAMED = 12


def _replay(args: argparse.Namespace) -> None:
    step = replay_step(args.config, args.replay, amp=args.amp, options=args.cfg_options)
    print(f"Iteration {step.iteration}, images: {', '.join(step.img_paths) or 'not named'}")
    for name, value in step.losses.items():
        # A step holds the losses that it had; what else is computed of it, such as an accuracy, is here only.
        before = f" (in the training: {step.captured[name]})" if name in step.captured else ""
        print(f"{name} = {value}{before}")
    for what, names in (("Weights", step.weights), ("Gradients", step.gradients)):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        print(f"{what} that are not finite: {len(names)}. {', '.join(names[:_NAMED])}{more}".rstrip(". ") + ".")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train a model from a config.")
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="folder for logs and checkpoints; work_dirs/<config name> by default")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the work folder")
    parser.add_argument("--amp", action="store_true", help="mixed precision: fp16 on accelerators, bf16 on a CPU")
    parser.add_argument(
        "--replay",
        metavar="FILE",
        help="compute a step again that was not finite: non_finite_step.pth in a work folder",
    )
    add_allow(parser)
    add_options(parser)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    with exit_on(
        ConfigError,
        FolderError,
        FolderInUseError,
        DatasetError,
        CheckpointError,
        OwnWordsError,
        NonFiniteError,
    ):
        if args.replay:
            _replay(args)
            return
        train(
            args.config,
            work_dir=args.work_dir,
            resume=args.resume,
            amp=args.amp,
            allow=args.allow,
            options=args.cfg_options,
            launcher=args.launcher,
        )


if __name__ == "__main__":
    run_tool(main, "Go on from the last checkpoint with --resume.")
