"""Finding NaN and infinity in tensors of any dtype."""

import pytest
import torch

from internvl_seg.common.finite import NonFiniteError, check_finite, is_finite

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_value_is_found_wherever_it_is(dtype: torch.dtype, value: float) -> None:
    for place in (0, 57, 100):
        tensor = torch.ones(101)
        tensor[place] = value
        assert not is_finite(tensor.to(dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int8, torch.bool, torch.complex64])
def test_finite_tensors_pass(dtype: torch.dtype) -> None:
    assert is_finite(torch.tensor([-1.0, 0.0, 1.0]).to(dtype))
    assert is_finite(torch.empty(0, 3, dtype=dtype))


def test_a_complex_number_with_one_bad_part_is_found() -> None:
    assert not is_finite(torch.tensor([complex(1, float("nan"))]))


def test_the_error_says_how_many_and_where() -> None:
    tensor = torch.zeros(2, 3)
    tensor[1, 2] = float("inf")
    tensor[1, 0] = float("nan")
    with pytest.raises(NonFiniteError, match=r"weights of x\.pth: 2 of 6 values .* first at \(1, 0\)\. Take another"):
        check_finite(tensor, "weights of x.pth", "Take another file.")
    check_finite(torch.zeros(2), "weights", "Nothing.")
