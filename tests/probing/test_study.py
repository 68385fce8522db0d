"""Whole studies on a few tiny images."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.inference import Segmenter
from internvl_seg.probing import ProbeError, probe
from internvl_seg.probing.errors import StoreSizeError
from internvl_seg.probing.extraction import Extractor
from internvl_seg.training import ConfigError, evaluate

from ..error_table import DocumentedError
from .conftest import MakeFeatures, Run, save_encoder

EVERY_KIND = [
    {"kind": "linear", "lr": [1e-1], "batch_norm": [True, False]},
    {"kind": "mlp", "channels": 8, "solver": "sgd"},
    {"kind": "upernet", "blocks": [[0, 1, 2, 3]], "channels": 8},
    {"kind": "linear", "solver": "lbfgs", "weight_decay": [1e-2]},
]


def heads(work_dir: str) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: read_pickle(path)["state_dict"] for path in Path(work_dir).glob("heads/*.pth")}


def assert_equal(first: str, second: str) -> None:
    found, expected = heads(first), heads(second)
    assert found.keys() == expected.keys() != set()
    for name, state in expected.items():
        assert all(torch.equal(found[name][key], value) for key, value in state.items()), name
    assert Path(first, "results.csv").read_text() == Path(second, "results.csv").read_text()


def shards() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("features").glob("*/view*")}


@pytest.mark.parametrize("window", [None, (28, 28)], ids=["whole", "slide"])
def test_heads_are_read_and_scored_by_other_tools(run: Run, window: tuple[int, int] | None) -> None:
    options = {} if window is None else {"model__test_cfg": {"mode": "slide", "crop_size": window, "stride": (14, 20)}}
    scored = run(probe__heads=EVERY_KIND, **options)
    assert len(scored.results) == 3 * 2 + 3 + 1 + 3
    for result in scored.results:
        metrics = evaluate(f"out/{result.config}", f"out/{result.checkpoint}", work_dir="test")
        # Upsampled logits of UperNet differ in the last bits.
        assert metrics["mIoU"] == pytest.approx(result.score, abs=0.011), result.spec.name
    segmenter = Segmenter.from_checkpoint(f"out/{result.config}", f"out/{result.checkpoint}")
    assert segmenter("tiny/images/val/1.png").labels.shape == (42, 45)
    assert "backbone.encoder_reference" in heads("out")[f"{result.spec.name}.pth"]


def test_products_in_bfloat16_train_nearly_the_same_heads(run: Run) -> None:
    exact, rounded = (run(name, probe__heads=EVERY_KIND, probe__precision=name) for name in ("float32", "bfloat16"))
    for one, other in zip(exact.results, rounded.results, strict=True):
        assert one.spec == other.spec
        if one.spec.solver == "lbfgs":
            assert one.loss == other.loss
        else:
            assert one.loss != other.loss
            assert one.loss == pytest.approx(other.loss, rel=0.1)


def test_what_stands_beside_the_heads(run: Run) -> None:
    scored = run(probe__repeat={"best": 1, "seeds": [0, 1, 2]}, probe__pictures=1)
    results = json.loads(Path("out/results.json").read_text())
    best = max(scored.results, key=lambda result: result.score)
    assert results["best"] == best.spec.name
    assert results["seed"] == 3
    assert results["versions"]["torch"]
    assert np.sum(results["confusion"]) > 0
    assert results["repeated"][0]["n"] == 3
    rows = list(csv.DictReader(Path("out/results.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == [result.spec.name for result in scored.results]
    page = Path("out/index.html").read_text()
    assert all(result.spec.name in page for result in scored.results)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert Path("out/config.py").is_file()


def test_the_number_of_workers_changes_nothing(run: Run) -> None:
    run("none")
    shutil.rmtree("features")
    run("two", probe__store__workers=2)
    assert_equal("none", "two")


def test_other_seeds_give_other_heads(run: Run) -> None:
    first, second = (run(name, probe__seeds=[seed]) for name, seed in (("a", 0), ("b", 1)))
    pairs = zip(first.results, second.results, strict=True)
    assert all(one.loss != other.loss for one, other in pairs)


def test_a_stream_trains_what_a_store_trains(run: Run) -> None:
    plain = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    plain += [{"type": "Resize", "scale": (42, 28)}, {"type": "PackSegInputs"}]
    options = {"train_dataloader__dataset__pipeline": plain, "probe__views": 1}
    stored, streamed = run("stored", **options), run("streamed", stream=True, **options)
    assert [r.score for r in streamed.results] == pytest.approx([r.score for r in stored.results], abs=0.5)
    assert [r.loss for r in streamed.results] == pytest.approx([r.loss for r in stored.results], rel=1e-3)


def test_a_stream_encodes_an_image_once_for_all_heads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    samples = Extractor.samples
    monkeypatch.setattr(Extractor, "samples", lambda self, items: encoded.append(len(items)) or samples(self, items))
    options = {"stream": True, "probe__iterations": 5}
    one = run("one", **options)
    alone, seen = len(one.results), sum(encoded)
    encoded.clear()
    two = run("two", probe__seeds=[0, 1], **options)
    assert sum(encoded) == seen
    assert len(two.results) == 2 * alone
    first = [result for result in two.results if result.spec.seed == 0]
    assert [(r.loss, r.score) for r in first] == [(r.loss, r.score) for r in one.results]
    assert {r.loss for r in two.results if r.spec.seed == 1}.isdisjoint(r.loss for r in first)


def test_a_finished_store_is_not_computed_again(make_features: MakeFeatures) -> None:
    make_features()
    before = shards()
    make_features(probe__iterations=5)
    assert shards() == before


def test_more_views_are_added(make_features: MakeFeatures) -> None:
    make_features()
    before = shards()
    make_features(probe__views=3)
    assert before.items() < shards().items()


@pytest.mark.parametrize("change", ["weights", "an image", "a mask", "another image", "transform", "dtype", "seed"])
def test_what_features_depend_on_makes_a_store_of_its_own(make_features: MakeFeatures, change: str) -> None:
    stores = make_features()
    options: dict[str, object] = {}
    if change == "weights":
        Path("encoder.safetensors").unlink()
        save_encoder(Path("encoder.safetensors"), seed=1)
    elif change == "an image":
        Image.new("RGB", (42, 28), (9, 9, 9)).save("tiny/images/train/0.png")
    elif change == "a mask":
        Image.new("L", (42, 28), 1).save("tiny/annotations/train/0.png")
    elif change == "another image":
        Image.new("RGB", (42, 28)).save("tiny/images/train/new.png")
        Image.new("L", (42, 28)).save("tiny/annotations/train/new.png")
    elif change == "transform":
        options = {"train_dataloader.dataset.pipeline.4.prob": 0.1}
    elif change == "dtype":
        options = {"probe__store__dtype": "bfloat16"}
    else:
        options = {"randomness__seed": 4}
    new = {path.name.split("-")[0] for path in make_features(**options) - stores}
    assert new == ({"train", "val"} if change in ("weights", "dtype") else {"train"})


def test_an_encoder_in_little_memory(run: Run, make_features: MakeFeatures) -> None:
    whole = run("whole")
    streamed = run("streamed", model__backbone__blocks_in_memory=2)
    assert [r.score for r in streamed.results] == [r.score for r in whole.results]
    for name, state in heads("whole").items():
        assert_close(heads("streamed")[name], state, rtol=1e-4, atol=1e-5, msg=name)
    stores = len(list(Path("features").iterdir()))
    make_features(model__backbone__quantization="int8")
    # Another block, which is in no memory when the encoder is hashed.
    weights = load_file("encoder.safetensors")
    (name,) = (name for name in weights if "blocks.3.mlp.fc1.weight" in name)
    save_file(weights | {name: 2 * weights[name]}, "encoder.safetensors")
    assert len(make_features(model__backbone__blocks_in_memory=2)) == stores + 2 + 2


def test_moved_data_have_the_same_store(make_features: MakeFeatures) -> None:
    make_features()
    before = shards()
    Path("tiny").rename("moved")
    make_features(data_root="moved")
    assert shards() == before


def test_a_killed_study_is_gone_on_with_only_if_asked(run: Run) -> None:
    run("out")
    state = next(Path("out/state").glob("*.json"))
    content = json.loads(state.read_text())
    content["results"][0]["score"] = 99.0
    state.write_text(json.dumps(content))
    assert max(result.score for result in run("out", resume=True).results) == 99.0
    assert max(result.score for result in run("out").results) < 99.0


def test_few_shot_heads_see_their_images_only(run: Run) -> None:
    scored = run(probe__few_shot={"fractions": [0.25], "draws": 2}, probe__iterations=60)
    losses = {str(r.spec.subset): r.loss for r in scored.results if r.spec.lr == 1e-1 and r.spec.batch_norm}
    assert len(losses) == 3
    # Two of eight images are learned by heart.
    assert max(losses["0.25 of the images, draw 0"], losses["0.25 of the images, draw 1"]) < losses["None"]


def test_eight_bits_change_little(run: Run) -> None:
    exact, rough = run("exact"), run("rough", probe__store__dtype="int8")
    assert np.abs(np.subtract([r.loss for r in rough.results], [r.loss for r in exact.results])).max() < 0.02


def dry_run(config: Path, **options: object) -> str:
    console = Console(record=True, width=120)
    probe(config, dry_run=True, options=options, console=console)
    return console.export_text()


def test_a_dry_run_tells_the_size_and_writes_nothing(config: Path, run: Run) -> None:
    text = dry_run(config)
    assert not Path("features").exists()
    assert "train" in text
    run()
    found = sum(path.stat().st_size for path in Path("features").glob("*/view*"))
    assert f"{found / 1e9:.2f} GB as float32" in text


def test_a_store_that_does_not_fit_is_not_begun(
    run: Run, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("internvl_seg.probing.feature_store.shutil.disk_usage", lambda _: usage)
    with documented_error("a disk that is too small for features", StoreSizeError):
        run()
    assert not shards()


def test_crops_of_several_sizes(run: Run, documented_error: DocumentedError) -> None:
    plain = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]
    options = {"train_dataloader__dataset__pipeline": plain, "model__data_preprocessor__size": None}
    with documented_error("training images of several sizes", ProbeError):
        run(model__data_preprocessor__size_divisor=14, **options)


def test_lbfgs_does_not_stream(run: Run, documented_error: DocumentedError) -> None:
    with documented_error("L-BFGS with --stream", ConfigError):
        run(stream=True, probe__heads=[{"solver": "lbfgs"}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model__decode_head__loss_decode": {"type": "DiceLoss"}}, r"model\.decode_head\.loss_decode=.*DiceLoss"),
        ({"model__decode_head__num_classes": 7}, "num_classes = 7, but val_dataloader.dataset .* has 4 classes"),
        ({"model__backbone__frozen": False}, "a probe's encoder is frozen"),
        ({"model__backbone__type": "ResNet"}, "ResNet"),
    ],
)
def test_configs_that_describe_no_study(run: Run, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**options)
