"""The demo from one's own folder to the page, with an encoder that is too small to learn anything in two steps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg import demo
from internvl_seg.data import sample_set
from internvl_seg.data.folder import FolderError
from internvl_seg.data.samples import Sample
from internvl_seg.demo import DemoError
from internvl_seg.visualization.results_page import ScoreTable

from .commands import run_command

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes that colour tells apart, so that the colour baseline is not to be beaten."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 2)):
        for kind in ("images", "annotations"):
            (tmp_path / kind / split).mkdir(parents=True)
        for i in range(count):
            mask = np.kron(rng.integers(0, 3, (3, 4)), np.ones((10, 10))).astype(np.uint8)
            image = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250)], np.uint8)[mask]
            mask[:2] = 255
            Image.fromarray(image).save(tmp_path / "images" / split / f"{i}.png")
            Image.fromarray(mask).save(tmp_path / "annotations" / split / f"{i}.png")
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    return tmp_path


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's config with a smaller encoder and two iterations."""
    config = tmp_path / "tiny.py"
    config.write_text(
        f"_base_ = [{str(ROOT / demo.SCRATCH)!r}]\n"
        "model = dict(\n"
        "    backbone=dict(arch=dict(embed_dim=32, depth=4, num_heads=2), out_indices=(0, 1, 2, 3)),\n"
        "    neck=dict(embed_dim=32),\n"
        "    decode_head=dict(in_channels=[32] * 4, channels=16),\n"
        ")\n"
        "train_cfg = dict(max_iters=2)\n"
        "train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n"
        "test_dataloader = dict(num_workers=0)\n"
    )
    monkeypatch.setattr(demo, "SCRATCH", str(config))
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_from_folder_to_page(folder: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "run"
    with demo.console.capture() as printed:
        scores = demo.run_demo(work_dir, data_root=folder, seed=3)
    assert scores.mean_iou()["colour alone"] == 100
    said = " ".join(printed.get().split())
    assert "InternViT reaches" in said
    assert "does not beat the baseline 'colour alone' with 100.0" in said
    page = (work_dir / "index.html").read_text(encoding="utf-8")
    reported = json.loads((work_dir / "test_results.json").read_text())
    assert reported["seed"] == 3
    for text in ("red", "green", "blue", "colour alone", "most common class", f"{reported['metrics']['mIoU']:.1f}"):
        assert text in page
    assert page.count("data:image/png;base64,") == 2
    assert sorted(path.name for path in (work_dir / "overlays").iterdir()) == ["0.png", "1.png"]
    assert f"| {reported['metrics']['mIoU']:.1f} |" in (work_dir / "scores.md").read_text(encoding="utf-8")
    # The commands on the page are those that a user can type.
    assert "python tools/train.py" in page
    assert "python tools/test.py" in page


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_losing_on_the_sample_set_is_an_error(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(demo.SCRATCH).open("a") as config:
        for loader in ("train_dataloader", "test_dataloader"):
            config.write(f"{loader}['dataset'] = dict(data_root={str(folder)!r})\n")
    (folder / "classes.txt").write_text("\n".join(sample_set.CLASSES) + "\n")
    (folder / sample_set.MANIFEST).write_text(json.dumps(sample_set._digests(folder)))
    monkeypatch.setattr(demo, "SAMPLE_SET", folder)
    with pytest.raises(DemoError, match=r"does not beat the baseline 'colour alone' with 100\.0"):
        demo.run_demo(tmp_path / "run")
    assert (tmp_path / "run" / "index.html").is_file()  # What was reached can be looked at all the same.


@pytest.mark.usefixtures("tiny")
def test_mask_that_does_not_fit_is_found_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    (folder / "classes.txt").write_text("red\ngreen\n")
    with pytest.raises(FolderError, match="holds id 2, but there are 2 classes: red, green"):
        demo.run_demo(tmp_path / "run", data_root=folder)
    assert not (tmp_path / "run").exists()


def test_score_must_be_the_one_that_was_reported(tmp_path: Path) -> None:
    labels = np.array([[0, 0, 1, 255]], np.uint8)
    Image.fromarray(np.array([[0, 1, 1, 1]], np.uint8)).save(tmp_path / "a.png")
    samples = [Sample("a", np.zeros((1, 4, 3), np.uint8), labels)]
    np.testing.assert_allclose(demo._score(samples, tmp_path, 2, reported=50.0), [50, 50])
    with pytest.raises(DemoError, match=r"score 50\.00 mIoU, but tools/test\.py reported 51\.00"):
        demo._score(samples, tmp_path, 2, reported=51.0)


@pytest.mark.parametrize(("reached", "beaten"), [(31.0, True), (30.0, False), (29.0, False)])
def test_on_the_sample_set_it_has_to_beat_both_baselines(reached: float, beaten: bool) -> None:
    columns = {name: np.array([value]) for name, value in {"a": 10.0, "b": 30.0, "ours": reached}.items()}
    scores = ScoreTable(["class"], columns)
    if beaten:
        demo._compare_with_baselines(scores, "ours", must_win=True)
    else:
        with pytest.raises(
            DemoError, match=f"ours reaches {reached} mIoU and does not beat the baseline 'b' with 30.0"
        ):
            demo._compare_with_baselines(scores, "ours", must_win=True)


def test_command_line_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = run_command("demo.py", "--data-root", tmp_path / "nowhere", "--work-dir", tmp_path, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("NoImageError: ")
    assert "Traceback" not in done.stderr
