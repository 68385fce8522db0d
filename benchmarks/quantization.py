"""The 6B encoder with weights of 8 and 4 bits: time and error; and what CamVid says of a small real one.

``python benchmarks/quantization.py`` times two blocks, in turns with torchao's 8-bit layers if that is installed. With
``--weights VIT_S --data CAMVID --checkpoint HEAD`` it also gives the error of every block of that encoder on
photographs, and the mIoU of a head that was trained on it in bf16
(``configs/camvid/vit_s_linear_frozen_camvid-378x504.py``) with the encoder quantized.
"""

import argparse
import copy
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from products import count_flops, products
from timing import interleaved, machine, peak_flops, table
from torch import Tensor, nn
from torchvision.transforms.functional import normalize, pil_to_tensor

from internvl_seg import InternViT, create_encoder, load_encoder
from internvl_seg.encoder.compiling import compile_blocks
from internvl_seg.encoder.quantization import QUANTIZATIONS, quantize_encoder
from internvl_seg.training.commands import evaluate

SIZE, DEPTH = 504, 2
OURS = "bf16"
CONFIG = Path(__file__).parents[1] / "configs/camvid/vit_s_linear_frozen_camvid-378x504.py"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
KINDS = (None, *QUANTIZATIONS)


def quantized(encoder: InternViT, kind: str | None) -> InternViT:
    """A copy of an encoder with weights of fewer bits."""
    encoder = copy.deepcopy(encoder)
    if kind is not None:
        quantize_encoder(encoder, kind)
    return encoder


def by_torchao(encoder: InternViT, config: Any) -> Callable[[Tensor], Tensor]:
    """The same by torchao, compiled, as its documentation asks for."""
    from torchao.quantization import quantize_

    encoder = copy.deepcopy(encoder)
    quantize_(encoder.blocks, config, lambda module, name: isinstance(module, nn.Linear))
    compiled: Callable[[Tensor], Tensor] = torch.compile(encoder.forward_features)
    return compiled


def speed_table(rounds: int) -> str:
    """Time, and error of what the blocks add, of the first two blocks of a 6B encoder on one window of 504."""
    encoder = create_encoder("internvit_6b_448px_v2_5", img_size=SIZE, depth=DEPTH, dtype=torch.bfloat16).eval()
    for parameter in encoder.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    images = torch.randn(1, 3, SIZE, SIZE).bfloat16()
    made: dict[str, Callable[[Tensor], Tensor]] = {
        kind or OURS: quantized(encoder, kind).forward_features for kind in KINDS
    }
    compiled = quantized(encoder, None)
    compile_blocks(compiled)
    made["bf16, compiled by block"] = compiled.forward_features
    try:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig

        made["torchao int8_dynamic, compiled"] = by_torchao(encoder, Int8DynamicActivationInt8WeightConfig())
        made["torchao int8, compiled"] = by_torchao(encoder, Int8WeightOnlyConfig())
    except ImportError:
        warnings.warn("torchao is not installed: pip install torchao", stacklevel=1)
    exact = copy.deepcopy(encoder).float()
    start, want = exact._embed(images.float())[0], exact.forward_features(images.float())
    errors = {name: _relative(run(images).float() - start, want - start) for name, run in made.items()}
    limits = products(encoder, SIZE, torch.bfloat16)
    seconds = interleaved({name: partial(run, images) for name, run in made.items()} | limits, rounds)
    limit = min(seconds[name] for name in limits)
    at_peak = count_flops(encoder, SIZE) / peak_flops(torch.bfloat16)
    rows = [
        [
            name,
            f"{time:.3f}",
            f"{seconds[OURS] / time:.2f}",
            f"{limit / time:.2f}",
            f"{at_peak / time:.2f}",
            f"{errors[name]:.4f}" if name in errors else "",
        ]
        for name, time in seconds.items()
    ]
    header = [f"6B, {DEPTH} blocks, {SIZE}x{SIZE}", "s", "bf16 / this", "of bf16 products", "of bf16 peak", "error"]
    return table(header, rows)


def error_table(weights: Path, pictures: list[Path]) -> str:
    """The relative error of what each block adds to its input, and of its output after all before it."""
    images = torch.stack(
        [normalize(pil_to_tensor(Image.open(p).convert("RGB").resize((504, 378))) / 255, **IMAGENET) for p in pictures]
    )
    exact = load_encoder(weights, dtype=torch.float32)
    every = list(range(exact.depth))
    inputs = [exact._embed(images)[0], *(t.flatten(2) for t in _tokens(exact, images))]
    rows = []
    for kind in KINDS:
        encoder = load_encoder(weights, dtype=torch.bfloat16, quantization=kind)
        alone = [
            _relative(block(before.bfloat16()).float() - before.bfloat16().float(), after - before)
            for block, before, after in zip(encoder.blocks, inputs, inputs[1:], strict=False)
        ]
        after_all = zip(_tokens(encoder, images), inputs[1:], strict=True)
        together = [_relative(got.float(), want) for got, want in after_all]
        rows.append([kind or OURS, "each alone", *(f"{error:.3f}" for error in alone)])
        rows.append([kind or OURS, "after all before", *(f"{error:.3f}" for error in together)])
    return table(["ViT-S/14, block", "", *map(str, every)], rows)


def _tokens(encoder: Any, images: Tensor) -> list[Tensor]:
    pairs = encoder.forward_intermediates(images, range(encoder.depth), "NLC", return_prefix_tokens=True)
    return [torch.cat([cls, patches], dim=1) for patches, cls in pairs]


def _relative(got: Tensor, want: Tensor) -> float:
    return float((got - want).norm() / want.norm())


def miou_table(weights: Path, data: Path, checkpoint: Path) -> str:
    """The CamVid mIoU of a head on the encoder as it is and quantized."""
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            options = {"data_root": str(data), "model.backbone.init_cfg.checkpoint": str(weights)}
            options |= {"model.backbone.quantization": kind} if kind else {}
            found = evaluate(CONFIG, checkpoint, work_dir=f"{folder}/{kind}", options=options)["mIoU"]
            rows.append([kind or OURS, f"{found:.2f}", f"{found - float(rows[0][1]):+.2f}" if rows else ""])
    return table(["CamVid val, ViT-S/14, linear head", "mIoU", "difference"], rows)


@torch.no_grad()
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="a ViT-S/14")
    parser.add_argument("--data", type=Path, help="CamVid")
    parser.add_argument("--checkpoint", type=Path, help="of a linear head on it")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(machine(), flush=True)
    print(speed_table(options.rounds), flush=True)
    if options.weights and options.data:
        pictures = sorted((options.data / "images/val").iterdir())[::25]
        print(error_table(options.weights, pictures), flush=True)
    if options.checkpoint:
        print(miou_table(options.weights, options.data, options.checkpoint))


if __name__ == "__main__":
    main()
