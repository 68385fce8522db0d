"""The model zoo and the configs say the same, and what the papers say."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmengine.config import Config

from tools import model_zoo

CONFIG = "configs/ade20k/internvit_6b_224px_linear_frozen_ade20k-504x504.py"
RESULT = {
    "Task": "Semantic Segmentation",
    "Dataset": "ADE20K",
    "Metrics": {"mIoU": 47.2},
    "Source": "https://arxiv.org/abs/2412.05271, table 15",
}
ENTRY = {"Name": Path(CONFIG).stem, "Config": CONFIG, "Results": [RESULT]}
# Of images.
IMAGES = "configs/imagenet/internvit_6b_224px_linear_frozen_imagenet-224x224.py"
ACCURACY = {
    "Task": "Image Classification",
    "Dataset": "ImageNet-1K",
    "Metrics": {"Top 1 Accuracy": 88.23},
    "Source": "https://github.com/OpenGVLab/InternVL, classification/README.md",
}
IMAGES_ENTRY = {"Name": Path(IMAGES).stem, "Config": IMAGES, "Results": [ACCURACY]}
# mIoU on ADE20K and COCO-Stuff-164K: linear, UperNet frozen, UperNet full. Source: arXiv 2412.05271, table 15.
TABLE_15 = {
    "6b_224px": ((47.2, 54.9, 58.9), (42.8, 48.9, 51.6)),
    "6b_448px_v1_0": ((43.6, 55.4, 58.1), (38.5, 49.4, 51.7)),
    "6b_448px_v1_2": ((40.7, 55.2, 58.8), (36.1, 48.8, 51.7)),
    "6b_448px_v1_5": ((40.9, 55.0, 58.8), (36.3, 49.1, 51.5)),
    "6b_448px_v2_5": ((39.4, 55.4, 58.6), (35.6, 49.7, 51.8)),
}
# On ADE20K, by the denominator of the share of the images. Source: arXiv 2312.14238.
FEW_SHOT = {16: 46.5, 8: 50.0, 4: 53.3, 2: 55.8, 1: 57.2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a config for pixels and one for images, their entries and the page made of them."""
    shutil.copytree(model_zoo.ROOT / "configs/_base_", tmp_path / "configs/_base_")
    for config in (CONFIG, IMAGES):
        (tmp_path / config).parent.mkdir()
        shutil.copy(model_zoo.ROOT / config, tmp_path / config)
    (tmp_path / "docs").mkdir()
    (tmp_path / model_zoo.PAGE).write_text(model_zoo.page([ENTRY, IMAGES_ENTRY]))
    write(tmp_path, [ENTRY, IMAGES_ENTRY])
    return tmp_path


def write(root: Path, entries: list[dict[str, Any]]) -> None:
    (root / model_zoo.METAFILE).write_text(yaml.safe_dump({"Models": entries}))


def test_every_config_is_in_it_and_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    model_zoo.main()


def test_the_published_numbers_are_the_papers() -> None:
    expected = {f"internvit_6b_224px_linear_few-shot-1of{k}_ade20k-504x504": score for k, score in FEW_SHOT.items()}
    for release, table in TABLE_15.items():
        for dataset, row in zip(("ade20k", "coco_stuff164k"), table, strict=True):
            for protocol, score in zip(("linear_frozen", "upernet_frozen", "upernet_full"), row, strict=True):
                expected[f"internvit_{release}_{protocol}_{dataset}-504x504"] = score
    sources = dict.fromkeys(expected, "https://arxiv.org/abs/2412.05271, table 15")
    sources |= {name: "https://arxiv.org/abs/2312.14238" for name in expected if "few-shot" in name}
    scores = {name: {"mIoU": score} for name, score in expected.items()}
    # Of image classification the official code publishes one.
    scores[Path(IMAGES).stem] = {"Top 1 Accuracy": 88.23}
    sources[Path(IMAGES).stem] = "https://github.com/OpenGVLab/InternVL, classification/README.md"
    models = yaml.safe_load((model_zoo.ROOT / model_zoo.METAFILE).read_text())["Models"]
    results = {model["Name"]: model["Results"][0] for model in models}
    assert {name: result["Metrics"] for name, result in results.items() if "Metrics" in result} == scores
    assert {name: result["Source"] for name, result in results.items() if "Source" in result} == sources


