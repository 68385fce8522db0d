"""Whole tensors from a file for parameters that are spread over several processes."""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def local_rows(parameter: Tensor) -> tuple[Tensor, int]:
    """What this process holds of a parameter, which is cut along its rows if at all, and which row its first one is."""
    if not isinstance(parameter, DTensor):
        return parameter, 0
    each = -(-parameter.shape[0] // parameter.device_mesh.size())  # The last processes may have fewer, or none.
    return parameter.to_local(), min(each * parameter.device_mesh.get_local_rank(), parameter.shape[0])


def shard_like(parameter: Tensor, value: Tensor) -> Tensor:
    """What this process holds of a tensor: its shard if the parameter is sharded, else all of it.

    Args:
        parameter: A parameter, or anything else that is laid out as the result shall be.
        value: The whole tensor. Every process has it, so nothing is sent; of one that is mapped from a file, only the
            shard is read.
    """
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)
