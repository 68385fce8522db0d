"""What is said of labels that are no class, and that the commands which are advised work when they are pasted."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from internvl_seg.data.preflight import DatasetError, Finding, check_before_training, check_dataset, print_report
from internvl_seg.training.config import load_config
from tools import check_dataset as tool

pytestmark = pytest.mark.usefixtures("data")


def paint(ids: list[int], shares: list[float] | None = None, folder: str = "annotations") -> None:
    """Masks of these ids, in every one of them, by their shares of the pixels."""
    generator = np.random.default_rng(0)
    for path in sorted(Path("data", folder).rglob("*.png")):
        mask = generator.choice(ids, size=(30, 50), p=shares).astype(np.uint8)
        mask.flat[: len(ids)] = ids
        Image.fromarray(mask).save(path)


def found() -> dict[str, Finding]:
    return {finding.kind: finding for finding in check_dataset(load_config("config.py")).findings}


def commands(text: str) -> list[str]:
    return re.findall(r"python tools/\w+\.py [^;\n]*?(?=;|\n|$| \()", text)


def pasted(command: str) -> int:
    """Exit code of check_dataset.py with the arguments of a command."""
    words = shlex.split(command)
    assert words[0] == "python"
    assert Path(__file__).resolve().parents[3].joinpath(words[1]).is_file()
    sys.argv = ["check_dataset.py", *words[2:]]
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert not isinstance(ended.value.code, str), ended.value.code
    return int(ended.value.code or 0)


def test_void_after_the_last_class_wants_ignore_index() -> None:
    """Thin and everywhere, as CamVid's 11 after 11 classes."""
    paint([0, 1, 2, 3], [0.4, 0.3, 0.25, 0.05])
    finding = found()["void_label"]
    void, more = commands(finding.mend)
    assert "model.decode_head.ignore_index=3" in void
    assert "val_evaluator.ignore_index=3" in void
    assert "reduce_zero_label" not in str(finding)
    assert "model.decode_head.num_classes=4 model.auxiliary_head.num_classes=4" in more
    assert pasted(void) == 0


def test_void_beside_255_is_to_be_saved_as_255() -> None:
    paint([0, 1, 2, 3, 255], [0.4, 0.3, 0.2, 0.05, 0.05])
    assert "if 3 is void, save it as 255, which is ignored" in found()["void_label"].mend


def test_classes_that_count_from_1_want_reduce_zero_label() -> None:
    paint([1, 2, 3])
    finding = found()["reduce_zero_label"]
    assert "ignore_index" not in finding.mend
    assert pasted(commands(finding.mend)[0]) == 0


@pytest.mark.parametrize("name", ["background", "Other", "void"])
def test_a_first_class_that_is_what_is_left_over_is_a_class(name: str) -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("'sky'", f"'{name}'"))
    paint([0, 1, 2, 3], [0.2, 0.1, 0.1, 0.6])
    finding = found()["void_label"]
    assert "reduce_zero_label" not in str(finding)
    assert pasted(commands(finding.mend)[0]) == 0


def test_where_the_masks_do_not_tell_both_are_offered() -> None:
    paint([0, 1, 2, 3])
    finding = found()["reduce_zero_label"]
    reduce, void, _ = commands(finding.mend)
    assert "reduce_zero_label=True" in reduce
    assert "ignore_index=3" in void
    assert pasted(void) == 0
    assert pasted(reduce) == 0


def test_one_label_far_out_may_be_void() -> None:
    paint([0, 1, 2, 99])
    void, more = commands(found()["label_out_of_range"].mend)
    assert "num_classes=100" in more
    assert pasted(void) == 0


def test_keys_of_nested_data_sets_can_be_pasted() -> None:
    text = Path("config.py").read_text()
    nested = "\ntrain_dataloader['dataset'] = dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', "
    nested += "datasets=[train_dataloader['dataset']]))\n"
    Path("config.py").write_text(text.replace("del loader", nested + "del loader"))
    paint([1, 2, 3])
    command = commands(found()["reduce_zero_label"].mend)[0]
    assert "train_dataloader.dataset.dataset.datasets.0.reduce_zero_label=True" in command
    assert pasted(command) == 0


def test_the_number_of_classes_can_be_pasted() -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("num_classes=3", "num_classes=5"))
    finding = check_dataset(load_config("config.py")).findings[0]
    assert finding.kind == "num_classes"
    assert pasted(commands(finding.mend)[0]) == 0


