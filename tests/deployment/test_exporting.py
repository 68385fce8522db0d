"""PyTorch's own predictions are what a graph is held to."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from PIL import Image

from internvl_seg.checkpoints.errors import DestinationError
from internvl_seg.deployment import ExportError, export_encoder_graph, export_segmentor_graph, open_graph
from internvl_seg.deployment.portable import portable
from internvl_seg.deployment.verification import check_features, check_labels

from ..error_table import DocumentedError
from ..in_threads import in_threads, one_by_one
from .conftest import CLASSES, KINDS, LAYER, PALETTE, RMS, SIZES, Exported, build, encoder, pictures, predict

Export = Callable[[str, str], Exported]


@pytest.mark.parametrize(("kind", "suffix"), [*((kind, ".onnx") for kind in KINDS), ("upernet", ".pt2")])
def test_labels_and_logits_are_those_of_pytorch(kind: str, suffix: str, exported: Export) -> None:
    model, path = exported(kind, suffix)
    graph = open_graph(path)
    reference = portable(model) if model.backbone.compute_dtype != torch.float32 else model
    equal, seen = [], set()
    for count, size in enumerate(SIZES, start=1):
        images = pictures(min(count, 3), size)
        found = graph(images)
        labels, logits = predict(reference, images)
        if model.out_channels == 1:
            found["logits"] = torch.from_numpy(found["logits"]).sigmoid().numpy()
        assert found["labels"].dtype == np.int64
        assert found["labels"].shape == (len(images), *size)
        np.testing.assert_allclose(found["logits"], logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())
        equal.append((found["labels"] == labels).ravel())
        seen |= set(labels.ravel().tolist())
    assert np.concatenate(equal).mean() >= 0.9999
    assert len(seen) == model.num_classes


@pytest.mark.parametrize(("kind", "suffix"), [("upernet", ".pt2"), ("linear_rms_norm", ".onnx")])
def test_threads_may_share_a_graph(kind: str, suffix: str, exported: Export) -> None:
    graph, images = open_graph(exported(kind, suffix).path), [pictures(1, size) for size in SIZES]
    wanted = one_by_one(graph, images)
    for number, found in enumerate(in_threads(graph, images * 2)):
        assert all(np.array_equal(found[name], values) for name, values in wanted[number % len(images)].items())


@pytest.mark.parametrize(("norm", "suffix"), [(RMS, ".pt2"), (LAYER, ".onnx")])
def test_features_are_those_of_pytorch(norm: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    model = encoder(norm, in_chans=4, depth=2)
    tokens = norm is RMS
    export_encoder_graph(model, tmp_path / f"encoder{suffix}", indices=None if tokens else [-1, 0])
    graph = open_graph(tmp_path / f"encoder{suffix}")
    assert graph.metadata["patch_size"] == 4
    for count, size in enumerate(((20, 20), (12, 28), (4, 4), (4, 16), (32, 4)), start=1):
        images = torch.randn(min(count, 3), 4, *size)
        with torch.no_grad():
            if tokens:
                expected = {"tokens": model.forward_features(images)}
            else:
                maps = model.forward_intermediates(images, [-1, 0])
                expected = dict(zip(("block_1", "block_0"), maps, strict=True))
        found = graph(images.numpy())
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-4, atol=1e-5 * tensor.abs().max().item())


def test_half_precision(exported: Export, tmp_path: Path) -> None:
    model, path = exported("linear_rms_norm", ".onnx")
    export_segmentor_graph(model, tmp_path / "half.onnx", dtype="float16", logits=True, opset=18)
    images = pictures(2, (37, 51))
    whole, half = (open_graph(file)(images)["logits"] for file in (path, tmp_path / "half.onnx"))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - whole).max() / np.abs(whole).max() < 2e-2

    def dtypes(file: Path) -> set[int]:
        return {tensor.data_type for tensor in onnx.load(file).graph.initializer if tensor.dims}

    half_type, whole_type = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert half_type in dtypes(tmp_path / "half.onnx")
    assert whole_type in dtypes(path)
    assert not {half_type, onnx.TensorProto.BFLOAT16} & dtypes(path)
    assert [entry.version for entry in onnx.load(tmp_path / "half.onnx").opset_import] == [18]


@pytest.mark.parametrize(("kind", "suffix"), [("linear_rms_norm", ".onnx"), ("upernet", ".pt2")])
def test_a_file_says_what_it_is(kind: str, suffix: str, exported: Export) -> None:
    path = exported(kind, suffix).path
    graph = open_graph(path)
    assert graph.outputs == ("labels", "logits")
    assert graph.metadata["task"] == "segmentation"
    assert graph.metadata["classes"] == CLASSES
    assert graph.metadata["palette"] == PALETTE
    assert graph.metadata["mean"] == [120, 115, 100]
    assert graph.metadata["std"] == [58, 57, 56]
    assert graph.metadata["patch_size"] == 4
    assert torch.__version__.startswith(graph.metadata["versions"]["torch"])
    assert list(path.parent.iterdir()) == [path]
    # Nothing of the machine that wrote it.
    assert str(Path(__file__).resolve().parents[2]).encode() not in path.read_bytes()


@pytest.mark.parametrize("kind", ["linear_rms_norm", "upernet"])
def test_an_onnx_file_is_one_by_the_book(kind: str, exported: Export) -> None:
    model = onnx.load(exported(kind, ".onnx").path)
    onnx.checker.check_model(model, full_check=True)
    (images,) = model.graph.input
    sides = [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim]
    assert sides == ["batch", 3, "height", "width"]
    assert [output.name for output in model.graph.output] == ["labels", "logits"]
    assert {entry.domain for entry in model.opset_import} == {""}


def test_large_weights_are_in_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 0)
    model, path = encoder(LAYER), tmp_path / "new" / "graph.onnx"
    export_encoder_graph(model, path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["graph.onnx", "graph.onnx.data"]
    assert max(check.error for check in check_features(open_graph(path), model, None)) < 1e-5
    path.unlink()
    with pytest.raises(DestinationError, match=r"graph\.onnx\.data exists already"):
        export_encoder_graph(model, path)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(path: Path, *_: object) -> None:
        assert path.stat().st_size > 1000
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "rename", disk_full)
    with pytest.raises(OSError, match="No space"):
        export_segmentor_graph(build("linear_rms_norm"), tmp_path / "graph.pt2")
    assert not list(tmp_path.iterdir())


class Sharpened(BaseDecodeHead):
    """A head that does more than to resize."""

    def predict_by_feat(self, *arguments: object) -> torch.Tensor:
        return super().predict_by_feat(*arguments) * 2


def test_what_cannot_be_exported(
    tmp_path: Path, documented_error: DocumentedError, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = build("linear_rms_norm"), tmp_path / "graph.onnx"
    with documented_error("a graph has a file name of no format", ExportError):
        export_segmentor_graph(model, "graph.pth")
    with documented_error("a graph is asked for in a dtype that runtimes lack", ExportError):
        export_segmentor_graph(model, path, dtype="bfloat16")
    with documented_error("an opset is given for a file of torch.export", ExportError):
        export_segmentor_graph(model, "graph.pt2", opset=18)
    with documented_error("a graph is asked for in operators that are too old", ExportError):
        export_segmentor_graph(model, path, opset=17)
    path.touch()
    with documented_error("the place of a graph is taken", DestinationError):
        export_segmentor_graph(model, path)
    path.unlink()
    model.data_preprocessor.test_cfg = {"size": (32, 32)}
    with documented_error("a segmentor that pads to one size is exported as a graph", ExportError):
        export_segmentor_graph(model, path)
    model = build("linear_rms_norm")
    model.decode_head.__class__ = type("Sharpened", (type(model.decode_head), Sharpened), {})
    with documented_error("a head that changes its logits is exported as a graph", ExportError):
        export_segmentor_graph(model, path)
    model = build("upernet")
    model.decode_head.align_corners = True  # Resizing in MMSegmentation then reads sizes as numbers.
    with documented_error("a head that reads sizes as numbers is exported as a graph", ExportError):
        export_segmentor_graph(model, path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else found(name))
    with documented_error("ONNX is to be written without its packages", ExportError):
        export_segmentor_graph(build("linear_rms_norm"), path)
    assert not list(tmp_path.iterdir())


def test_real_weights_on_photographs(shared: Path, tmp_path: Path) -> None:
    weights = shared / "weights/vit_small_patch14_518.safetensors"
    if not weights.is_file():
        pytest.skip("needs shared/weights/vit_small_patch14_518.safetensors, which is not part of the project")
    arch = {**LAYER, "embed_dim": 384, "depth": 2, "num_heads": 6, "patch_size": 14, "img_size": 518}
    model = build("linear_rms_norm", arch=arch, in_channels=384, weights=weights)
    paths = sorted((shared / "data/camvid/images/val").iterdir())[::50]
    photographs = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    # Statistics of BatchNorm from the photographs, so that a random head parts them into all of its classes.
    model.decode_head.norm.train().momentum = None
    small = np.stack([photograph[::2, ::2] for photograph in photographs]).transpose(0, 3, 1, 2)
    predict(model, small)
    model.decode_head.norm.eval()
    assert "backbone.blocks.0.attn.qkv.weight" in portable(model).state_dict()
    export_segmentor_graph(model, tmp_path / "graph.onnx")
    checks = check_labels(open_graph(tmp_path / "graph.onnx"), {"float32": model}, photographs)
    assert [check.size for check in checks] == [(224, 308), (251, 333), (378, 504)]
    assert min(check.equal["float32"] for check in checks) >= 0.9999
    assert len(np.unique(predict(model, small)[0])) == 5
