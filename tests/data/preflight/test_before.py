"""The preflight before a training, a test and a study, and what is kept between two of them."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight import KINDS, DatasetError, check_before_training, check_dataset, reading
from internvl_seg.data.preflight.cache import Cache, default_folder
from internvl_seg.training.config import load_config
from tools import check_dataset as check_tool
from tools import probe as probe_tool
from tools import test as test_tool
from tools import train as train_tool

pytestmark = pytest.mark.usefixtures("data")


def old(*folders: str) -> None:
    """Give all files a time at which nothing is written any more."""
    for folder in folders or ("data",):
        for path in Path(folder).rglob("*.*"):
            os.utime(path, (1e9, 1e9))


def leak() -> None:
    Path("data/images/val/d.png").write_bytes(Path("data/images/train/b.png").read_bytes())


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (train_tool, ["config.py"]),
        (test_tool, ["config.py", "model.pth"]),
        (probe_tool, ["config.py"]),
        (check_tool, ["config.py"]),
    ],
)
def test_what_is_allowed_is_one_of_the_kinds(
    tool: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tool.py", *arguments, "--allow", "overlaps"])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'overlaps'" in said
    assert all(kind in said for kind in KINDS)
    with pytest.raises(DatasetError, match="there is no such finding"):
        check_before_training(load_config("config.py"), allow=["overlaps"])


def test_a_refusal_names_the_option_that_allows_it(capsys: pytest.CaptureFixture[str]) -> None:
    leak()
    config = load_config("config.py")
    with pytest.raises(DatasetError) as caught:
        check_before_training(config, options={"a.b": [1, (2, 3)]})
    told = "If this is as it should be: python tools/train.py config.py --allow overlap --cfg-options 'a.b=[1,(2,3)]'"
    assert told in str(caught.value)
    check_before_training(config, allow=["overlap"])
    assert "Data, overlap (allowed): images with the same pixels" in capsys.readouterr().out


def test_warnings_that_are_allowed_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Image.open("data/images/train/b.png").convert("L").save("data/images/train/b.png")
    check_before_training(load_config("config.py"))
    assert "grayscale_image" in capsys.readouterr().out
    check_before_training(load_config("config.py"), allow=["grayscale_image"])
    assert not capsys.readouterr().out


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    for name in ("look_at_image", "decode_image", "read_mask"):
        function = getattr(reading, name)

        def counted(*arguments: Any, _name: str = name, _function: Any = function) -> Any:
            read.append(_name)
            return _function(*arguments)

        monkeypatch.setattr(reading, name, counted)
    return read


def test_a_second_look_reads_only_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    old()
    read = count_reads(monkeypatch)
    config = load_config("config.py")
    first = check_dataset(config)
    assert sorted(set(read)) == ["decode_image", "look_at_image", "read_mask"]
    assert len(read) == 12
    read.clear()
    again = check_dataset(config)
    assert read == []
    assert again.findings == first.findings
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first.histograms, again.histograms, strict=True))
    mask = np.full((30, 50), 7, np.uint8)
    Image.fromarray(mask).save("data/annotations/train/b.png")
    assert {finding.kind for finding in check_dataset(config).findings} == {"label_out_of_range"}
    assert read == ["read_mask"]
    # Of other steps nothing is known.
    read.clear()
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("'LoadImageFromFile'", "'LoadImageFromFile', to_float32=True"))
    check_dataset(load_config("config.py"))
    assert sorted(read) == ["decode_image"] * 4 + ["look_at_image"] * 4 + ["read_mask"]


def test_a_file_that_was_just_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change once more without its size or time telling."""
    read = count_reads(monkeypatch)
    check_dataset(load_config("config.py"))
    read.clear()
    check_dataset(load_config("config.py"))
    assert len(read) == 12


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 1}', "[" * 100_000])
def test_a_damaged_cache_is_as_none(content: str) -> None:
    old()
    leak()
    old()
    config = load_config("config.py")
    expected = check_dataset(config).findings
    files = list(default_folder().iterdir())
    assert files
    for file in files:
        file.write_text(content)
    assert check_dataset(config).findings == expected
    for file in files:
        digest, entries = json.loads(file.read_text())
        kept = {path: [state, {"header": 3}] for path, (state, _) in entries.items()}
        assert kept
        file.write_text(json.dumps([digest, kept]))
    assert check_dataset(config).findings == expected


