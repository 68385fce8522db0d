"""Each fault, one at a time, is found, and nothing else is."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight import KINDS, DatasetError, check_before_training, check_dataset
from internvl_seg.training import train
from internvl_seg.training.config import load_config
from tools import check_dataset as tool

from ...error_table import DocumentedError

TRAIN = Path("data/images/train"), Path("data/annotations/train")


def check(*arguments: str) -> int:
    """Exit code of the command."""
    sys.argv = ["check_dataset.py", "config.py", *arguments]
    with pytest.raises(SystemExit) as ended:
        tool.main()
    return int(ended.value.code or 0)


def edit_image(change: Callable[[Image.Image], Image.Image], **options: Any) -> None:
    path = TRAIN[0] / "b.png"
    changed = change(Image.open(path))
    changed.save(path, **options)


def edit_mask(change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = TRAIN[1] / "b.png"
    Image.fromarray(change(np.asarray(Image.open(path)).copy())).save(path)


def paint(label: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(mask: np.ndarray) -> np.ndarray:
        mask[5, 7] = label
        return mask

    return change


def palette(mask: np.ndarray) -> None:
    image = Image.fromarray(mask).convert("P")
    image.putdata(mask.ravel())
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(TRAIN[1] / "b.png")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def rotate(image: Image.Image) -> None:
    exif = Image.Exif()
    exif[274] = 3  # By half a turn, so that the size stays.
    image.save(TRAIN[0] / "b.png", exif=exif)


def cmyk() -> None:
    """A JPEG in CMYK among the PNGs: decoders look at the content, not at the name."""
    Image.open(TRAIN[0] / "b.png").convert("CMYK").save(TRAIN[0] / "b.jpg", quality=95)
    (TRAIN[0] / "b.jpg").rename(TRAIN[0] / "b.png")


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "missing_mask": (lambda: (TRAIN[1] / "b.png").unlink(), "b.png: there is no data/annotations/train/b.png"),
    "missing_image": (lambda: Image.new("L", (50, 30)).save(TRAIN[1] / "z.png"), "z.png"),
    "unreadable": (lambda: cut(TRAIN[0] / "b.png"), "b.png: "),
    "size_mismatch": (lambda: edit_mask(lambda mask: mask[:-1]), "b.png: 50x30, its mask 50x29"),
    "label_out_of_range": (lambda: edit_mask(paint(7)), "b.png: 7 of 3 classes"),
    "reduce_zero_label": (lambda: edit_mask(paint(3)), "b.png: 3"),
    "rgb_mask": (lambda: edit_mask(lambda mask: np.stack([mask, mask, mask + 1], -1)), "b.png: RGB"),
    "palette_mask": (lambda: palette(np.where((m := read_mask()) > 2, 0, m)), "b.png"),
    "wide_mask": (lambda: edit_mask(lambda mask: mask.astype(np.uint16)), "b.png: I;16"),
    "overlap": (lambda: Image.open(TRAIN[0] / "b.png").save("data/images/val/d.png"), "d.png = b.png"),
    "grayscale_image": (lambda: edit_image(lambda image: image.convert("L")), "b.png: L"),
    "alpha_image": (lambda: edit_image(lambda image: image.convert("RGBA")), "b.png: RGBA"),
    "rotated_image": (lambda: rotate(Image.open(TRAIN[0] / "b.png")), "b.png: RGB"),
    "cmyk_image": (cmyk, "b.png: CMYK"),
    "unsupported_image": (
        lambda: Image.fromarray(np.full((30, 50), 900, np.uint16)).save(TRAIN[0] / "b.png"),
        "b.png: PNG, 1 band of 16 bits: b.png has 1 band of 16 bits (uint16); without bands=[...]",
    ),
}


def read_mask() -> np.ndarray:
    return np.asarray(Image.open(TRAIN[1] / "b.png"))


def assert_found(kind: str, example: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    assert check(*arguments) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"{KINDS[kind].severity}: {kind}" in said
    assert example in said
    report = check_dataset(load_config("config.py", dict(a.split("=") for a in arguments[1:])))
    assert [finding.kind for finding in report.findings] == [kind]
    if not report.findings[0].advice:
        assert " ".join(KINDS[kind].mend.split()) in said


@pytest.mark.usefixtures("data")
def test_nothing_is_found_where_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    said = capsys.readouterr().out
    assert "Nothing found in 4 images" in said
    report = check_dataset(load_config("config.py"))
    train_set = report.histograms[0]
    masks = [np.asarray(Image.open(path)) for path in sorted(TRAIN[1].iterdir())]
    counts = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=256)
    assert train_set.pixels.tolist() == counts[:3].tolist()
    assert (train_set.ignored, train_set.images.tolist(), train_set.total) == (counts[255], [3, 3, 3], 3)
    assert [h.split for h in report.histograms] == ["train", "val"]  # Validation and test are the same files.
    check_before_training(load_config("config.py"))


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, example = FAULTS[kind]
    make()
    assert_found(kind, example, capsys)
    config = load_config("config.py")
    if KINDS[kind].severity == "error":
        with pytest.raises(DatasetError, match=kind):
            check_before_training(config)
        options = {"model.decode_head.dropout_ratio": 0.2, "train_dataloader.batch_size": 1}
        with pytest.raises(DatasetError, match=kind) as caught:
            train("config.py", work_dir="run", options=options)
        given = "--cfg-options model.decode_head.dropout_ratio=0.2 train_dataloader.batch_size=1"
        assert str(caught.value).endswith(f"python tools/check_dataset.py config.py {given}")
        assert not Path("run").exists()
    else:
        check_before_training(config)
        assert kind in capsys.readouterr().out
    assert check("--allow", kind) == 0


@pytest.mark.usefixtures("data")
def test_masks_in_colours_are_told_file_by_file_and_what_to_do_once(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        ids = np.asarray(Image.open(TRAIN[1] / f"{name}.png"))
        Image.fromarray(np.stack([ids, ids, ids + 1], -1)).save(TRAIN[1] / f"{name}.png")
    (finding,) = check_dataset(load_config("config.py")).findings
    told = r"\.png: RGB, 3 channels that differ, such as \d+, \d+, \d+ in row 0, column 0"
    assert [bool(re.fullmatch(name + told, case)) for name, case in zip("ab", finding.examples, strict=True)] == [1, 1]
    check()
    assert capsys.readouterr().out.count("prepare_dataset.py") == 1


@pytest.mark.usefixtures("data")
def test_what_was_found_is_counted_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    (TRAIN[1] / "b.png").unlink()
    check()
    said = " ".join(capsys.readouterr().out.split())
    assert "missing_mask: images without a mask: 1 file in train b.png" in said
    assert re.search(r"Found 1 error and 0 warnings, looking at 4 images for \d+\.\d s\.$", said)
    assert "val: 1 image, " in said


@pytest.mark.usefixtures("data")
def test_every_image_that_was_trained_on_is_counted() -> None:
    for name in ("d", "e"):
        Image.open(TRAIN[0] / "b.png").save(f"data/images/val/{name}.png")
        Image.open(TRAIN[1] / "b.png").save(f"data/annotations/val/{name}.png")
    (found,) = [f for f in check_dataset(load_config("config.py")).findings if f.kind == "overlap" and f.where == "val"]
    assert (found.count, found.examples) == (2, ("d.png = b.png", "e.png = b.png"))


@pytest.mark.usefixtures("data")
def test_a_set_without_images(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("config.py")
    path.write_text(path.read_text().replace("img_suffix='.png'", "img_suffix='.jpg'"))
    assert check() == 1
    assert "data/images/train holds no *.jpg" in capsys.readouterr().out
    with pytest.raises(DatasetError, match="no_image"):
        train("config.py", work_dir="run")


@pytest.fixture
def folder(data: Path) -> Path:
    """The same images as a folder of one's own."""
    (data / "classes.txt").write_text("sky\nsea\nland\n")
    for kind in ("images", "annotations"):
        (data / kind / "val").rename(data / kind / "test")
    text = Path("config.py").read_text().replace("type='BaseSegDataset'", "type='FolderDataset'")
    text = text.replace("img_suffix='.png', seg_map_suffix='.png',", "").replace("loader('val')", "loader('test')")
    Path("config.py").write_text(text.replace("metainfo=dict(classes=('sky', 'sea', 'land')), ", ""))
    return data


