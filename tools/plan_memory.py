"""Say how much memory a training needs: python tools/plan_memory.py CONFIG --devices 8 --device-memory 80."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys
from pathlib import Path

from rich.console import Console

from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.planning import plan_memory, print_plan, save_plan
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_options


def main() -> None:
    """Parse the command line, plan, and exit with 1 if no setting fits."""
    parser = argparse.ArgumentParser(description="Say how much memory a training needs, and in which setting it fits.")
    parser.add_argument("config", help="config file")
    parser.add_argument("--devices", type=int, default=1, help="how many devices train together")
    parser.add_argument("--device-memory", type=float, required=True, metavar="GB", help="of each, in 10^9 bytes")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="what to plan for; not needed here")
    parser.add_argument("--json", type=Path, help="file for the plan, in bytes")
    add_options(parser)
    args = parser.parse_args()
    with exit_on(ConfigError, ValueError):
        plan = plan_memory(
            args.config,
            device=args.device,
            devices=args.devices,
            device_memory=args.device_memory,
            options=args.cfg_options,
        )
    print_plan(plan, Console(width=None if sys.stdout.isatty() else 180))
    if args.json is not None:
        save_plan(plan, args.json)
    sys.exit(plan.cheapest() is None)


if __name__ == "__main__":
    run_tool(main)
