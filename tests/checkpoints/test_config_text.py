"""A checkpoint's config is parsed and never run."""

from pathlib import Path

import pytest
from mmengine.config import Config

from internvl_seg.checkpoints.config_text import ConfigTextError, parse_config_text
from internvl_seg.training.config import python_text


def test_mmengines_text_is_read_as_it_was() -> None:
    content = {
        "model": {
            "type": "A",
            "arch": {"embed_dim": 128, "num_heads": 8},
            "out_indices": (-1, 2),
            "drop": [0.5, None, True],
        },
        "data_preprocessor": {"mean": [1.5, -2], "two words": "kept"},
        "words": "a 'quoted' line\nand another",
        "empty": {},
    }
    config = Config(content)
    assert parse_config_text(config.pretty_text) == content
    assert parse_config_text(python_text(config)) == content


def test_what_is_no_plain_value_stays_text() -> None:
    assert parse_config_text("a = print('x')\nb = [1, 2 * 3]\nc = dict(**d)") == {
        "a": "print('x')",
        "b": [1, "2 * 3"],
        "c": "dict(**d)",
    }


def test_nothing_is_run(tmp_path: Path) -> None:
    touch = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"
    for text in (f"a = {touch}", f"a = [{touch}]", f"a = dict(b={touch})", f"import os\na = {touch}"):
        parse_config_text(text)
    for text in (touch, f"for i in [1]: {touch}", f"def f():\n  {touch}\nf()", f"class A:\n  {touch}"):
        with pytest.raises(ConfigTextError, match="no assignment"):
            parse_config_text(text)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["a = (", "a = " + "[" * 5000, "a = 1\0", "a = " + "-" * 100_000 + "1"])
def test_a_damaged_text_is_an_error(text: str) -> None:
    with pytest.raises(ConfigTextError):
        parse_config_text(text)


def test_something_else_than_text_is_an_error() -> None:
    with pytest.raises(ConfigTextError, match="found dict"):
        parse_config_text({"a": 1})  # type: ignore[arg-type]
