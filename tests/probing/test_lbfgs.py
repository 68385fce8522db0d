"""L-BFGS of many problems against scikit-learn's, and against each alone."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.testing import assert_close

from internvl_seg.probing.lbfgs import LBFGS, Closure, minimize

COUNT, CHANNELS, CLASSES = 200, 10, 3
DECAYS = (1e-3, 1e-2, 1.0)


@pytest.fixture(autouse=True)
def _one_thread(_seeded: None) -> None:
    torch.set_num_threads(1)  # On a busy machine, threads of so small products wait for each other most of the time.


def logistic(decays: tuple[float, ...], dtype: torch.dtype = torch.float64) -> tuple[Closure, Tensor, Tensor]:
    """Regularised logistic regressions on badly scaled features."""
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(COUNT, CHANNELS, generator=draw).to(dtype) * torch.logspace(-1, 1, CHANNELS, dtype=dtype)
    labels = (rows[:, 3] > 0).long() + (rows[:, 7] + torch.randn(COUNT, generator=draw) > 1).long()

    def closure(parameters: Tensor) -> tuple[Tensor, Tensor]:
        parameters = parameters.detach().requires_grad_()
        values = []
        for one, decay in zip(parameters, decays, strict=True):
            weight, bias = one[: CLASSES * CHANNELS].view(CLASSES, CHANNELS), one[CLASSES * CHANNELS :]
            values.append(F.cross_entropy(rows @ weight.T + bias, labels) + decay / 2 * weight.square().sum())
        losses = torch.stack(values)
        return losses, torch.autograd.grad(losses.sum(), parameters)[0]

    return closure, rows, labels


def minimise(
    closure: Closure, problems: int, tolerance: float, limit: int = 2000, dtype: torch.dtype = torch.float64
) -> tuple[LBFGS, int]:
    solver = LBFGS(torch.zeros(problems, CLASSES * CHANNELS + CLASSES, dtype=dtype), tolerance=tolerance)
    steps = 0
    while not solver.finished.all() and steps < limit:
        solver.step(closure)
        steps += 1
    return solver, steps


def test_minima_are_those_of_scikit_learn() -> None:
    closure, rows, labels = logistic(DECAYS)
    solver, steps = minimise(closure, 3, tolerance=1e-7)
    assert solver.finished.all()
    assert (solver.gradient_norms <= 1e-7).all()
    assert solver.evaluations <= 1.6 * steps
    for parameters, decay in zip(solver.parameters, DECAYS, strict=True):
        model = LogisticRegression(C=1 / (COUNT * decay), tol=1e-10, max_iter=10000)
        model.fit(rows.numpy(), labels.numpy())
        assert_close(
            parameters[: CLASSES * CHANNELS].view(CLASSES, CHANNELS), torch.tensor(model.coef_), rtol=1e-4, atol=1e-5
        )


def test_every_problem_is_solved_as_if_alone() -> None:
    together, _ = minimise(logistic(DECAYS)[0], 3, tolerance=1e-7)
    counts = []
    for i, decay in enumerate(DECAYS):
        alone, count = minimise(logistic((decay,))[0], 1, tolerance=1e-7)
        counts.append(count)
        assert_close(together.parameters[i], alone.parameters[0], rtol=1e-9, atol=1e-12)
    assert len(set(counts)) == 3, "they are to end at different times"


def test_rounding_ends_a_search_that_can_get_no_further() -> None:
    solver, steps = minimise(logistic(DECAYS, torch.float32)[0], 3, tolerance=0.0, dtype=torch.float32)
    assert solver.finished.all()
    assert steps < 2000
    exact, _ = minimise(logistic(DECAYS)[0], 3, tolerance=1e-9)
    assert_close(solver.values.double(), exact.values, rtol=1e-5, atol=1e-6)


def test_a_quadratic_is_solved_in_as_many_steps_as_it_has_dimensions() -> None:
    matrix = torch.diag(torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64))
    target = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)

    def closure(x: Tensor) -> tuple[Tensor, Tensor]:
        gradient = (x - target) @ matrix
        return ((x - target) * gradient).sum(1) / 2, gradient

    solver = LBFGS(torch.zeros(1, 3, dtype=torch.float64), tolerance=1e-9)
    steps = 0
    while not solver.finished.all():
        solver.step(closure)
        steps += 1
    assert steps < 40
    assert_close(solver.parameters, target)


@pytest.mark.parametrize("stop", [0, 1, 7, 25])
def test_state_goes_on_bit_for_bit(stop: int) -> None:
    closure, *_ = logistic(DECAYS)
    whole, steps = minimise(closure, 3, tolerance=1e-6)
    first, _ = minimise(closure, 3, tolerance=1e-6, limit=stop)
    second = LBFGS(torch.randn_like(first.parameters), tolerance=1e-6)
    second.load_state_dict(first.state_dict())
    for _ in range(steps - stop):
        second.step(closure)
    assert torch.equal(second.parameters, whole.parameters)
    assert second.evaluations == whole.evaluations


def test_a_state_is_not_changed_by_later_steps() -> None:
    closure, *_ = logistic(DECAYS)
    first, _ = minimise(closure, 3, tolerance=1e-6, limit=15)
    state = first.state_dict()
    for _ in range(30):
        first.step(closure)
    second = LBFGS(torch.zeros_like(first.parameters), tolerance=1e-6)
    second.load_state_dict(state)
    for _ in range(30):
        second.step(closure)
    assert torch.equal(second.parameters, first.parameters)


def test_a_problem_that_is_not_a_number_does_not_stop_the_others() -> None:
    closure, *_ = logistic(DECAYS)
    broken = torch.tensor([0.0, torch.nan, 0.0], dtype=torch.float64)

    def with_nan(parameters: Tensor) -> tuple[Tensor, Tensor]:
        values, gradients = closure(parameters)
        return values + broken, gradients + broken[:, None]

    found, _ = minimise(with_nan, 3, tolerance=1e-7)
    whole, _ = minimise(closure, 3, tolerance=1e-7)
    assert found.finished.all()
    assert_close(found.parameters[[0, 2]], whole.parameters[[0, 2]], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("dtype", "norm"), [(torch.float64, 1e-8), (torch.float32, 5e-4)])
def test_badly_scaled_quadratics_are_solved_though_their_values_are_noisy(dtype: torch.dtype, norm: float) -> None:
    basis = torch.linalg.qr(torch.randn(3, 20, 20, dtype=torch.float64))[0]
    matrices = ((basis * torch.logspace(0, 3, 20, dtype=torch.float64)) @ basis.mT).to(dtype)
    target = torch.randn(3, 20, dtype=dtype)

    def closure(x: Tensor) -> tuple[Tensor, Tensor]:
        product = (matrices @ x[:, :, None])[:, :, 0]
        return (x * product).sum(1) / 2 - (target * x).sum(1), product - target

    solver = minimize(closure, torch.zeros(3, 20, dtype=dtype), tolerance=norm / 10, max_iterations=1000)
    assert solver.finished.all()
    assert (solver.gradient_norms <= norm).all()


def test_pytorchs_lbfgs_finds_no_lower_value() -> None:
    closure, *_ = logistic(DECAYS)
    start = torch.zeros(3, CLASSES * CHANNELS + CLASSES, dtype=torch.float64)
    found = minimize(closure, start, tolerance=1e-8, max_iterations=2000)
    for i, decay in enumerate(DECAYS):
        alone, *_ = logistic((decay,))
        parameter = start[i : i + 1].clone().requires_grad_()
        peer = torch.optim.LBFGS(
            [parameter], max_iter=2000, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def evaluate(parameter: Tensor = parameter, alone: Closure = alone) -> float:
            values, parameter.grad = alone(parameter)
            return float(values.detach())

        peer.step(evaluate)
        assert_close(found.values[i], alone(parameter)[0][0].detach(), rtol=0, atol=1e-10)


def test_minimize_stops_at_the_last_iteration() -> None:
    closure, *_ = logistic(DECAYS)
    start = torch.zeros(3, CLASSES * CHANNELS + CLASSES, dtype=torch.float64)
    found = minimize(closure, start, tolerance=1e-8, max_iterations=4)
    wanted, _ = minimise(closure, 3, tolerance=1e-8, limit=4)
    assert torch.equal(found.parameters, wanted.parameters)
    assert not found.finished.any()
