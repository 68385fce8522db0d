"""Linear heads and small MLPs that share their features, trained in one computation."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .extraction import Content
from .features import Features, Norms
from .head_spec import HeadSpec
from .heads import Objective
from .optimizers import BatchedOptimizer
from .state import check_like

# As MMSegmentation initialises ``conv_seg``.
_STD = 0.01


class BatchedHeads:
    """Heads that differ in learning rate and weight decay only; their first weights are the same.

    Args:
        specs: The heads.
        channels: Of the features of one block, C.
        num_classes: K.
        content: What the features are.
        precision: Of the matrix products of training steps; all else, and predictions, are float32.
    """

    def __init__(
        self,
        specs: Sequence[HeadSpec],
        channels: int,
        num_classes: int,
        content: Content,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.specs = specs
        self._blocks = specs[0].blocks
        self._channels = channels
        self._content: Content = content
        self._precision = precision
        self._hidden = specs[0].channels
        self._normalised = specs[0].batch_norm
        width = channels * len(self._blocks)
        draw = np.random.default_rng([specs[0].seed, width, num_classes, self._hidden])
        one: dict[str, Tensor] = {}
        if self._normalised:
            one = {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)}
        if self._hidden:  # As PyTorch initialises a layer.
            one["first.weight"] = torch.from_numpy(draw.uniform(-1, 1, (self._hidden, width)) / sqrt(width))
            one["first.bias"] = torch.zeros(self._hidden)
            width = self._hidden
        one["weight"] = torch.from_numpy(draw.normal(0, _STD, (num_classes, width)))
        one["bias"] = torch.zeros(num_classes)
        # By name, (heads, ...) float32.
        self.parameters = {k: v.float().expand(len(specs), *v.shape).clone().requires_grad_() for k, v in one.items()}
        self._optimizer = BatchedOptimizer(
            self.parameters,
            "sgd" if specs[0].solver == "sgd" else "adamw",
            [spec.lr for spec in specs],
            [spec.weight_decay for spec in specs],
        )

    def logits(self, features: Features, dtype: torch.dtype = torch.float32) -> Tensor:
        """Logits (heads, K, B, h, w) in a dtype, through which gradients flow to the parameters."""
        first = "first." if self._hidden else ""
        weight, bias = self.parameters[f"{first}weight"], self.parameters[f"{first}bias"]
        if self._normalised:  # Scale and shift go into the weights: these are few, the rows many.
            bias = bias + (weight @ self.parameters["norm.bias"][..., None])[..., 0]
            weight = weight * self.parameters["norm.weight"][:, None]
        out = bias.to(dtype).flatten()[:, None]
        for block, part in zip(self._blocks, weight.to(dtype).flatten(0, 1).split(self._channels, dim=1), strict=True):
            out = torch.addmm(out, part, features.rows(block, self._normalised, dtype).T)
        out = out.unflatten(0, weight.shape[:2])
        if self._hidden:
            bias, weight = (self.parameters[name].to(dtype) for name in ("bias", "weight"))
            out = torch.baddbmm(bias[..., None], weight, F.gelu(out))
        shaped: Tensor = out.unflatten(2, features.shape)
        return shaped

    def step(self, features: Features, labels: Tensor, objective: Objective, factor: float) -> Tensor:
        """Take a training step, as :class:`internvl_seg.probing.heads.Heads` says."""
        losses = objective(self.logits(features, self._precision), labels)
        losses.sum().backward()
        self._optimizer.step(factor)
        return losses.detach()

    @torch.no_grad()
    def predict(self, features: Features) -> Tensor:
        """Logits, as :class:`internvl_seg.probing.heads.Heads` says."""
        return self.logits(features)

    def state_dict(self) -> dict[str, Any]:
        """Parameters and moments."""
        parameters = {f"parameter.{name}": p.detach() for name, p in self.parameters.items()}
        return parameters | self._optimizer.state | {"steps": self._optimizer.steps}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        for name, parameter in self.parameters.items():
            parameter.copy_(check_like(state[f"parameter.{name}"], parameter, name))
        for name, moment in self._optimizer.state.items():
            moment.copy_(check_like(state[name], moment, name))
        self._optimizer.steps = int(state["steps"])

    def exported(self, number: int, norms: Norms) -> dict[str, Tensor]:
        """A head as a ``LinearHead``, an ``MLPHead`` or an official classifier names its tensors."""
        one = {name: p.detach()[number].clone() for name, p in self.parameters.items()}
        width = self._channels * len(self._blocks)
        out = {
            "norm.weight": one.get("norm.weight", torch.ones(width)),
            "norm.bias": one.get("norm.bias", torch.zeros(width)),
            "norm.num_batches_tracked": torch.tensor(norms.batches),
        }
        if self._normalised:
            for i, name in enumerate(("running_mean", "running_var")):
                out[f"norm.{name}"] = torch.cat([norms.running[block][i] for block in self._blocks])
        else:  # A norm that changes nothing.
            out |= {"norm.running_mean": torch.zeros(width), "norm.running_var": torch.full((width,), 1 - norms.eps)}
        if self._content != "maps":
            return out | {"head.weight": one["weight"], "head.bias": one["bias"]}
        if self._hidden:
            out |= {"first.weight": one["first.weight"][..., None, None], "first.bias": one["first.bias"]}
        return out | {"conv_seg.weight": one["weight"][..., None, None], "conv_seg.bias": one["bias"]}
