"""Training all heads of an encoder in one pass over its features."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .extraction import Content
from .features import Features, Norms, norm_eps
from .head_spec import Subset
from .heads import Heads
from .objectives import Objectives
from .optimizers import schedule
from .settings import ProbeSettings
from .sources import Source
from .state import check_like, read_state, write_state

# Seconds between states from which a killed run goes on; it ends the same whenever they are written.
_SAVE_EVERY = 20.0
# Share of the steps, at the end, over which the reported loss is averaged.
_LAST = 0.05


class HeadTraining:
    """Heads that take their steps together.

    Args:
        heads: The heads.
        source: Their features.
        images: Indices of the training images by subset.
        settings: Of the study.
        objectives: The loss.
        content: What the features are.
        state: File from which a killed run goes on.
        study: Hash of all that the state depends on.
        one_order: Whether heads of all seeds see the same images at a step, so that each is encoded once for all.
    """

    def __init__(
        self,
        heads: Sequence[Heads],
        source: Source,
        images: Callable[[Subset | None], Sequence[int]],
        settings: ProbeSettings,
        objectives: Objectives,
        content: Content,
        state: Path,
        study: str,
        one_order: bool = False,
    ) -> None:
        self._heads = heads
        self._seed = heads[0].specs[0].seed if one_order else None
        self._settings = settings
        self._objectives = objectives
        self._content: Content = content
        self._state, self._study = state, study
        self._step = 0
        self._losses: list[Tensor] = [torch.zeros(len(h.specs)) for h in heads]
        # Of every group, which heads had a loss that is NaN or infinite. They share nothing with the others.
        self._diverged: list[Tensor] = [torch.zeros(len(h.specs), dtype=torch.bool) for h in heads]
        self._seconds = 0.0
        # Heads of one order see the same images at the same step. By these: the blocks they read.
        self._orders: dict[tuple[int, Subset | None], list[int]] = {}
        for one in heads:
            blocks = self._orders.setdefault(self._order_of(one), [])
            blocks += [block for block in one.specs[0].blocks if block not in blocks]
        self._norms = {order: Norms(norm_eps(content)) for order in self._orders}
        read_state(state, study, self._resume)
        self._batches = [
            source.batches(seed, images(subset), settings.batch_size, self._step, settings.iterations, blocks)
            for (seed, subset), blocks in self._orders.items()
        ]

    def run(self, advance: Callable[[int], None]) -> float:
        """Take all steps that are left.

        Args:
            advance: Told how many steps were taken.

        Returns:
            Seconds that all steps took, those before a kill included.
        """
        advance(self._step)
        iterations = self._settings.iterations
        last = max(round(iterations * _LAST), 1)
        saved = start = time.monotonic()
        while self._step < iterations:
            factor = schedule(self._step, iterations, self._settings.warmup, self._settings.schedule)
            for order, batches in zip(self._orders, self._batches, strict=True):
                batch = next(batches)
                objective = self._objectives.at(order[0], self._step)
                features = Features(batch.maps, self._content, self._norms[order], training=True)
                for one, total, diverged in zip(self._heads, self._losses, self._diverged, strict=True):
                    if self._order_of(one) == order:
                        losses = one.step(features, batch.labels, objective, factor)
                        diverged |= ~losses.isfinite()
                        total += losses / last * (self._step >= iterations - last)
            self._step += 1
            advance(1)
            now = time.monotonic()
            if now - saved > _SAVE_EVERY or self._step == iterations:
                self._seconds += now - start
                saved = start = now
                self._save()
        return self._seconds

    @property
    def losses(self) -> list[list[float]]:
        """Mean loss of the last steps, of every head of every group."""
        return [losses.tolist() for losses in self._losses]

    @property
    def diverged(self) -> list[list[bool]]:
        """Whether a loss of it was NaN or infinite, of every head of every group."""
        return [diverged.tolist() for diverged in self._diverged]

    def norms(self, heads: Heads) -> Norms:
        """The statistics by which features are normalised for some heads."""
        return self._norms[self._order_of(heads)]

    def _order_of(self, heads: Heads) -> tuple[int, Subset | None]:
        """Seed and subset: what the images of a step depend on."""
        spec = heads.specs[0]
        return (spec.seed if self._seed is None else self._seed), spec.subset

    def _save(self) -> None:
        state = {
            "step": self._step,
            "seconds": self._seconds,
            "losses": self._losses,
            "diverged": self._diverged,
            "heads": [one.state_dict() for one in self._heads],
            "norms": [norms.state_dict() for norms in self._norms.values()],
        }
        write_state(self._state, self._study, state)

    def _resume(self, state: dict[str, Any]) -> None:
        self._step, self._seconds = int(state["step"]), float(state["seconds"])
        if not 0 <= self._step <= self._settings.iterations:
            raise ValueError(f"step {self._step} is not one of {self._settings.iterations}")
        for name, own in (("losses", self._losses), ("diverged", self._diverged)):
            for kept, found in zip(own, state[name], strict=True):
                kept.copy_(check_like(found, kept, name))
        for one, found in zip(self._heads, state["heads"], strict=True):
            one.load_state_dict(found)
        for norms, found in zip(self._norms.values(), state["norms"], strict=True):
            norms.load_state_dict(found)
