"""What training runs logged, as curves."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure


class NoLogError(RuntimeError):
    """A folder holds no log of a training run."""


def read_scalars(work_dir: Path) -> dict[str, dict[int, float]]:
    """Everything that a run logged, over all times it was resumed.

    Args:
        work_dir: Folder of the run.

    Returns:
        By name, such as 'loss' and 'mIoU', the value at each iteration; of iterations that were repeated after a
        kill, the last.

    Raises:
        NoLogError: There is no log.
    """
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    found: dict[str, dict[int, float]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            if line.endswith("}"):  # The last line of a killed run may be cut short.
                entry = json.loads(line)
                for name, value in entry.items():
                    if isinstance(value, (int, float)) and name != "step":
                        found.setdefault(name, {})[entry["step"]] = value
    if not found:
        raise NoLogError(
            f"{work_dir} holds no log of a training run: there is no */vis_data/scalars.json with entries."
        )
    return {name: dict(sorted(values.items())) for name, values in found.items()}


def draw_curves(runs: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Figure:
    """Training loss and validation mIoU of several runs, over the iterations.

    Args:
        runs: By the run's name, what :func:`read_scalars` gives.

    Returns:
        A figure; ``.savefig(path)`` writes it.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, name, label in zip(figure.subplots(1, 2), ("loss", "mIoU"), ("training loss", "mIoU in %"), strict=True):
        for run, scalars in runs.items():
            values = scalars.get(name, {})
            # A single point is no line.
            axes.plot(list(values), list(values.values()), marker="o" if len(values) < 3 else "", label=run)
        axes.set_xlabel("iteration")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False)
    return figure
