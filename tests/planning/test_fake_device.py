"""Tensors without data, as on a GPU that is not there."""

import pytest
import torch
import torch.nn.functional as F

from internvl_seg.planning.fake_device import fake_tensors


def test_autocast_is_that_of_the_device() -> None:
    for device, kind in (("cpu", torch.bfloat16), ("cuda", torch.float32)):
        with fake_tensors(device), torch.autocast(device, torch.bfloat16):
            x = torch.zeros(2, 8, device=device)
            assert x.device.type == device
            assert F.linear(x, x).dtype == torch.bfloat16
            # On a GPU, norms compute in fp32.
            assert F.rms_norm(x.bfloat16(), (8,)).dtype == kind
    assert torch.cuda.amp.common.amp_definitely_not_available() != torch.cuda.is_available()


@pytest.mark.parametrize(("dtype", "saved"), [(torch.bfloat16, 2), (torch.float32, 4)])
def test_attention_keeps_no_scores_on_a_gpu(dtype: torch.dtype, saved: int) -> None:
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with fake_tensors("cuda"), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        q, k, v = (torch.zeros(1, 2, 1024, 64, dtype=dtype, device="cuda", requires_grad=True) for _ in range(3))
        F.scaled_dot_product_attention(q, k, v)
    tensor = 2 * 1024 * 64 * saved
    # Queries, keys, values, result, and a sum in fp32 per query.
    assert 4 * tensor + 2 * 1024 * 4 <= sum(kept.values()) < 4 * tensor + 2 * 1024 * 4 + 100


def test_what_depends_on_values_is_as_large_as_it_gets() -> None:
    with fake_tensors("cuda"):
        x = torch.zeros(3, 5, device="cuda")
        assert x[x > 0].shape == (15,)
        x[x > 0] = 1
        assert x.sum().item() == 1
