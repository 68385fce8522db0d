"""Which checkpoint a resumed run takes, what it goes on with, and that nothing in a checkpoint is run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from internvl_seg.checkpoints.errors import CheckpointNotFoundError, TruncatedCheckpointError, UnsafePickleError
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.data.folder_lock import FolderInUseError, locked_folder
from internvl_seg.training import ConfigError, evaluate, train
from internvl_seg.training.checkpoint_fields import NotResumableError
from internvl_seg.training.last_checkpoint import find_last_checkpoint
from internvl_seg.training.same_run import OtherRunError

from ..checkpoints.test_errors import Payload
from ..error_table import DocumentedError
from .test_config import CONFIG
from .test_runner import EXTRA, make_images, weights

# What is drawn and augmented, and learnt with moments and a schedule; without validation.
TEXT = (
    CONFIG.replace("PackSegInputs')]", "RandomFlip', prob=0.5), dict(type='PackSegInputs')]")
    + EXTRA
    + """
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01))
param_scheduler = [dict(type='OneCycleLR', eta_max=0.1, total_steps=20, by_epoch=False)]
"""
)
VALIDATING = """
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
train_cfg.update(val_interval=1)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a config and its data, and a run of four iterations in ``run``."""
    folder, before = tmp_path_factory.mktemp("finished"), Path.cwd()
    os.chdir(folder)
    make_images(folder)
    (folder / "config.py").write_text(TEXT)
    train("config.py", work_dir="run")
    os.chdir(before)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where the program runs."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("run")


def log(folder: str | Path) -> str:
    return "".join(path.read_text() for path in sorted(Path(folder).rglob("*.log")))


def change(checkpoint: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    content = torch.load(checkpoint, weights_only=False)
    alter(content)
    torch.save(content, checkpoint)


CODE = "import os\nos.mkdir('made-by-the-text')\n"


def test_nothing_in_a_checkpoint_is_run(run: Path) -> None:
    """By --resume, by resume=True and by load_from; in texts, and in pickles."""
    outside = Path("outside_1.pth").absolute()
    outside.write_text("precious")

    def poison(content: dict[str, Any]) -> None:
        content["meta"] |= {"config": CODE, "CLASSES": CODE, "env_info": CODE}
        content["meta"]["cfg"] += CODE  # No config any more; so it is not compared.
        hub = content["message_hub"]["runtime_info"]
        hub |= {"cfg": CODE, "best_ckpt": str(outside), "keep_ckpt_ids": ["../../outside_1", str(outside)]}
        content["message_hub"]["resumed_keys"] |= {"best_ckpt": True, "keep_ckpt_ids": True}
        content["hooks"]["CheckpointHook"] |= {"outdated": ["../outside_1.pth", str(outside)], "best": {None: "../x"}}
        content["param_schedulers"][0] |= {"step": CODE, "optimizer": CODE}

    change(run / "iter_4.pth", poison)
    options = {"default_hooks.checkpoint.max_keep_ckpts": 1, "default_hooks.checkpoint.save_best": "mIoU"}
    train("config.py", work_dir="run", resume=True, options=options | {"train_cfg.max_iters": 5})
    assert find_last_checkpoint(run) == run / "iter_5.pth"
    assert outside.read_text() == "precious"
    train("config.py", work_dir="other", options={"load_from": "run/iter_4.pth", "train_cfg.max_iters": 1})
    assert not Path("made-by-the-text").exists()

    change(run / "iter_5.pth", lambda content: content["meta"].update(extra=Payload(Path("made-by-the-pickle"))))
    with pytest.raises(UnsafePickleError):
        train("config.py", work_dir="run", options={"resume": True})
    with pytest.raises(UnsafePickleError):
        train("config.py", work_dir="third", options={"load_from": "run/iter_5.pth"})
    assert not Path("made-by-the-pickle").exists()


def test_mmengines_own_runner_runs_nothing_either(run: Path) -> None:
    change(run / "iter_4.pth", lambda content: content["meta"].update(config=CODE + "gpu_ids = [0]"))
    stock = Runner(
        model=torch.nn.Linear(1, 1),
        work_dir="stock",
        experiment_name="stock",
        train_dataloader={"dataset": [0], "sampler": None, "batch_size": 1},
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
    )
    with pytest.raises(Exception):  # noqa: B017, PT011 - Another model's; that is after the text would have run.
        stock.resume("run/iter_4.pth")
    assert not Path("made-by-the-text").exists()


def test_the_work_folders_last_checkpoint_is_taken_and_no_other(run: Path) -> None:
    change(run / "iter_2.pth", lambda content: content["message_hub"]["runtime_info"].update(mark="of two"))
    shutil.copytree(run, "earlier")
    # It is what last_checkpoint names, though there is one of more iterations, and though load_from names another.
    (run / "last_checkpoint").write_text("/gone/before/it/was/moved/iter_2.pth")
    options = {"resume": True, "load_from": "earlier/iter_4.pth", "train_cfg.max_iters": 5}
    train("config.py", work_dir="run", options=options)
    assert "resumed epoch: 0, iter: 2\n" in log(run)
    # Where there is none, a run begins, with the weights of load_from.
    train("config.py", work_dir="new", options=options | {"train_cfg.max_iters": 1})
    assert "resumed" not in log("new")
    assert "earlier/iter_4.pth" in log("new")


def test_a_last_checkpoint_that_is_no_use(run: Path, documented_error: DocumentedError) -> None:
    (run / "last_checkpoint").write_text("run/iter_3.pth")
    with documented_error("the checkpoint that is to be resumed from is gone", CheckpointNotFoundError):
        train("config.py", work_dir="run", resume=True)
    (run / "iter_3.pth").write_bytes((run / "iter_2.pth").read_bytes()[:5000])
    with pytest.raises(TruncatedCheckpointError, match=r"iter_3\.pth"):
        train("config.py", work_dir="run", resume=True)
    for content in ({"weight": torch.ones(1)}, {"state_dict": {}, "meta": {"iter": "4", "epoch": 0}}, [1]):
        torch.save(content, run / "iter_3.pth")
        with documented_error("weights alone are to be resumed from", NotResumableError):
            train("config.py", work_dir="run", resume=True)


def test_where_a_run_writes_are_folders(run: Path, documented_error: DocumentedError) -> None:
    """Which is told before anything is computed."""
    with documented_error("the work folder is a file", ConfigError):
        train("config.py", work_dir="config.py")
    for key in ("default_hooks.checkpoint.out_dir", "default_hooks.visualization.out_dir"):
        with pytest.raises(ConfigError, match=f"{key} = 'config.py/below' is to be a folder, but .*/config.py is none"):
            train("config.py", work_dir="new", options={key: "config.py/below"})
    for folder in ("work_dir", "out", "submit", "show_dir"):
        with pytest.raises(ConfigError, match=r"config\.py is none"):
            evaluate("config.py", run / "iter_4.pth", **{folder: "config.py"})
    (run / "last_checkpoint").unlink()
    (run / "last_checkpoint").mkdir()
    with documented_error("last_checkpoint is a folder", ConfigError):
        train("config.py", work_dir="run", resume=True)


def test_a_run_that_has_done_more_than_it_is_to_do(run: Path, documented_error: DocumentedError) -> None:
    with documented_error("a resumed run is to end before what it has done", OtherRunError):
        train("config.py", work_dir="run", resume=True, options={"train_cfg.max_iters": 3})
    train("config.py", work_dir="run", resume=True)  # What is done is done.
    assert find_last_checkpoint(run) == run / "iter_4.pth"


def test_a_scaled_schedule_is_of_its_length(run: Path, documented_error: DocumentedError) -> None:
    scaled = "param_scheduler = [dict(type='PolyLR', end=9, by_epoch=False)]\nauto_scale_schedule = True\n"
    Path("config.py").write_text(TEXT + scaled)
    train("config.py", work_dir="scaled")
    longer = {"train_cfg.max_iters": 6}
    with documented_error("a run with a schedule of its length is made longer", OtherRunError):
        train("config.py", work_dir="scaled", resume=True, options=longer)
    # As the message advises: with the schedule as it was, or with a new one from the weights.
    train("scaled/config.py", resume=True, options=longer | {"auto_scale_schedule": False})
    done = read_pickle(find_last_checkpoint("scaled"))
    assert (done["meta"]["iter"], done["param_schedulers"][0]["end"]) == (6, 5)
    train("config.py", work_dir="anew", options=longer | {"load_from": "scaled/iter_4.pth"})
    assert read_pickle(find_last_checkpoint("anew"))["param_schedulers"][0]["end"] == 7


def test_other_classes_are_named(run: Path, documented_error: DocumentedError) -> None:
    Path("config.py").write_text(TEXT.replace("HGSCNestDataset", "FolderDataset"))
    Path("tiny/classes.txt").write_text("tissue\nvessel\nnerve\ntumour\n")
    train("config.py", work_dir="four", options={"train_cfg.max_iters": 1})
    with Path("tiny/classes.txt").open("a") as file:
        file.write("bone\n")
    options = {"model.decode_head.num_classes": 5}
    with documented_error("a class was added before a run was resumed", OtherRunError):
        train("config.py", work_dir="four", resume=True, options=options)
    # As the message advises, what fits is taken.
    options |= {"load_from": "four/iter_1.pth", "train_cfg.max_iters": 1, "optim_wrapper.optimizer.lr": 1e-30}
    train("config.py", work_dir="five", options=options | {"param_scheduler": None})
    found, expected = weights("five/iter_1.pth"), weights("four/iter_1.pth")
    assert torch.equal(found["backbone.cls_token"], expected["backbone.cls_token"])
    assert found["decode_head.conv_seg.weight"].shape[0] == 5


def test_a_checkpoint_of_another_run_is_refused(run: Path) -> None:
    for key, value in {
        "model.backbone.arch.num_heads": 4,
        "optim_wrapper.optimizer.lr": 0.5,
        "train_dataloader.batch_size": 2,
        "randomness.seed": 4,
    }.items():
        with pytest.raises(OtherRunError, match=key):
            train("config.py", work_dir="run", resume=True, options={key: value})
    for key, alter in {
        "classes of the training set": lambda meta: meta["dataset_meta"].update(classes=["a", "b", "c", "d"]),
        "images of the training set: 'others' in the checkpoint, '0.png to 3.png": lambda meta: meta.update(
            images="others"
        ),
        "samples of the training set: 5 in the checkpoint, 4 now": lambda meta: meta.update(samples=5),
    }.items():
        for checkpoint in ("iter_2.pth", "iter_4.pth"):
            shutil.copy(run / checkpoint, "kept.pth")
            change(run / checkpoint, lambda content, alter=alter: alter(content["meta"]))
            (run / "last_checkpoint").write_text(checkpoint)
        with pytest.raises(OtherRunError, match=key):
            train("config.py", work_dir="run", resume=True)
        shutil.copy("kept.pth", run / "iter_4.pth")


def test_a_new_run_puts_an_earlier_ones_checkpoints_aside(run: Path) -> None:
    before = weights("run/iter_2.pth")
    (run / "encoder.pth").write_bytes(b"not of a run")
    train("config.py", work_dir="run", options={"train_cfg.max_iters": 2, "param_scheduler.0.eta_max": 0.5})
    (aside,) = run.glob("earlier_*")
    assert {path.name for path in aside.iterdir()} == {"iter_2.pth", "iter_4.pth", "last_checkpoint"}
    kept, new = weights(f"{aside}/iter_2.pth"), weights("run/iter_2.pth")
    assert all(torch.equal(kept[name], before[name]) for name in before)
    assert not all(torch.equal(new[name], before[name]) for name in before)
    assert {path.name for path in run.glob("*.pth")} == {"iter_2.pth", "encoder.pth"}
    assert "move them back" in log(run)


def test_two_trainings_do_not_share_a_folder(run: Path) -> None:
    before = (run / "last_checkpoint").read_text()
    with locked_folder(run, "another training"), pytest.raises(FolderInUseError, match="in use by another training"):
        train("config.py", work_dir="run")
    assert (run / "last_checkpoint").read_text() == before
    assert not list(run.glob("earlier_*"))


@HOOKS.register_module()
class CountingHook(Hook):
    """Counts iterations, and saves the count."""

    def __init__(self) -> None:
        self.count = 0

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


@HOOKS.register_module()
class ForgetfulHook(Hook):
    """Counts iterations, and forgets."""

    def __init__(self) -> None:
        self.count = 0


def test_hooks_go_on_with_what_they_remember(run: Path) -> None:
    hooks = """
