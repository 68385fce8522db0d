"""Studies of whole images: on a few tiny ones, and on photographs with a real encoder."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from rich.console import Console
from sklearn.linear_model import RidgeClassifier
from torch.testing import assert_close

from internvl_seg import Classifier, load_classifier, load_encoder
from internvl_seg.probing import probe
from internvl_seg.probing.closed_form import read_vectors
from internvl_seg.probing.feature_store import FeatureStore
from internvl_seg.probing.knn import knn_votes
from internvl_seg.probing.ridge import fit_ridge
from internvl_seg.probing.scored import Scored
from internvl_seg.probing.sources import StoreSource
from internvl_seg.training import ConfigError, evaluate

from .conftest import save_encoder

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = "{root}/configs/probing/vit_s_imagefolder-224x224.py"
data_root = "photos"
vit_s = dict(embed_dim=32, depth=4, num_heads=2, img_size=42)
model = dict(backbone=dict(
    dtype="float32", arch=dict(_delete_=True, embed_dim=32, depth=4, num_heads=2, img_size=42),
    init_cfg=dict(checkpoint="encoder.safetensors")))
train_pipeline = [
    dict(type="LoadImageFromFile"), dict(type="RandomFlip", prob=0.5, direction="horizontal"), dict(type="PackInputs")]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
probe = dict(
    blocks=[3, [1, 3]], views=2, iterations=30, batch_size=8, warmup=2,
    heads=[
        dict(kind="linear", solver="sgd", lr=[1e-2, 1e-1]),
        dict(kind="linear", solver="lbfgs", weight_decay=[1e-2]),
        dict(kind="attention_pooling", lr=[1e-3, 1e-2]),
        dict(kind="ridge", weight_decay=[1.0, 10.0]),
        dict(kind="knn", neighbours=[1, 3]),
    ],
    few_shot=dict(per_class=[2], fractions=[0.5], draws=2),
    store=dict(folder="features", dtype="float32", workers=0),
)
"""


def make_study(folder: Path) -> Path:
    """Images of three classes by colour, as one folder a class, and a config that probes an encoder on them."""
    (folder / "config.py").write_text(CONFIG.format(root=ROOT))
    draw = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for label, name in enumerate(("ant", "bee", "cat")):
            place = folder / "photos" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                image = draw.integers(0, 120, (28, 42, 3))
                image[..., label] += 100
                Image.fromarray(image.astype(np.uint8)).save(place / f"{i}.png")
    save_encoder(folder / "encoder.safetensors", seed=0)
    init_default_scope("mmpretrain")
    return Path("config.py")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of its own."""
    monkeypatch.chdir(tmp_path)
    return make_study(tmp_path)


@pytest.fixture(scope="module")
def whole_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scored]:
    """A study of every kind of head, which tests look at and leave as it is; and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        return folder, run(make_study(folder))


