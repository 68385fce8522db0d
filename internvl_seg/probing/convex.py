"""Linear heads trained to the optimum: their loss is convex, so there is one, and the gradient says how near it is."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .batched_heads import BatchedHeads
from .extraction import Content
from .features import Features, Norms, norm_eps
from .lbfgs import LBFGS
from .objectives import Objectives
from .sources import Batch
from .state import read_state, write_state

_SAVE_EVERY = 20.0


def measure_norms(batches: Iterable[Batch], blocks: Sequence[int], content: Content) -> Norms:
    """Statistics of all features, instead of the running ones of BatchNorm, which depend on the order."""
    norms = Norms(norm_eps(content))
    count, shifts, sums, squares = 0, {}, {}, {}
    for batch in batches:
        features = Features(batch.maps, content, norms, training=False)
        for block in blocks:
            rows = features.rows(block, normalised=False)
            if block not in shifts:
                shifts[block] = rows.mean(0)
                sums[block], squares[block] = torch.zeros(2, rows.shape[1], dtype=torch.float64)
            near = (rows - shifts[block]).double()  # Near 0, so that squares lose no digits.
            sums[block] += near.sum(0)
            squares[block] += near.square().sum(0)
        count += len(rows)
    for block, shift in shifts.items():
        mean = sums[block] / count
        norms.running[block] = ((shift + mean).float(), (squares[block] / count - mean.square()).float())
    return norms


class ConvexFit:
    """L-BFGS on the mean loss over all training samples, of several heads at once.

    To the loss of each comes half its weight decay times the squared norm of its weight.

    Args:
        heads: Linear heads, which differ in weight decay.
        batches: Gives all training samples, in the same order every time.
        objectives: The loss.
        content: What the features are.
        max_iterations: When to stop at the latest.
        tolerance: Norm of the gradient at which to stop.
        state: File from which a killed run goes on.
        study: Hash of all that the state depends on.
    """

    def __init__(
        self,
        heads: BatchedHeads,
        batches: Callable[[], Iterable[Batch]],
        objectives: Objectives,
        content: Content,
        max_iterations: int,
        tolerance: float,
        state: Path,
        study: str,
    ) -> None:
        self._heads = heads
        self._batches = batches
        self._objectives = objectives
        self._content: Content = content
        self._max_iterations = max_iterations
        self._state, self._study = state, study
        self._learns = [heads.parameters[name] for name in ("weight", "bias")]
        for name, parameter in heads.parameters.items():
            parameter.requires_grad_(name in ("weight", "bias"))
        self.norms = measure_norms(batches(), heads.specs[0].blocks, content)
        with torch.no_grad():
            start = torch.cat([parameter.flatten(1) for parameter in self._learns], dim=1)
        self._solver = LBFGS(start, tolerance=tolerance)
        self._iterations = 0
        read_state(state, study, self._resume)

    def run(self, advance: Callable[[int], None]) -> None:
        """Go on to the optimum, or to the last iteration.

        Args:
            advance: Told how many iterations are done.
        """
        advance(self._iterations)
        saved = time.monotonic()
        while self._iterations < self._max_iterations and not self._solver.finished.all():
            self._solver.step(self._evaluate)
            self._iterations += 1
            advance(1)
            if time.monotonic() - saved > _SAVE_EVERY:
                saved = time.monotonic()
                self._save()
        self._put(self._solver.parameters)
        self._save()

    @property
    def losses(self) -> list[float]:
        """Of every head, with its penalty."""
        return [float(value) for value in self._solver.values]

    @property
    def gradient_norms(self) -> list[float]:
        """Of every head."""
        return [float(norm) for norm in self._solver.gradient_norms]

    @property
    def diverged(self) -> list[bool]:
        """Of every head, whether its loss or gradient is NaN or infinite: there is no optimum to speak of then."""
        found: list[bool] = (~(self._solver.values.isfinite() & self._solver.gradient_norms.isfinite())).tolist()
        return found

    def _save(self) -> None:
        state = {"iterations": self._iterations, "solver": self._solver.state_dict()}
        write_state(self._state, self._study, state)

    def _resume(self, state: dict[str, Any]) -> None:
        self._iterations = int(state["iterations"])
        self._solver.load_state_dict(state["solver"])

    @torch.no_grad()
    def _put(self, flat: Tensor) -> None:
        sizes = [parameter[0].numel() for parameter in self._learns]
        for parameter, values in zip(self._learns, flat.split(sizes, dim=1), strict=True):
            parameter.copy_(values.view_as(parameter))

    def _evaluate(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (heads,) and gradients (heads, P) at some parameters, from one pass over all samples."""
        self._put(flat)
        weight = self._learns[0]
        objective, counted = self._objectives.fixed(), 0.0
        values = torch.zeros(len(flat), dtype=torch.float64)
        gradients = torch.zeros(flat.shape, dtype=torch.float64)
        with torch.enable_grad():
            for batch in self._batches():
                count = self._objectives.count(batch.labels, weight.shape[1])
                features = Features(batch.maps, self._content, self.norms, training=False)
                losses = objective(self._heads.logits(features), batch.labels)
                losses.sum().backward()
                values += losses.detach().double() * count
                gradients += torch.cat([_taken(p).flatten(1) for p in self._learns], dim=1).double() * count
                counted += count
        values, gradients = values / counted, gradients / counted
        decay = torch.tensor([spec.weight_decay for spec in self._heads.specs], dtype=torch.float64)
        matrix = flat[:, : weight[0].numel()].double()
        values += decay / 2 * matrix.square().sum(1)
        gradients[:, : matrix.shape[1]] += decay[:, None] * matrix
        return values.to(flat.dtype), gradients.to(flat.dtype)


def _taken(parameter: Tensor) -> Tensor:
    """The gradient of a parameter, which then has none."""
    gradient, parameter.grad = parameter.grad, None
    assert gradient is not None
    return gradient
