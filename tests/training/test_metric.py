"""The metric against MMSegmentation's, and where it is more exact."""

import csv
import json
import multiprocessing
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from PIL import Image
from torch import Tensor

from internvl_seg.data.confusion import count_on_device, pair_counts
from internvl_seg.data.masks import LabelError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import evaluate, train
from internvl_seg.training.metric import SegmentationMetric

from .test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)

CLASSES = ("road", "sky", "tree")
ALL = ["mIoU", "mDice", "mFscore"]


def counts(correct: list[int], predicted: list[int], labelled: list[int]) -> Tensor:
    """What the metric holds of an image; what is wrong there is none of the classes."""
    matrix = torch.diag(torch.tensor([*correct, 0]))
    matrix[:-1, -1] = torch.tensor(labelled) - torch.tensor(correct)
    matrix[-1, :-1] = torch.tensor(predicted) - torch.tensor(correct)
    return matrix


def with_classes(metric: IoUMetric, number: int) -> Any:
    metric.dataset_meta = {"classes": CLASSES[:number] if number <= 3 else tuple(map(str, range(number)))}
    return metric


def computed(results: list[Tensor]) -> tuple[dict[str, float], SegmentationMetric]:
    metric = with_classes(SegmentationMetric(), 3)
    return metric.compute_metrics(results), metric


def sample(prediction: Tensor, label: Tensor, path: str = "images/a.png") -> dict[str, Any]:
    """An image as the evaluator hands it over."""
    return {"pred_sem_seg": {"data": prediction}, "gt_sem_seg": {"data": label}, "img_path": path}


def areas(metric: SegmentationMetric) -> list[list[int]]:
    """Correct, united, predicted and labelled pixels of every class."""
    numbers = metric.per_class.values()
    correct, predicted, labelled = ([n[key] for n in numbers] for key in ("correct", "predicted", "labelled"))
    united = [p + n - c for c, p, n in zip(correct, predicted, labelled, strict=True)]
    return [correct, united, predicted, labelled]


def assert_equal_to_mmsegmentation(samples: list[dict[str, Any]], number: int, **options: Any) -> SegmentationMetric:
    """Every score and every count of every class."""
    ours = with_classes(SegmentationMetric(iou_metrics=ALL, **options), number)
    theirs = with_classes(IoUMetric(iou_metrics=ALL, **options), number)
    for one in samples:
        ours.process({}, [one])
        theirs.process({}, [one])
    counted = [sum(area).tolist() for area in zip(*theirs.results, strict=True)]
    expected = theirs.evaluate(len(samples))
    # Theirs leaves missed classes out of two means; F-score and Dice are the same number by definition.
    correct, _, predicted, labelled = (np.array(area) for area in counted)
    there = (predicted > 0) | (labelled > 0)
    expected["mFscore"] = expected["mDice"]
    expected["mPrecision"] = 100 * np.mean(correct[there] / predicted[there].clip(1))
    assert ours.evaluate(len(samples)) == {name: round(float(value), 2) for name, value in expected.items()}
    assert set(expected) >= {"aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"}
    assert areas(ours) == counted
    return ours


def random_samples(number: int, high: int, count: int) -> list[dict[str, Any]]:
    """Labels with ignored pixels, absent classes and ids up to ``high``; predictions that are right here and there."""
    generator = torch.Generator().manual_seed(0)

    def draw(end: int, height: int) -> Tensor:
        return torch.randint(0, end, (1, height, 17), generator=generator)

    samples = []
    for i in range(count):
        label, prediction = draw(high, 5 + i % 9), draw(high, 5 + i % 9)
        prediction = torch.where(draw(2, 5 + i % 9) == 1, label, prediction)
        label[draw(5, 5 + i % 9) == 0] = 255
        label[label == i % number] = (i + 1) % number
        samples.append(sample(prediction, label))
    return samples


@pytest.mark.parametrize("number", [2, 3, 7, 150])
def test_scores_and_counts_are_those_of_mmsegmentation(number: int) -> None:
    assert_equal_to_mmsegmentation(random_samples(number, number, 50), number)