@pytest.fixture
def scored(whole_study: tuple[Path, Scored], monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Its heads; the program runs in its folder."""
    monkeypatch.chdir(whole_study[0])
    init_default_scope("mmpretrain")
    return whole_study[1]


def run(config: Path, **options: object) -> Scored:
    found = probe(config, work_dir="out", options=options, console=Console(quiet=True))
    assert found is not None
    return found


def test_every_kind_of_head(scored: Scored) -> None:
    kinds = {(result.spec.kind, result.spec.solver) for result in scored.results}
    assert kinds == {
        ("linear", "sgd"),
        ("linear", "lbfgs"),
        ("attention_pooling", "adamw"),
        ("ridge", "closed_form"),
        ("knn", "closed_form"),
    }
    on_all = [result for result in scored.results if result.spec.subset is None]
    assert len(on_all) == 2 * 2 + 2 + 2 + 2 * 2 + 2 * 2
    assert len(scored.results) == len(on_all) * (1 + 2 * 2)
    for kind in kinds:  # The colours are easily told apart.
        assert max(r.score for r in on_all if (r.spec.kind, r.spec.solver) == kind) > 80, kind
    assert all(r.gradient_norm < 1e-2 for r in on_all if r.spec.solver == "lbfgs")
    assert all(np.sum(count) == 9 for count in scored.counts)
    results = json.loads(Path("out/results.json").read_text())
    assert results["metric"] == "top-1"
    assert results["classes"] == ["ant", "bee", "cat"]
    assert Path("out/index.html").is_file()


def test_products_in_bfloat16_train_nearly_the_same_heads(config: Path) -> None:
    options = {"probe.few_shot.per_class": [], "probe.few_shot.fractions": [], "probe.iterations": 3}
    exact, rounded = (run(config, **options, **{"probe.precision": name}) for name in ("float32", "bfloat16"))
    for one, other in zip(exact.results, rounded.results, strict=True):
        if one.spec.solver in ("sgd", "adamw"):
            assert one.loss != other.loss
            assert one.loss == pytest.approx(other.loss, rel=0.1)
        else:
            assert one == other


@pytest.mark.parametrize("content", ["pooled", "tokens"])
def test_lbfgs_reads_every_image_once_where_memory_allows(
    config: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    heads = [{"kind": "linear", "solver": "lbfgs", "weight_decay": [1e-2]}]
    if content == "tokens":
        heads.append({"kind": "attention_pooling"})
    options = {"probe.heads": heads, "probe.few_shot.per_class": [], "probe.few_shot.fractions": []}
    options |= {"probe.blocks": [3], "probe.iterations": 1, "probe.warmup": 0, "probe.pictures": 0}
    reads = []
    read = FeatureStore.read
    monkeypatch.setattr(FeatureStore, "read", lambda self, *args: reads.append(args) or read(self, *args))
    found, counts = [], []
    for free in (1 << 30, 0):
        monkeypatch.setattr("internvl_seg.probing.encoder_study.free_bytes", lambda _device, free=free: free)
        reads.clear()
        found.append(run(config, **options))
        counts.append(len(reads))
    others = (8 + 9) * (content == "tokens")  # A step and the scores of attention pooling.
    assert counts[0] == 2 * 15 + 9 + others
    assert counts[1] > 3 * counts[0]
    assert found[0].results == found[1].results


def test_exported_heads_are_models_as_any_other(scored: Scored) -> None:
    pictures = sorted(Path("photos/val").rglob("*.png"))
    truth = torch.arange(3).repeat_interleave(3)
    checked = set()
    for result in scored.results:
        if result.spec.subset is not None:
            continue
        if result.spec.kind == "knn":
            assert result.checkpoint is None
            continue
        classifier = Classifier.from_checkpoint(f"out/{result.config}", f"out/{result.checkpoint}")
        assert classifier.classes == ["ant", "bee", "cat"]
        predicted = torch.tensor([found.labels[0] for found in classifier(pictures, top_k=1)])
        assert 100 * (predicted == truth).float().mean().item() == pytest.approx(result.score, abs=0.01)
        checked.add((result.spec.kind, len(result.spec.blocks)))
        if result.spec.blocks == (3,):  # And, on the last block, as official classifiers are read.
            official = load_classifier(
                f"out/{result.checkpoint}", encoder=load_encoder("encoder.safetensors", num_heads=2)
            )
            for name, tensor in official.state_dict().items():
                if not name.startswith("encoder."):
                    assert tensor.equal(classifier.model.state_dict()[f"head.classifier.{name}"])
    assert checked == {("linear", 1), ("linear", 2), ("attention_pooling", 1), ("ridge", 1), ("ridge", 2)}


def test_an_exported_head_is_evaluated_by_the_same_command(scored: Scored, tmp_path: Path) -> None:
    heads = [r for r in scored.results if r.spec.subset is None]
    (result,) = (r for r in heads if r.spec.solver == "lbfgs" and r.spec.blocks == (1, 3))
    options = {"test_dataloader.num_workers": 0, "test_dataloader.persistent_workers": False}
    metrics = evaluate(f"out/{result.config}", f"out/{result.checkpoint}", work_dir=str(tmp_path), options=options)
    assert metrics["accuracy/top1"] == pytest.approx(result.score, abs=0.01)


def test_more_images_of_a_class_than_there_are(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"asks for 6 images of a class, but 'ant' has 5"):
        run(config, **{"probe.few_shot.per_class": [6]})


@pytest.mark.slow
def test_photographs_with_a_real_encoder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = {
        "data_root": str(shared / "data" / "imagefolder"),
        "model.backbone.init_cfg.checkpoint": str(shared / "weights" / "vit_small_patch14_518.safetensors"),
        "probe.blocks": [11],
        "probe.views": 1,
        "probe.iterations": 8,
        "probe.warmup": 0,
        "probe.few_shot.per_class": [],
        "probe.store.folder": "features",
    }
    scored = run(ROOT / "configs" / "probing" / "vit_s_imagefolder-224x224.py", **options)
    best = {kind: max(r.score for r in scored.results if r.spec.kind == kind) for kind in ("linear", "ridge", "knn")}
    assert min(best.values()) > 4  # Of 50 classes chance is 2 %; these weights are weak here.

    def vectors(split: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        (folder,) = Path("features").glob(f"{split}-*")
        store = FeatureStore.open(folder, json.loads((folder / "store.json").read_text())["key"])
        return read_vectors(StoreSource(store, 1), range(count), [11], "tokens")

    (train, labels), (queries, truth) = vectors("plain", 200), vectors("val", 50)
    rows = [row / math.sqrt(row @ row) for row in train.double().numpy()]
    right = 0
    for query, answer in zip(queries.double().numpy(), truth.tolist(), strict=True):
        similarity = [float(row @ query) / math.sqrt(query @ query) for row in rows]
        nearest = sorted(range(200), key=lambda i: -similarity[i])[:10]
        votes = [0.0] * 50
        for i in nearest:
            votes[int(labels[i])] += math.exp(similarity[i] / 0.07)
        right += int(np.argmax(votes)) == answer
    (ten,) = [r.score for r in scored.results if r.spec.kind == "knn" and r.spec.neighbours == 10]
    assert ten == pytest.approx(100 * right / 50)
    assert_close(knn_votes(train, labels, queries, 50, [10])[10].argmax(1).eq(truth).sum(), torch.tensor(right))

    for alpha, (weight, bias) in zip([1e1, 1e3], fit_ridge(train, labels, 50, [1e1, 1e3]), strict=True):
        model = RidgeClassifier(alpha=alpha).fit(train.double().numpy(), labels.numpy())
        scores = model.decision_function(queries.double().numpy())
        assert_close(queries.double() @ weight.T + bias, torch.tensor(scores), rtol=1e-6, atol=1e-6)
        (found,) = [r.score for r in scored.results if r.spec.kind == "ridge" and r.spec.weight_decay == alpha]
        assert found == pytest.approx(100 * float(np.mean(scores.argmax(1) == truth.numpy())))
