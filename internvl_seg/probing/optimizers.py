"""AdamW and SGD for many heads at once, each with a learning rate and a weight decay of its own."""

from collections.abc import Mapping, Sequence
from math import cos, pi

import torch
from torch import Tensor

# As in every official recipe (OpenGVLab/InternVL, segmentation/ and classification/).
BETAS = (0.9, 0.999)
EPS = 1e-8
MOMENTUM = 0.9
WARMUP_FROM = 1e-6


def schedule(step: int, steps: int, warmup: int, shape: str) -> float:
    """Factor of the learning rate at a step: linear warm-up times decay to 0.

    Args:
        step: From 0.
        steps: All steps.
        warmup: Steps until the factor is that of the decay alone.
        shape: Of the decay: 'poly' is linear, 'cosine' half a wave.
    """
    done = step / steps
    decay = 1 - done if shape == "poly" else (1 + cos(pi * done)) / 2
    return decay * (WARMUP_FROM + (1 - WARMUP_FROM) * step / warmup if step < warmup else 1.0)


class BatchedOptimizer:
    """PyTorch's AdamW, or SGD with Nesterov's momentum, whose first dimension is the head.

    Biases and the vectors of norms have no weight decay, as in the official recipes.

    Args:
        parameters: By name, (heads, ...) float32; changed in place.
        kind: 'adamw' or 'sgd'.
        lrs: Highest learning rate of every head.
        weight_decays: Of every head.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], kind: str, lrs: Sequence[float], weight_decays: Sequence[float]
    ) -> None:
        self.parameters = parameters
        self.kind = kind
        self._lr, self._decay = (torch.tensor(values, dtype=torch.float64) for values in (lrs, weight_decays))
        names = ("mean", "square") if kind == "adamw" else ("momentum",)
        self.state = {f"{part}.{name}": torch.zeros_like(p) for part in names for name, p in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Use up the gradients of the parameters, with all learning rates times ``factor``."""
        self.steps += 1
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            assert gradient is not None, name
            shape = (-1,) + (1,) * (parameter.ndim - 1)
            lr = (self._lr * factor).view(shape)
            decay = self._decay.view(shape) * (parameter.ndim > 2)
            if self.kind == "adamw":
                self._adamw(name, parameter, gradient, lr, decay)
            else:
                self._sgd(name, parameter, gradient, lr, decay)
            parameter.grad = None

    def _adamw(self, name: str, parameter: Tensor, gradient: Tensor, lr: Tensor, decay: Tensor) -> None:
        mean, square = self.state[f"mean.{name}"], self.state[f"square.{name}"]
        parameter.mul_((1 - lr * decay).float())
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        size = (lr / (1 - BETAS[0] ** self.steps)).float()
        denominator = (square.sqrt() / (1 - BETAS[1] ** self.steps) ** 0.5).add_(EPS)
        parameter.sub_(size * mean / denominator)

    def _sgd(self, name: str, parameter: Tensor, gradient: Tensor, lr: Tensor, decay: Tensor) -> None:
        momentum = self.state[f"momentum.{name}"]
        gradient = gradient + decay.float() * parameter
        momentum.mul_(MOMENTUM).add_(gradient)
        parameter.sub_(lr.float() * (gradient + MOMENTUM * momentum))