@pytest.mark.parametrize("number", [3, 150])
def test_ids_that_are_no_class_count_for_the_other_map_alone(number: int) -> None:
    samples = random_samples(number, number + 20, 40)
    for i, one in enumerate(samples[:20]):
        # Below zero, and past a byte: 255 + 256 is not the ignored 255, nor 256 the class 0.
        one["gt_sem_seg"]["data"].view(-1)[:4] = torch.tensor([-1, 511, 256, 2**20])
        if i % 2:
            one["pred_sem_seg"]["data"].view(-1)[2:6] = torch.tensor([-1, 511, 256, 2**20])
    metric = assert_equal_to_mmsegmentation(samples, number)
    assert metric.confusion.sum() < sum(areas(metric)[3])


def test_more_classes_than_a_byte_holds() -> None:
    samples = random_samples(400, 410, 20)
    assert_equal_to_mmsegmentation(samples, 400, ignore_index=300)
    assert_equal_to_mmsegmentation(samples, 400)


@pytest.mark.parametrize("ignore_index", [-1, 0, 2, 65535])
def test_any_label_can_be_ignored(ignore_index: int) -> None:
    samples = random_samples(3, 3, 10)
    for one in samples:
        label = one["gt_sem_seg"]["data"]
        label[label == 255] = ignore_index
    assert_equal_to_mmsegmentation(samples, 3, ignore_index=ignore_index)


@pytest.mark.parametrize("label_dtype", [torch.int64, torch.uint8, torch.int32])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int64, torch.int32, torch.bool]
)
def test_binary_predictions_of_any_dtype(dtype: torch.dtype, label_dtype: torch.dtype) -> None:
    samples = random_samples(2, 2, 5)
    expected = assert_equal_to_mmsegmentation(samples, 2)
    metric = with_classes(SegmentationMetric(iou_metrics=ALL), 2)
    for one in samples:
        prediction, label = one["pred_sem_seg"]["data"], one["gt_sem_seg"]["data"]
        # Heads may leave out the first axis.
        metric.process({}, [sample(prediction.to(dtype).squeeze(0), label.to(label_dtype))])
    metric.evaluate(5)
    assert metric.per_class == expected.per_class


@pytest.mark.parametrize("number", [3, 300])
def test_an_accelerator_counts_the_same(number: int) -> None:
    for one in random_samples(number, number + 5, 5):
        prediction, label = one["pred_sem_seg"]["data"], one["gt_sem_seg"]["data"]
        label.view(-1)[:3] = torch.tensor([-1, 511, 256])
        expected = pair_counts(label.numpy(), prediction.numpy(), number, 255)
        assert count_on_device(label, prediction, number, 255).tolist() == expected.tolist()


def test_rows_of_the_confusion_matrix_are_labels_and_columns_predictions() -> None:
    metric = with_classes(SegmentationMetric(), 3)
    label = torch.tensor([[[0, 0, 0, 1], [1, 255, 255, 2]]])
    prediction = torch.tensor([[[0, 1, 1, 1], [2, 0, 1, 7]]])
    for _ in range(3):
        metric.process({}, [sample(prediction, label)])
    metric.evaluate(3)
    assert metric.confusion.dtype == np.int64
    assert metric.confusion.tolist() == [[3, 6, 0], [0, 3, 3], [0, 0, 0]]
    assert metric.per_class["tree"] == {"IoU": 0.0, "Acc": 0.0, "labelled": 3, "predicted": 3, "correct": 0}


def test_what_is_kept_does_not_grow_with_the_images() -> None:
    metric = with_classes(SegmentationMetric(), 3)
    one = random_samples(3, 3, 1)[0]
    for _ in range(2):
        for _ in range(9):
            metric.process({}, [one])
        assert sum(matrix.numel() for matrix in metric.results) <= 2 * 4 * 4
        metric.evaluate(9)
    assert metric.confusion.sum() == 9 * int((one["gt_sem_seg"]["data"] != 255).sum())


def test_pixels_are_counted_past_what_fp32_holds() -> None:
    big = 2**24
    image = counts([big, 1, 0], [big, 1, 0], [big, 1, 0])
    one = counts([1, 0, 0], [1, 0, 0], [1, 0, 0])
    _, metric = computed([image, one])
    assert metric.per_class["road"]["correct"] == big + 1


