"""Schedules against the run, and schedules that are scaled to it."""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from internvl_seg.training.checks import scale_schedule
from internvl_seg.training.checks.schedule import check_schedules

from .conftest import Read, advised

POLY = {"type": "PolyLR", "eta_min": 0.0, "by_epoch": False}
LINEAR = {"type": "LinearLR", "start_factor": 1e-3, "by_epoch": False}
COSINE = {"type": "CosineAnnealingLR", "by_epoch": False}


def config(*schedulers: dict[str, Any], **loop: int) -> Config:
    return Config({"param_scheduler": list(schedulers), "train_cfg": {"type": "IterBasedTrainLoop", **loop}})


@pytest.mark.parametrize(
    ("iterations", "schedulers", "told"),
    [
        (40, [{**LINEAR, "end": 50}, POLY], "inside the warm-up"),
        (40, [{"type": "ConstantLR", "factor": 0.1, "by_epoch": False, "end": 60}], "inside the warm-up"),
        (40, [{**POLY, "end": 80}], "ends before the schedule"),
        (40, [{**POLY, "end": 20}], "rest of the run"),
        (40, [{**COSINE, "T_max": 20}], "rises again"),
        (40, [{**COSINE, "begin": 50, "T_max": 20}], "begins after 50"),
        (40, [{"type": "MultiStepLR", "by_epoch": False, "milestones": [30, 60]}], r"\[60\] are never reached"),
        (40, [{"type": "StepLR", "by_epoch": False, "step_size": 50}], "no step"),
        (400, [{"type": "ExponentialLR", "by_epoch": False, "gamma": 0.9}], "nothing is learnt"),
        (40, [{**POLY, "end": 41}], None),
        (40, [{**LINEAR, "end": 5}, {**COSINE, "begin": 5, "T_max": 35}], None),
        (40, [{**POLY, "end": 20}, {**COSINE, "begin": 20, "T_max": 20}], None),
        (40, [{**LINEAR, "start_factor": 1.0, "end_factor": 0.5, "end": 20}], None),
        (40, [{"type": "ConstantLR", "factor": 1.0, "by_epoch": False}], None),
        (40, [{"type": "ReduceOnPlateauLR", "monitor": "mIoU"}], None),
        (40, [{"type": "ExponentialLR", "by_epoch": False, "gamma": 0.9}], None),
    ],
)
def test_a_schedule_that_does_not_fit_is_told(
    iterations: int, schedulers: list[dict[str, Any]], told: str | None
) -> None:
    found = list(check_schedules(config(*schedulers, max_iters=iterations)))
    assert [c.fatal for c in found] == ([False] if told else [])
    if told:
        with pytest.raises(AssertionError, match=told):
            raise AssertionError(str(found[0]))


def rates(config: Config, iterations: int) -> list[float]:
    """The learning rate of every iteration, from MMEngine's schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    built = [PARAM_SCHEDULERS.build({**s, "optimizer": optimizer}) for s in config.to_dict()["param_scheduler"]]
    found = []
    for _ in range(iterations):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return found


@pytest.mark.parametrize("iterations", [7, 40, 1000])
def test_the_official_schedule_fits_any_run(iterations: int, read: Read) -> None:
    changed = read({"train_cfg.max_iters": iterations})
    told = list(check_schedules(changed))
    assert [contradiction.key for contradiction in told] == ["param_scheduler[0]", "param_scheduler[1]"][-len(told) :]
    for contradiction in told:
        assert advised(str(contradiction)) == {"auto_scale_schedule": True}
    changed.auto_scale_schedule = True
    scale_schedule(changed)
    assert not list(check_schedules(changed))
    found = rates(changed, iterations)
    # The last iteration still learns, and nearly all of the run is on the line from 1 to 0.
    assert 0 < found[-1] <= 2 / iterations
    line = [1 - i / iterations for i in range(iterations)]
    warm_up = round(0.03 * iterations) + 1
    torch.testing.assert_close(found[warm_up:], line[warm_up:], atol=2 / iterations, rtol=0)


def test_a_schedule_that_fits_stays_as_it_is(read: Read) -> None:
    for options in ({}, {"auto_scale_schedule": True}):
        unchanged = read(options)
        scale_schedule(unchanged)
        assert unchanged.param_scheduler == read().param_scheduler
    not_asked = read({"train_cfg.max_iters": 40})
    scale_schedule(not_asked)
    assert not_asked.param_scheduler == read().param_scheduler


@pytest.mark.parametrize(
    ("schedulers", "loop", "want"),
    [
        (
            [{**LINEAR, "begin": 0, "end": 101}, {**COSINE, "begin": 101, "end": 1001, "T_max": 900}],
            {"max_iters": 100},
            [{"end": 11}, {"begin": 10, "end": 101, "T_max": 91}],
        ),
        (
            [{"type": "MultiStepLR", "by_epoch": False, "milestones": [80, 110]}],
            {"max_iters": 240},
            [{"milestones": [161, 222]}],
        ),
        ([{**LINEAR, "end": 101}], {"max_iters": 50}, [{"end": 6}]),
        ([{**LINEAR, "end": 101}], {"max_iters": 50000}, [{"end": 101}]),
        ([{**LINEAR, "end": 101}, POLY], {"max_iters": 50}, [{"end": 6}, {}]),
        (
            [{"type": "OneCycleLR", "by_epoch": False, "total_steps": 1000, "eta_max": 1.0}],
            {"max_iters": 100},
            [{"total_steps": 100}],
        ),
        (
            [
                {"type": "LinearLR", "convert_to_iter_based": True, "begin": 0, "end": 1},
                {"type": "CosineAnnealingLR", "convert_to_iter_based": True, "begin": 1, "end": 20, "T_max": 19},
            ],
            {"max_epochs": 5},
            [{"end": 0.25}, {"begin": 0.25, "end": 5, "T_max": 4.75}],
        ),
    ],
)
def test_every_field_is_scaled(
    schedulers: list[dict[str, Any]], loop: dict[str, int], want: list[dict[str, Any]]
) -> None:
    changed = config(*schedulers, **loop)
    changed.auto_scale_schedule = True
    scale_schedule(changed)
    assert [dict(s) for s in changed.param_scheduler] == [
        before | after for before, after in zip(schedulers, want, strict=True)
    ]


def test_units_are_compared_once_an_epoch_is_known() -> None:
    mixed = config({**LINEAR, "end": 500}, {"type": "PolyLR", "convert_to_iter_based": True, "end": 3}, max_epochs=3)
    assert not list(check_schedules(mixed))
    (told,) = check_schedules(mixed, 40)
    assert "warms up over 12.5 epochs" in str(told)
    assert not list(check_schedules(mixed, 4000))