@pytest.mark.parametrize("names", ["classes.txt", ""])
def test_a_folder_of_ones_own_is_looked_at_though_masks_are_missing(
    names: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not names:
        (folder / "classes.txt").unlink()
    assert check() == 0
    (folder / "annotations/train/a.png").unlink()
    (folder / "annotations/train/c.png").unlink()
    edit_image(lambda image: image.convert("L"))
    capsys.readouterr()
    assert check() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "images without a mask: 2 files in train" in said
    assert "c.png: there is no data/annotations/train/c.png" in said
    assert "b.png: L" in said


def test_a_folder_of_ones_own_with_nothing_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (folder / "images/train").iterdir():
        path.unlink()
    assert check() == 1
    assert "data/images/train holds no image. Expected images/{train,test}" in capsys.readouterr().out
    (folder / "classes.txt").unlink()
    assert "data/images/train holds no image" in str(stopped_with())


def test_a_mask_that_cannot_be_counted(folder: Path) -> None:
    (folder / "classes.txt").unlink()
    cut(TRAIN[1] / "b.png")
    assert "b.png cannot be read" in str(stopped_with())


@pytest.mark.usefixtures("folder")
def test_a_folder_that_does_not_fit_together_is_told_with_its_words() -> None:
    Image.open(TRAIN[1] / "b.png").save(TRAIN[1] / "b.tif")
    (finding,) = check_dataset(load_config("config.py"), splits=["train"]).findings
    assert finding.kind == "folder"
    assert "data/annotations/train holds b.png and b.tif, two masks for the image b.png" in str(finding)


@pytest.mark.usefixtures("folder")
def test_masks_of_another_name_are_hinted_at_and_equal_channels_are_ids() -> None:
    for mask in TRAIN[1].iterdir():
        mask.rename(mask.with_name(f"{mask.stem}_mask.png"))
    options = {"train_dataloader.dataset.seg_map_suffix": "_mask.png"}
    report = check_dataset(load_config("config.py"), splits=["train"])
    assert "missing_mask" in {finding.kind for finding in report.findings}
    assert "Masks there are called NAME_mask.png: set seg_map_suffix='_mask.png'" in str(report.findings[0])
    assert not check_dataset(load_config("config.py", options), splits=["train"]).findings
    path = TRAIN[1] / "b_mask.png"
    Image.fromarray(np.stack([np.asarray(Image.open(path))] * 3, -1)).save(path)
    assert not check_dataset(load_config("config.py", options), splits=["train"]).findings


def stopped_with() -> object:
    """What the command says when it cannot even list the data."""
    sys.argv = ["check_dataset.py", "config.py"]
    with pytest.raises(SystemExit) as ended:
        tool.main()
    return ended.value.code


@pytest.mark.usefixtures("data")
def test_classes_that_are_never_seen(capsys: pytest.CaptureFixture[str]) -> None:
    for path in TRAIN[1].iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 1] = 2
        Image.fromarray(mask).save(path)
    assert_found("unseen_class", "sea", capsys)
    assert not check_dataset(load_config("config.py"), sample=2).findings