def test_a_cache_with_a_wrong_number_is_as_none() -> None:
    """It would be told as what the masks hold."""
    old()
    config = load_config("config.py")
    expected = check_dataset(config)
    for file in default_folder().iterdir():
        content = file.read_text()
        damaged = content.replace("[0,1,2,255]", "[0,1,2,254]").replace(",50]", ",70]")
        assert damaged != content
        file.write_text(damaged)
    found = check_dataset(config)
    assert found.findings == expected.findings
    np.testing.assert_array_equal(found.histograms[0].pixels, expected.histograms[0].pixels)


def test_a_cache_that_cannot_be_written_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    old()
    Path("file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", "file")
    assert check_dataset(load_config("config.py")).findings == ()


def test_the_cache_is_bounded_and_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("internvl_seg.data.preflight.cache._MOST_BYTES", 400)
    old()
    folder = Path("cache")
    paths = [str(path) for path in sorted(Path("data/images/train").iterdir())]
    for i, steps in enumerate(("a", "b", "c", "d")):
        cache = Cache(folder, steps, paths)
        cache.put(paths[0], {"long": "x" * 80})
        cache.save()
        for file in folder.glob("*.json"):
            os.utime(file, (i, i)) if file.stat().st_mtime > 1e6 else None
    assert 0 < sum(file.stat().st_size for file in folder.glob("*.json")) <= 400
    assert Cache(folder, "d", paths).get(paths[0])
    assert Cache(folder, "a", paths).get(paths[0]) is None
    # Two that read at the same time keep what both have read.
    monkeypatch.setattr("internvl_seg.data.preflight.cache._MOST_BYTES", 10_000)
    one, two = (Cache(folder, "e", paths) for _ in range(2))
    one.put(paths[0], 1)
    two.put(paths[1], 2)
    one.save()
    two.save()
    both = Cache(folder, "e", paths)
    assert (both.get(paths[0]), both.get(paths[1])) == (1, 2)


def test_a_file_that_changes_while_it_is_read_is_not_kept() -> None:
    old()
    path = "data/images/train/a.png"
    cache = Cache(Path("cache"), "steps", [path])
    Path(path).write_bytes(b"something else")
    os.utime(path, (time.time() - 100,) * 2)
    cache.put(path, 1)
    cache.save()
    assert Cache(Path("cache"), "steps", [path]).get(path) is None


def test_what_training_refuses_of_a_config_is_refused_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_dataset.py", "config.py", "--cfg-options", "optim_wrapper.optimizer.lr=x"])
    with pytest.raises(SystemExit) as ended:
        check_tool.main()
    assert ended.value.code == 1
    assert "error: config: config.py: optim_wrapper.optimizer: lr = 'x'" in capsys.readouterr().out


def test_a_file_in_the_place_of_another_is_read_though_size_and_time_are_the_same() -> None:
    for name in ("a", "b"):
        mask = np.full((30, 50), ord(name), np.uint8)
        Image.fromarray(mask).save(f"{name}.png")
    assert Path("a.png").stat().st_size == Path("b.png").stat().st_size
    path = Path("data/annotations/train/a.png")
    for name in ("a", "b"):
        Path(f"{name}.png").replace(path)
        os.utime(path, (1e9, 1e9))
        (finding, *_) = (f for f in check_dataset(load_config("config.py")).findings if f.kind == "label_out_of_range")
        assert finding.examples == (f"a.png: {ord(name)} of 3 classes",)


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(
        Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory."))
    )
    assert default_folder() is None
    assert check_dataset(load_config("config.py")).findings == ()
