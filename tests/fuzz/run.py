"""Damage files of every kind and see that who reads them stays calm.

    python -m tests.fuzz.run --cases 20000 --seed 0
    python -m tests.fuzz.run --replay work_dirs/fuzz/load_encoder-1.json

A case fails if it raises an error that no docstring names, hangs for 10 s, takes 1 GiB, ends the process, runs what is
in a file, or gives weights that are not finite. For each kind of failure the cases with the fewest edits are kept.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from rich.progress import track

from .edits import apply
from .running import TOLD, Case, Outcome, draw_cases, fuzzer, place, run_here
from .seeds import write_seeds
from .targets import TARGETS

_KEPT = 3


def run(targets: list[str], count: int, seed: int, folder: Path) -> bool:
    """Run cases, print a table of what failed and keep examples; gives whether none did.

    Args:
        targets: Which.
        count: How many cases in all.
        seed: From which they follow.
        folder: For the examples.
    """
    start, told, failed = time.monotonic(), 0, 0
    files = sum(len(TARGETS[name].files) for name in targets)
    with fuzzer() as execute:
        for name in targets:
            failures: dict[str, list[tuple[Case, Outcome]]] = defaultdict(list)
            cases = [Case(name, file, []) for file in (*TARGETS[name].files, *TARGETS[name].bombs)]
            cases += draw_cases(name, round(count * len(TARGETS[name].files) / files), seed)
            for case in track(cases, name, disable=not sys.stderr.isatty()):
                found = execute(case)
                told += found.kind == TOLD
                if found.failed:
                    failures[found.kind].append((case, found))
            print(f"{name}: {len(cases):,} cases, {time.monotonic() - start:.0f} s after the start", flush=True)
            for kind, several in sorted(failures.items()):
                failed += len(several)
                _keep(name, kind, several, folder, execute.seeds)
    print(f"{failed:,} failures; {told:,} were refused in words.")
    return not failed


def _keep(name: str, kind: str, failures: list[tuple[Case, Outcome]], folder: Path, seeds: Path) -> None:
    """Keep the simplest cases of a kind of failure with their damaged files, and print the first."""
    simplest = sorted(failures, key=lambda failure: len(failure[0].edits))[:_KEPT]
    paths = [folder / f"{name}-{re.sub(r'[^A-Za-z0-9_.]+', '-', kind)}-{i + 1}.json" for i in range(len(simplest))]
    for path, (case, found) in zip(paths, simplest, strict=True):
        case.save(path, found)
        (whole,) = seeds.glob(case.file)
        path.with_suffix(".bin").write_bytes(apply(whole.read_bytes(), case.edits))
    case, found = simplest[0]
    last = (found.detail.strip().splitlines() or [""])[-1][:160]
    print(f"{len(failures):5d}  {kind}\n       {case.file}: {last}\n       {paths[0]}", flush=True)


def replay(path: Path) -> bool:
    """Run a case that was kept, in this process; its files stay. Gives whether it does not fail."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    write_seeds(folder / "seeds")
    case = Case.read(path)
    given = place(case, folder / "seeds", folder / "files/case", path.with_suffix(".bin"))
    print(f"{case.target} reads {given}", flush=True)
    found = run_here(case, given)
    print(f"{found.kind}: {found.detail}")
    return not found.failed


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/fuzz"), help="folder for cases that fail")
    parser.add_argument("--replay", type=Path, help="run this one again")
    args = parser.parse_args()
    right = replay(args.replay) if args.replay else run(args.targets, args.cases, args.seed, args.out)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