def test_several_auxiliary_heads_are_looked_at() -> None:
    text = Path("config.py").read_text()
    head = "dict(type='FCNHead', in_channels=32, channels=8, in_index=0, num_classes=3)"
    other = head.replace("num_classes=3", "num_classes=4, ignore_index=7")
    assert head in text
    Path("config.py").write_text(text.replace(head, f"[{head}, {other}]"))
    report = found()
    assert report["num_classes"].examples[0].startswith("model.auxiliary_head[1].num_classes = 4")
    assert report["ignore_index"].examples[0] == "model.auxiliary_head[1].ignore_index = 7"
    assert "model.auxiliary_head.1.num_classes=3" in report["num_classes"].mend


def test_a_pad_value_inside_another_transform_is_looked_at() -> None:
    text = Path("config.py").read_text()
    inner = (
        "dict(type='RandomApply', prob=0.5, transforms=[dict(type='RandomRotate', prob=1.0, degree=9, seg_pad_val=0)])"
    )
    Path("config.py").write_text(text.replace("dict(type='RandomCrop'", f"{inner}, dict(type='RandomCrop'"))
    assert found()["ignore_index"].examples[0].endswith("RandomRotate.seg_pad_val = 0")


@pytest.mark.parametrize(("values", "ids"), [([0, 128, 255], "0, 1, 2"), ([0, 85, 170], "0, 1, 2"), ([7, 200], "0, 1")])
def test_greys_that_stand_for_classes_are_to_be_saved_as_ids(values: list[int], ids: str) -> None:
    paint(values)
    shown = ", ".join(map(str, values))
    mend = found()["label_out_of_range"].mend
    assert mend.startswith(f"if the values {shown} stand for classes, as greys in a picture, save them as {ids}")
    paint([0, 1, 99])
    assert "greys" not in found()["label_out_of_range"].mend


@pytest.mark.parametrize("split", ["train", "val"])
def test_masks_of_0_and_255_have_no_second_class(split: str) -> None:
    paint([0, 255], folder=f"annotations/{split}")
    for name in range(3):  # As many masks as classes.
        for kind in ("images", "annotations"):
            Image.open(next(Path("data", kind, split).iterdir())).save(f"data/{kind}/{split}/{name}.png")
    text = str(found()["object_ignored"])
    assert "'sea', 'land'" in text
    assert "255 is " in text
    assert "prepare_dataset.py" in text
    with pytest.raises(DatasetError, match="object_ignored"):
        check_before_training(load_config("config.py"))


def test_masks_of_0_and_255_whose_zero_is_reduced_have_no_label() -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("img_suffix='.png',", "img_suffix='.png', reduce_zero_label=True,"))
    paint([0, 255])
    assert found().keys() == {"no_label"}
    assert "if 255 is the object, save it as 1, and set reduce_zero_label=False" in str(found()["no_label"])


def test_a_set_without_a_label_and_a_mask_without_one() -> None:
    path = Path("data/annotations/train/b.png")
    Image.fromarray(np.full((30, 50), 255, np.uint8)).save(path)
    assert found()["unlabelled_mask"].examples == ("b.png",)
    paint([255], folder="annotations/val")
    assert found()["no_label"].where == "val"


def test_a_class_is_unscored_where_there_are_images_enough() -> None:
    paint([0, 1], folder="annotations/val")
    assert found() == {}  # One image of three classes says nothing.
    for i in range(3):
        image = np.random.default_rng(i).integers(256, size=(30, 50, 3), dtype=np.uint8)
        Image.fromarray(image).save(f"data/images/val/{i}.png")
        Image.open("data/annotations/val/d.png").save(f"data/annotations/val/{i}.png")
    assert found()["unscored_class"].examples == ("land",)


def test_the_parts_of_a_split_are_judged_together() -> None:
    for part in ("one", "two"):
        for name in ("images", "annotations"):
            Path("data", name, part).mkdir()
    for i, part in enumerate(("one", "two")):
        Path("data/images/train/a.png" if i else "data/images/train/b.png").rename(f"data/images/{part}/x{i}.png")
        Path(f"data/annotations/train/{'a' if i else 'b'}.png").rename(f"data/annotations/{part}/x{i}.png")
    paint([0, 1], folder="annotations/one")
    paint([1, 2], folder="annotations/two")
    text = Path("config.py").read_text()
    nested = "\ntrain_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[loader('one')['dataset'], "
    nested += "loader('two')['dataset']])\n"
    Path("config.py").write_text(text.replace("del loader", nested + "del loader"))
    report = check_dataset(load_config("config.py"))
    assert report.findings == ()
    assert [histogram.split for histogram in report.histograms] == ["train", "val"]
    assert report.histograms[0].total == 2
    Image.open("data/images/two/x1.png").save("data/images/val/d.png")
    assert found()["overlap"].examples == ("d.png = x1.png",)
    text = Path("config.py").read_text()
    swapped = nested + "train_dataloader['dataset']['datasets'][1]['metainfo'] = dict(classes=('sea', 'sky', 'land'))\n"
    Path("config.py").write_text(text.replace(nested, swapped))
    assert "'sea' is 0 in train_dataloader.dataset.datasets[1] and 1 in " in found()["classes_differ"].examples[0]


