"""A comparison is worth what it finds: models that differ a little have to show."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np

from internvl_seg.deployment import export_encoder_graph, open_graph
from internvl_seg.deployment.verification import check_features, check_labels, predict_labels, sample_pictures

from .conftest import LAYER, Exported, build, encoder, pictures, predict


def test_labels_of_another_model_differ(exported: Callable[[str, str], Exported]) -> None:
    model, path = exported("linear_rms_norm", ".onnx")
    other = copy.deepcopy(model)
    other.backbone.blocks[0].mlp.fc1.weight.data.mul_(1.05)
    checks = check_labels(open_graph(path), {"float32": model, "other": other}, sample_pictures(3))
    assert [check.size for check in checks] == [(64, 88), (71, 93), (108, 144)]
    for check in checks:
        assert check.pictures == 3
        assert check.equal["float32"] >= 0.9999
        assert 0.5 < check.equal["other"] < 0.999


def test_features_of_another_encoder_differ(tmp_path: Path) -> None:
    model, other = encoder(LAYER), encoder(LAYER)
    other.blocks[0].ls2.gamma.data.mul_(1.01)
    for name, indices in (("tokens", None), ("maps", [0])):
        export_encoder_graph(model, tmp_path / f"{name}.pt2", indices=indices)
        graph = open_graph(tmp_path / f"{name}.pt2")
        assert max(check.error for check in check_features(graph, model, indices)) < 1e-5
        assert min(check.error for check in check_features(graph, other, indices)) > 1e-3


def test_labels_are_those_of_the_test_step() -> None:
    model = build("tuned_mlp_binary_bgr_padded")
    images = pictures(2, (17, 22))
    rgb = images.transpose(0, 2, 3, 1).astype(np.uint8)
    np.testing.assert_array_equal(predict_labels(model, rgb), predict(model, images)[0])