def test_one_image_may_have_more_pixels_than_fp32_holds() -> None:
    side = 4100
    label, prediction = torch.zeros(1, side, side, dtype=torch.uint8), torch.zeros(1, side, side, dtype=torch.uint8)
    prediction[0, 0, 0] = 1
    metric = with_classes(SegmentationMetric(), 3)
    metric.process({}, [sample(prediction, label)])
    metric.evaluate(1)
    assert side**2 - 1 > 2**24
    assert metric.confusion.tolist() == [[side**2 - 1, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("share", [6778, 5731, 6454, 1])
def test_scores_are_written_with_the_two_digits_that_are_printed(share: int) -> None:
    metrics, _ = computed([counts([share] * 3, [share] * 3, [10000] * 3)])
    assert json.dumps(metrics["mIoU"]) == str(share / 100)


def test_a_class_that_is_not_there_is_in_no_mean() -> None:
    metrics, metric = computed([counts([30, 10, 0], [50, 10, 0], [30, 30, 0])])
    assert metrics["mIoU"] == pytest.approx(100 * (30 / 50 + 10 / 30) / 2, abs=0.005)
    assert metric.per_class["tree"] == {"IoU": None, "Acc": None, "labelled": 0, "predicted": 0, "correct": 0}
    assert metric.per_class["sky"]["IoU"] == pytest.approx(100 / 3)


def test_a_mask_of_another_size_is_named() -> None:
    metric = with_classes(SegmentationMetric(), 3)
    wrong = sample(torch.zeros(1, 4, 6, dtype=torch.long), torch.zeros(1, 6, 4, dtype=torch.long), "images/b.png")
    with pytest.raises(ValueError, match=r"images/b\.png: the prediction has 4 x 6 pixels .* the mask 6 x 4\."):
        metric.process({}, [wrong])


def test_a_mask_in_colours_is_named() -> None:
    metric = with_classes(SegmentationMetric(), 3)
    wrong = sample(torch.zeros(1, 4, 6, dtype=torch.long), torch.zeros(4, 6, 3, dtype=torch.uint8))
    wrong["seg_map_path"] = "annotations/b.png"
    with pytest.raises(LabelError, match=r"annotations/b\.png has 3 channels"):
        metric.process({}, [wrong])


def test_a_missed_class_counts_as_nothing_and_an_absent_one_not_at_all() -> None:
    metric = with_classes(SegmentationMetric(iou_metrics=ALL), 3)
    label = torch.tensor([[[0, 0, 0, 1]]])
    metric.process({}, [sample(torch.zeros_like(label), label)])
    found = metric.evaluate(1)
    assert found["mFscore"] == found["mDice"] == pytest.approx(100 * (6 / 7) / 2, abs=0.01)
    assert (found["mPrecision"], found["mRecall"], found["mAcc"], found["mIoU"]) == (37.5, 50.0, 50.0, 37.5)
    missed, absent = metric.per_class["sky"], metric.per_class["tree"]
    scores = ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall")
    assert [missed[name] for name in scores] == [0.0] * 6
    assert [absent[name] for name in scores] == [None] * 6


def test_labels_that_are_no_class_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("internvl_seg.training.metric.print_log", lambda text, **_: told.append(text))
    metric = with_classes(SegmentationMetric(), 3)
    for path, number in (("a.png", 1), ("b.png", 7), ("c.png", 255)):
        metric.process({}, [sample(torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), number), path)])
    metric.evaluate(3)
    (line,) = told
    assert "neither one of the 3 classes" in line
    assert "4 labelled pixels" in line
    assert "b.png (id 7)" in line
    assert "a.png" not in line
    assert "c.png" not in line


def test_a_run_that_was_left_half_way_is_not_mixed_into_the_next() -> None:
    metric = with_classes(SegmentationMetric(), 3)
    for one in random_samples(3, 3, 5):
        metric.process({}, [one])
    with pytest.raises(ValueError, match="Process 0 of 1 scored 5 images of a data set of 3: some were counted twice"):
        metric.evaluate(3)