def test_the_page_is_written_and_an_old_one_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = root / model_zoo.PAGE
    page.write_text("old")
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    with pytest.raises(SystemExit, match=r"docs/model_zoo\.md is not what"):
        model_zoo.main(root)
    monkeypatch.setattr(sys, "argv", ["model_zoo.py"])
    model_zoo.main(root)
    lines = page.read_text().splitlines()
    for entry, title, metric, size, published, source in (
        (ENTRY, "ADE20K", "mIoU", "504x504", 47.2, "[arXiv 2412.05271, table 15](https://arxiv.org/abs/2412.05271)"),
        (
            *(IMAGES_ENTRY, "ImageNet-1K", "top-1", "224x224", 88.23),
            "[github.com/OpenGVLab/InternVL, classification/README.md](https://github.com/OpenGVLab/InternVL)",
        ),
    ):
        start = lines.index(f"## {title}")
        header = f"| encoder | head | protocol | size | published {metric} | source | measured {metric} | config |"
        assert lines[start + 2] == header
        config = f"[{entry['Name']}](../{entry['Config']})"
        row = f"| internvit_6b_224px | linear | encoder frozen | {size} | {published} | {source} |  | {config} |"
        assert lines[start + 4] == row
    assert len(lines) - start == 5
    assert [file.name for file in page.parent.iterdir()] == ["model_zoo.md"]
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    model_zoo.main(root)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([IMAGES_ENTRY], f"{CONFIG} has no entry in configs/metafile.yml."),
        (
            [ENTRY, IMAGES_ENTRY, {**ENTRY, "Config": "gone.py"}],
            "configs/metafile.yml names gone.py, which is not there.",
        ),
        ([ENTRY, IMAGES_ENTRY, ENTRY], f"{CONFIG} has more than one entry in configs/metafile.yml."),
        ([{**ENTRY, "Name": "another"}, IMAGES_ENTRY], f"another is not the name of {CONFIG}."),
        (
            [{**ENTRY, "Results": [{**RESULT, "Dataset": "Cityscapes"}]}, IMAGES_ENTRY],
            f"{CONFIG} is tested on ADE20K, configs/metafile.yml says Cityscapes.",
        ),
        (
            [{**ENTRY, "Results": [{**RESULT, "Metrics": {"mIoU": 47.3}}]}, IMAGES_ENTRY],
            f"{CONFIG} says 'Published: 47.2 mIoU (arXiv 2412.05271, table 15).' in its first line, "
            "configs/metafile.yml 'Published: 47.3 mIoU (arXiv 2412.05271, table 15).'.",
        ),
        (
            [{**ENTRY, "Results": [{"Task": RESULT["Task"], "Dataset": "ADE20K"}]}, IMAGES_ENTRY],
            f"{CONFIG} says 'Published: 47.2 mIoU (arXiv 2412.05271, table 15).' in its first line, "
            "configs/metafile.yml ''.",
        ),
        (
            [ENTRY, {**IMAGES_ENTRY, "Results": [{**ACCURACY, "Task": "Semantic Segmentation"}]}],
            f"{IMAGES} is a model for Image Classification, configs/metafile.yml says Semantic Segmentation.",
        ),
        (
            [ENTRY, {**IMAGES_ENTRY, "Results": [{**ACCURACY, "Metrics": {"Top 1 Accuracy": 88.2}}]}],
            f"{IMAGES} says 'Published: 88.23 top-1 ({ACCURACY['Source']}).' in its first line, "
            f"configs/metafile.yml 'Published: 88.2 top-1 ({ACCURACY['Source']}).'.\n"
            f"{IMAGES} says 88.23 in test_evaluator.published, configs/metafile.yml 88.2.",
        ),
    ],
)
def test_what_is_wrong_is_named(
    root: Path, entries: list[dict[str, Any]], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, entries)
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    with pytest.raises(SystemExit) as stopped:
        model_zoo.main(root)
    assert stopped.value.code == problem


@pytest.mark.parametrize(
    ("name", "dataset", "size", "head"),
    [
        (CONFIG, "ade20k", "504x504", "LinearHead"),
        (IMAGES, "imagenet", "224x224", "InternViTClsHead with cls_patch_concat"),
    ],
)
def test_a_name_that_contradicts_the_config_is_found(name: str, dataset: str, size: str, head: str, root: Path) -> None:
    config = Config.fromfile(root / name)
    title = model_zoo.Title.of(Path(name).stem)
    assert title == ("internvit_6b_224px", "linear", "frozen", dataset, size)
    assert title.contradictions(config) == []
    for field, value, problem in (
        ("encoder", "internvit_6b_448px_v1_2", "the encoder is 'internvit_6b_224px'"),
        ("head", "upernet", f"the head is {head}"),
        ("head", "attention-pooling", f"the head is {head}"),
        ("protocol", "full", "frozen is True"),
        ("protocol", "lora", "lora is None"),
        ("dataset", "voc", f"the test set is {dataset}"),
        ("size", "378x504", f"crops are {size}"),
    ):
        assert title._replace(**{field: value}).contradictions(config) == [problem]


def test_a_number_that_tests_print_and_the_entry_lacks_is_found(root: Path) -> None:
    text = (root / IMAGES).read_text().replace("imagenet=(88.230,", "imagenet=(88.320,")
    (root / IMAGES).write_text(text)
    assert model_zoo.problems(root, [ENTRY, IMAGES_ENTRY]) == [
        f"{IMAGES} says 88.32 in test_evaluator.published, configs/metafile.yml 88.23."
    ]


def test_a_file_that_is_named_otherwise_is_found(root: Path) -> None:
    (root / CONFIG).rename((root / CONFIG).with_name("linear_internvit.py"))
    entry = {**ENTRY, "Name": "linear_internvit", "Config": "configs/ade20k/linear_internvit.py"}
    (problem,) = model_zoo.problems(root, [entry, IMAGES_ENTRY])
    assert problem.startswith("linear_internvit: not named <encoder>_<head>_<protocol>")
