"""Times between the schedules of a value in which none is at work."""

import math
from collections.abc import Iterator

from mmengine.config import Config

from .contradiction import Contradiction, option, type_name
from .schedule import Run, Schedule, schedules


def check_gaps(config: Config) -> Iterator[Contradiction]:
    """Find times in which no schedule changes a value, after one and before the next.

    Args:
        config: The config, with schedules and a run of which the kinds were checked.
    """
    run = Run.of(config)
    found = list(schedules(config))
    if run is None or any(schedule.unit != run.unit for schedule in found):
        return
    for suffix, value in (("LR", "learning rate"), ("Momentum", "momentum")):
        of_value = [schedule for schedule in found if type_name(schedule.node).endswith(suffix)]
        last: float | None = None
        for schedule in sorted(of_value, key=lambda schedule: schedule.begin):
            if last is not None and last + 1 < schedule.begin < run.length:
                yield Contradiction(
                    f"{schedule.key}.begin",
                    f"= {schedule.begin:g}, but the schedules before are at their end after {last:g} {run.unit}: "
                    f"meanwhile the {value} stays as it is then.",
                    f"Set {option(f'{schedule.key}.begin', int(last))}, or put a ConstantLR with factor=1.0 between.",
                    fatal=False,
                )
            last = max(_end(schedule), last or 0)


def _end(schedule: Schedule) -> float:
    """When a schedule no longer changes anything."""
    return math.inf if schedule.length is None else schedule.begin + schedule.length