custom_hooks = [dict(type='CountingHook'), dict(type='CountingHook'),
    dict(type='EarlyStoppingHook', monitor='mIoU', patience=3, min_delta=200.0)]
train_cfg.update(max_iters=9)
default_hooks['checkpoint'].update(interval=1, save_best='mIoU', max_keep_ckpts=1)
"""
    Path("config.py").write_text(TEXT + VALIDATING + hooks)
    train("config.py", work_dir="whole")
    train("config.py", work_dir="cut", options={"train_cfg.max_iters": 2})
    train("config.py", work_dir="cut", resume=True)
    whole, cut = (read_pickle(find_last_checkpoint(folder)) for folder in ("whole", "cut"))
    assert whole["meta"]["iter"] == cut["meta"]["iter"] == 4  # The first validation sets the score.
    assert cut["hooks"]["CountingHook"] == cut["hooks"]["CountingHook[1]"] == {"count": 4}
    assert cut["hooks"]["EarlyStoppingHook"].keys() == {"wait_count", "patience", "best_score", "stopped"}
    assert whole["param_schedulers"] == cut["param_schedulers"]
    assert all(torch.equal(cut["state_dict"][name], tensor) for name, tensor in whole["state_dict"].items())
    assert "not exact" not in log("cut")
    # A run that has ended so stays at its end, whoever resumes it; and one best checkpoint is left.
    train("config.py", work_dir="cut", resume=True)
    assert read_pickle(find_last_checkpoint("cut"))["meta"]["iter"] == 4
    assert len(list(Path("cut").glob("best_*"))) == len(list(Path("whole").glob("best_*"))) == 1
    assert len(list(Path("cut").glob("iter_*"))) == 1
    # With more patience it goes on, from the count that it had.
    train("config.py", work_dir="cut", resume=True, options={"custom_hooks.2.patience": 5})
    assert read_pickle(find_last_checkpoint("cut"))["meta"]["iter"] == 6


def test_what_is_not_exact_says_so(run: Path) -> None:
    Path("config.py").write_text(TEXT + "custom_hooks = [dict(type='ForgetfulHook')]\n")
    train(
        "config.py",
        work_dir="run",
        resume=True,
        options={"train_cfg.max_iters": 5, "custom_hooks.0.type": "CountingHook"},
    )
    assert "holds no state of CountingHook" in log(run)
    Path("config.py").write_text(TEXT + "custom_hooks = [dict(type='EMAHook')]\n")
    train("config.py", work_dir="run", resume=True, options={"train_cfg.max_iters": 6})
    assert "holds no state of EMAHook, which begin anew: this run is not exact" in log(run)
    assert "holds the state of CountingHook, which this run does not have" in log(run)
    Path("config.py").write_text(TEXT + "custom_hooks = [dict(type='ForgetfulHook')]\n")
    train("config.py", work_dir="new", options={"train_cfg.max_iters": 1})
    (line,) = (line for line in log("new").splitlines() if "not exact" in line)
    assert "ForgetfulHook may remember" in line


CASES = {
    "epochs": """
