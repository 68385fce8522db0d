"""Which command comes after a folder is prepared."""

import re
import shlex
from pathlib import Path

from .preparation import Written
from .preparing import Prepared
from .splitting import SPLITS

# Larger pictures are shrunk by a factor of two or more by the configs' pipelines.
_LARGE = 1100
_LOOKS, _BATCH, _FEWEST, _MOST = 25, 2, 500, 80_000
_PICTURES = "configs/folder/internvit_300m_448px_v2_5_linear_frozen_folder-504x504.py"
# At native resolution.
_TILES = "configs/folder/internvit_300m_448px_v2_5_linear_frozen_folder_tiles-504x504.py"
# The templates measure on a split, and a folder without one is refused.
_UNCHOSEN = "default_hooks.checkpoint.save_best=None"
_UNMEASURED = ("val_dataloader=None", "val_evaluator=None", "val_cfg=None", _UNCHOSEN)


def is_large(one: Written) -> bool:
    """Whether configs that scale pictures would shrink this one by much."""
    return max(one.size) > _LARGE


def tiles_of(prepared: Prepared) -> set[str]:
    """Names of tiles."""
    return {part.name for job in prepared.plan.jobs for part in job.parts if part.window is not None}


def training_command(prepared: Prepared) -> str | None:
    """A command that trains on the folder, for about twenty-five looks at each picture; None without such a picture."""
    there, splits = _there(prepared)
    if "train" not in splits:
        return None
    options = _of_data(prepared)
    measured = {"val": "val" if "val" in splits else "test", "test": "test" if "test" in splits else "val"}
    for loader, split in measured.items():
        if split in splits and (loader, split) != ("test", "test"):
            options += _prefix(loader, split)
    if splits == ["train"]:
        options += [f"{name}_{what}=None" for name in measured for what in ("dataloader", "cfg", "evaluator")]
    steps = _LOOKS * sum(one.split == "train" for one in there) // _BATCH
    steps = min(max(round(steps, -2), _FEWEST), _MOST)
    options.append(f"train_cfg.max_iters={steps}")
    if {"val", "test"} & set(splits):
        options.append(f"train_cfg.val_interval={max(steps // 10, 1)}")
        # What is chosen by its score on test has no honest score.
        options += [] if "val" in splits else [_UNCHOSEN]
    else:
        options += _UNMEASURED
    return _command("train.py", _config(prepared), options)


def testing_command(prepared: Prepared) -> str | None:
    """A command that tests a checkpoint on the folder; None without pictures to test on."""
    _, splits = _there(prepared)
    split = next((split for split in ("test", "val") if split in splits), None)
    if split is None:
        return None
    options = [*_of_data(prepared), *(_prefix("test", split) if split != "test" else [])]
    return _command("test.py", f"{_config(prepared)} CHECKPOINT", options)


def _there(prepared: Prepared) -> tuple[list[Written], list[str]]:
    """Pictures that were kept, and the splits that have some."""
    there = [one for one in prepared.written if one.empty is None]
    return there, [split for split in SPLITS if any(one.split == split for one in there)]


def _of_data(prepared: Prepared) -> list[str]:
    return [f"data_root={_as_option(prepared.out)}", f"model.decode_head.num_classes={len(prepared.ids.classes)}"]


def _prefix(loader: str, split: str) -> list[str]:
    prefix = f"{loader}_dataloader.dataset.data_prefix"
    return [f"{prefix}.img_path=images/{split}", f"{prefix}.seg_map_path=annotations/{split}"]


def _config(prepared: Prepared) -> str:
    return _TILES if any(is_large(one) for one in _there(prepared)[0]) or tiles_of(prepared) else _PICTURES


def _command(tool: str, arguments: str, options: list[str]) -> str:
    return " ".join([f"python tools/{tool}", arguments, "--cfg-options", *map(shlex.quote, options)])


def _as_option(path: Path) -> str:
    """A path as ``--cfg-options`` takes it: what could be a number or a list, and blanks, would not stay."""
    text = str(path) if path.is_absolute() or "/" in str(path) else f"./{path}"
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}" if re.search(r"[ ,]|['\"]$", text) else text
