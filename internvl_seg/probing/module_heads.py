"""Heads that are modules of their own, UperNet and attention pooling, trained side by side on the same features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..encoder.classifier import TokenClassifier
from ..training.stream import seed_everything
from .features import Features, Norms
from .head_spec import HeadSpec
from .heads import Objective
from .optimizers import BETAS, EPS, MOMENTUM


def upernet_parts(embed_dim: int, decode_head: Mapping[str, Any], channels: int) -> dict[str, dict[str, Any]]:
    """Configs of neck and heads of the official head tuning, for an encoder and the classes of a config's head.

    Args:
        embed_dim: Channels of the encoder.
        decode_head: Config of any head, for its classes and its loss.
        channels: Of the heads.
    """
    shared = {
        name: value for name, value in decode_head.items() if name in ("num_classes", "ignore_index", "align_corners")
    }
    loss = dict(decode_head.get("loss_decode", {"type": "CrossEntropyLoss"}))
    shared |= {"channels": channels, "dropout_ratio": 0.1, "norm_cfg": {"type": "BN"}}
    return {
        "neck": {"type": "FeaturePyramid", "embed_dim": embed_dim},
        "decode_head": {
            "type": "UPerHead",
            "in_channels": [embed_dim] * 4,
            "in_index": [0, 1, 2, 3],
            "pool_scales": (1, 2, 3, 6),
            "loss_decode": loss,
            **shared,
        },
        "auxiliary_head": {
            "type": "FCNHead",
            "in_channels": embed_dim,
            "in_index": 1,
            "num_convs": 1,
            "concat_input": False,
            "loss_decode": loss | {"loss_weight": 0.4},
            **shared,
        },
    }


class UperNet(nn.Module):
    """Pyramid, UperNet and auxiliary head on four cached maps.

    Args:
        parts: Of :func:`upernet_parts`.
        blocks: The four blocks.
    """

    def __init__(self, parts: Mapping[str, Mapping[str, Any]], blocks: Sequence[int]) -> None:
        super().__init__()
        self.blocks = blocks
        for name, config in parts.items():
            part = MODELS.build(dict(config))
            part.init_weights()
            self.add_module(name, part)

    def _pyramid(self, maps: Mapping[int, Tensor]) -> Any:
        return self.get_submodule("neck")([maps[block].permute(0, 3, 1, 2) for block in self.blocks])

    def loss(self, maps: Mapping[int, Tensor], labels: Tensor, _objective: Objective) -> Tensor:
        """Sum of both heads' losses, as MMSegmentation computes them."""
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None].long())) for label in labels]
        pyramid = self._pyramid(maps)
        heads: list[Any] = [self.get_submodule("decode_head"), self.get_submodule("auxiliary_head")]
        losses = [head.loss(pyramid, samples, None) for head in heads]
        total: Tensor = torch.stack([v for found in losses for k, v in found.items() if k.startswith("loss")]).sum()
        return total

    def predict(self, maps: Mapping[int, Tensor]) -> Tensor:
        """Logits (B, classes, h, w)."""
        logits: Tensor = self.get_submodule("decode_head")(self._pyramid(maps))
        return logits


class AttentionProbe(TokenClassifier):
    """The official attention-pooling classifier without its encoder.

    Args:
        channels: Of the tokens.
        num_heads: Of the pooling.
        num_classes: Classes.
        block: Whose tokens it reads.
    """

    def __init__(self, channels: int, num_heads: int, num_classes: int, block: int) -> None:
        super().__init__(
            channels, "attention_pooling", pool_heads=num_heads, pool_dim=channels, num_classes=num_classes
        )
        self.block = block

    def loss(self, maps: Mapping[int, Tensor], labels: Tensor, objective: Objective) -> Tensor:
        """The objective's loss."""
        return objective(self.predict(maps).T[None, :, :, None, None], labels)[0]

    def predict(self, maps: Mapping[int, Tensor]) -> Tensor:
        """Logits (B, classes) of tokens (B, 1, N, C)."""
        logits: Tensor = self(maps[self.block][:, 0])
        return logits


class ModuleHeads:
    """One module for each spec, with the same first weights, which step after step see the same batch.

    Args:
        specs: The heads.
        build: Makes one module.
        precision: Of the products of training steps, by autocast; predictions are float32.
    """

    def __init__(
        self, specs: Sequence[HeadSpec], build: Callable[[], nn.Module], precision: torch.dtype = torch.float32
    ) -> None:
        self.specs = specs
        self._precision = precision
        self.steps = 0
        self.modules: list[Any] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        for spec in specs:
            seed_everything(spec.seed)
            module = build()
            self.modules.append(module)
            matrices = [p for p in module.parameters() if p.ndim > 1]
            vectors = [p for p in module.parameters() if p.ndim <= 1]
            groups = [
                {"params": matrices, "weight_decay": spec.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ]
            self.optimizers.append(
                torch.optim.SGD(groups, lr=spec.lr, momentum=MOMENTUM, nesterov=True)
                if spec.solver == "sgd"
                else torch.optim.AdamW(groups, lr=spec.lr, betas=BETAS, eps=EPS)
            )

    def step(self, features: Features, labels: Tensor, objective: Objective, factor: float) -> Tensor:
        """Take a training step, as :class:`internvl_seg.probing.heads.Heads` says."""
        losses = []
        for spec, module, optimizer in zip(self.specs, self.modules, self.optimizers, strict=True):
            seed_everything(spec.seed, self.steps)  # Dropout.
            module.train()
            with torch.autocast("cpu", self._precision, enabled=self._precision != torch.float32):
                loss = module.loss(features.maps, labels, objective)
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = spec.lr * factor
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        self.steps += 1
        return torch.stack(losses)

    @torch.no_grad()
    def predict(self, features: Features) -> Tensor:
        """Logits, as :class:`internvl_seg.probing.heads.Heads` says."""
        found = [module.eval().predict(features.maps) for module in self.modules]
        logits = torch.stack(found).transpose(1, 2)
        return logits if logits.ndim == 5 else logits[..., None, None]

    def state_dict(self) -> dict[str, Any]:
        """Weights and moments."""
        return {
            "steps": self.steps,
            "modules": [module.state_dict() for module in self.modules],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self.steps = state["steps"]
        for module, found in zip(self.modules, state["modules"], strict=True):
            module.load_state_dict(found)
        for optimizer, found in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(found)

    def exported(self, number: int, norms: Norms) -> dict[str, Tensor]:
        """The module's own tensors."""
        return {name: tensor.clone() for name, tensor in self.modules[number].state_dict().items()}