@pytest.mark.usefixtures("data")
def test_an_ignored_id_below_zero() -> None:
    mask = read_mask().astype(np.int32)
    mask[mask == 255] = -1  # As 255 to training, which reads the lowest 8 bits.
    Image.fromarray(mask).save("b.tif")
    Path("b.tif").rename(TRAIN[1] / "b.png")
    report = check_dataset(load_config("config.py"))
    assert [finding.kind for finding in report.findings] == ["wide_mask"]
    mask[5, 7] = -254  # As 2, which is a class.
    Image.fromarray(mask).save("b.tif")
    Path("b.tif").rename(TRAIN[1] / "b.png")
    found = {finding.kind: finding.examples for finding in check_dataset(load_config("config.py")).findings}
    assert found["label_out_of_range"] == ("b.png: -254 of 3 classes",)


@pytest.mark.usefixtures("data")
def test_ids_that_8_bits_cannot_hold() -> None:
    edit_mask(lambda mask: paint(60_000)(mask.astype(np.uint16)))
    found = {finding.kind: finding.examples for finding in check_dataset(load_config("config.py")).findings}
    assert found == {"label_out_of_range": ("b.png: 60000 of 3 classes",), "wide_mask": ("b.png: I;16",)}


@pytest.mark.usefixtures("data")
def test_images_smaller_than_the_crop(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("(28, 42)", "(28, 56)"))
    assert check() == 1
    assert "a.png: 50x30, the crop 56x28" in capsys.readouterr().out
    # An enlargement in the pipeline is counted.
    resize = (
        "dict(type='RandomResize', scale=(60, 36), ratio_range=(0.5, 1.0), keep_ratio=True), dict(type='RandomCrop'"
    )
    Path("config.py").write_text(Path("config.py").read_text().replace("dict(type='RandomCrop'", resize))
    assert check() == 0


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("in_channels=32, num_classes=3", "in_channels=32, num_classes=3, ignore_index=0", "model.decode_head"),
        ("in_index=0, num_classes=3", "in_index=0, num_classes=3, ignore_index=0", "model.auxiliary_head"),
        ("seg_pad_val=255", "seg_pad_val=0", "model.data_preprocessor.seg_pad_val"),
        ("img_suffix='.png',", "img_suffix='.png', ignore_index=0,", "train_dataloader.dataset"),
        ("val_evaluator = dict(", "val_evaluator = dict(ignore_index=0, ", "val_evaluator.ignore_index"),
        ("dict(type='RandomCrop', crop_size=(28, 42))", "dict(type='RandomRotate', prob=0.5, degree=9, seg_pad_val=0)",
         "RandomRotate.seg_pad_val"),
    ],
)  # fmt: skip
def test_places_of_ignore_index_that_disagree(old: str, new: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("config.py").read_text()
    assert old in text
    Path("config.py").write_text(text.replace(old, new, 1))
    assert check() == 1
    said = capsys.readouterr().out
    assert "error: ignore_index" in said
    line = next(line for line in said.splitlines() if key in line)
    assert line.endswith("= 0")
    with pytest.raises(DatasetError, match="ignore_index"):
        check_before_training(load_config("config.py"))


@pytest.mark.usefixtures("data")
def test_a_label_that_only_the_config_ignores_elsewhere_is_found() -> None:
    text = Path("config.py").read_text().replace("seg_pad_val=255", "seg_pad_val=9")
    text = text.replace("num_classes=3", "num_classes=3, ignore_index=9").replace(
        "SegmentationMetric'", "SegmentationMetric', ignore_index=9"
    )
    Path("config.py").write_text(text.replace("img_suffix='.png',", "img_suffix='.png', ignore_index=9,"))
    (finding, *_) = check_dataset(load_config("config.py")).findings
    assert finding.kind == "label_out_of_range"
    assert finding.examples[0] == "a.png: 255 of 3 classes"


@pytest.mark.usefixtures("data")
def test_heads_with_another_number_of_classes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.py").write_text(Path("config.py").read_text().replace("num_classes=3", "num_classes=4"))
    assert check() == 1
    assert "model.auxiliary_head.num_classes = 4, the train set has 3" in capsys.readouterr().out


@pytest.mark.usefixtures("data")
def test_zero_is_reduced_though_it_is_a_class() -> None:
    options = {f"{split}_dataloader.dataset.reduce_zero_label": True for split in ("train", "val", "test")}
    found = check_dataset(load_config("config.py", options)).findings
    assert {finding.kind for finding in found} == {"zero_label_reduced", "unseen_class"}
    # With the highest label there, 0 may well mean 'other'.
    for path in Path("data/annotations").rglob("*.png"):
        mask = np.asarray(Image.open(path)).copy()
        mask[mask < 3] += 1
        Image.fromarray(mask).save(path)
    assert not check_dataset(load_config("config.py", options)).findings


@pytest.mark.usefixtures("data")
def test_what_opencv_makes_of_unusual_images() -> None:
    """The messages say what training reads; here is the proof."""
    path = TRAIN[0] / "b.png"
    plain = cv2.imread(str(path))
    edit_image(lambda image: image.convert("RGBA"))
    assert np.array_equal(cv2.imread(str(path)), plain)
    rotate(Image.open(path).convert("RGB"))
    assert np.array_equal(cv2.imread(str(path)), plain[::-1, ::-1])
    Image.fromarray(np.full((30, 50), 900, np.uint16)).save(path)
    assert (cv2.imread(str(path)) == 900 >> 8).all()


@pytest.mark.usefixtures("data")
def test_a_test_set_without_masks_lacks_none() -> None:
    options = {"test_dataloader.dataset.data_prefix": {"_delete_": True, "img_path": "images/val"}}
    assert not check_dataset(load_config("config.py", options)).findings


def test_every_kind_is_provoked_and_documented() -> None:
    elsewhere = {
        *("no_image", "ignore_index", "num_classes", "unseen_class", "small_image", "zero_label_reduced"),
        # In test_images.py and test_labels.py.
        *("large_image", "scaled_image", "too_many_classes", "classes_differ", "classes_renamed"),
        *(
            "wide_image",
            "object_ignored",
            "no_label",
            "unlabelled_mask",
            "void_label",
            "unscored_class",
            "unsupported_mask",
        ),
        *("folder", "trained_images"),
        # In test_folders.py, test_advice.py and test_image_labels.py.
        *("listed_image", "contradicting_labels", "skipped_image", "object_partly_ignored"),
    }
    assert FAULTS.keys() | elsewhere == KINDS.keys()
    page = (Path(__file__).resolve().parents[3] / "docs/preflight.md").read_text()
    for name, kind in KINDS.items():
        assert f"| `{name}` | {kind.severity} | {kind.meaning} | {kind.mend} |\n" in page


@pytest.mark.usefixtures("data")
def test_what_training_says(documented_error: DocumentedError) -> None:
    (TRAIN[1] / "b.png").unlink()
    with documented_error("an image has no mask", DatasetError):
        train("config.py", work_dir="run")


def test_camvid_ignoring_another_label_is_stopped(shared: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    config = root / "configs/camvid/vit_s_linear_frozen_camvid-378x504.py"
    options = {"data_root": str(shared / "data/camvid")}
    assert not check_dataset(load_config(config, options), sample=20).findings
    with pytest.raises(DatasetError, match=r"model\.decode_head\.ignore_index = 11"):
        train(config, work_dir=str(tmp_path / "run"), options=options | {"model.decode_head.ignore_index": 11})
    assert not (tmp_path / "run").exists()


def test_samples_of_ade20k_are_clean(shared: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    prefix = {"img_path": "images", "seg_map_path": "annotations"}
    options = {f"{split}_dataloader.dataset.data_prefix": prefix for split in ("val", "test")}
    config = root / "configs/ade20k/internvit_6b_224px_linear_frozen_ade20k-504x504.py"
    config = load_config(config, options | {"data_root": str(shared / "data/ade20k_sample")})
    assert not check_dataset(config, splits=["val"]).findings


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_sample_of_nothing_is_refused(number: str) -> None:
    sys.argv = ["check_dataset.py", "config.py", "--sample", number]
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert f"--sample {number}: nothing would be looked at" in str(ended.value.code)


@pytest.mark.usefixtures("data")
def test_names_that_cannot_be_printed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"caf\xe9\n.png")
    (TRAIN[0] / name).write_bytes(b"")
    (TRAIN[1] / name).write_bytes((TRAIN[1] / "b.png").read_bytes())
    with Path("said.txt").open("w", encoding="utf-8") as said:  # Strict, as a terminal is.
        monkeypatch.setattr(sys, "stdout", said)
        assert check("--json", "found.json") == 1
    assert "caf%E9%0A.png: " in Path("said.txt").read_text()
    assert "caf%E9%0A.png: " in Path("found.json").read_text()
    with pytest.raises(DatasetError, match=r"caf%E9%0A\.png"):
        check_before_training(load_config("config.py"))


def test_a_list_that_another_data_set_cannot_read_is_told(data: Path) -> None:
    (data / "list.txt").write_bytes("a\nb\n".encode("utf-16"))
    options = {"train_dataloader.dataset.ann_file": "list.txt"}
    (finding, *_) = check_dataset(load_config("config.py", options)).findings
    assert finding.kind == "folder"
    assert "train_dataloader.dataset cannot list its images: UnicodeDecodeError" in finding.examples[0]
