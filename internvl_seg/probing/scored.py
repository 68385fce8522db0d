"""What came of some heads, and the file in which it waits for the end of a study."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..common.small_files import read_small
from ..training.results import write_json
from .head_spec import HeadResult, HeadSpec
from .state import refuse

# Of thousands of heads, a prediction for each of 50,000 images.
_MOST = 1 << 30


class Scored(NamedTuple):
    """What came of some heads.

    Attributes:
        results: A head each.
        counts: Pixels or images by fold, label and prediction, (folds, C + 1, C + 1), a head each.
        predicted: Class of every validation image, a head each; nothing where pixels are labelled.
    """

    results: list[HeadResult]
    counts: list[NDArray[np.int64]]
    predicted: list[list[int]]

    def write(self, path: Path, study: str) -> None:
        """Write all of it to a JSON file.

        Args:
            path: The file.
            study: Hash of all that it depends on.
        """
        content = {"counts": [count.tolist() for count in self.counts], "predicted": self.predicted}
        write_json(path, {"study": study, **content, "results": [asdict(result) for result in self.results]})

    @classmethod
    def read(cls, path: Path, study: str, specs: Sequence[HeadSpec], shape: tuple[int, int, int]) -> "Scored":
        """What :meth:`write` wrote.

        Args:
            path: The file.
            study: As in :meth:`write`.
            specs: The heads.
            shape: (folds, C + 1, C + 1).

        Raises:
            StateError: It is damaged, or of another study.
        """
        try:
            found = json.loads(read_small(path, _MOST).decode())
            if found["study"] != study:
                raise ValueError("it is of another study")
            results = [HeadResult.from_json(result) for result in found["results"]]
            counts = [np.array(count, np.int64) for count in found["counts"]]
            predicted = [[int(label) for label in labels] for labels in found["predicted"]]
            if {result.spec for result in results} != set(specs) or not len(results) == len(counts) == len(predicted):
                raise ValueError("it is of other heads")
            if any(count.shape != shape or count.min() < 0 for count in counts):
                raise ValueError("its counts are no confusion matrices")
        except Exception as error:  # Whatever a damaged file leads to.
            raise refuse(path, error if str(error) else type(error).__name__) from error
        return cls(results, counts, predicted)
