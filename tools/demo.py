"""Train a small InternViT on real images and show what it learned: python tools/demo.py."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
from pathlib import Path

from internvl_seg import CheckpointError
from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder import FolderError
from internvl_seg.data.sample_set import SampleSetError
from internvl_seg.demo import DemoError, run_demo
from internvl_seg.training import ConfigError


def main() -> None:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(description="Train and evaluate on real images and write a results page.")
    parser.add_argument("--data-root", type=Path, help="folder of your own images; downloads a sample set by default")
    parser.add_argument("--encoder", help="release, hub id or file to probe frozen, instead of training from scratch")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/demo"), help="where results go")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training")
    args = parser.parse_args()
    with exit_on(SampleSetError, FolderError, ConfigError, CheckpointError, DemoError):
        run_demo(args.work_dir, args.data_root, args.encoder, args.seed)


if __name__ == "__main__":
    run_tool(main)
