"""The preflight of images in class folders: every fault is named with its file, and a sound folder has none."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from internvl_seg.data.preflight import DatasetError, Report, before, check_before_training, check_dataset, print_report
from internvl_seg.training.config import load_config

from ...conftest import ROOT
from .test_before import count_reads, old

CLASSES = ("ant", "bee", "cat")
CONFIGS = sorted((ROOT / "configs/imagefolder").glob("*.py"))
CONFIG = ROOT / "configs/imagefolder/vit_s_linear_frozen_imagefolder-224x224.py"
SAMPLE = ROOT.parent / "shared/data/imagefolder"
BEE = Path("photos/train/bee/1.png")
Fault = Callable[[], object]


def save(path: str | Path, pixels: np.ndarray | None = None, **options: Any) -> None:
    """A picture, of noise if no other is given, in a folder that is made for it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(list(str(path).encode()))
    Image.fromarray(draw.integers(256, size=(30, 44, 3), dtype=np.uint8) if pixels is None else pixels).save(
        path, **options
    )


@pytest.fixture(autouse=True)
def _photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for name in CLASSES:
            for i in range(3):
                save(f"photos/{split}/{name}/{i}.png")


def loaded(config: Path = CONFIG, **options: Any) -> Any:
    return load_config(config, {"data_root": "photos", "model.head.num_classes": 3, **options})


def found(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.examples for finding in report.findings}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_sound_folder_has_no_finding(config: Path) -> None:
    options = {"model.data_preprocessor.num_classes": 3} if "full" in config.stem else {}
    report = check_dataset(loaded(config, **options))
    assert report.findings == ()
    assert report.images == 18  # Test is validation, and read once.
    assert [(part.split, part.images.tolist(), part.total) for part in report.histograms] == [
        ("train", [3, 3, 3], 9),
        ("val", [3, 3, 3], 9),
    ]
    console = Console(record=True, width=100, file=io.StringIO())
    print_report(report, console)
    said = console.export_text()
    assert "train: 9 images" in said
    assert "pixels" not in said
    assert "33.33%" in said


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample folder is not here")
def test_the_sample_folder_has_no_finding() -> None:
    report = check_dataset(load_config(CONFIG, {"data_root": str(SAMPLE)}))
    assert report.findings == ()
    assert report.images == 250
    assert [(len(part.classes), set(part.images)) for part in report.histograms] == [(50, {4}), (50, {1})]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def cut_jpeg() -> None:
    with Image.open(BEE) as image:
        image.save("bee.jpg")
    cut(Path("bee.jpg"))
    Path("bee.jpg").rename(BEE.with_suffix(".jpg"))


def leak() -> None:
    shutil.copy(BEE, "photos/val/bee/copy.png")


