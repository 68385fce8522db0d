"""The model zoo and the configs say the same."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from tools import model_zoo

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/ade20k/internvit_6b_224px_linear_frozen_ade20k-504x504.py"
ENTRY = {"Name": Path(CONFIG).stem, "Config": CONFIG, "Results": [{"Dataset": "ADE20K"}]}


def test_every_config_is_in_it_and_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    model_zoo.main()


def test_an_old_page_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["model_zoo.py", "--check"])
    monkeypatch.setattr(model_zoo, "problems", lambda models: [])
    monkeypatch.setattr(model_zoo, "PAGE", tmp_path / "model_zoo.md")
    model_zoo.PAGE.write_text("old")
    with pytest.raises(SystemExit, match="is old"):
        model_zoo.main()


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([], f"{CONFIG} has no entry in configs/metafile.yml."),
        ([{**ENTRY, "Config": "configs/gone.py"}], "configs/metafile.yml names configs/gone.py, which is not there."),
        ([ENTRY, ENTRY], f"{CONFIG} has more than one entry."),
        ([{**ENTRY, "Name": "another"}], f"another is not the name of {CONFIG}."),
    ],
)
def test_what_is_missing_is_named(entries: list[dict[str, object]], problem: str) -> None:
    assert problem in model_zoo.problems(entries)


def test_a_name_that_contradicts_the_config_is_found() -> None:
    config = Config.fromfile(ROOT / CONFIG)
    title = model_zoo.Title.of(Path(CONFIG).stem)
    assert title == ("internvit_6b_224px", "linear", "frozen")
    assert title.problems(config) == []
    assert title._replace(head="upernet").problems(config) == ["decode_head is LinearHead"]
    assert title._replace(encoder="internvit_6b_448px_v1_2").problems(config) == ["the encoder is 'internvit_6b_224px'"]
    assert title._replace(protocol="full").problems(config) == ["frozen is True"]
    with pytest.raises(ValueError, match="not named <encoder>_<head>_<protocol>"):
        model_zoo.Title.of("linear_internvit")
