"""Which checkpoints are kept and removed, by one hook and by several."""

import shutil
import subprocess
from pathlib import Path

import pytest

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.training import train
from internvl_seg.training.checkpoint_hook import CheckpointHook
from internvl_seg.training.last_checkpoint import find_last_checkpoint
from internvl_seg.training.saving import CheckpointNotWrittenError

from .test_resume import TEXT, VALIDATING, log
from .test_runner import make_images

HOOKS = """
train_cfg.update(max_iters=5)
default_hooks['checkpoint'].update(interval=1, max_keep_ckpts=2, save_best='mIoU')
custom_hooks = [
    dict(type='CheckpointHook', by_epoch=False, interval=2, filename_tmpl='weights_{}.pth', save_optimizer=False),
    dict(type='CheckpointHook', by_epoch=False, interval=1, filename_tmpl='same.pth', max_keep_ckpts=1,
        save_best='mAcc', published_keys=['state_dict']),
]
"""


def names(folder: str) -> set[str]:
    return {path.name for path in Path(folder).glob("*.pth")}


def test_hooks_keep_their_own_and_leave_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path)
    Path("config.py").write_text(TEXT + VALIDATING + HOOKS)
    options = {"default_hooks.checkpoint.max_keep_ckpts": -1}
    train("config.py", work_dir="run", options=options | {"train_cfg.max_iters": 3})
    best = {name for name in names("run") if name.startswith("best_")} - _published("run")
    assert len(best) == 2  # One of each hook, though that of `same.pth` has one name for all.
    assert "best_mAcc_same.pth" in best
    assert {"iter_1.pth", "iter_2.pth", "iter_3.pth", "weights_2.pth", "weights_3.pth", "same.pth"} <= names("run")
    # What a hook that leaves out the optimizer writes is nothing to resume from.
    assert find_last_checkpoint("run").name in ("iter_3.pth", "same.pth")

    shutil.move("run", "moved")  # The best are looked for where the run is now.
    for old in best:
        shutil.copytree("moved", "run", dirs_exist_ok=True)
        assert Path("run", old).is_file()
    Path("moved/weights_1.pth").write_text("somebody's")
    train("config.py", work_dir="moved", resume=True)
    assert names("run") == names("run") | best
    # Those that were to be kept are kept, also when fewer are from now on; one's own are not.
    assert {"iter_1.pth", "iter_2.pth", "iter_3.pth", "iter_4.pth", "iter_5.pth"} & names("moved") >= {
        "iter_1.pth",
        "iter_2.pth",
        "iter_4.pth",
        "iter_5.pth",
    }
    assert {"weights_1.pth", "weights_2.pth", "weights_4.pth", "weights_5.pth", "same.pth"} <= names("moved")
    assert len({name for name in names("moved") if name.startswith("best_")} - _published("moved")) == 2
    assert _published("moved")


def test_numbers_in_names_may_be_padded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path)
    Path("config.py").write_text(TEXT)
    hook = {"interval": 1, "max_keep_ckpts": 1, "filename_tmpl": "it_{:06d}.pth"}
    options = {"train_cfg.max_iters": 2} | {f"default_hooks.checkpoint.{key}": value for key, value in hook.items()}
    train("config.py", work_dir="run", options=options)
    assert names("run") == {"it_000002.pth"}
    Path("run/last_checkpoint").unlink()
    assert find_last_checkpoint("run", hook) == Path("run/it_000002.pth")
    train("config.py", work_dir="run", options=options | {"train_cfg.max_iters": 1})
    assert names("run") == {"it_000001.pth"}
    (earlier,) = Path("run").glob("earlier_*")
    assert names(str(earlier)) == {"it_000002.pth"}


@pytest.mark.parametrize(
    ("template", "told"),
    [
        *((template, "makes no name of a number") for template in ("it_{iter}.pth", "it_{}_{}.pth", "it_{", 3)),
        *(
            (template, "makes a path, and not the name of a file.* set by out_dir")
            for template in ("best/it_{}.pth", "../it_{}.pth", "/tmp/it_{}.pth", "{}/it.pth", "..")
        ),
        *(
            (template, "cannot be found again")
            for template in ("it_{:x}.pth", "it_{:,}.pth", "it_{:.1f}.pth", "{:>9}.pth")
        ),
    ],
)
def test_a_template_that_makes_no_name_is_refused(template: object, told: str) -> None:
    with pytest.raises(ValueError, match=f"filename_tmpl=.* {told}"):
        CheckpointHook(filename_tmpl=template)


def _published(folder: str) -> set[str]:
    return {name for name in names(folder) if name[-13:-12] == "-"}


def test_what_a_kill_left_is_removed_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path)
    Path("config.py").write_text(TEXT)
    options = {"default_hooks.checkpoint.max_keep_ckpts": 1, "default_hooks.checkpoint.interval": 1}
    train("config.py", work_dir="run", options=options | {"train_cfg.max_iters": 3})
    assert names("run") == {"iter_3.pth"}
    saved = read_pickle(Path("run/iter_3.pth"))
    assert saved["hooks"]["CheckpointHook"] == {"kept": [3], "outdated": ["iter_2.pth"], "best": {}}
    assert saved["meta"]["dataset_meta"]["classes"] == ("background", "connective", "inflammatory", "neoplastic")
    # As a kill between the new checkpoint and the old one's removal leaves it, and one while writing.
    shutil.copy("run/iter_3.pth", "run/iter_2.pth")
    shutil.copy("run/iter_3.pth", "run/iter_1.pth")  # Kept by hand.
    Path("run/.iter_9.pth.tmp").write_bytes(b"half")
    train("config.py", work_dir="run", resume=True, options=options | {"train_cfg.max_iters": 3})
    assert {path.name for path in Path("run").glob("*.pth*")} == {"iter_1.pth", "iter_3.pth"}
    assert not list(Path("run").glob(".iter*"))


def test_a_full_disk_stops_the_run_with_the_last_checkpoint(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path)
    Path("config.py").write_text(TEXT)
    options = {"default_hooks.checkpoint.interval": 1, "default_hooks.checkpoint.out_dir": str(small_disk)}
    options["param_scheduler.0.total_steps"] = 40
    with pytest.raises(CheckpointNotWrittenError, match=r"No space left on device.*--resume"):
        train("config.py", work_dir="run", options=options | {"train_cfg.max_iters": 40})
    there = sorted(path.name for path in (small_disk / "run").iterdir())
    assert there == [f"iter_{i + 1}.pth" for i in range(len(there))]
    assert find_last_checkpoint("run") == small_disk / "run" / f"iter_{len(there)}.pth"
    assert read_pickle(find_last_checkpoint("run"))["meta"]["iter"] == len(there)
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    train("config.py", work_dir="run", resume=True, options=options | {"train_cfg.max_iters": len(there) + 1})
    assert f"resumed epoch: 0, iter: {len(there)}\n" in log("run")


def test_the_newest_is_found_where_a_hook_writes(tmp_path: Path) -> None:
    hook = {"filename_tmpl": "step{}.pth", "out_dir": str(tmp_path / "out")}
    for name in ("run/iter_8.pth", "run/best_mIoU_iter_16.pth", "out/run/step9.pth", "out/run/step10.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    assert find_last_checkpoint(tmp_path / "run") == tmp_path / "run" / "iter_8.pth"
    (tmp_path / "run" / "iter_8.pth").unlink()
    assert find_last_checkpoint(tmp_path / "run", hook) == tmp_path / "out" / "run" / "step10.pth"
    assert find_last_checkpoint(tmp_path / "nowhere") is None
    assert CheckpointHook.__name__ == "CheckpointHook"
