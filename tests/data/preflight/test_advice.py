"""What is advised where labels may mean several things: it is right for the case, or the choice is left to the user."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight import check_dataset
from internvl_seg.training.config import load_config

from .conftest import draw_set
from .test_labels import commands, found, paint, pasted

pytestmark = pytest.mark.usefixtures("data")
REDUCED = {f"{split}_dataloader.dataset.reduce_zero_label": True for split in ("train", "val", "test")}


def name_classes(*names: str) -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("('sky', 'sea', 'land')", repr(names)))


def test_a_scarce_zero_is_rather_no_data_though_the_first_class_is_called_background() -> None:
    """As in LoveDA: 0 has no data, 1 is the background."""
    name_classes("background", "road", "water")
    paint([0, 1, 2, 3], [0.4, 0.3, 0.25, 0.05])
    assert "reduce_zero_label" not in found()["void_label"].mend
    paint([0, 1, 2, 3], [0.02, 0.4, 0.3, 0.28])
    reduce, void, _ = commands(found()["reduce_zero_label"].mend)
    assert "reduce_zero_label=True" in reduce
    assert "ignore_index=3" in void
    assert pasted(reduce) == 0


def test_a_data_set_without_what_another_has_wants_it_too() -> None:
    name_classes("background", "road", "water")
    paint([0, 1, 2, 3], [0.4, 0.3, 0.25, 0.05])
    config = load_config("config.py", {"train_dataloader.dataset.reduce_zero_label": True})
    by_split = {finding.where: finding for finding in check_dataset(config).findings}
    assert by_split["val"].kind == "reduce_zero_label"
    assert pasted(commands(by_split["val"].mend)[0]) == 0


@pytest.mark.parametrize(("ids", "told"), [([0, 1, 2], True), ([0, 1, 2, 3], False)])
def test_few_classes_of_which_the_last_is_nowhere_were_reduced_before(ids: list[int], told: bool) -> None:
    """Zeros are as common as a class, if not a fifth of all: masks that a converter has reduced already."""
    draw_set((f"train/{i}" for i in range(3)), seed=1)
    paint(ids, [0.18, *[0.82 / (len(ids) - 1)] * (len(ids) - 1)])
    kinds = {finding.kind for finding in check_dataset(load_config("config.py", REDUCED)).findings}
    assert ("zero_label_reduced" in kinds) == told


def test_smoothed_edges_are_no_classes() -> None:
    for path in Path("data/annotations").rglob("*.png"):
        mask = Image.new("L", (50, 30))
        mask.paste(255, (10, 10, 40, 20))
        smooth = Image.Resampling.BICUBIC
        mask.resize((73, 41), smooth).resize((50, 30), smooth).save(path)
    mend = found()["label_out_of_range"].mend
    assert mend.startswith("if 0, 255 stand for classes, the ")
    assert "smoothed edges or from a JPEG: export the masks again, without smoothing" in mend


def test_ids_that_follow_each_other_are_no_greys() -> None:
    name_classes("all")
    paint([0, 1, 2])
    assert "greys" not in found()["label_out_of_range"].mend


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        (([0, 255], [0, 255], [0, 1]), True),
        (([0, 255], [0, 255], [0, 1, 255]), False),  # Here 255 is something else than 1.
        (([0, 255], [0, 1], [0, 1]), False),  # One may be without an object.
        (([0], [0, 1], [0, 1]), False),
    ],
)
def test_two_sources_of_which_one_saves_the_object_as_255(masks: tuple[list[int], ...], told: bool) -> None:
    name_classes("ground", "object")
    Path("config.py").write_text(Path("config.py").read_text().replace("num_classes=3", "num_classes=2"))
    paint([0, 1], folder="annotations/val")
    for name, ids in zip("abc", masks, strict=True):
        mask = np.random.default_rng(0).choice(ids, size=(30, 50)).astype(np.uint8)
        Image.fromarray(mask).save(f"data/annotations/train/{name}.png")
    kinds = found()
    assert kinds.keys() == ({"object_partly_ignored"} if told else set())
    if told:
        assert kinds["object_partly_ignored"].examples == ("a.png", "b.png")
