"""Where things are in a picture and what it shows, from one pass through one encoder.

python examples/one_encoder.py SEGMENTOR.py SEGMENTOR.pth CLASSIFIER.py CLASSIFIER.pth PICTURE

Both models need the same frozen encoder (backbone.arch, dtype and init_cfg); its weights are in memory once.
"""

import argparse
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from internvl_seg import CheckpointError, Classifier, Segmenter
from internvl_seg.inference.pictures import PictureError, read_picture
from internvl_seg.training import ConfigError


def prepare(picture: Any, segmentor: Any, side: int, patch: int) -> Tensor:
    """An RGB picture (H, W, 3) as the encoder takes it, (1, 3, h, w): its short side near ``side``, whole patches."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    scale = side / min(pixels.shape[-2:])
    size = [max(round(s * scale / patch), 1) * patch for s in pixels.shape[-2:]]
    pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    pre = segmentor.data_preprocessor
    normalised: Tensor = (pixels.to(pre.mean.device) - pre.mean) / pre.std
    return normalised


@torch.no_grad()
def answer(segmenter: Segmenter, classifier: Classifier, picture: Any, side: int) -> tuple[Tensor, Tensor]:
    """Labels (H, W) and probabilities (classes,) of a picture (H, W, 3)."""
    segmentor, encoder = segmenter.model, segmenter.encoder
    taps = [*segmenter.encoder.out_indices, *classifier.encoder.out_indices]
    pixels = prepare(picture, segmentor, side, encoder.patch_size)
    found = encoder.forward_intermediates(pixels, taps, return_prefix_tokens=True)  # Each block runs once.
    split = len(segmenter.encoder.out_indices)
    maps = [patches.float() for patches, _ in found[:split]]
    tokens = [torch.cat([cls, patches.flatten(2).transpose(1, 2)], 1).float() for patches, cls in found[split:]]
    logits = segmentor.decode_head(segmentor.neck(maps) if segmentor.with_neck else maps)
    labels = F.interpolate(logits, picture.shape[:2], mode="bilinear").argmax(1)[0]
    return labels, classifier.model.head(tokens)[0].softmax(0)


def main() -> None:
    """Parse the command line and print both answers."""
    parser = argparse.ArgumentParser(description="Segment and classify a picture with one pass through one encoder.")
    for name in ("segmentor", "classifier"):
        parser.add_argument(f"{name}_config")
        parser.add_argument(f"{name}_checkpoint")
    parser.add_argument("picture")
    parser.add_argument("--side", type=int, default=504, help="short side in pixels that the encoder sees")
    args = parser.parse_args()
    try:
        segmenter = Segmenter.from_checkpoint(args.segmentor_config, args.segmentor_checkpoint)
        classifier = Classifier.from_checkpoint(
            args.classifier_config, args.classifier_checkpoint, encoder=segmenter.encoder
        )
        picture = read_picture(args.picture)
    except (ConfigError, CheckpointError, PictureError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    labels, probabilities = answer(segmenter, classifier, picture, args.side)
    areas = (torch.bincount(labels.flatten().cpu(), minlength=len(segmenter.classes)) / labels.numel()).tolist()
    found = sorted(zip(areas, segmenter.classes, strict=True), reverse=True)
    print("Where:", ", ".join(f"{name} {area:.1%}" for area, name in found if area))
    best = sorted(zip(probabilities.tolist(), classifier.classes, strict=True), reverse=True)[:5]
    print("What: ", ", ".join(f"{name.partition(',')[0]} {probability:.1%}" for probability, name in best))


if __name__ == "__main__":
    main()
