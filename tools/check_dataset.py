"""Look for what is wrong with a config's images and masks: python tools/check_dataset.py CONFIG."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder import FolderError
from internvl_seg.data.preflight import Command, DatasetError, check_dataset, print_report
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_allow, add_options, check_data_paths, load_config
from internvl_seg.training.preflight import check_config_of_data
from internvl_seg.training.results import write_json


def main() -> None:
    """Parse the command line, check, and exit with 1 if something was found."""
    parser = argparse.ArgumentParser(description="Look for what is wrong with a config's images and masks.")
    parser.add_argument("config", help="config file")
    parser.add_argument("--sample", type=int, help="look into so many images of each data set instead of all")
    add_allow(parser)
    parser.add_argument("--json", type=Path, help="file for the findings")
    add_options(parser)
    args = parser.parse_args()
    console = Console()
    with exit_on(ConfigError, FolderError, DatasetError):
        config = load_config(args.config, args.cfg_options)
        for split in ("train", "val", "test"):
            if config.get(f"{split}_dataloader") is not None:
                check_data_paths(config, f"{split}_dataloader")
        wrong = check_config_of_data(config, args.cfg_options)
        words = ("python", "tools/check_dataset.py", args.config)
        command = Command(words, args.cfg_options or {})
        try:
            report = check_dataset(config, sample=args.sample, command=command, console=console)
        except Exception as error:
            if not wrong:
                raise
            # What is wrong with the config may be why its data cannot be looked at.
            raise ConfigError(wrong) from error
    print_report(report, console)
    if wrong:
        console.print(f"[bold red]error: config[/]: {escape(wrong)}", soft_wrap=True, highlight=False)
    if args.json is not None:
        write_json(args.json, [asdict(finding) | {"severity": finding.severity} for finding in report.findings])
    sys.exit(bool(wrong) or any(finding.kind not in args.allow for finding in report.findings))


if __name__ == "__main__":
    run_tool(main)
