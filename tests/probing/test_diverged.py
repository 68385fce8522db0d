"""NaN and infinity: heads that diverge have no figures, and features that hold them stop the study."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from internvl_seg.common.finite import NonFiniteError
from internvl_seg.probing.closed_form import ClosedForm
from internvl_seg.probing.errors import DivergedError, ProbeError
from internvl_seg.probing.feature_store import Sample
from internvl_seg.probing.features import Norms
from internvl_seg.probing.head_spec import HeadSpec

from ..error_table import DocumentedError
from .conftest import MakeFeatures, Run

SHORT = {"probe__iterations": 4, "probe__blocks": [-1], "probe__views": 1}


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def test_a_head_that_diverges_stops_nothing_and_changes_no_other(run: Run) -> None:
    kinds = [{"kind": "linear", "batch_norm": [True, False]}, {"kind": "mlp", "channels": 8, "solver": "sgd"}]
    kinds.append({"kind": "linear", "solver": "lbfgs", "weight_decay": [1e-2]})
    sound = run("sound", probe__heads=[kind | {"lr": [1e-2]} for kind in kinds], **SHORT)
    repeat = {"best": 3, "seeds": [0]}
    found = run("some", probe__heads=[kind | {"lr": [1e-2, 1e38]} for kind in kinds], probe__repeat=repeat, **SHORT)
    lost = [result for result in found.results if result.diverged]
    assert {result.spec.lr for result in lost} == {1e38}
    assert len(lost) == 3
    assert all(r.score is r.loss is r.checkpoint is r.config is None and set(r.per_class) == {None} for r in lost)
    kept = {result.spec.name: result for result in found.results if not result.diverged}
    assert kept.keys() == {result.spec.name for result in sound.results}
    for result in sound.results:
        assert kept[result.spec.name].loss == pytest.approx(result.loss, rel=1e-4)
    told = json.loads(Path("some/results.json").read_text(), parse_constant=refuse_constant)
    assert told["best"] in kept
    assert [head["score"] for head in told["heads"]].count(None) == 3
    rows = list(csv.DictReader(Path("some/results.csv").read_text().splitlines()))
    assert {(row["diverged"], row["score"] == "") for row in rows} == {("True", True), ("False", False)}
    assert not [path for path in Path("some/heads").iterdir() if "lr1e+38" in path.name]
    assert "3 of 7 heads diverged" in Path("some/index.html").read_text()


def test_a_study_whose_heads_all_diverged_says_so(run: Run, documented_error: DocumentedError) -> None:
    with documented_error("all heads of a study diverge", DivergedError):
        run(probe__heads=[{"lr": [1e30]}], **SHORT)
    told = json.loads(Path("out/results.json").read_text(), parse_constant=refuse_constant)
    assert told["best"] is told["confusion"] is told["heads"][0]["score"] is None
    assert "no score" in Path("out/index.html").read_text()


def scale_weights(name: str, factor: float) -> None:
    weights = load_file("encoder.safetensors")
    save_file(weights | {name: factor * weights[name]}, "encoder.safetensors")


def test_features_that_hold_infinity(make_features: MakeFeatures, documented_error: DocumentedError) -> None:
    scale_weights("blocks.1.ls2.gamma", 1e38)
    scale_weights("blocks.1.mlp.fc2.weight", 1e4)
    with documented_error("features hold NaN or infinity", NonFiniteError):
        make_features()
    assert not list(Path("features").glob("*/view*"))


@pytest.mark.parametrize("stream", [False, True])
def test_features_beyond_float16_name_bfloat16(run: Run, stream: bool) -> None:
    scale_weights("blocks.3.ls2.gamma", 1e4)  # The weights themselves are not beyond it.
    scale_weights("blocks.3.mlp.fc2.weight", 1e3)
    message = r"Features of tiny/images/train/\d\.png, block 3 of encoder 'encoder' in float16: .*dtype='bfloat16'"
    with pytest.raises(NonFiniteError, match=message):
        run(stream=stream, model__backbone__dtype="float16", **SHORT)


def test_statistics_beyond_float32() -> None:
    norms = Norms(1e-5)
    norms.apply(2, torch.tensor([[1e30], [-1e30]]), training=True)
    with pytest.raises(NonFiniteError, match="Mean and variance of the features of block 2 of encoder 'vit'"):
        norms.check("vit")


@pytest.mark.parametrize(
    ("kind", "decay", "temperature", "diverges"),
    [("ridge", 1.0, 0.07, False), ("ridge", 1e-300, 0.07, True), ("knn", 0.0, 0.07, False), ("knn", 0.0, 1e-45, True)],
)
def test_closed_forms(kind: str, decay: float, temperature: float, diverges: bool) -> None:
    class Vectors:
        """Pooled vectors of a few images."""

        scale = 1.0

        def samples(self, images: range, blocks: tuple[int, ...]) -> list[Sample]:
            vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(2, 1) * self.scale
            return [
                Sample({0: v.expand(1, 1, 2, 2)}, torch.tensor(i % 2)) for i, v in zip(images, vectors, strict=True)
            ]

    source = Vectors()
    spec = HeadSpec("vit", kind, (0,), "closed_form", 0.0, decay, False, 0, neighbours=1)
    closed = ClosedForm(source, source, np.zeros(4, int), "pooled", 2, temperature)
    assert closed.fit([spec], range(4))[3] == [diverges]
    source.scale = 1e30
    with pytest.raises(NonFiniteError, match="pooled features of block 0 of encoder 'vit'"):
        closed.fit([spec], range(4))


def test_images_without_a_label_are_no_zero(run: Run, documented_error: DocumentedError) -> None:
    options = {"model__decode_head__ignore_index": 0, "val_dataloader__dataset__reduce_zero_label": False}
    for path in Path("tiny/annotations/val").iterdir():
        Image.new("L", Image.open(path).size, 0).save(path)
    with documented_error("validation images without a label", ProbeError):
        run(allow=["ignore_index", "no_label"], **SHORT, **options)
