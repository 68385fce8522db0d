"""Measure mean and deviation of every band of a config's training set: python tools/measure_bands.py CONFIG."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
from pathlib import Path

from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder_errors import FolderError
from internvl_seg.data.own_words import OwnWordsError
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_options
from internvl_seg.training.measuring import measure


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure mean and standard deviation of every band of a training set.")
    parser.add_argument("config", help="config file; the LoadImageFromFile of its training set says which bands")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    add_options(parser)
    args = parser.parse_args()
    with exit_on(ConfigError, FolderError, OwnWordsError):
        measure(args.config, options=args.cfg_options, json=args.json)


if __name__ == "__main__":
    run_tool(main)
