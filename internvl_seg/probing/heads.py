"""What all heads of a study have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from .features import Features, Norms
from .head_spec import HeadSpec

# From logits (heads, C, B, h, w) and labels to the loss of every head, (heads,).
Objective = Callable[[Tensor, Tensor], Tensor]


class Heads(Protocol):
    """Heads that are trained together: of one kind, on the same blocks, in the same order of images.

    Attributes:
        specs: What they are; they differ in learning rate and weight decay.
    """

    specs: Sequence[HeadSpec]

    def step(self, features: Features, labels: Tensor, objective: Objective, factor: float) -> Tensor:
        """Take a training step.

        Args:
            features: Of a batch.
            labels: (B, H, W), or (B,).
            objective: The loss.
            factor: Of every learning rate.

        Returns:
            The loss of every head before it, (heads,).
        """

    def predict(self, features: Features) -> Tensor:
        """Logits (heads, classes, B, h, w)."""

    def state_dict(self) -> dict[str, Any]:
        """All that a later :meth:`load_state_dict` needs to go on as if nothing had happened; tensors and numbers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""

    def exported(self, number: int, norms: Norms) -> dict[str, Tensor]:
        """One head's tensors, under the names that they have in a model.

        Args:
            number: Which head.
            norms: The statistics by which its features were normalised.
        """
