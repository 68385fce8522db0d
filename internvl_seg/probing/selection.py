"""A head is chosen on some images and its figure is of others: a third split, or folds of the validation images."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.preflight import KINDS
from ..training import ConfigError
from ..training.commands import evaluate
from .head_spec import HeadResult
from .select_settings import Select
from .summary import best_head, on_all_images
from .task import Task

# Names of the scores in what an evaluation gives.
_METRICS = {"mIoU": "mIoU", "top-1": "accuracy/top1"}
# Of counts by label and prediction: the score of every class, and of all.
Score = Callable[[NDArray[np.int64]], tuple[list[float | None], float]]


class Selection(NamedTuple):
    """On which images heads are chosen, and on which the chosen one is scored.

    Attributes:
        on: 'val' if it is scored on the test set, 'folds' if on each fold of the validation images in turn.
        fold_of: (N,), of every validation image its fold; all 0 if the test set is there.
        note: Why the test set is not used though the config has one; '' if it is, or has none.
    """

    on: str
    fold_of: NDArray[np.int64]
    note: str = ""

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return int(self.fold_of.max()) + 1


@dataclass(frozen=True)
class Reported:
    """The figure of a head on images that had no part in its choice.

    Attributes:
        images: Which images they are, in words.
        score: In percent.
        per_class: Of every class in percent, None where it has no pixel or image.
        chosen: Names of the heads that were chosen; of folds one each.
    """

    images: str
    score: float
    per_class: list[float | None]
    chosen: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``results.json``."""
        return asdict(self)


def plan_selection(select: Select, task: Task) -> Selection:
    """Decide on which images heads are chosen and scored.

    Args:
        select: What the study says.
        task: Its data.

    Raises:
        ConfigError: The test set is missing or shares images with validation, or there are too few groups.
    """
    paths = [Path(info["img_path"]).resolve() for info in task.infos(task.val)]
    problem = "" if select.on == "folds" else _problem_of_test_set(task, paths)
    if select.on == "val" and problem:
        raise ConfigError(
            f"{task.config.filename}: probe.select.on='val' scores the chosen head on test_dataloader, but {problem}. "
            "Give it images of its own, or set probe.select.on='folds' (--select-on folds)."
        )
    if select.on != "folds" and not problem:
        return Selection("val", np.zeros(len(paths), np.int64))
    groups = _groups([path.as_posix() for path in paths], select.group, task)
    if len(groups) < 2:
        raise ConfigError(
            f"{task.config.filename}: the validation images ({len(paths)}) are one group"
            f"{'' if select.group is None else f' by probe.select.group={select.group!r}'}, so none are left to score "
            "on what is chosen on the others. Give test_dataloader images of its own."
        )
    folds = _deal(groups, min(select.folds, len(groups)), len(paths), in_turn=not task.is_dense)
    return Selection("folds", folds, problem if task.config.get("test_dataloader") is not None else "")


def _problem_of_test_set(task: Task, validation: Sequence[Path]) -> str:
    """Why the test images cannot be those that a chosen head is scored on; '' if they can."""
    try:
        third = task.test_images()
    except Exception as error:  # Whatever a data set raises that is not there, which a study may not need.
        return f"it cannot be read: {error}"
    if not third:
        return "it is that of val_dataloader, or missing"
    if shared := sorted(set(validation) & set(third)):
        return f"it shares {len(shared)} images with val_dataloader, such as {shared[0]}"
    if shared := sorted({Path(info["img_path"]).resolve() for info in task.infos(task.train)} & set(third)):
        return f"it shares {len(shared)} images with train_dataloader, such as {shared[0]}"
    return ""


def _groups(paths: Sequence[str], pattern: str | None, task: Task) -> list[list[int]]:
    """Images that stay together, in the order of their first ones."""
    if pattern is None:
        return [[i] for i in range(len(paths))]
    groups: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        if (found := re.search(pattern, path)) is None:
            raise ConfigError(
                f"{task.config.filename}: probe.select.group={pattern!r} is nowhere in {path}. It is a regular "
                "expression that tells an image's group from its path: its first group in brackets, or else all of it."
            )
        groups.setdefault(found[1] if found.re.groups else found[0], []).append(i)
    return list(groups.values())


def _deal(groups: Sequence[Sequence[int]], folds: int, count: int, in_turn: bool) -> NDArray[np.int64]:
    """Folds of about equal size. Groups that follow each other, as frames do, stay together unless dealt in turn."""
    fold_of = np.zeros(count, np.int64)
    done = 0
    for number, members in enumerate(groups):
        left = folds - 1 - (len(groups) - 1 - number)  # Every fold gets a group.
        middle = (2 * done + len(members)) * folds // (2 * count)
        fold = number % folds if in_turn else min(max(middle, left), number, folds - 1)
        fold_of[list(members)] = fold
        done += len(members)
    return np.unique(fold_of, return_inverse=True)[1].astype(np.int64)


def score_on_folds(
    results: Sequence[HeadResult], counts: Sequence[NDArray[np.int64]], selection: Selection, score: Score
) -> Reported:
    """Choose the best head on all folds but one and count what it predicts of that one, for every fold.

    Args:
        results: Heads, of which one has a score.
        counts: Of each, (folds, C + 1, C + 1).
        selection: The folds.
        score: Of counts.
    """
    there = on_all_images(results)
    own = [counts[next(i for i, one in enumerate(results) if one is result)] for result in there]
    chosen = []
    total = np.zeros_like(own[0][0])
    for fold in range(selection.folds):
        scores = [score(one.sum(0) - one[fold])[1] for one in own]
        best = int(np.argmax(scores))
        chosen.append(there[best].spec.name)
        total += own[best][fold]
    per_class, mean = score(total)
    images = f"{selection.folds} folds of the validation images, each scored by the head that is the best on the others"
    return Reported(images, round(mean, 2), per_class, tuple(chosen))


def score_on_test(result: HeadResult, task: Task, folder: Path) -> Reported | None:
    """Score a head's checkpoint on the test set, as ``tools/test.py`` does; None of one without a checkpoint.

    Args:
        result: The head.
        task: The data.
        folder: Of the study.
    """
    if result.checkpoint is None or result.config is None:
        return None
    work_dir = folder / "test" / result.spec.name
    # Its images were looked at before the study began.
    metrics = evaluate(folder / result.config, folder / result.checkpoint, work_dir=str(work_dir), allow=tuple(KINDS))
    name = _METRICS[task.metric]
    if name not in metrics:
        raise ConfigError(
            f"{task.config.filename}: test_evaluator gives {', '.join(metrics) or 'nothing'}, and a study reports "
            f"{name} of the head that it chose. Give it the evaluator of val_evaluator, or set probe.select.on='folds'."
        )
    told = json.loads((work_dir / "test_results.json").read_text())["per_class"]
    per_class = [told.get(one, {}).get("IoU") for one in task.classes]
    return Reported("the test images", round(metrics[name], 2), per_class, (result.spec.name,))


def report_chosen(
    results: Sequence[HeadResult],
    counts: Sequence[NDArray[np.int64]],
    selection: Selection,
    task: Task,
    folder: Path,
) -> Reported | None:
    """The figure of the head that is chosen among some, on images that had no part in the choice.

    Args:
        results: Heads, of which one has a score.
        counts: Of each, (folds, C + 1, C + 1).
        selection: Where heads are chosen and scored.
        task: The data.
        folder: Of the study.
    """
    if selection.on == "val":
        return score_on_test(best_head(results), task, folder)
    return score_on_folds(results, counts, selection, task.score)
