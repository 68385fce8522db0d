"""What a killed study left is gone on from only if it is whole and of this very study."""

import json
from pathlib import Path

import pytest

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.data.folder_lock import FolderInUseError, locked_folder
from internvl_seg.probing.errors import StateError
from internvl_seg.probing.state import read_state, write_state

from ..error_table import DocumentedError
from .conftest import Run

HEADS = [{"kind": "linear"}, {"kind": "linear", "solver": "lbfgs", "weight_decay": [1e-2]}]
SHORT = {"probe__iterations": 4, "probe__blocks": [-1], "probe__views": 1, "probe__heads": HEADS}


def test_damaged_states_are_refused(run: Run, documented_error: DocumentedError) -> None:
    run(**SHORT)
    (done,) = Path("out/state").glob("*.json")
    states = sorted(Path("out/state").glob("*.pth"))
    assert len(states) == 2
    told = json.loads(done.read_text())
    for text in ("", "[]", "{", json.dumps(told | {"study": "b"}), json.dumps(told | {"results": []})):
        done.write_text(text)
        with pytest.raises(StateError, match=r"\.json is no state.*Remove it"):
            run(resume=True, **SHORT)
    done.unlink()
    for path in states:
        content = path.read_bytes()
        for harm in (b"", b"garbage", content[: len(content) // 2]):
            path.write_bytes(harm)
            with pytest.raises(StateError, match=path.name):
                run(resume=True, **SHORT)
        path.write_bytes(content)
    state = read_pickle(states[-1])
    write_state(states[-1], "another", {name: value for name, value in state.items() if name != "study"})
    states[-1].rename("out/state/kept")
    with documented_error("a state of another study", StateError):
        read_state(Path("out/state/kept"), "this", lambda _: None)


def test_two_studies_do_not_share_a_folder(run: Run) -> None:
    with locked_folder(Path("out"), "another study"), pytest.raises(FolderInUseError, match="in use by another study"):
        run(**SHORT)
    assert not list(Path().glob("*/train-*"))  # No features were made.


def test_a_study_with_another_loss_does_not_go_on_with_the_old_heads(run: Run) -> None:
    weights = {"type": "CrossEntropyLoss", "class_weight": [1, 5, 5, 5]}
    changed = {"model__decode_head__loss_decode": weights}
    first = run("out", **SHORT)
    resumed, fresh = run("out", resume=True, **SHORT, **changed), run("fresh", **SHORT, **changed)
    assert [r.loss for r in resumed.results] == [r.loss for r in fresh.results]
    assert all(one.loss != other.loss for one, other in zip(first.results, resumed.results, strict=True))


def test_heads_whose_files_are_gone_are_made_again(run: Run) -> None:
    (result, _) = run(**SHORT).results
    path = Path("out", result.checkpoint or "")
    path.unlink()
    assert run(resume=True, **SHORT).results[0] == result
    assert path.is_file()
