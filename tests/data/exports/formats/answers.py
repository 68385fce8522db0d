"""What the tools' own code draws of some shapes: see golden/tools/README.md."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANSWERS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "tools" / "answers.json").read_text()
)


def pixels(rows: list[str]) -> NDArray[np.bool_]:
    return np.array([[mark == "#" for mark in row] for row in rows])
