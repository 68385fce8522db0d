"""L-BFGS for many independent smooth convex problems, all evaluated in the same pass over the data.

Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5. The line search is that of Lewis and Overton
(Nonsmooth optimization via quasi-Newton methods, 2013, algorithm 2.6), with secants of the slope instead of halves.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# From parameters (H, P) to values (H,) and gradients (H, P).
Closure = Callable[[Tensor], tuple[Tensor, Tensor]]
# Conditions of Wolfe: sufficient decrease and curvature.
_DECREASE = 1e-4
_CURVATURE = 0.9
_MAX_TRIALS = 20
# Steps in a row that lower neither value nor gradient by more than rounding, after which a problem is finished.
_MAX_IDLE = 20


class LBFGS:
    """Minimises H problems of P parameters; each has its own history, direction, step and end.

    Args:
        start: First parameters, (H, P) float32 or float64.
        tolerance: A problem is finished when the norm of its gradient is not above.
        history: Pairs of steps and changes of the gradient that are remembered.

    Attributes:
        parameters: (H, P).
        values: (H,), of the parameters; NaN before the first step.
        gradients: (H, P), of the parameters.
        finished: (H,) bool: the tolerance is reached, or rounding lets it get no further.
        evaluations: Passes over the data so far.
    """

    def __init__(self, start: Tensor, *, tolerance: float, history: int = 10) -> None:
        problems, size = start.shape
        self.parameters = start.clone()
        self.values = start.new_full((problems,), torch.nan)
        self.gradients = torch.zeros_like(start)
        self.finished = torch.zeros_like(self.values, dtype=torch.bool)
        self.evaluations = 0
        self._tolerance = tolerance
        self._idle = torch.zeros_like(self.values, dtype=torch.int64)
        self._least = start.new_zeros(2, problems)
        # The newest pair is the last one; of a pair that tells nothing, rho is 0.
        self._steps = start.new_zeros(history, problems, size)
        self._changes = start.new_zeros(history, problems, size)
        self._rho = start.new_zeros(history, problems)

    @property
    def gradient_norms(self) -> Tensor:
        """Norm of the gradient of every problem, (H,)."""
        norms: Tensor = self.gradients.norm(dim=1)
        return norms

    @torch.no_grad()
    def step(self, closure: Closure) -> None:
        """Take a step in every problem that is not finished.

        Args:
            closure: Evaluates all problems at once.
        """
        if not self.evaluations:
            self.values, self.gradients = self._evaluate(closure, self.parameters)
            self._least = torch.stack([self.values, self.gradient_norms])
            self.finished = self.gradient_norms <= self._tolerance
        if self.finished.all():
            return
        direction, slope = self._direction()
        parameters, values, gradients, stuck = self._search(closure, direction, slope)
        self._remember(parameters - self.parameters, gradients - self.gradients)
        self.parameters, self.values, self.gradients = parameters, values, gradients
        norms = self.gradient_norms
        # Near the optimum the value stands still long before the gradient does, and either may rise for a while.
        reached, rounding = torch.stack([values, norms]), torch.finfo(values.dtype).eps * values.abs()
        gains = (self._least - reached > torch.stack([rounding, 0.1 * self._least[1]])).any(0)
        self._least = self._least.minimum(reached)
        self._idle = torch.where(gains, 0, self._idle + 1)
        # Never changed in place, as all that state_dict() hands out.
        self.finished = self.finished | (norms <= self._tolerance) | stuck | (self._idle >= _MAX_IDLE)

    def _evaluate(self, closure: Closure, parameters: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += 1
        with torch.enable_grad():
            values, gradients = closure(parameters)
        return values.detach(), gradients.detach()

    def _direction(self) -> tuple[Tensor, Tensor]:
        """Where to go, (H, P), and the slope there, (H,) below 0."""
        change = self.gradients.clone()
        pairs = list(zip(self._steps, self._changes, self._rho, strict=True))
        shares = []
        for step, difference, rho in reversed(pairs):
            share = rho * (step * change).sum(1)
            change -= share[:, None] * difference
            shares.append(share)
        newest = self._rho[-1]
        curvature = self._changes[-1].square().sum(1) * newest
        # Before there is a pair, a first step of length 1 at most.
        first = 1 / self.gradient_norms.clamp(min=1)
        change *= torch.where(newest > 0, 1 / curvature.where(newest > 0, torch.ones_like(curvature)), first)[:, None]
        for (step, difference, rho), share in zip(pairs, reversed(shares), strict=True):
            change += (share - rho * (difference * change).sum(1))[:, None] * step
        slope = -(change * self.gradients).sum(1)
        downhill = slope < 0
        direction = torch.where(downhill[:, None], -change, -self.gradients)
        return direction, torch.where(downhill, slope, -self.gradients.square().sum(1))

    def _search(self, closure: Closure, direction: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters, values and gradients after a step, and which problems can make none."""
        low, high = torch.zeros_like(slope), torch.full_like(slope, torch.inf)
        low_slope, high_slope = slope, slope
        length = torch.ones_like(slope)
        best = (self.parameters, self.values, self.gradients)
        searching = ~self.finished
        moved = self.finished
        for _ in range(_MAX_TRIALS):
            there = torch.where(searching[:, None], self.parameters + length[:, None] * direction, best[0])
            values, gradients = self._evaluate(closure, there)
            new_slope = (gradients * direction).sum(1)
            # A convex function that still falls here has not risen, whatever rounding makes of its values.
            falls = (values <= self.values + _DECREASE * length * slope) | (values.isfinite() & (new_slope <= 0))
            flat = new_slope >= _CURVATURE * slope
            # A point that falls far enough is kept, though the search may find a better one farther on.
            keep = searching & falls
            best = (
                torch.where(keep[:, None], there, best[0]),
                torch.where(keep, values, best[1]),
                torch.where(keep[:, None], gradients, best[2]),
            )
            moved = moved | keep
            searching = searching & ~(falls & flat)
            if not searching.any():
                break
            # Where the slope would be 0 if it went on as from low to here; with no end yet, a little farther.
            beyond = ((length - low) * new_slope / (low_slope - new_slope)).nan_to_num(0)
            farther = length + beyond.clamp(length, 9 * length)
            high, high_slope = torch.where(falls, high, length), torch.where(falls, high_slope, new_slope)
            low, low_slope = torch.where(falls, length, low), torch.where(falls, new_slope, low_slope)
            share = (low_slope / (low_slope - high_slope)).nan_to_num(0.5, 0.5, 0.5).clamp(0.1, 0.9)
            length = torch.where(high.isinf(), farther, low + share * (high - low))
        return *best, ~moved

    def _remember(self, step: Tensor, difference: Tensor) -> None:
        """Keep the newest pair of every problem that moved; the histories of the others stay."""
        product = (step * difference).sum(1)
        moved = product > torch.finfo(step.dtype).eps * difference.square().sum(1)
        self._steps = torch.where(moved[:, None], torch.cat([self._steps[1:], step[None]]), self._steps)
        self._changes = torch.where(moved[:, None], torch.cat([self._changes[1:], difference[None]]), self._changes)
        rho = torch.cat([self._rho[1:], (1 / product.where(moved, torch.ones_like(product)))[None]])
        self._rho = torch.where(moved, rho, self._rho)

    def state_dict(self) -> dict[str, Any]:
        """All that a later :meth:`load_state_dict` needs to go on as if nothing had happened."""
        return {
            "parameters": self.parameters,
            "values": self.values,
            "gradients": self.gradients,
            "finished": self.finished,
            "evaluations": self.evaluations,
            "steps": self._steps,
            "changes": self._changes,
            "rho": self._rho,
            "idle": self._idle,
            "least": self._least,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`.

        Raises:
            ValueError: It is of other problems.
        """
        for name, own in self.state_dict().items():
            found = state[name]
            if isinstance(own, Tensor) and (found.shape != own.shape or found.dtype != own.dtype):
                raise ValueError(f"{name} is {tuple(found.shape)}, expected {tuple(own.shape)}")
        self.parameters, self.values, self.gradients = (state[name] for name in ("parameters", "values", "gradients"))
        self.finished, self.evaluations = state["finished"], state["evaluations"]
        self._steps, self._changes, self._rho = (state[name] for name in ("steps", "changes", "rho"))
        self._idle, self._least = state["idle"], state["least"]


def minimize(closure: Closure, start: Tensor, *, tolerance: float, max_iterations: int, history: int = 10) -> LBFGS:
    """Take steps until all problems are finished.

    Args:
        closure: Evaluates all problems at once.
        start: As of :class:`LBFGS`.
        tolerance: As of :class:`LBFGS`.
        max_iterations: Steps after which to stop at the latest.
        history: As of :class:`LBFGS`.

    Returns:
        The solver after its last step.
    """
    solver = LBFGS(start, tolerance=tolerance, history=history)
    for _ in range(max_iterations):
        solver.step(closure)
        if solver.finished.all():
            break
    return solver
