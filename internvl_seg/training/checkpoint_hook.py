"""Which checkpoints a run writes, keeps and removes."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.registry import HOOKS

from ..data.set_aside import set_aside
from ..data.writing import whole_file
from .last_checkpoint import POINTER, TEMPLATES, as_pattern, is_named_by
from .saving import TEMPORARY, explaining_failure


class _RemovingLater:
    """A file backend that only notes the names of what it is asked to remove."""

    def __init__(self, backend: Any, outdated: list[str]) -> None:
        self._backend, self._outdated = backend, outdated

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._outdated.append(os.path.basename(path))


@HOOKS.register_module(force=True)
class CheckpointHook(MMEngineCheckpointHook):
    """MMEngine's hook, in whose place it is registered; it removes old checkpoints once the new one is there.

    It removes what it has written itself in the folder of this run, and nothing else, whatever a checkpoint says. A
    new run puts the checkpoints of an earlier one in its folder aside. What is in ``last_checkpoint`` can be resumed
    from: a hook that leaves out the optimizer does not write it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _check_template(kwargs.get("filename_tmpl") or TEMPLATES[0])
        super().__init__(*args, **kwargs)
        self._outdated: list[str] = []
        self._resumed: Mapping[str, Any] = {}
        self._validating = False
        self._due: tuple[int, dict[str, Any]] | None = None

    def before_train(self, runner: Any) -> None:
        """Prepare the folder of checkpoints, and remove what a killed run left there."""
        # The message hub is one for all hooks, and what a checkpoint says there is not to become a path.
        kept = self._resumed.get("kept", runner.message_hub.get_info("keep_ckpt_ids", []))
        if kept:
            runner.message_hub.update_info("keep_ckpt_ids", [step for step in kept if type(step) is int])
        super().before_train(runner)
        self._find_best_again()
        self._outdated += [str(name) for name in self._resumed.get("outdated", [])]
        if is_main_process():
            for half_written in Path(self.out_dir).glob(TEMPORARY.format("*")):
                half_written.unlink()
            if runner.iter == 0 and runner.epoch == 0:
                self._set_aside(runner)
        self._remove_outdated()

    def state_dict(self) -> dict[str, Any]:
        """The checkpoints that are kept, those to be removed, and the best."""
        best = {key: os.path.basename(path) for key, path in self._best().items()}
        return {"kept": list(getattr(self, "keep_ckpt_ids", [])), "outdated": list(self._outdated), "best": best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with them, when the training begins.

        Raises:
            TypeError: They are no such state.
        """
        kept, outdated, best = (state[key] for key in ("kept", "outdated", "best"))
        if not isinstance(kept, list) or not isinstance(outdated, list) or not isinstance(best, dict):
            raise TypeError("kept and outdated are lists of checkpoints, and best is a dict of them")
        self._resumed = state

    def after_val(self, runner: Any) -> None:
        """Write the last checkpoint anew if there is a new best one; all hooks have seen this validation by now."""
        if self._due is not None:
            due, self._due = self._due, None
            self._save_checkpoint_with_step(runner, *due)

    def _save_best_checkpoint(self, runner: Any, metrics: Any) -> None:
        if not self.save_best:
            return
        backend, self._validating = self.file_backend, True
        self.file_backend: Any = _RemovingLater(backend, self._outdated)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend, self._validating = backend, False
        if self._due is None:
            self._remove_outdated()

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        if self._validating:  # Hooks that come later have not yet seen the validation.
            self._due = step, meta
            return
        name = self.filename_tmpl.format(step)
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                self._outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        self.last_ckpt: str | None = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process() and self.save_optimizer:
            with explaining_failure(Path(runner.work_dir, POINTER)) as pointer, whole_file(pointer) as temporary:
                temporary.write_text(str(self.last_ckpt))
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        """Remove what is outdated, if this hook has written it and nothing else has got its name since."""
        used = {os.path.basename(path) for path in (self.last_ckpt, *self._best().values()) if path}
        used |= {self.filename_tmpl.format(step) for step in getattr(self, "keep_ckpt_ids", [])}
        while self._outdated:
            name = self._outdated.pop(0)
            if is_main_process() and name not in used and is_named_by(self.filename_tmpl, name):
                with suppress(FileNotFoundError):
                    self.file_backend.remove(self.file_backend.join_path(self.out_dir, name))

    def _best(self) -> dict[str | None, str]:
        """Paths of the best checkpoints by metric, or of the one of the only metric."""
        best = getattr(self, "best_ckpt_path_dict", {None: getattr(self, "best_ckpt_path", None)})
        return {key: path for key, path in best.items() if path}

    def _find_best_again(self) -> None:
        """Take the best checkpoints of this hook, where this run writes, be its folder moved or copied."""
        found = {}
        for key, path in (self._resumed["best"] if self._resumed else self._best()).items():
            folder, name = os.path.split(str(path))
            found[key] = self.file_backend.join_path(self.out_dir, name) if folder or self._resumed else name
        if hasattr(self, "best_ckpt_path"):
            self.best_ckpt_path = found.get(None)
        if hasattr(self, "best_ckpt_path_dict"):
            self.best_ckpt_path_dict: dict[str, Any] = {key: found.get(key) for key in self.key_indicators}

    def _set_aside(self, runner: Any) -> None:
        """Move the checkpoints of an earlier run in this folder, of which nothing is to be lost or taken up."""
        folder, pointer = Path(self.out_dir), Path(runner.work_dir, POINTER)
        templates = {self.filename_tmpl, *TEMPLATES}
        found = [path for path in folder.glob("*.*") if path.is_file()]
        found = [path for path in found if any(is_named_by(template, path.name) for template in templates)]
        aside = set_aside([*found, *([pointer] if pointer.is_file() else [])], runner.timestamp)
        if found:
            runner.logger.warning(
                f"{folder} held {len(found)} checkpoints of an earlier run, such as {found[0].name}. This run was "
                f"begun anew, without --resume: they are in {aside} there now. To go on with the "
                "earlier run, move them back."
            )


def _check_template(template: Any) -> None:
    """Check that a ``filename_tmpl`` makes names of files, in which the number of iterations is found again.

    Raises:
        ValueError: It does not.
    """
    expected = "Expected one {} in it, such as 'iter_{}.pth' or 'iter_{:06d}.pth'."
    number = 1234567
    try:
        name, pattern = template.format(number), as_pattern(template)
    except (AttributeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"CheckpointHook: filename_tmpl={template!r} makes no name of a number. {expected}") from error
    if os.path.basename(name) != name or not name.strip("."):
        raise ValueError(
            f"CheckpointHook: filename_tmpl={template!r} makes a path, and not the name of a file. {expected} A folder "
            "is set by out_dir."
        )
    found = re.fullmatch(pattern, name)
    if found is None or any(int(group) != number for group in found.groups()):
        raise ValueError(
            f"CheckpointHook: filename_tmpl={template!r} makes {name!r} of {number}, in which the number cannot be "
            f"found again. {expected}"
        )
