"""A batch's features as heads read them: as rows, and normalised once for all heads."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.finite import check_finite
from .extraction import Content

# Of PyTorch's BatchNorm: the weight of a batch in the running statistics.
_MOMENTUM = 0.1


def pool(tokens: Tensor) -> Tensor:
    """CLS beside the mean of the patches, (B, 1, 2, C), of tokens (B, 1, N, C); pooled vectors stay as they are."""
    return torch.cat([tokens[:, :, :1], tokens[:, :, 1:].mean(2, keepdim=True)], dim=2)


def vectors(features: Tensor, content: Content) -> Tensor:
    """Features as a linear head takes them: maps as they are, CLS beside the mean of the patches from tokens.

    Args:
        features: (B, h, w, C): maps, tokens (B, 1, N, C) or pooled vectors (B, 1, 2, C).
        content: Which of these.

    Returns:
        (B, h, w, C), or (B, 1, 1, 2 C).
    """
    if content == "tokens":
        features = pool(features)
    return features if content == "maps" else features.flatten(2)[:, :, None]


def norm_eps(content: Content) -> float:
    """What BatchNorm adds to the variance: PyTorch's 1e-5 for maps, the official classifiers' 1e-6 for vectors.

    Source: OpenGVLab/InternVL ``classification/models/intern_vit_6b.py``.
    """
    return 1e-5 if content == "maps" else 1e-6


class Norms:
    """BatchNorms without scale and shift, one a block: these statistics depend on the images alone, not on the head.

    Args:
        eps: Added to the variance.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps
        # By block: running mean and variance, (C,) float32.
        self.running: dict[int, tuple[Tensor, Tensor]] = {}
        self.batches = 0

    def apply(self, block: int, rows: Tensor, training: bool) -> Tensor:
        """Normalise rows (N, C) by their own statistics, which are remembered, or by the remembered ones."""
        if block not in self.running:
            self.running[block] = (torch.zeros(rows.shape[1]), torch.ones(rows.shape[1]))
        mean, var = self.running[block]
        return F.batch_norm(rows, mean, var, training=training, momentum=_MOMENTUM, eps=self.eps)

    def check(self, encoder: str) -> None:
        """Check that the statistics are numbers.

        Args:
            encoder: Name of the encoder, for the message.

        Raises:
            NonFiniteError: They are not; features divided by them would be all 0.
        """
        for block, (mean, var) in self.running.items():
            check_finite(
                torch.stack([mean, var]),
                f"Mean and variance of the features of block {block} of encoder {encoder!r}",
                "The features are too large for float32: look at the encoder's weights, or leave the block out.",
            )

    def state_dict(self) -> dict[str, Any]:
        """The statistics."""
        return {"batches": self.batches, "running": {str(b): list(pair) for b, pair in self.running.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self.batches = int(state["batches"])
        self.running = {int(block): (mean.float(), var.float()) for block, (mean, var) in state["running"].items()}


class Features:
    """What an encoder made of a batch.

    Args:
        maps: By block, (B, h, w, C) float32.
        content: What they are.
        norms: How they are normalised.
        training: Whether by their own statistics.
    """

    def __init__(self, maps: Mapping[int, Tensor], content: Content, norms: Norms, training: bool) -> None:
        self.maps = maps
        self._content: Content = content
        self._norms = norms
        self._training = training
        self._rows: dict[tuple[int, bool, torch.dtype], Tensor] = {}
        norms.batches += training

    @property
    def shape(self) -> tuple[int, int, int]:
        """B, h and w of the rows."""
        batch, height, width, _ = next(iter(self.maps.values())).shape
        return (batch, height, width) if self._content == "maps" else (batch, 1, 1)

    def rows(self, block: int, normalised: bool, dtype: torch.dtype = torch.float32) -> Tensor:
        """A block's features, (B h w, C) in a dtype."""
        key = block, normalised, dtype
        if key not in self._rows:
            if dtype != torch.float32:
                rows = self.rows(block, normalised).to(dtype)
            elif normalised:
                rows = self._norms.apply(block, self.rows(block, normalised=False), self._training)
            else:
                rows = vectors(self.maps[block], self._content).flatten(0, 2)
            self._rows[key] = rows
        return self._rows[key]