train_dataloader.update(sampler=dict(type='DefaultSampler', shuffle=True), num_workers=1, batch_size=2)
train_cfg = dict(by_epoch=True, max_epochs=3)
default_hooks['checkpoint'] = dict(type='CheckpointHook', interval=1)
param_scheduler = [dict(type='OneCycleLR', eta_max=0.1, total_steps=9, by_epoch=True)]
""",
    "passes": """
train_dataloader.update(sampler=dict(type='DefaultSampler', shuffle=True), batch_size=2)
train_cfg = dict(by_epoch=False, max_iters=3)
default_hooks['checkpoint'].update(interval=1)
""",
    "classes": """
find = __import__('importlib').import_module
train_dataloader['sampler'] = dict(type=find('mmengine.dataset').InfiniteSampler)
train_cfg = dict(type=find('mmengine.runner').IterBasedTrainLoop, max_iters=3)
hook = find('mmengine.hooks').CheckpointHook
default_hooks['checkpoint'] = dict(type=hook, interval=1, by_epoch=False, max_keep_ckpts=1)
train_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[
    dict(train_dataloader['dataset'], metainfo=dict(extra={'class': {'if': [1, (2, 3)]}}))] * 2)
names = {'class': 1, 'lambda': 2}
del find, hook
""",
}


@pytest.mark.parametrize("case", CASES)
def test_other_loops_samplers_and_configs_resume_exactly(run: Path, case: str) -> None:
    length = "train_cfg.max_epochs" if case == "epochs" else "train_cfg.max_iters"
    Path("config.py").write_text(TEXT + CASES[case])
    train("config.py", work_dir="whole")
    train("config.py", work_dir="cut", options={length: 1})
    train("config.py", work_dir="cut", resume=True)
    last = find_last_checkpoint("whole")
    found, expected = weights(f"cut/{last.name}"), weights(str(last))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert "not exact" not in log("cut")
    assert "resumed epoch" in log("cut")
