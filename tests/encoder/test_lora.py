"""Adapters: what is trained, what the output is before, after and merged."""

import pytest
import torch

from internvl_seg import InternViT
from internvl_seg.encoder.lora import LAYERS, add_lora, is_lora, merge_lora, official_name

ARCH = {"img_size": 28, "embed_dim": 32, "depth": 2, "num_heads": 2}


def learn(encoder: InternViT, images: torch.Tensor) -> None:
    """Steps that are large enough to be seen in bf16."""
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        encoder(images).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layers", [LAYERS, ("qkv",), ("fc1", "proj")])
def test_adapters_learn_and_merge(layers: tuple[str, ...], dtype: torch.dtype) -> None:
    encoder = InternViT(**ARCH).to(dtype)
    names = list(encoder.state_dict())
    weights = {name: value.clone() for name, value in encoder.state_dict().items()}
    images = torch.randn(1, 3, 28, 28)
    before = encoder(images)
    add_lora(encoder, rank=2, layers=layers)
    assert {official_name(name) for name in encoder.state_dict() if not is_lora(name)} == set(names)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    adapted = {name.split(".lora_")[0].split(".")[-1] for name in trained}
    assert adapted == set(layers)
    assert len(trained) == 2 * 2 * len(layers)
    assert {p.dtype for name, p in encoder.named_parameters() if is_lora(name)} == {torch.float32}
    torch.testing.assert_close(encoder(images), before)

    learn(encoder, images)
    after = encoder(images).detach()
    assert not torch.allclose(after, before, rtol=0.1, atol=0.1)
    for name, value in encoder.state_dict().items():
        if not is_lora(name):
            assert torch.equal(value, weights[official_name(name)]), name

    merge_lora(encoder)
    assert list(encoder.state_dict()) == names
    tolerance = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(encoder(images), after, rtol=tolerance, atol=tolerance)


def test_activation_checkpointing_gives_the_same_gradients() -> None:
    torch.manual_seed(1)
    encoder = InternViT(**ARCH).eval()
    add_lora(encoder, rank=2)
    images = torch.randn(1, 3, 28, 28)
    gradients = []
    for recompute in (False, True):
        encoder.grad_checkpointing = recompute
        encoder.zero_grad()
        encoder(images).square().mean().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert gradients[0]
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 2, "layers": ("norm1",)}, {"rank": 2, "layers": ()}])
def test_a_wrong_option_says_what_is_possible(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="rank is at least 1 and layers are some of qkv, proj, fc1, fc2"):
        add_lora(InternViT(**ARCH), **options)