def score_a_part(rank: int, port: int, folder: str) -> None:
    """Evaluate data sets of several sizes, dealt out as mmengine's DefaultSampler does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=3)
    MMLogger.get_current_instance()
    found = []
    for size in (1, 2, 3, 7, 8):
        samples = random_samples(3, 3, size)
        metric = with_classes(SegmentationMetric(collect_dir=f"{folder}/{size}"), 3)
        for position in range(rank, -(-size // 3) * 3, 3):
            metric.process({}, [samples[position % size]])
        metrics = metric.evaluate(size)
        found.append((metrics, metric.confusion.tolist()))
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def test_an_image_that_fills_up_a_process_is_counted_once(tmp_path: Path) -> None:
    multiprocessing.set_forkserver_preload(["internvl_seg"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.start_processes(score_a_part, (port, str(tmp_path)), nprocs=3, start_method="forkserver")
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    for i, size in enumerate((1, 2, 3, 7, 8)):
        metric = assert_equal_to_mmsegmentation(random_samples(3, 3, size), 3)
        assert found[0][i][1] == metric.confusion.tolist()
        assert found[0][i][0] == found[1][i][0] == found[2][i][0]


def test_labels_past_a_byte_are_written_with_16_bits(tmp_path: Path) -> None:
    all_ids = torch.tensor([[[0, 255, 256, 299]]])
    cases = [(300, "I;16", False), (256, "L", False), (256, "I;16", True)]
    for number, mode, zero_is_no_class, dtype in [
        *((*case, torch.int64) for case in cases),
        (256, "I;16", True, torch.uint8),  # Of which 255 + 1 is 0.
    ]:
        metric = with_classes(SegmentationMetric(output_dir=str(tmp_path), format_only=True), number)
        ids = all_ids.clamp(max=number - 1).to(dtype)
        one = {"pred_sem_seg": {"data": ids}, "img_path": "a.jpg", "reduce_zero_label": zero_is_no_class}
        metric.process({}, [one])
        image = Image.open(tmp_path / "a.png")
        assert image.mode == mode
        assert np.asarray(image).tolist() == (ids[0].long() + zero_is_no_class).tolist()
        assert metric.evaluate(1) == {}
        assert metric.confusion.size == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_images_of_one_name_get_a_file_each_and_the_confusion_matrix_too(config: Path) -> None:  # noqa: F811
    for kind in ("images", "annotations"):
        for i in range(4):
            path = Path("tiny", kind, f"{i}.png")
            other = Path("tiny", kind, "ab"[i % 2], f"{i // 2}.png")
            other.parent.mkdir(exist_ok=True)
            path.rename(other)
    config.write_text(config.read_text().replace("IoUMetric", "SegmentationMetric"))
    train(config, work_dir="run", options={"train_cfg.max_iters": 1})
    evaluate(config, "run/iter_1.pth", work_dir="run", out="labels", show_dir="pictures")
    names = ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    for folder in ("labels", "pictures"):
        assert sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*")) == names
    results = json.loads(Path("run/test_results.json").read_text())
    with open(results["confusion_matrix"], newline="") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == [row[0] for row in rows] == list(results["per_class"])
    matrix = np.array([row[1:] for row in rows], int)
    pixels = [results["per_class"][name] for name in header[1:]]
    assert matrix.sum(1).tolist() == [n["labelled"] for n in pixels]
    assert matrix.sum(0).tolist() == [n["predicted"] for n in pixels]
    assert matrix.diagonal().tolist() == [n["correct"] for n in pixels]
    for name in names:
        truth, written = np.asarray(Image.open(f"tiny/annotations/{name}")), np.asarray(Image.open(f"labels/{name}"))
        matrix -= pair_counts(truth, written, 4, 255)[:-1, :-1]
    assert not matrix.any()


def test_masks_of_16_bits_are_scored_by_their_ids_and_drawn(
    config: Path,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    train(config, work_dir="run", options={"train_cfg.max_iters": 1})
    for mask in Path("tiny/annotations").iterdir():
        ids = np.asarray(Image.open(mask)).astype(np.uint16)
        Image.fromarray(np.where(ids == 0, 256, ids).astype(np.uint16)).save(mask)
    with pytest.raises(DatasetError, match=r"label_out_of_range: .*\(0\.png: 256 of 4 classes"):
        evaluate(config, "run/iter_1.pth", work_dir="run", show_dir="pictures")
    evaluate(config, "run/iter_1.pth", work_dir="run", show_dir="pictures", allow=["label_out_of_range"])
    # Of the lowest 8 bits, 256 would be class 0.
    results = json.loads(Path("run/test_results.json").read_text())
    assert next(iter(results["per_class"].values()))["labelled"] == 0
    told = capfd.readouterr()
    assert "(id 256)" in told.out + told.err
    assert len(list(Path("pictures").iterdir())) == 4


def test_a_class_that_is_ignored_by_default_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("internvl_seg.training.metric.print_log", lambda text, **_: told.append(text))
    for number, ignored in ((300, 255), (255, 255), (300, 65535)):
        metric = with_classes(SegmentationMetric(ignore_index=ignored), number)
        metric.process({}, [sample(torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long))])
        metric.evaluate(1)
    assert len([line for line in told if "'255': its pixels are not scored" in line]) == 1
