"""Checkpoints that are whole, whenever a run is killed."""

import re
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

# Name of a checkpoint while it is written.
TEMPORARY = ".{}.tmp"


class _RemovingLater:
    """A file backend that keeps in mind what it is asked to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._outdated: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._outdated.append(path)

    def remove_now(self) -> None:
        while self._outdated:
            self._backend.remove(self._outdated.pop())


@HOOKS.register_module(name="CheckpointHook", force=True)
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's hook, in whose place it is registered; it removes old checkpoints once the new one is there."""

    def before_train(self, runner: Any) -> None:
        """Prepare the folder of checkpoints, and remove what a killed run left there."""
        super().before_train(runner)
        self.file_backend: Any = _RemovingLater(self.file_backend)
        if not is_main_process():
            return
        folder = Path(self.out_dir)
        for half_written in folder.glob(TEMPORARY.format("*")):
            half_written.unlink()
        if self.max_keep_ckpts > 0 and self.keep_ckpt_ids:
            for step, outdated in _find_checkpoints(folder).items():
                if step < self.keep_ckpt_ids[0]:
                    outdated.unlink()

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self.file_backend.remove_now()


def _find_checkpoints(folder: Path) -> dict[int, Path]:
    """Checkpoints of a run by their iteration or epoch."""
    matches = {path: re.fullmatch(r"(?:iter|epoch)_(\d+)\.pth", path.name) for path in folder.glob("*.pth")}
    return {int(match[1]): path for path, match in matches.items() if match}


def find_last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the most iterations, or epochs, in a folder of a run; None if there is none.

    Checkpoints get their names when they are whole, so the newest can be resumed from, whatever stands in the file
    ``last_checkpoint``, which a killed run may have left empty. It counts only for checkpoints in another folder.
    """
    if found := _find_checkpoints(folder):
        return found[max(found)]
    pointer = folder / "last_checkpoint"
    elsewhere = Path(pointer.read_text().strip()) if pointer.is_file() else None
    return elsewhere if elsewhere is not None and elsewhere.is_file() else None
