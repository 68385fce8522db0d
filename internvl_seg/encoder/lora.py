"""Low-rank adapters (LoRA, arXiv 2106.09685) on an encoder's linear layers, by the peft library."""

from collections.abc import Sequence

import torch

from .intern_vit import InternViT

LAYERS = ("qkv", "proj", "fc1", "fc2")


def add_lora(encoder: InternViT, rank: int, alpha: float = 16, layers: Sequence[str] = LAYERS) -> None:
    """Put an adapter on linear layers of every block, in place; nothing else of the encoder is trained any more.

    The output is that of before until the adapters are trained. They are in fp32 whatever the encoder's dtype.

    Args:
        encoder: The encoder.
        rank: Of the adapters.
        alpha: Their output is scaled by ``alpha / rank``.
        layers: Which of 'qkv', 'proj', 'fc1' and 'fc2'.

    Raises:
        ValueError: The rank is not positive or a layer is not one of these.
    """
    if rank < 1 or not layers or not set(layers) <= set(LAYERS):
        raise ValueError(
            f"lora=dict(rank={rank}, layers={tuple(layers)}) is not possible: rank is at least 1 and layers are some "
            f"of {', '.join(LAYERS)}."
        )
    from peft import LoraConfig, inject_adapter_in_model  # Takes seconds to import.

    # Their names end in these within every block; the patch embedding's projection is no block's.
    pattern = rf"blocks\.\d+\.(attn|mlp)\.({'|'.join(layers)})"
    # peft declares alpha an integer, but only divides it.
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=pattern)  # type: ignore[arg-type]
    inject_adapter_in_model(config, encoder)
    # Adapters are of no use without it, so it is kept with them.
    encoder.register_buffer("lora_alpha", torch.tensor(alpha))
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(is_lora(name))
        if is_lora(name):
            parameter.data = parameter.data.float()


def is_lora(name: str) -> bool:
    """Whether a parameter or buffer belongs to an adapter."""
    return ".lora_" in f".{name}"


def official_name(name: str) -> str:
    """The name that a parameter of the encoder has without adapters."""
    return name.replace(".base_layer.", ".")


def merge_lora(encoder: InternViT) -> None:
    """Add every adapter to the weights that it adapts and remove it, in place; the output stays what it was."""
    from peft.tuners.lora import LoraLayer

    for block in encoder.blocks:
        for parent in block.children():
            for name, layer in list(parent.named_children()):
                if isinstance(layer, LoraLayer):
                    layer.merge()
                    setattr(parent, name, layer.get_base_layer())
    del encoder.lora_alpha