def test_classes_are_compared_by_name() -> None:
    text = Path("config.py").read_text()
    renamed = "\nval_dataloader['dataset']['metainfo'] = dict(classes=('sky', 'water', 'land'))\ndel loader"
    Path("config.py").write_text(text.replace("\ndel loader", renamed))
    told = "class 1 is 'water' in val_dataloader.dataset and 'sea' in train_dataloader.dataset"
    assert found()["classes_renamed"].examples == (told,)


def test_more_classes_than_8_bits_have() -> None:
    text = Path("config.py").read_text()
    text = text.replace("('sky', 'sea', 'land')", "tuple(f'class {i}' for i in range(300))")
    Path("config.py").write_text(text.replace("num_classes=3", "num_classes=300"))
    assert found()["too_many_classes"].examples == ("300 classes, the last is 'class 299'",)


def test_of_256_classes_the_last_is_the_ignored_label() -> None:
    text = Path("config.py").read_text()
    text = text.replace("('sky', 'sea', 'land')", "tuple(f'class {i}' for i in range(256))")
    Path("config.py").write_text(text.replace("num_classes=3", "num_classes=256"))
    assert found()["too_many_classes"].examples == ("256 classes, the last is 'class 255'",)
    Path("config.py").write_text(Path("config.py").read_text().replace("256", "255"))
    assert "too_many_classes" not in found()


@pytest.mark.parametrize(
    "step", ["RandomRotate', prob=0.5, degree=9", "Pad', size=(60, 60)", "Pad', size=(60, 60), pad_val=0"]
)
def test_a_step_that_pads_with_255_by_itself_disagrees_with_another_ignored_label(step: str) -> None:
    text = (
        Path("config.py").read_text().replace("dict(type='RandomCrop'", f"dict(type='{step}), dict(type='RandomCrop'")
    )
    Path("config.py").write_text(text)
    assert found() == {}
    for old, new in (
        ("seg_pad_val=255", "seg_pad_val=3"),
        ("num_classes=3", "num_classes=3, ignore_index=3"),
        ("'SegmentationMetric'", "'SegmentationMetric', ignore_index=3"),
        ("img_suffix='.png',", "img_suffix='.png', ignore_index=3,"),
    ):
        text = text.replace(old, new)
    Path("config.py").write_text(text)
    paint([0, 1, 2, 3])
    (example, *_) = found()["ignore_index"].examples
    assert example.endswith(("seg_pad_val = 255", "pad_val.seg = 255"))


def test_the_same_files_with_other_classes_are_looked_at() -> None:
    text = Path("config.py").read_text()
    for change, kind in (("metainfo'] = dict(classes=('sea', 'sky', 'land'))", "classes_differ"),
                         ("reduce_zero_label'] = True", "zero_label_reduced")):  # fmt: skip
        Path("config.py").write_text(text.replace("del loader", f"test_dataloader['dataset']['{change}\ndel loader"))
        paint([0, 1, 2])
        assert kind in found()


def test_ids_of_more_than_8_bits_become_what_the_step_makes_of_them() -> None:
    """Not their lowest 8 bits: id 256 is no sky."""
    path = Path("data/annotations/train/b.png")
    mask = np.asarray(Image.open(path)).astype(np.uint16)
    mask[5, 7] = 256
    Image.fromarray(mask).save(path)
    assert found()["label_out_of_range"].examples == ("b.png: 256 of 3 classes",)


def test_no_full_stop_is_pasted_with_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    paint([1, 2, 3])
    report = check_dataset(load_config("config.py"))
    finding = next(finding for finding in report.findings if finding.kind == "reduce_zero_label")
    print_report(report, Console())
    for text in (str(finding), capsys.readouterr().out):
        assert commands(text)[-1].endswith("auxiliary_head.num_classes=4")
    advised = "colours: python tools/prepare_dataset.py SOURCE OUT (docs/own_data.md)"
    for mend, ends in ((advised, "(docs/own_data.md)."), ("set a; or b", "b."), ("python tools/x.py a=(1,2)", "(1,2)")):
        assert Finding("overlap", "val", 1, (), mend).mend_sentence.endswith(ends)
