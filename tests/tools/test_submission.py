"""Labels as predictions: perfect scores, every pixel counted, and a submission that reads back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from internvl_seg.training import ConfigError, evaluate
from internvl_seg.training.config import load_config, prepare_submission
from internvl_seg.training.results import sha256_of

from ..commands import run_command
from ..error_table import DocumentedError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = ['BASE']
custom_imports = dict(imports=['internvl_seg', 'tests.tools.oracle'])
model = dict(type='LabelOracle')
tta_model = dict(type='SegTTAModel')
test_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader['dataset'] = dict(
    data_root='ROOT', data_prefix=dict(img_path='images', seg_map_path='annotations'))
test_cfg = dict(type='TestLoop')
"""


def prepare(data: Path) -> None:
    """A config for a folder of ADE20K, and an empty checkpoint, where the program runs."""
    base = (ROOT / "configs/_base_/datasets/ade20k_504x504.py").as_posix()
    schedule = (ROOT / "configs/_base_/schedules/adamw_80k.py").as_posix()
    text = CONFIG.replace("'BASE'", f"'{base}', '{schedule}'").replace("ROOT", data.as_posix())
    Path("config.py").write_text(text)
    torch.save({"state_dict": {}, "meta": {}}, "model.pth")


def make_data(folder: Path) -> Path:
    """Two images with labels from 0 (other) to 150 in ADE20K's layout."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, size in (("a", (30, 47)), ("b", (61, 40))):
        Image.fromarray(generator.integers(256, size=(*size, 3), dtype=np.uint8)).save(folder / f"images/{name}.jpg")
        labels = generator.integers(151, size=size, dtype=np.uint8)
        Image.fromarray(labels).save(folder / f"annotations/{name}.png")
    return folder


def check(data: Path, submission: str, results: str) -> None:
    masks = {path.name: np.asarray(Image.open(path)) for path in (data / "annotations").iterdir()}
    written = {path.name: Image.open(path) for path in Path(submission).iterdir()}
    assert written.keys() == masks.keys()
    for name, image in written.items():
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), masks[name]), name
    found = json.loads(Path(results).read_text())
    assert found["metrics"] == {"aAcc": 100.0, "mIoU": 100.0, "mAcc": 100.0}
    labelled = np.bincount(np.concatenate([mask.ravel() for mask in masks.values()]), minlength=151)[1:]
    counted = list(found["per_class"].values())
    assert [c["labelled"] for c in counted] == labelled.tolist()
    assert [c["predicted"] for c in counted] == [c["correct"] for c in counted] == labelled.tolist()
    assert [c["IoU"] for c in counted] == [100.0 if n else None for n in labelled]
    assert next(iter(found["per_class"])) == "wall"
    assert found["checkpoint_sha256"] == sha256_of(Path("model.pth"))
    assert "LabelOracle" in Path(found["resolved_config"]).read_text()


def test_labels_as_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_data(tmp_path / "ade")
    prepare(data)
    evaluate("config.py", "model.pth", work_dir="run", submit="submission")
    check(data, "submission", "run/test_results.json")


def test_the_three_samples_of_ade20k(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = shared / "data/ade20k_sample"
    prepare(data)
    done = run_command("test.py", "config.py", "model.pth", "--work-dir", "run", "--submit", "submission")
    assert done.returncode == 0, done.stderr
    assert "wall" in done.stdout
    check(data, "submission", "run/test_results.json")


@pytest.mark.parametrize(
    "options",
    [
        {"test_dataloader.dataset.data_prefix": {"_delete_": True, "img_path": "images"}},
        {"test_dataloader.dataset.data_prefix.seg_map_path": None},  # As on the command line.
    ],
)
def test_a_test_set_without_masks_is_written_but_not_scored(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(make_data(tmp_path / "ade"))
    metrics = evaluate("config.py", "model.pth", work_dir="run", submit="submission", options=options)
    assert metrics == {}
    labels = np.asarray(Image.open("submission/b.png"))
    assert labels.shape == (61, 40)
    assert (labels == 8).all()  # Counted from 1.


def test_scales_and_flips_need_no_masks_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(make_data(tmp_path / "ade"))
    config = load_config("config.py")
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.test_dataloader.dataset.data_prefix = {"img_path": "images"}
    prepare_submission(config)
    init_default_scope("mmseg")
    sample = DATASETS.build(config.test_dataloader.dataset)[0]
    assert len(sample["inputs"]) == 6 * 2
    assert not any("gt_sem_seg" in one for one in sample["data_samples"])


def test_other_data_sets_have_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    with documented_error("a submission is asked of another data set than ADE20K", ConfigError):
        evaluate("config.py", "model.pth", submit="out", options={"test_dataloader.dataset.type": "CamVidDataset"})
