"""Accuracies on ImageNet's variants, against numbers that a reader can count."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.data.real_labels import RealLabelsImagenet

from internvl_seg.classification import ImageNetAccuracy
from internvl_seg.classification.layout import LayoutError
from internvl_seg.classification.metric import read_real_labels
from internvl_seg.classification.variants import VARIANTS

from ..error_table import DocumentedError
from .conftest import Copies


def sample(variant: str, best: list[int], labels: list[int], number: int = 1) -> dict[str, Any]:
    """A prediction whose most likely classes are ``best``, in that order."""
    scores = torch.zeros(1000)
    for place, label in enumerate(best):
        scores[label] = 1.0 - 0.1 * place
    path = f"val/ILSVRC2012_val_{number:08d}.JPEG"
    return {"pred_score": scores, "gt_label": torch.tensor(labels), "variant": variant, "img_path": path}


def evaluate(metric: ImageNetAccuracy, samples: list[dict[str, Any]]) -> dict[str, float]:
    for one in samples:
        metric.process(None, [one])
    return dict(metric.evaluate(len(samples)))


def test_first_and_fifth_place_count() -> None:
    samples = [
        sample("imagenet", [7, 1, 2, 3, 4], [7]),
        sample("imagenet", [1, 2, 3, 4, 7], [7]),
        sample("imagenet", [1, 2, 3, 4, 5, 7], [7]),
        sample("imagenet_v2", [1, 2, 3, 4, 5], [3]),
    ]
    metric = ImageNetAccuracy()
    found = evaluate(metric, samples)
    assert found == {
        "imagenet/top1": pytest.approx(100 / 3),
        "imagenet/top5": pytest.approx(200 / 3),
        "imagenet_v2/top1": 0.0,
        "imagenet_v2/top5": 100.0,
    }
    assert metric.counts == {"imagenet": 3, "imagenet_v2": 1}


@pytest.mark.parametrize("variant", ["imagenet_a", "imagenet_r"])
def test_only_the_200_classes_can_be_predicted(variant: str) -> None:
    inside = VARIANTS[variant].ids
    outside = sorted(set(range(1000)) - set(inside))
    samples = [
        sample(variant, [*outside[:5], inside[0]], [inside[0]]),  # Of those that count, the first.
        sample(variant, [*outside[:3], inside[1], inside[0]], [inside[0]]),  # The second.
        sample(variant, [inside[1], *outside[:3], *inside[2:6], inside[0]], [inside[0]]),  # The sixth.
    ]
    found = evaluate(ImageNetAccuracy(), samples)
    assert found == {f"{variant}/top1": pytest.approx(100 / 3), f"{variant}/top5": pytest.approx(200 / 3)}


def test_objectnet_has_several_right_answers() -> None:
    samples = [sample("objectnet", [9, 1, 2, 3, 4], [5, 9]), sample("objectnet", [1, 2, 3, 4, 6], [5, 9])]
    assert evaluate(ImageNetAccuracy(), samples) == {"objectnet/top1": 50.0, "objectnet/top5": 50.0}


def test_reassessed_labels(copies: Copies) -> None:
    copies.real([[7, 8], [], [9]])
    samples = [
        sample("imagenet", [8, 1, 2, 3, 4], [7], number=1),  # Right with one, wrong with the other.
        sample("imagenet", [7, 1, 2, 3, 4], [7], number=2),  # Left out.
        sample("imagenet", [7, 1, 2, 9, 4], [7], number=3),
    ]
    metric = ImageNetAccuracy(real_labels=str(copies.root / "real.json"))
    found = evaluate(metric, samples)
    assert found == {
        "imagenet/top1": pytest.approx(200 / 3),
        "imagenet/top5": pytest.approx(200 / 3),
        "imagenet_real/top1": 50.0,
        "imagenet_real/top5": 100.0,
    }
    assert metric.counts == {"imagenet": 3, "imagenet_real": 2}


def test_timms_copy_of_the_reassessed_labels_and_its_score() -> None:
    labels = read_real_labels("timm")
    assert len(labels) == 50_000
    assert sum(not one for one in labels.values()) == 3163  # arXiv 2006.07159: 46,837 images have labels.
    draw = torch.Generator().manual_seed(0)
    scores = torch.rand(200, 1000, generator=draw)
    for i in range(0, 200, 2):  # Half of them right.
        scores[i, (labels[f"ILSVRC2012_val_{i + 1:08d}.JPEG"] or [0])[0]] = 2.0
    theirs = RealLabelsImagenet([f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(50_000)])
    theirs.add_result(scores)
    samples = [{**sample("imagenet", [], [0], number=i + 1), "pred_score": row} for i, row in enumerate(scores)]
    found = evaluate(ImageNetAccuracy(real_labels="timm"), samples)
    assert found["imagenet_real/top1"] == pytest.approx(theirs.get_accuracy(1))
    assert found["imagenet_real/top5"] == pytest.approx(theirs.get_accuracy(5))
    assert 40 < found["imagenet_real/top1"] < 60


def test_images_that_a_sampler_repeats_count_once() -> None:
    metric = ImageNetAccuracy()
    for one in [sample("imagenet", [7, 1, 2, 3, 4], [7]), *[sample("imagenet", [1, 2, 3, 4, 5], [7])] * 2]:
        metric.process(None, [one])
    assert metric.evaluate(2)["imagenet/top1"] == 50.0
    assert metric.counts == {"imagenet": 2}


def test_wrong_files_of_reassessed_labels(copies: Copies, documented_error: DocumentedError) -> None:
    path = copies.root / "real.json"
    with documented_error("ReaL's labels are missing", LayoutError):
        ImageNetAccuracy(real_labels=str(path))
    for case, text in (
        ("ReaL's labels are no JSON", "[[1], [2"),
        ("ReaL's labels are of too few images", json.dumps([[1], [2]])),
        ("ReaL has a label out of range", json.dumps([[1], [1000]] + [[]] * 49_998)),
    ):
        path.write_text(text)
        with documented_error(case, LayoutError):
            ImageNetAccuracy(real_labels=str(path))


def test_what_cannot_be_scored(documented_error: DocumentedError) -> None:
    metric = ImageNetAccuracy(real_labels="timm")
    one = sample("imagenet", [1], [1])
    with pytest.raises(ValueError, match="The model has 10 classes; ImageNetAccuracy scores the 1000"):
        metric.process(None, [{**one, "pred_score": torch.zeros(10)}])
    with documented_error("ReaL knows no label of an image", LayoutError):
        metric.process(None, [{**one, "img_path": str(Path("val/dog.jpg"))}])
