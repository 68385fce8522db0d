"""Whether a checkpoint was trained on the classes that it is scored on."""

from itertools import zip_longest
from typing import Any

from mmengine.hooks import Hook

from ..common.kinds import short
from .config import ConfigError

_NAMED = 3


class ClassNamesHook(Hook):
    """Compare the classes in a checkpoint with those of the data, by name, before anything is computed.

    The same names in another order are an error: all figures would be of other classes. Names that only one of the two
    has may be other words for the same, which a warning tells. A training that begins with a checkpoint's weights may
    have other classes; a warning says which stands where. A checkpoint without names passes.

    Raises:
        ConfigError: A class has another number than in training.
    """

    def __init__(self) -> None:
        self._trained: list[str] = []

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the names."""
        told: Any = checkpoint
        for key in ("meta", "dataset_meta", "classes"):
            told = told.get(key) if isinstance(told, dict) else None
        self._trained = [_name(name) for name in told] if isinstance(told, (list, tuple)) else []

    def before_train(self, runner: Any) -> None:
        """Say which classes the head of ``load_from`` was trained on where they have other numbers; they are learnt."""
        own = [str(name) for name in runner.train_dataloader.dataset.metainfo.get("classes") or ()]
        # A run that goes on is compared with its own beginning.
        if not self._trained or not own or self._trained == own or not runner.cfg.get("load_from") or runner._resume:
            return
        pairs = enumerate(zip_longest(own, self._trained))
        other = [f"class {i} is {here!r} here and {there!r} there" for i, (here, there) in pairs if here != there]
        runner.logger.warning(
            f"{runner.cfg.filename}: the classes of train_dataloader.dataset are not those of the checkpoint "
            f"{runner.cfg.load_from}, from whose head the training begins: {'; '.join(other[:_NAMED])}"
            f"{f'; and {len(other) - _NAMED} more' if len(other) > _NAMED else ''}."
        )

    def before_test(self, runner: Any) -> None:
        """Compare them with those of the test set."""
        dataset = runner.test_dataloader.dataset
        scored = [str(name) for name in dataset.metainfo.get("classes") or ()]
        if not self._trained or not scored or self._trained == scored:
            return
        where = f"{runner.cfg.filename}: test_dataloader.dataset"
        # ImageNet has two classes of one name.
        trained_as: dict[str, list[int]] = {}
        for number, name in enumerate(self._trained):
            trained_as.setdefault(name, []).append(number)
        moved = [name for number, name in enumerate(scored) if number not in trained_as.get(name, [number])]
        if moved:
            told = ", ".join(
                f"{name!r} is {scored.index(name)} but was {trained_as[name][0]}" for name in moved[:_NAMED]
            )
            raise ConfigError(
                f"{where} numbers its classes otherwise than the training of {runner.cfg.load_from}: {told}"
                f"{', and more' if len(moved) > _NAMED else ''}. Masks and names have to be in the order of the "
                f"checkpoint: {', '.join(self._trained[:20])}{', ...' if len(self._trained) > 20 else ''}."
            )
        other = [name for name in scored if name not in trained_as]
        missing = [name for name in self._trained if name not in scored]
        runner.logger.warning(
            f"{where} has other classes than the checkpoint {runner.cfg.load_from}, which are scored by their numbers: "
            f"{_listed(other)} only in the test set, {_listed(missing)} only in the checkpoint."
        )


def _name(name: object) -> str:
    return name if isinstance(name, str) else short(name)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(map(repr, names[:_NAMED])) or "none") + more
