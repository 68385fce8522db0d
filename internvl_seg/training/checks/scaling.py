"""Schedules as long as the run."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from .schedule import ENDLESS, Run, Schedule, schedules

# Fields that are whole numbers in any unit.
_WHOLE = ("total_steps", "step_size")
# A warm-up that comes with nothing else is a tenth of the run; steps fall after 8 and 11 of 12.
_WARM_UP, _STEPS = 10, 12 / 11


def scale_schedule(config: Config) -> None:
    """Stretch or shrink the schedules of a config to the length of its run, if ``auto_scale_schedule`` is True.

    All of them are scaled alike, so that a warm-up stays the same part of the run. What is as long as the run already
    stays as it is, as do schedules that count something else than the run.

    Args:
        config: The config; ``param_scheduler`` is changed in place.
    """
    run = Run.of(config)
    if not config.get("auto_scale_schedule") or run is None:
        return
    found = [schedule for schedule in schedules(config) if schedule.unit == run.unit]
    length = _length(found, run)
    # The schedule's own end may be the iteration after the last one, so that the last one still learns.
    if length is None or length in (run.length, run.length + 1):
        return
    for schedule in found:
        _scale(schedule.node, run, run.length / (length - (run.unit == "iterations")))


def _length(found: Sequence[Schedule], run: Run) -> float | None:
    """The run that schedules were made for; None if they fit any."""
    ends: list[float] = []
    for schedule in found:
        milestones = schedule.node.get("milestones")
        if milestones:
            ends.append(max(milestones) * _STEPS)
        elif schedule.length is not None and not schedule.warms_up:
            ends.append(schedule.begin + schedule.length)
        elif schedule.family == "Step" and schedule.node.get("step_size"):
            ends.append(3 * schedule.node["step_size"])
    if ends:
        return max(ends)
    warm_ups = [schedule.begin + schedule.length for schedule in found if schedule.warms_up and schedule.length]
    return _WARM_UP * max(warm_ups) if warm_ups and _WARM_UP * max(warm_ups) > run.length else None


def _scale(node: dict[str, Any], run: Run, factor: float) -> None:
    def scaled(value: float, whole: bool = False) -> float:
        if run.unit == "iterations" or whole:
            return max(round(value * factor), 1 if value else 0)
        return round(value * factor, 3)

    spans = node.get("end") is not None and node.get("T_max") == node["end"] - node.get("begin", 0)
    if node.get("begin"):
        node["begin"] = scaled(node["begin"])
    if node.get("end") is not None and node["end"] < ENDLESS:
        # Of iterations 0 to end - 1 the last has the last value.
        last = int(run.unit == "iterations")
        node["end"] = max(scaled(node["end"] - last) + last, node.get("begin", 0) + (last or 1e-3))
    if node.get("T_max"):
        node["T_max"] = node["end"] - node.get("begin", 0) if spans else scaled(node["T_max"])
    for name in _WHOLE:
        if node.get(name):
            node[name] = scaled(node[name], whole=True)
    for name in ("milestones", "periods"):
        if node.get(name):
            node[name] = [scaled(value, whole=True) for value in node[name]]
    if "gamma" in node and "milestones" not in node and "step_size" not in node:
        node["gamma"] = node["gamma"] ** (1 / factor)
