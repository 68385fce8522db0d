import numpy as np
import pytest

from internvl_seg.data.baselines import ColourClassifier, most_common_class, score_baselines
from internvl_seg.data.confusion import confusion_counts, iou_per_class

RED, GREEN, GREY = (200, 30, 30), (30, 200, 30), (128, 128, 128)


def painted(labels: np.ndarray, colours: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(colours, np.uint8)[labels]


def test_most_common_class_does_not_count_ignored_pixels() -> None:
    labels = np.array([[0, 1, 1], [255, 255, 255]], np.uint8)
    assert most_common_class([labels, labels], 3) == 1


def test_colours_that_tell_the_classes_apart_are_learned() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (16, 16))
    image = painted(labels, [RED, GREEN])
    classifier = ColourClassifier([image], [labels], 2)
    np.testing.assert_array_equal(classifier.predict(image), labels)
    np.testing.assert_array_equal(classifier.predict(image[:5, ::-1]), labels[:5, ::-1])


def test_ignored_pixels_teach_nothing() -> None:
    labels = np.array([[0, 0, 1, 255, 255, 255]])
    image = painted(np.array([[0, 0, 1, 1, 1, 1]]), [RED, GREEN])
    image[0, 3:] = RED
    np.testing.assert_array_equal(ColourClassifier([image], [labels], 2).predict(image), [[0, 0, 1, 0, 0, 0]])


def test_rare_class_is_not_given_up() -> None:
    # A quarter of the grey pixels are class 1, and class 1 occurs nowhere else: accuracy would never predict it.
    labels = np.zeros((100, 100), int)
    labels[:5] = 1
    colours = np.zeros_like(labels)
    colours[:20] = 1
    image = painted(colours, [RED, GREY])
    prediction = ColourClassifier([image], [labels], 2).predict(image)
    np.testing.assert_array_equal(prediction, colours)
    never = iou_per_class(confusion_counts(labels, np.zeros_like(labels), 2))
    assert iou_per_class(confusion_counts(labels, prediction, 2)).mean() > never.mean()


def test_scores_on_test_images_not_on_training_images() -> None:
    labels = np.array([[0, 0, 0, 1]])
    train = [(painted(labels, [RED, GREEN]), labels)]
    test = [(painted(labels, [GREEN, RED]), labels)]
    scores = score_baselines(train, test, 2)
    np.testing.assert_allclose(scores["most common class"], [75, 0])
    np.testing.assert_allclose(scores["colour alone"], [0, 0])
    np.testing.assert_allclose(score_baselines(train, train, 2)["colour alone"], [100, 100])


def test_same_answer_every_time() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (64, 64))
    image = (labels[..., None] * 40 + rng.integers(0, 120, (64, 64, 3))).astype(np.uint8)
    first, second = (ColourClassifier([image], [labels], 3).predict(image) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first == labels).mean() > 0.5


def test_image_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ColourClassifier([np.zeros((2, 2, 3), np.uint8)], [], 2)
