"""A checkpoint of the 6B encoder's size with random weights, for benchmarks.

``python benchmarks/large_checkpoint.py FOLDER`` writes ``FOLDER/released`` (shards, as OpenGVLab publishes them),
``FOLDER/hf`` (shards, as transformers names things) and ``FOLDER/official.pth``, 11 GB each; ``--only`` one of them.
"""

import argparse
from pathlib import Path

import torch

from internvl_seg import InternViT, create_encoder
from internvl_seg.checkpoints.exporting import export_encoder
from internvl_seg.checkpoints.loading import give_memory

RELEASE = "internvit_6b_448px_v2_5"
FILES = {
    "released": ("released", "hf_remote_code"),
    "hf": ("hf", "hf_native"),
    "official": ("official.pth", "official"),
}


@torch.no_grad()
def random_encoder(name: str = RELEASE, seed: int = 0) -> InternViT:
    """An encoder in bf16 with random matrices (std 0.02), and norms and scales as at the start of a training."""
    encoder = create_encoder(name, dtype=torch.bfloat16, device="meta")
    give_memory(encoder, torch.bfloat16)
    # Billions of draws take minutes: one matrix's worth is drawn, and each matrix is a part of it of its own.
    drawn = torch.empty(2 * 3200 * 12800).normal_(std=0.02, generator=torch.Generator().manual_seed(seed)).bfloat16()
    for number, (key, parameter) in enumerate(encoder.named_parameters()):
        if parameter.dim() > 1:
            start = number * 1009 % (len(drawn) - parameter.numel())
            parameter.copy_(drawn[start : start + parameter.numel()].view_as(parameter))
        else:
            parameter.fill_(0.1 if key.endswith("gamma") else 0.0 if key.endswith("bias") else 1.0)
    return encoder


def main() -> None:
    """Write the checkpoints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=FILES)
    options = parser.parse_args()
    encoder = random_encoder()
    for kind in [options.only] if options.only else FILES:
        name, to = FILES[kind]
        export_encoder(encoder, options.folder / name, to=to)


if __name__ == "__main__":
    main()
