"""The block: its two branches, LayerScale and stochastic depth."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from internvl_seg.encoder import InternViT
from internvl_seg.encoder.block import Block, LayerScale, Mlp

from .conftest import randomize


@pytest.fixture(scope="session")
def block(architecture: dict[str, Any]) -> Callable[[float], Block]:
    """Make a block of 8 channels with this drop path."""

    def make(drop_path: float = 0.0) -> Block:
        switches = {key: architecture[key] for key in ("norm", "qkv_bias", "qk_norm")}
        made = Block(8, 2, 4.0, init_values=0.1, drop_path=drop_path, kernel="sdpa", **switches)
        randomize(made)
        return made

    return make


def by_hand(block: Block, x: Tensor) -> Tensor:
    """Section 3.2 of the paper, from the block's parameters."""
    weights = dict(block.named_parameters())

    def norm(name: str, t: Tensor) -> Tensor:
        if f"{name}.bias" in weights:
            centred = t - t.mean(dim=-1, keepdim=True)
            scaled = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
            return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return t / (t.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.weight"]

    def linear(name: str, t: Tensor) -> Tensor:
        return t @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", torch.zeros(()))

    q, k, v = linear("attn.qkv", norm("norm1", x)).split(8, dim=-1)
    if "attn.q_norm.weight" in weights:
        q, k = norm("attn.q_norm", q), norm("attn.k_norm", k)
    heads = []
    for channels in (slice(0, 4), slice(4, 8)):
        scores = q[..., channels] @ k[..., channels].mT / 2.0
        heads.append(scores.softmax(dim=-1) @ v[..., channels])
    x = x + weights["ls1.gamma"] * linear("attn.proj", torch.cat(heads, dim=-1))
    hidden = linear("mlp.fc1", norm("norm2", x))
    hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    return x + weights["ls2.gamma"] * linear("mlp.fc2", hidden)


class TestBlock:
    """What a block computes."""

    def test_by_hand(self, block: Callable[..., Block], close: Callable[..., None]) -> None:
        module = block()
        x = torch.randn(2, 5, 8)
        close(module(x), by_hand(module, x))
        with torch.no_grad():
            close(module(x), by_hand(module, x))

    def test_tiny_tokens_show_the_epsilon(self, block: Callable[..., Block], close: Callable[..., None]) -> None:
        module = block()
        x = 1e-4 * torch.randn(2, 5, 8)
        close(module(x), by_hand(module, x))

    def test_gradients(self, block: Callable[..., Block]) -> None:
        module = block().double()
        x = torch.randn(1, 3, 8, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(module, (x,), fast_mode=True)
        module(x).sum().backward()
        assert all(parameter.grad is not None for parameter in module.parameters())

    @pytest.mark.parametrize("gradients", [False, True])
    def test_input_is_left_alone(self, gradients: bool, block: Callable[..., Block]) -> None:
        module = block()
        x = torch.randn(2, 5, 8)
        before = x.clone()
        with torch.set_grad_enabled(gradients):
            module(x)
        assert torch.equal(x, before)

    def test_parts_may_be_replaced(self, block: Callable[..., Block], close: Callable[..., None]) -> None:
        # An adapter wraps a layer and promises only to be called.
        class Doubled(nn.Module):
            def __init__(self, base: nn.Module) -> None:
                super().__init__()
                self.base, self.calls = base, 0

            def forward(self, x: Tensor) -> Tensor:
                self.calls += 1
                doubled: Tensor = 2 * self.base(x)
                return doubled

        module = block()
        x = torch.randn(2, 5, 8)
        for parent, name in ((module.attn, "qkv"), (module.attn, "proj"), (module.mlp, "fc1"), (module.mlp, "fc2")):
            wrapped = Doubled(getattr(parent, name))
            setattr(parent, name, wrapped)
            with torch.no_grad():
                got = module(x)
            assert wrapped.calls == 1, name
            setattr(parent, name, wrapped.base)
            for parameter in wrapped.base.parameters():
                parameter.data.mul_(2)
            with torch.no_grad():
                close(got, module(x))

    @pytest.mark.parametrize("name", ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_hooks_of_every_layer_run(self, name: str, dtype: torch.dtype, block: Callable[..., Block]) -> None:
        # Offloading, profiling and observers live in hooks.
        module = block().to(dtype)
        seen: list[str] = []
        module.get_submodule(name).register_forward_pre_hook(lambda m, i: seen.append("before"))
        module.get_submodule(name).register_forward_hook(lambda m, i, o: seen.append("after"))
        with torch.no_grad():
            module(torch.randn(1, 3, 8, dtype=dtype))
        assert seen == ["before", "after"]


class TestMlp:
    """The MLP's GELU is the exact one, on every path."""

    @pytest.mark.parametrize("gradients", [False, True])
    def test_exact_gelu(self, gradients: bool, close: Callable[..., None]) -> None:
        mlp = Mlp(8, 16)
        with torch.set_grad_enabled(gradients):
            x = 3 * torch.randn(4, 5, 8)
            randomize(mlp)
            hidden = F.linear(x, mlp.fc1.weight, mlp.fc1.bias)
            want = F.linear(hidden * (1 + torch.erf(hidden / 2**0.5)) / 2, mlp.fc2.weight, mlp.fc2.bias)
            close(mlp(x), want)
            # The tanh approximation is further away than the tolerance, or the line above shows nothing.
            other = F.linear(F.gelu(hidden, approximate="tanh"), mlp.fc2.weight, mlp.fc2.bias)
            assert not torch.allclose(other, want, atol=1e-5, rtol=1e-5)


class TestLayerScale:
    """A factor per channel on the branch, none on the stream."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_definition(self, dtype: torch.dtype, close: Callable[..., None]) -> None:
        scale = LayerScale(4, 0.1)
        assert torch.equal(scale.gamma, torch.full((4,), 0.1))
        nn.init.normal_(scale.gamma)
        scale.to(dtype)
        x, branch = torch.randn(2, 3, 4, dtype=dtype), torch.randn(2, 3, 4, dtype=dtype)
        got = scale(x, branch)
        assert got.dtype == dtype
        close(got.float(), x.float() + scale.gamma.float() * branch.float(), 1e-5 if dtype == torch.float32 else 1e-2)

    def test_gradients(self) -> None:
        scale = LayerScale(4, 0.1).double()
        inputs = [torch.randn(2, 3, 4, dtype=torch.double, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(scale, inputs, fast_mode=True)
        scale(*inputs).sum().backward()
        assert torch.allclose(scale.gamma.grad, inputs[1].sum(dim=(0, 1)))


class TestDropPath:
    """Stochastic depth: whole branches of whole samples."""

    @pytest.mark.parametrize(("depth", "rates"), [(1, [0.0]), (2, [0.0, 0.4]), (5, [0.0, 0.1, 0.2, 0.3, 0.4])])
    def test_rate_grows_linearly(self, depth: int, rates: list[float], architecture: dict[str, Any]) -> None:
        encoder = InternViT(**(architecture | {"depth": depth, "drop_path_rate": 0.4}))
        assert [block.drop_path.p for block in encoder.blocks] == pytest.approx(rates)

    @pytest.mark.parametrize("branch", ["ls1", "ls2"])
    def test_drops_a_branch_of_a_sample_without_bias(
        self, branch: str, block: Callable[..., Block], close: Callable[..., None]
    ) -> None:
        rate, samples = 0.25, 4096
        module = block(rate)
        # With the other branch switched off a sample either passes or gets the branch, scaled up to keep the mean.
        nn.init.zeros_(module.get_parameter("ls2.gamma" if branch == "ls1" else "ls1.gamma"))
        x = torch.randn(1, 3, 8)
        with torch.no_grad():
            added = module.eval()(x) - x
            got = module.train()(x.expand(samples, -1, -1)) - x
        factors = got.flatten(1) @ added.flatten() / added.square().sum()
        close(got, factors[:, None, None] * added, 1e-4)
        dropped = factors.abs() < 1e-3
        assert torch.allclose(factors[~dropped], torch.tensor(1 / (1 - rate)), atol=1e-3)
        five_standard_errors = 5 * (rate * (1 - rate) / samples) ** 0.5
        assert abs(dropped.float().mean().item() - rate) < five_standard_errors
        assert abs(factors.mean().item() - 1) < five_standard_errors / (1 - rate)

    def test_branches_are_dropped_independently(self, block: Callable[..., Block]) -> None:
        module = block(0.5).train()
        x = torch.randn(1, 3, 8).expand(64, -1, -1)
        with torch.no_grad():
            # None, attention alone, MLP alone, both.
            assert len(torch.unique(module(x).flatten(1).mul(1e4).round(), dim=0)) == 4

    def test_eval_is_deterministic_and_training_is_not(self, build: Callable[..., InternViT]) -> None:
        encoder, without = build(drop_path_rate=0.5), build()
        without.load_state_dict(encoder.state_dict())
        images = torch.randn(16, 3, 14, 14)
        with torch.no_grad():
            assert torch.equal(encoder(images), encoder(images))
            assert torch.equal(encoder(images), without(images))
            assert not torch.equal(encoder.train()(images), encoder(images))
            # Rate 0 changes nothing in training either.
            assert torch.equal(without.train()(images), without.eval()(images))
