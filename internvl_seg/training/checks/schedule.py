"""How long schedules are, and whether that is as long as the run."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from .contradiction import Contradiction, listed, option, type_name

# How far from the end of a run a schedule may end without a word, relative to the run.
_TOLERANCE = 0.1
# A learning rate that has fallen so far trains nothing any more.
_NOTHING = 1e-3
# What MMEngine takes for no end.
ENDLESS = 2**31 - 1
_SUFFIXES = ("LR", "Momentum", "ParamScheduler")
SCALE = option("auto_scale_schedule", True)


@dataclass(frozen=True)
class Run:
    """How long a training is.

    Attributes:
        length: In ``unit``.
        unit: 'iterations' or 'epochs', which are passes over the training set.
        by_iterations: Whether the loop counts iterations, whatever its length is given in.
        key: Of its length.
    """

    length: int
    unit: str
    by_iterations: bool
    key: str

    @classmethod
    def of(cls, config: Config) -> "Run | None":
        """The run that ``train_cfg`` describes; None if it tells no length."""
        loop = config.get("train_cfg") or {}
        by_iterations = type_name(loop) == "IterBasedTrainLoop" or not loop.get("by_epoch", "max_epochs" in loop)
        if type_name(loop) not in ("", "IterBasedTrainLoop", "EpochBasedTrainLoop"):
            return None
        for name, unit in (("max_iters", "iterations"), ("max_epochs", "epochs")):
            if isinstance(loop.get(name), int) and loop[name] > 0:
                return cls(loop[name], unit, by_iterations, f"train_cfg.{name}")
        return None


@dataclass(frozen=True)
class Schedule:
    """One of a config's ``param_scheduler``.

    Attributes:
        key: Its dotted key.
        node: Its fields.
        epoch_length: Iterations of an epoch, to compare epochs with iterations; None if not known.
    """

    key: str
    node: dict[str, Any]
    epoch_length: int | None = None

    @property
    def family(self) -> str:
        """What it does, such as 'Linear', whatever it does it to."""
        name = type_name(self.node)
        return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)

    @property
    def unit(self) -> str:
        """What its fields count."""
        return "epochs" if self.node.get("by_epoch", True) else "iterations"

    def factor(self, run: Run) -> float | None:
        """By what its fields are to be multiplied to count what the run counts; None if that is not known."""
        if self.unit == run.unit:
            return 1
        if self.epoch_length is None:
            return None
        return self.epoch_length if self.unit == "epochs" else 1 / self.epoch_length

    @property
    def warms_up(self) -> bool:
        """Whether it ends with the full value that others go on from."""
        if self.family == "Linear":
            return bool(self.node.get("start_factor", 1 / 3) < self.node.get("end_factor", 1))
        return "Warmup" in self.family or (self.family == "Constant" and self.node.get("factor", 1 / 3) < 1)

    @property
    def begin(self) -> float:
        """When it begins, in its own unit."""
        return float(self.node.get("begin", 0))

    @property
    def length(self) -> float | None:
        """How long it takes to its last value, in its own unit; None if it takes as long as the run, or never ends."""
        if self.family == "CosineAnnealing" and self.node.get("T_max"):
            return float(self.node["T_max"])
        if self.family == "OneCycle" and self.node.get("total_steps"):
            return float(self.node["total_steps"])
        if self.family == "CosineRestart" and self.node.get("periods"):
            return float(sum(self.node["periods"]))
        end = self.node.get("end")
        return None if end is None or end >= ENDLESS else float(end) - self.begin

    @property
    def falls_to_nothing(self) -> bool:
        """Whether its last value is a small part of its first."""
        ratio = (
            self.node.get("eta_min_ratio") or self.node.get("end_factor", 0 if self.family == "Linear" else None) or 0
        )
        return self.family in ("Poly", "CosineAnnealing", "OneCycle", "Linear") and ratio <= _TOLERANCE


def schedules(config: Config, epoch_length: int | None = None) -> Iterator[Schedule]:
    """The schedules of a config, of several optimizers, too."""
    found = config.get("param_scheduler")
    several = isinstance(found, dict) and "type" not in found
    for parent in [f"param_scheduler.{name}" for name in found] if several else ["param_scheduler"]:
        for key, node in listed(config, parent):
            if type_name(node) not in ("", "ReduceOnPlateauLR", "ReduceOnPlateauMomentum"):
                yield Schedule(key, node, epoch_length)


def check_schedules(config: Config, epoch_length: int | None = None) -> Iterator[Contradiction]:
    """Find schedules that are no part of the run, or are much longer or shorter.

    Args:
        config: The config.
        epoch_length: Iterations of an epoch. Without it a schedule that counts epochs is not compared with a run that
            counts iterations, nor the other way round; with it only those are.
    """
    if epoch_length is None:
        yield from _check_least(config)
    run = Run.of(config)
    if run is None:
        return
    found = list(schedules(config, epoch_length))
    if epoch_length is not None:
        found = [schedule for schedule in found if schedule.unit != run.unit]
    else:
        for schedule in found:
            yield from _check_unit(schedule, run)
    compared = [(schedule, factor) for schedule in found if (factor := schedule.factor(run)) is not None]
    lasts = [(s.begin + (s.length if s.length is not None else math.inf)) * f for s, f in compared]
    for schedule, factor in compared:
        yield from _check_length(schedule, factor, run, max(lasts))


def _check_least(config: Config) -> Iterator[Contradiction]:
    """Find schedules of the learning rate that end above where they begin."""
    rate: Any = ((config.get("optim_wrapper") or {}).get("optimizer") or {}).get("lr")
    for schedule in schedules(config):
        name, least, ratio = (schedule.node.get(field) for field in ("type", "eta_min", "eta_min_ratio"))
        rises = isinstance(rate, (int, float)) and isinstance(least, (int, float)) and least > rate
        if str(name).endswith("LR") and (rises or (isinstance(ratio, (int, float)) and ratio > 1)):
            field, base = ("eta_min", f"lr = {rate} of optim_wrapper.optimizer") if rises else ("eta_min_ratio", "1")
            yield Contradiction(
                f"{schedule.key}.{field}",
                f"= {least if rises else ratio} is above {base}: the learning rate would rise to it, not fall.",
                f"Set {option(f'{schedule.key}.{field}', 0.0)}, for example.",
                fatal=False,
            )


def _check_unit(schedule: Schedule, run: Run) -> Iterator[Contradiction]:
    converted = schedule.node.get("convert_to_iter_based", False)
    if converted and schedule.unit == "iterations":
        yield Contradiction(
            f"{schedule.key}.convert_to_iter_based",
            "= True, but by_epoch = False: its fields count iterations already.",
            f"Set {option(schedule.key + '.convert_to_iter_based', False)}.",
        )
    elif run.by_iterations and schedule.unit == "epochs" and not converted:
        # MMEngine steps such a schedule at the end of an epoch, and a loop of iterations is one epoch.
        key, value = ("by_epoch", False) if run.unit == "iterations" else ("convert_to_iter_based", True)
        yield Contradiction(
            f"{schedule.key}.by_epoch",
            f"= True{'' if 'by_epoch' in schedule.node else ' (which is the default)'}, but train_cfg counts "
            f"iterations: {type_name(schedule.node)} would stay at its first value to the end of the run.",
            f"Set {option(f'{schedule.key}.{key}', value)}; with "
            + (
                "convert_to_iter_based=True instead, its fields count passes over the training set."
                if run.unit == "iterations"
                else "it, its fields still count passes over the training set."
            ),
        )


def _check_length(schedule: Schedule, factor: float, run: Run, last: float) -> Iterator[Contradiction]:
    """Compare a schedule with the run; ``last`` is when the last of all is at its end."""
    name, node = type_name(schedule.node), schedule.node
    begin = schedule.begin * factor
    end = None if schedule.length is None else begin + schedule.length * factor
    whole = f"{run.key} = {run.length}"
    scale = f"Scale the schedule to the run with {SCALE}, or set its fields."

    def warn(problem: str, mend: str = scale, key: str = "", fatal: bool = False) -> Contradiction:
        return Contradiction(schedule.key + key, f"({name}) {problem}", mend, fatal)

    if begin >= run.length:
        yield warn(f"begins after {begin:g} {run.unit}, but {whole}: it never does.")
    elif schedule.warms_up:
        if end is not None and end >= run.length:
            yield warn(f"warms up over {end:g} {run.unit}, but {whole}: the run ends inside the warm-up.")
    elif schedule.family == "MultiStep":
        late = [m for m in node.get("milestones", ()) if m * factor >= run.length]
        if late:
            yield warn(f"has milestones = {list(node['milestones'])}, but {whole}: {late} are never reached.")
    elif schedule.family == "Step":
        if node.get("step_size", 0) * factor >= run.length:
            yield warn(f"has step_size = {node['step_size']}, but {whole}: no step is ever taken.")
    elif schedule.family == "Exponential":
        gamma = node.get("gamma", 1)
        steps = min(run.length, end or run.length) / factor - schedule.begin
        if 0 < gamma < 1 and steps * math.log(gamma) < 2 * math.log(_NOTHING):
            gentle = round(0.01 ** (1 / (run.length / factor)), 8)
            yield warn(
                f"has gamma = {gamma}, but {whole}: after {math.log(_NOTHING) / math.log(gamma) * factor:.0f} "
                f"{run.unit} the value is a thousandth, and nothing is learnt any more.",
                f"Set {option(schedule.key + '.gamma', gentle)} for a hundredth at the end.",
            )
    elif end is not None:
        yield from _check_fall(schedule, end, factor, run, last, warn)


def _check_fall(
    schedule: Schedule, end: float, factor: float, run: Run, last: float, warn: Any
) -> Iterator[Contradiction]:
    whole, room = f"{run.key} = {run.length}", max(_TOLERANCE * run.length, 1)
    node_end = schedule.node.get("end")
    stays = run.length if node_end is None else min(node_end * factor, run.length)
    if schedule.family == "OneCycle" and end + 1 < stays:
        yield warn(
            f"has total_steps = {schedule.node.get('total_steps')}, but goes on to {stays:g}: it would fail then.",
            fatal=True,
        )
    elif schedule.family == "CosineAnnealing" and end + room < stays:
        yield warn(
            f"is at its end (T_max) after {end:g} {run.unit}, but goes on to {stays:g}: the value rises again.",
        )
    elif end > run.length + room:
        yield warn(f"is made for {end:g} {run.unit}, but {whole}: the run ends before the schedule does.")
    elif end < run.length - room and last <= end and schedule.falls_to_nothing:
        yield warn(
            f"is at its end after {end:g} {run.unit}, but {whole}: the rest of the run is trained with its last value."
        )
