"""A trained classifier as a function from pictures to classes, and as a command."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.registry import MODELS
from PIL import Image

from internvl_seg import Classifier, Segmenter
from internvl_seg.checkpoints.errors import NonFiniteWeightsError, UnreadableWeightsError
from internvl_seg.checkpoints.whole_model import WrongWeightsError
from internvl_seg.inference.commands import infer
from internvl_seg.inference.pictures import PictureError
from internvl_seg.inference.run_folder import ResultsError
from internvl_seg.training import ConfigError
from internvl_seg.training.config import load_config
from tools import infer as tool

from ..classification.small import CLASSES, write
from ..error_table import DocumentedError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, its photographs, and a checkpoint of random weights."""
    monkeypatch.chdir(tmp_path)
    init_default_scope("mmpretrain")
    path = write(tmp_path)
    model = MODELS.build(load_config(path).model)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    meta = {"dataset_meta": {"classes": CLASSES}}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, "model.pth")
    return path


def pictures() -> list[Path]:
    return sorted(Path("photos").rglob("*.png"))


def test_probabilities_are_mmpretrains(config: Path) -> None:
    classifier = Classifier.from_checkpoint(config, "model.pth")
    found = classifier(pictures(), top_k=3)
    classifier.model._config = load_config(config)
    theirs = ImageClassificationInferencer(classifier.model, classes=list(CLASSES))
    for one, want in zip(found, theirs([str(p) for p in pictures()], batch_size=1), strict=True):
        assert one.labels[0] == want["pred_label"]
        assert one.names[0] == want["pred_class"] == CLASSES[want["pred_label"]]
        np.testing.assert_allclose(one.probabilities, want["pred_scores"][one.labels], rtol=1e-5)
        assert sorted(one.labels) == [0, 1, 2]
        assert one.probabilities == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1)
    assert len({one.labels[0] for one in found}) > 1


def test_an_official_file_is_checked_as_one_of_this_package(config: Path) -> None:
    state = torch.load("model.pth", weights_only=True)["state_dict"]
    official = {n.removeprefix("head.classifier.").removeprefix("backbone."): t for n, t in state.items()}
    torch.save({"module": official}, "official.pth")
    found = Classifier.from_checkpoint(config, "official.pth", device="cpu").model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    torch.save({"module": official | {"head.weight": official["head.weight"].to(torch.int8)}}, "official.pth")
    with pytest.raises(UnreadableWeightsError, match=r"head\.weight as torch\.int8"):
        Classifier.from_checkpoint(config, "official.pth", device="cpu")
    torch.save({"module": official | {"head.bias": official["head.bias"] * float("nan")}}, "official.pth")
    with pytest.raises(NonFiniteWeightsError, match=r"head\.bias"):
        Classifier.from_checkpoint(config, "official.pth", device="cpu")


def test_pictures_in_any_form(config: Path) -> None:
    classifier = Classifier.from_checkpoint(config, "model.pth", options={"test_dataloader.batch_size": 1})
    path = pictures()[0]
    want = classifier(path, top_k=2)
    assert len(want.labels) == len(want.names) == len(want.probabilities) == 2
    image = np.asarray(Image.open(path))
    for form in (str(path), Image.open(path), image, torch.from_numpy(image.copy()).permute(2, 0, 1)):
        assert classifier(form, top_k=2) == want
    batch = classifier(np.stack([image, image]))
    assert len(batch) == 2
    assert len(batch[0].labels) == 3  # All that there are, when five are asked for.
    np.testing.assert_allclose(batch[1].probabilities[:2], want.probabilities, rtol=1e-5)
    with pytest.raises(ValueError, match="top_k=0: ask for one class at least"):
        classifier(path, top_k=0)
    with pytest.raises(PictureError, match=r"config\.py is no picture"):
        classifier(config)


def test_what_does_not_fit_is_told(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("a classifier is taken for a segmentor", ConfigError):
        Segmenter.from_checkpoint(config, "model.pth")
    with pytest.raises(ConfigError, match=r"There is no checkpoint 'none\.pth'"):
        Classifier.from_checkpoint(config, "none.pth")
    torch.save({"state_dict": {}}, "empty.pth")
    with pytest.raises(WrongWeightsError, match="lacks 6 tensors"):
        Classifier.from_checkpoint(config, "empty.pth")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["infer.py", "config.py", "model.pth", *arguments])
    with pytest.raises(SystemExit) as end:
        tool.main()
    return end.value.code


def test_the_command_writes_a_table(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/cut.jpg").write_bytes(b"\xff\xd8 no picture")
    code = run(monkeypatch, "photos", "--top-k", "2", "--out", "out")
    assert code == 1
    said = capsys.readouterr().out
    assert "24 files classified: out" in said
    assert "cut.jpg is no picture" in said
    rows = list(csv.DictReader(Path("out/predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["file", "class_1", "name_1", "probability_1", "class_2", "name_2", "probability_2"]
    classifier = Classifier.from_checkpoint(config, "model.pth")
    assert [row["file"] for row in rows] == [str(path) for path in pictures()]
    for row, one in zip(rows, classifier(pictures(), top_k=2), strict=True):
        assert [int(row["class_1"]), int(row["class_2"])] == one.labels
        assert [row["name_1"], row["name_2"]] == one.names
        assert float(row["probability_1"]) == pytest.approx(one.probabilities[0], abs=1e-5)
    assert f"{rows[0]['file']}: {rows[0]['name_1']} " in said
    assert "... and 5 more in predictions.csv" in said
    with Image.open("out/contact_sheet.jpg") as sheet:
        assert sheet.width > 1000


def test_a_new_run_sets_an_earlier_ones_table_aside(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "photos", "--out", "out") == 0
    Path("photos/notes.txt").touch()
    before = {name: Path("out", name).read_bytes() for name in ("predictions.csv", "run.json", "contact_sheet.jpg")}
    capsys.readouterr()
    assert run(monkeypatch, "photos", str(pictures()[0]), "--out", "out", "--top-k", "1") == 0
    said = capsys.readouterr().out.splitlines()
    (aside,) = Path("out").glob("earlier_*")
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == before
    assert len([line for line in said if f"results of an earlier run; they are in {aside} now" in line]) == 1
    assert "Passed over: 1 file that is no picture or video here (.txt 1)" in said
    # As it was named before, or otherwise.
    inputs = [str(Path("photos").absolute()), "photos"]
    assert run(monkeypatch, *inputs, "--out", "out", "--top-k", "1", "--resume") == 0
    assert "0 files classified, 24 were done before: out" in capsys.readouterr().out


def test_a_cut_table_is_gone_on_with(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], documented_error: DocumentedError
) -> None:
    assert run(monkeypatch, "photos", "--top-k", "2", "--out", "out") == 0
    table = Path("out/predictions.csv")
    whole = table.read_text()
    table.write_text(whole[: len(whole) // 2])  # In the midst of a line.
    assert run(monkeypatch, "photos", "--top-k", "2", "--out", "out", "--resume") == 0
    assert sorted(table.read_text().splitlines()) == sorted(whole.splitlines())
    done = whole[: len(whole) // 2].count("\n") - 1
    assert f"{24 - done} files classified, {done} were done before" in capsys.readouterr().out
    assert "ResultsError" in str(run(monkeypatch, "photos", "--top-k", "3", "--out", "out", "--resume"))
    with documented_error("a table of classes is another run's", ResultsError):
        infer("config.py", "model.pth", ["photos"], Path("out"), top_k=3, resume=True)
