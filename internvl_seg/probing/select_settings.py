"""``probe.select`` of a config: on which images a head is chosen, and on which it is scored."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from ..training import ConfigError
from .values import check_fields, one_of, text, whole

SELECT_ON = ("val", "folds")


def _check_pattern(key: str, value: Any) -> None:
    text(key, value)
    try:
        re.compile(value)
    except re.error as error:
        raise ConfigError(f"{key}={value!r} is no regular expression: {error}.") from error


@dataclass(frozen=True)
class Select:
    """On which images heads are compared, and on which the chosen one is scored for the report.

    Attributes:
        on: 'val' to choose on the validation images and score the chosen head on those of ``test_dataloader``; 'folds'
            to choose on all folds of the validation images but one and score on that one, for each in turn. If None,
            'val' where the config's test images are others than its validation images, else 'folds'.
        folds: How many, at most one a group of images.
        group: Regular expression that tells an image's group (a scene, a patient, a video) from its path by its first
            group in brackets; images of a group are in one fold. Every image by itself if None; neighbours in the
            list are in one fold then, where pixels are labelled.
    """

    on: Literal["val", "folds"] | None = None
    folds: int = 5
    group: str | None = None

    def __post_init__(self) -> None:
        checks = {"folds": whole(2)}
        if self.on is not None:
            checks["on"] = one_of(SELECT_ON)
        if self.group is not None:
            checks["group"] = _check_pattern
        check_fields("probe.select", self, checks)
