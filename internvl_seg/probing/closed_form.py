"""Heads without training: ridge regression and k nearest neighbours on pooled vectors."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common.finite import check_finite, is_finite
from ..data.confusion import pair_counts
from .extraction import Content
from .features import vectors
from .head_spec import HeadSpec
from .knn import knn_votes
from .ridge import fit_ridge
from .sources import Source


def read_vectors(
    source: Source, images: Sequence[int], blocks: Sequence[int], content: Content
) -> tuple[Tensor, Tensor]:
    """Pooled vectors of some images, (N, channels) float32 with all blocks side by side, and their labels (N,)."""
    rows, labels = [], []
    for sample in source.samples(images, blocks):
        parts = [vectors(sample.features[block].float(), content).flatten(0, 2) for block in blocks]
        rows.append(torch.cat(parts, dim=1))
        labels.append(sample.label)
    return torch.cat(rows), torch.stack(labels)


class ClosedForm:
    """Fits heads and scores them.

    Args:
        train: Features of the training images, seen without augmentation.
        val: Features of the validation images.
        fold_of: (N,), of every validation image the fold in which it is counted.
        content: What the features are.
        num_classes: Classes.
        temperature: Of the votes of neighbours.
    """

    def __init__(
        self,
        train: Source,
        val: Source,
        fold_of: NDArray[np.int64],
        content: Content,
        num_classes: int,
        temperature: float,
    ) -> None:
        self._train, self._val, self._fold_of = train, val, fold_of
        self._content: Content = content
        self._num_classes = num_classes
        self._temperature = temperature

    def fit(
        self, specs: Sequence[HeadSpec], images: Sequence[int]
    ) -> tuple[list[NDArray[np.int64]], list[list[int]], list[Mapping[str, Tensor]], list[bool]]:
        """Fit heads of one kind on the same blocks and images.

        Args:
            specs: The heads; they differ in penalty or neighbours.
            images: Indices of the training images.

        Returns:
            Of every head, counts (folds, C + 1, C + 1); what it predicts of every validation image; its tensors, which
            are none of k-NN; and whether its weights or scores are NaN or infinite.

        Raises:
            NonFiniteError: Features are too large to be compared.
        """
        blocks = specs[0].blocks
        features, labels = read_vectors(self._train, images, blocks, self._content)
        queries, truth = read_vectors(self._val, range(len(self._fold_of)), blocks, self._content)
        named = f"block{'s' * (len(blocks) > 1)} {', '.join(map(str, blocks))}"
        for rows in (features, queries):
            check_finite(
                rows.norm(dim=1),
                f"Norms of the pooled features of {named} of encoder {specs[0].encoder!r}",
                "They are too large for float32: look at the encoder's weights, or leave the block out.",
            )
        tensors: list[Mapping[str, Tensor]] = [{} for _ in specs]
        if specs[0].kind == "knn":
            asked = [spec.neighbours for spec in specs]
            votes = knn_votes(features, labels, queries, self._num_classes, asked, self._temperature)
            scores = [votes[k] for k in asked]
        else:
            fits = fit_ridge(features, labels, self._num_classes, [spec.weight_decay for spec in specs])
            tensors = [{"head.weight": weight.float(), "head.bias": bias.float()} for weight, bias in fits]
            scores = [queries.to(weight) @ weight.T + bias for weight, bias in fits]
        predicted = [score.argmax(1).numpy() for score in scores]
        members = [self._fold_of == fold for fold in range(int(self._fold_of.max()) + 1)]
        counts = [
            np.stack([pair_counts(truth.numpy()[own], one[own], self._num_classes, -1) for own in members])
            for one in predicted
        ]
        found = zip(scores, tensors, strict=True)
        diverged = [not all(map(is_finite, [score, *own.values()])) for score, own in found]
        return counts, [one.tolist() for one in predicted], tensors, diverged
