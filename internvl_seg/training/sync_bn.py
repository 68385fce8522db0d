"""BatchNorm over all processes, also on the CPU."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


class CPUSyncBatchNorm(_BatchNorm):
    """What ``nn.SyncBatchNorm`` is on accelerators: statistics over the batch and positions of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not (self.training and dist.is_initialized()):
            out: Tensor = super().forward(x)
            return out
        dims = [d for d in range(x.ndim) if d != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        # One differentiable reduction of sums and count, in double so that the variance keeps its digits.
        total = x.double()
        count = x.new_full((self.num_features,), x.numel() / x.shape[1], dtype=torch.float64)
        sums = all_reduce(torch.stack([total.sum(dims), total.square().sum(dims), count]))
        count = sums[2]
        mean = sums[0] / count
        var = sums[1] / count - mean.square()
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean.to(self.running_mean), momentum)
                self.running_var.lerp_((var * count / (count - 1)).to(self.running_var), momentum)
        x = (x - mean.to(x).view(shape)) * (var + self.eps).rsqrt().to(x).view(shape)
        return x * self.weight.view(shape) + self.bias.view(shape) if self.affine else x


def synchronise_batch_norm(module: nn.Module, device: str) -> Any:
    """Replace every BatchNorm in a model by one over all processes, keeping its parameters.

    Args:
        module: The model; changed in place.
        device: Type of the device it trains on; PyTorch's own ``nn.SyncBatchNorm`` is for accelerators only.

    Returns:
        The model, or its replacement if it is a BatchNorm itself.
    """
    if device != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for child in module.modules():
        if isinstance(child, _BatchNorm):
            child.__class__ = CPUSyncBatchNorm
    return module
