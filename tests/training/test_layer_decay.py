"""Learning rates and weight decay of every parameter."""

from typing import Any

import pytest
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.registry import MODELS
from torch import nn

from internvl_seg.training.layer_decay import LayerDecayOptimWrapperConstructor

from ..error_table import DocumentedError

OPTIMIZER = {"type": "AdamW", "lr": 4e-5, "weight_decay": 0.05}
# Layers of a model of 6 blocks as the recipe counts them, by the start of a parameter's name.
LAYERS = {
    "backbone.pos_embed": 0,
    "backbone.cls_token": 0,
    "backbone.patch_embed.": 0,
    **{f"backbone.blocks.{i}.": i + 1 for i in range(6)},
    "neck.": 7,
    "decode_head.": 7,
    "auxiliary_head.": 7,
}


def segmentor(**backbone: Any) -> nn.Module:
    arch = {"embed_dim": 16, "depth": 6, "num_heads": 2, "img_size": 28, "norm": "layer_norm", "qkv_bias": True}
    head = {"in_channels": 16, "num_classes": 3, "channels": 8, "norm_cfg": {"type": "BN"}}
    model: nn.Module = MODELS.build(
        {
            "type": "EncoderDecoder",
            "backbone": {"type": "InternViT", "arch": arch, "out_indices": (2, 3, 4, 5), **backbone},
            "neck": {"type": "FeaturePyramid", "embed_dim": 16},
            "decode_head": {"type": "UPerHead", "in_index": [0, 1, 2, 3], **head, "in_channels": [16] * 4},
            "auxiliary_head": {"type": "FCNHead", "in_index": 2, **head},
        }
    )
    return model


def construct(model: nn.Module, rate: float) -> dict[str, dict[str, Any]]:
    """Options of every parameter in the optimizer, by the parameter's name."""
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {
            "type": "LayerDecayOptimWrapperConstructor",
            "optim_wrapper_cfg": {"type": "OptimWrapper", "optimizer": OPTIMIZER},
            "paramwise_cfg": {"layer_decay_rate": rate},
        }
    )
    groups = constructor(model).optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(names[id(parameter)], group) for group in groups for parameter in group["params"]]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("rate", [0.95, 1.0])
def test_every_parameter_has_its_scale_and_decay(rate: float) -> None:
    model = segmentor()
    options = construct(model, rate)
    assert set(options) == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        (layer,) = (layer for start, layer in LAYERS.items() if name.startswith(start))
        assert options[name]["lr"] == pytest.approx(4e-5 * rate ** (6 + 1 - layer), rel=1e-12), name
        assert options[name]["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0), name


def test_frozen_parameters_are_left_out() -> None:
    assert not any(name.startswith("backbone.") for name in construct(segmentor(frozen=True), 0.9))
    adapted = construct(segmentor(frozen=True, lora={"rank": 2}), 0.9)
    assert adapted["backbone.blocks.1.attn.qkv.lora_A.default.weight"]["lr"] == pytest.approx(4e-5 * 0.9**5)
    assert not any(name.startswith("backbone.") and "lora" not in name for name in adapted)


@pytest.mark.parametrize(
    ("case", "paramwise", "optimizer"),
    [
        ("layer decay is given another option", {"layer_decay_rate": 0.9, "num_layers": 48}, OPTIMIZER),
        ("layer decay grows with depth", {"layer_decay_rate": 1.1}, OPTIMIZER),
        ("layer decay has no learning rate to scale", {"layer_decay_rate": 0.9}, {"type": "AdamW"}),
    ],
)
def test_a_wrong_option_fails_at_construction(
    case: str, paramwise: dict[str, Any], optimizer: dict[str, Any], documented_error: DocumentedError
) -> None:
    with documented_error(case, ValueError):
        LayerDecayOptimWrapperConstructor({"optimizer": optimizer}, paramwise)


def test_a_model_without_layers_is_refused(documented_error: DocumentedError) -> None:
    constructor = LayerDecayOptimWrapperConstructor({"optimizer": OPTIMIZER}, {"layer_decay_rate": 0.9})
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    with documented_error("layer decay is asked of another backbone", ValueError):
        constructor(model)
