"""Layer-wise learning-rate decay: the deeper a parameter lies below the heads, the smaller its steps."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Scales the learning rate of every layer, and spares 1-D parameters and biases weight decay.

    A parameter's layer is 0 for the position, CLS and patch embedding, its block's index + 1 in a block and depth + 1
    everywhere else; its learning rate is ``lr * layer_decay_rate ** (depth + 1 - layer)``. Every layer has two groups
    in the optimizer, with and without weight decay.

    Source: OpenGVLab/InternVL ``segmentation/mmcv_custom/layer_decay_optimizer_constructor.py``.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper; its ``optimizer`` has ``lr`` and ``weight_decay``.
        paramwise_cfg: ``dict(layer_decay_rate=...)``, above 0 and at most 1.

    Raises:
        ValueError: ``paramwise_cfg`` or the optimizer is not as described.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        if set(self.paramwise_cfg) != {"layer_decay_rate"} or not 0 < self.paramwise_cfg["layer_decay_rate"] <= 1:
            raise ValueError(
                f"optim_wrapper.paramwise_cfg={self.paramwise_cfg} is not dict(layer_decay_rate=...) with a rate above "
                "0 and at most 1."
            )
        if self.base_lr is None or self.base_wd is None:
            raise ValueError("optim_wrapper.optimizer needs lr and weight_decay.")

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, prefix: str = "", **_: Any) -> None:
        """Add the groups of a model's trainable parameters to ``params``, from the first layer to the heads.

        Raises:
            ValueError: The model has no backbone that knows the depth of its parameters.
        """
        backbone = getattr(module, "backbone", None)
        if backbone is None or not hasattr(backbone, "get_layer_depth"):
            raise ValueError(
                f"LayerDecayOptimWrapperConstructor needs a model whose backbone has get_layer_depth(), as InternViT "
                f"has; {type(module).__name__}.backbone is {type(backbone).__name__}."
            )
        groups: dict[tuple[int, bool], dict[str, Any]] = {}
        for name, parameter in module.named_parameters(prefix=prefix):
            if not parameter.requires_grad:
                continue
            layer, layers = backbone.get_layer_depth(name, prefix="backbone.")
            decays = parameter.ndim > 1 and not name.endswith(".bias")
            scale = self.paramwise_cfg["layer_decay_rate"] ** (layers - 1 - layer)
            group = {"params": [], "lr": self.base_lr * scale, "weight_decay": self.base_wd if decays else 0.0}
            # With their names, which the optimizer then keeps and saves.
            groups.setdefault((layer, decays), group)["params"].append((name, parameter))
        params.extend(groups[key] for key in sorted(groups))
