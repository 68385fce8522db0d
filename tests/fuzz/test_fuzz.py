"""A short form of the fuzz run (the long one: ``python -m tests.fuzz.run``), and that it sees what it is for."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from internvl_seg.inference.pictures import PictureError

from . import running
from .running import LOADED, TOLD, Case, Fuzzer, draw_cases, fuzzer, place, run_here
from .targets import TARGETS

CASES_A_FILE = 5
# Of 16 bits, and of references to other files.
REFUSED = ("deep.png", "mosaic.vrt")
# Found by long runs; each failed once.
FOUND = [
    Case("load_encoder", "official/encoder_legacy.pth", [("overwrite", 0.26057079434394836, 1655)]),
    Case("load_encoder", "official/encoder.safetensors", [("overwrite", 0.26057079434394836, 1655)]),
    Case("load_encoder_folder", "hf_remote_code/model.safetensors", [("safetensors", 0.9846439361572266, 5139)]),
    Case("load_classifier", "classifier/classifier_legacy.pth", [("overwrite", 0.26057079434394836, 1655)]),
    Case("raster_reader", "pictures/grey.tif", [("tiff", 0.6524527072906494, 95804387)]),
    Case(
        "raster_reader",
        "pictures/grey.tif",
        [
            ("tiff", 0.6499999761581421, 9877),
            ("tiff", 0.7125481963157654, 94651),
            ("tiff", 0.649938702583313, 451),
            ("tiff", 0.5472975969314575, 587),
        ],
    ),
]


@pytest.fixture(scope="module")
def execute() -> Iterator[Fuzzer]:
    with fuzzer() as made:
        yield made


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_refused_in_words_or_read(target: str, execute: Fuzzer) -> None:
    cases = draw_cases(target, CASES_A_FILE * len(TARGETS[target].files), number=0)
    found = [(case, execute(case)) for case in cases]
    assert not [(case, outcome) for case, outcome in found if outcome.failed]


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case.file)
def test_what_long_runs_found_stays_mended(case: Case, execute: Fuzzer) -> None:
    assert execute(case).kind == TOLD


@pytest.mark.parametrize("target", TARGETS)
def test_whole_files_are_read(target: str, execute: Fuzzer) -> None:
    for file in TARGETS[target].files:
        outcome = execute(Case(target, file, []))
        assert outcome.kind == (TOLD if file.endswith(REFUSED) else LOADED), (file, outcome)


@pytest.mark.parametrize(("target", "file"), [(name, file) for name, t in TARGETS.items() for file in t.bombs])
def test_what_is_larger_than_memory_is_refused(target: str, file: str, execute: Fuzzer) -> None:
    assert execute(Case(target, file, [])).kind == TOLD


def _hang(_: Path) -> None:
    time.sleep(60)


def _take_memory(_: Path) -> None:
    torch.ones(160 << 20, dtype=torch.uint8)


def _die(_: Path) -> None:
    os.abort()


def _load_nan(_: Path) -> Iterable[Tensor]:
    return [torch.tensor([1.0, float("nan")])]


def _run_code(_: Path) -> None:
    Path("ran").touch()


def _raise_bare(_: Path) -> None:
    raise KeyError("image_size")


def _raise_told(_: Path) -> None:
    raise PictureError("It is no picture.")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (_hang, "hang"),
        (_take_memory, "memory"),
        (_die, "the process died: SIGABRT"),
        (_load_nan, "not finite"),
        (_run_code, "code was run"),
        (_raise_bare, "KeyError outside"),
        (_raise_told, TOLD),
    ],
)
def test_what_goes_wrong_is_told_of_its_case(
    call: Callable[[Path], None], kind: str, execute: Fuzzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute.close()  # What it forks next has the target below.
    monkeypatch.setattr(running, "MOST_SECONDS", 1.0 if call is _hang else 10.0)
    monkeypatch.setattr(running, "MOST_BYTES", 120 << 20)
    monkeypatch.setitem(TARGETS, "read_picture", replace(TARGETS["read_picture"], call=call))
    assert execute(Case("read_picture", "pictures/rgb.png", [])).kind == kind
    monkeypatch.undo()
    execute.close()
    assert execute(Case("read_picture", "pictures/rgb.png", [])).kind == LOADED  # And the run goes on.


def test_a_case_that_was_kept_is_the_same_again(execute: Fuzzer, tmp_path: Path) -> None:
    case = draw_cases("list_archive", 20, number=3)[7]
    assert case == draw_cases("list_archive", 20, number=3)[7]
    assert case not in draw_cases("list_archive", 20, number=4)
    outcome = execute(case)
    case.save(tmp_path / "case.json", outcome)
    again = Case.read(tmp_path / "case.json")
    paths = [place(one, execute.seeds, tmp_path / str(i) / "files") for i, one in enumerate((case, again))]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert run_here(again, paths[1]).kind == outcome.kind