# By fault: how it is made, the kind that is found, and what is said of it.
FAULTS: dict[str, tuple[Fault, str, str]] = {
    "without content": (lambda: BEE.write_bytes(b""), "unreadable", "train/bee/1.png: the file has no content"),
    "cut": (lambda: cut(BEE), "unreadable", "train/bee/1.png: it is cut off"),
    "JPEG cut": (cut_jpeg, "unreadable", "train/bee/1.jpg: image file is truncated"),
    "a page in its place": (lambda: BEE.write_text("<html>404</html>"), "unreadable", "train/bee/1.png"),
    "16 bits": (
        lambda: save(BEE, np.arange(1320, dtype=np.uint16).reshape(30, 44) * 40),
        "unsupported_image",
        "train/bee/1.png: PNG, 1 band of 16 bits",
    ),
    "grey": (lambda: save(BEE, np.eye(30, 44, dtype=np.uint8) * 99), "grayscale_image", "train/bee/1.png: L"),
    "a copy in val": (leak, "overlap", "val/bee/copy.png = train/bee/1.png"),
    "a copy in another class": (
        lambda: shutil.copy(BEE, "photos/train/cat/copy.png"),
        "contradicting_labels",
        "train/cat/copy.png (cat) = train/bee/1.png (bee)",
    ),
    "a class without images": (
        lambda: Path("photos/train/dog").mkdir(),
        "unseen_class",
        "photos/train/dog has no image",
    ),
    "a class in val alone": (
        lambda: save("photos/val/dog/0.png"),
        "folder",
        "photos/val has images of dog, of which there are none to train on",
    ),
    "a class in train alone": (
        lambda: [shutil.rmtree("photos/val/bee"), save("photos/val/ant/9.png")],
        "unscored_class",
        "bee",
    ),
    "another format": (
        lambda: Path("photos/train/bee/IMG_1.HEIC").write_bytes(b"ftypheic"),
        "skipped_image",
        "bee/IMG_1.HEIC",
    ),
    "in no class": (lambda: save("photos/val/9.png"), "skipped_image", "9.png: in no class folder"),
    "no image": (
        lambda: [path.unlink() for path in Path("photos/val").rglob("*.png")],
        "no_image",
        "photos/val: there is no image in it",
    ),
    "no folder": (lambda: shutil.rmtree("photos/val"), "no_image", "photos/val: there is no such folder"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_with_its_file(name: str) -> None:
    make, kind, told = FAULTS[name]
    make()
    # As before a training: of most images only heads and ends are read.
    for pictures in (None, 0):
        (finding,) = check_dataset(loaded(), splits=("train", "val"), pictures=pictures).findings
        assert (finding.kind, finding.count) == (kind, 1)
        assert told in finding.examples[0]


def test_what_is_no_fault_of_image_labels() -> None:
    """Junk of systems, notes, cameras that were held upright, sizes, and copies within a class."""
    Path("photos/train/Thumbs.db").write_bytes(b"x")
    Path("photos/train/bee/._1.png").write_bytes(b"x")
    Path("photos/train/bee/notes.txt").write_text("where they are from")
    exif = Image.Exif()
    exif[274] = 6
    save("photos/train/bee/turned.jpg", exif=exif)
    save("photos/train/bee/large.png", np.random.default_rng(0).integers(256, size=(900, 20, 3), dtype=np.uint8))
    shutil.copy(BEE, "photos/train/bee/again.png")
    report = check_dataset(loaded())
    assert report.findings == ()
    assert report.histograms[0].images.tolist() == [3, 6, 3]


def test_a_head_of_other_classes_names_the_option() -> None:
    full = ROOT / "configs/imagefolder/internvit_300m_448px_v2_5_linear_full_imagefolder-448x448.py"
    found = check_dataset(load_config(full, {"data_root": "photos"})).findings
    assert [(finding.kind, finding.where) for finding in found] == [("num_classes", "train"), ("num_classes", "val")]
    assert found[0].examples == (
        "model.head.num_classes = 2, the train set has 3",
        "model.data_preprocessor.num_classes = 2, the train set has 3",
    )
    assert found[0].mend.endswith("--cfg-options model.head.num_classes=3 model.data_preprocessor.num_classes=3")


def test_a_list_that_leaves_a_class_out() -> None:
    Path("photos/few.txt").write_text("ant/0.png\ncat/0.png\n")
    save("photos/train/9.png")  # A list chooses: what is not in it is left out on purpose.
    report = check_dataset(loaded(**{"train_dataloader.dataset.ann_file": "few.txt"}))
    assert found(report) == {"unseen_class": ("bee",)}


def test_data_sets_of_mmpretrain() -> None:
    """A list of theirs may name files that are not there, and labels that no class has."""
    Path("photos/train.txt").write_text("ant/0.png 0\nbee/9.png 1\nbee/0.png 1\ncat/0.png 7\ncat/1.png 2\n")
    dataset = {
        "_delete_": True,
        "type": "CustomDataset",
        "data_root": "photos",
        "ann_file": "train.txt",
        "data_prefix": "train",
        "classes": CLASSES,
        "pipeline": [{"type": "LoadImageFromFile"}, {"type": "PackInputs"}],
    }
    report = check_dataset(loaded(**{"train_dataloader.dataset": dataset}))
    assert found(report) == {
        "listed_image": ("train/bee/9.png",),
        "label_out_of_range": ("train/cat/0.png: 7 of 3 classes",),
    }


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_images_in_archives_are_looked_at(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BEE.write_bytes(BEE.read_bytes()[:-500])
    if kind == "tar":
        with tarfile.open("photos/train.tar", "w") as packed:
            packed.add("photos/train", ".")
    else:
        with zipfile.ZipFile("photos/train.zip", "w") as file:
            for path in Path("photos/train").rglob("*.png"):
                file.write(path, path.relative_to("photos/train"))
    shutil.rmtree("photos/train")
    old("photos")
    report = check_dataset(loaded())
    assert report.images == 18
    ((kind, (told,)),) = found(report).items()
    assert (kind, told.partition(":")[0]) == ("unreadable", "bee/1.png")
    # And are remembered as files are.
    read = count_reads(monkeypatch)
    assert check_dataset(loaded()).findings == report.findings
    assert read == []


def test_before_a_training_heads_are_read_and_a_sample_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    old("photos")
    monkeypatch.setattr("internvl_seg.data.preflight.before.PICTURES", 1)
    read = count_reads(monkeypatch)
    check_before_training(loaded())
    # Of each set the one that was asked for, and the last, for its kind.
    assert (read.count("look_at_image"), read.count("decode_image"), read.count("read_mask")) == (18, 4, 0)
    read.clear()
    check_before_training(loaded())
    assert read == []
    leak()
    with pytest.raises(DatasetError, match="overlap: images with the same pixels"):
        check_before_training(loaded())
    check_before_training(loaded(), allow=["overlap"])


def test_before_a_run_so_many_images_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Classes are counted in all images all the same."""
    read = count_reads(monkeypatch)
    monkeypatch.setattr(before, "LABELLED", 2)
    shutil.rmtree("photos/val/cat")
    check_before_training(loaded())
    assert read.count("look_at_image") == 4
    told = capsys.readouterr().out
    assert "unscored_class" in told
    assert "cat" in told
    assert "bee" not in told
