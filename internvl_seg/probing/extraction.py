"""From images to the samples that a store holds or a stream gives."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader

from ..common.finite import check_finite
from ..segmentation.inference import Inference
from ..segmentation.windows import padded_size
from ..training.stream import Draw, SeededDataset
from .feature_store import Sample
from .frozen_encoder import FrozenEncoder

# Dense maps; CLS and mean of the patches; all tokens.
Content = Literal["maps", "pooled", "tokens"]
# What became of an image, as far as it has to be undone.
_META = ("ori_shape", "img_padding_size", "padding_size", "flip", "flip_direction")


class Extractor:
    """Makes samples of what a data set gives.

    Args:
        encoder: The encoder.
        preprocessor: Config of the ``data_preprocessor``.
        blocks: Blocks to keep, from 0.
        content: What of them.
        test_cfg: How images are cut into windows; they are training crops if None.
        batch_size: Windows that go through the encoder at once.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        preprocessor: Mapping[str, Any],
        blocks: Sequence[int],
        content: Content,
        test_cfg: dict[str, Any] | None,
        batch_size: int,
    ) -> None:
        self.encoder = encoder
        self.blocks = blocks
        self._content = content
        self._inference = None if test_cfg is None else Inference.read(test_cfg)
        self.batch_size = batch_size
        with torch.device("cpu"):
            self._preprocessor = MODELS.build(dict(preprocessor))

    def samples(self, items: Sequence[Mapping[str, Any]]) -> list[Sample]:
        """Samples of some items of a data set, in their order.

        Args:
            items: With ``inputs`` and a ``data_samples`` each.
        """
        prepared = [self._prepare(item) for item in items]
        features = self._encode([windows for windows, _, _ in prepared])
        for item, found in zip(items, features, strict=True):
            self._check(item["data_samples"], found)
        return [Sample(f, label, meta) for f, (_, label, meta) in zip(features, prepared, strict=True)]

    def _prepare(self, item: Mapping[str, Any]) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Windows (W, 3, H, W), label and meta of an item."""
        batch = {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
        ready = self._preprocessor(batch, training=self._content == "maps" and self._inference is None)
        image, sample = ready["inputs"], ready["data_samples"][0]
        if self._content != "maps":
            return image, sample.gt_label.reshape(()), {}
        meta = {name: sample.metainfo[name] for name in _META if name in sample.metainfo}
        label = sample.gt_sem_seg.data[0]
        label = label.to(torch.uint8 if label.max() < 256 else torch.int32)
        if self._inference is None:
            return image, label, meta
        down, across = self._inference.cut(image.shape[-2:])
        size = padded_size((down.window, across.window), getattr(self.encoder.backbone, "patch_size", 1))
        padding = (0, size[1] - across.window, 0, size[0] - down.window)
        windows = [
            image[0, :, top : top + down.window, left : left + across.window]
            for top in down.starts
            for left in across.starts
        ]
        pad_value = getattr(self._preprocessor, "pad_val", 0)
        return F.pad(torch.stack(windows), padding, value=pad_value), label, meta | {"size": list(image.shape[-2:])}

    def _check(self, sample: Any, features: Mapping[int, Tensor]) -> None:
        """Check that there is neither NaN nor infinity in the features of an image.

        Raises:
            NonFiniteError: There is.
        """
        for block, maps in features.items():
            if not maps.is_meta:
                kind = self.encoder.config.get("dtype", "float32")
                check_finite(
                    maps,
                    f"Features of {sample.metainfo.get('img_path', 'an image')}, block {block} of encoder "
                    f"{self.encoder.name!r} in {kind}",
                    "float16 holds numbers up to 65504: set the backbone's dtype='bfloat16'."
                    if kind == "float16"
                    else "Look for such values in the image and in the encoder's weights, or leave the block out.",
                )

    def _encode(self, images: Sequence[Tensor]) -> list[dict[int, Tensor]]:
        """Features of the windows of every image, windows of one size together."""
        out: list[dict[int, list[Tensor]]] = [{block: [] for block in self.blocks} for _ in images]
        queue: dict[torch.Size, list[tuple[int, Tensor]]] = {}
        for i, windows in enumerate(images):
            for window in windows:
                waiting = queue.setdefault(window.shape, [])
                waiting.append((i, window))
                if len(waiting) == self.batch_size:
                    self._encode_batch(waiting, out)
                    waiting.clear()
        for waiting in queue.values():
            if waiting:
                self._encode_batch(waiting, out)
        return [{block: torch.stack(parts) for block, parts in found.items()} for found in out]

    def _encode_batch(self, batch: Sequence[tuple[int, Tensor]], out: list[dict[int, list[Tensor]]]) -> None:
        windows = torch.stack([window for _, window in batch])
        if self._content == "maps":
            found = self.encoder.maps(windows, self.blocks)
        else:
            found = {b: tokens[:, None] for b, tokens in self.encoder.tokens(windows, self.blocks).items()}
        for block, features in found.items():
            if self._content == "pooled":
                means = features[..., 1:, :].float().mean(2, keepdim=True)
                features = torch.cat([features[..., :1, :].float(), means], dim=2)
            for (i, _), one in zip(batch, features, strict=True):
                out[i][block].append(one)


def load_items(
    dataset: SeededDataset, draws: Sequence[tuple[int, int]], workers: int, chunk: int
) -> Iterator[list[dict[str, Any]]]:
    """Items of a data set, augmented by their position, some at a time; the number of workers does not change them.

    Args:
        dataset: The data set.
        draws: Index and position of every item.
        workers: Processes that read ahead; 0 reads in this one.
        chunk: Items at a time.
    """

    def draw(index: int, position: int) -> Draw:
        drawn = Draw(index)
        drawn.position = position
        return drawn

    loader = DataLoader(
        dataset,
        batch_size=chunk,
        sampler=[draw(*pair) for pair in draws],
        num_workers=workers,
        collate_fn=list,
    )
    yield from loader
