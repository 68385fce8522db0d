"""The 300M encoder at 448 x 448, batch 1, against the other implementations of it and against the matrix products.

``python benchmarks/encoder.py`` prints Markdown tables. All models hold the same weights, which is checked first, and
are timed in turns. Needs timm and transformers.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import transformers
from products import count_flops, products
from timing import interleaved, machine, peak_flops, table
from torch import Tensor, nn

from internvl_seg.encoder import InternViT, create_encoder

IMAGE_SIZE = 448
OURS = "ours"


class OfficialBlock(nn.Module):
    """A block as the official code computes it without flash-attn: plain operations, one after the other."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.empty(dim)}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        batch, tokens, dim = x.shape
        qkv = self.attn["qkv"](self.norm1(x)).reshape(batch, tokens, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, tokens, dim)
        x = x + self.attn["proj"](mixed) * self.ls1["gamma"]
        hidden = F.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.mlp["fc2"](hidden) * self.ls2["gamma"]


class OfficialWay(nn.Module):
    """The encoder of :class:`OfficialBlock`, at the size its position embedding is stored for."""

    def __init__(self, dim: int, depth: int, num_heads: int, grid: int) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, 14, 14)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + grid * grid, dim))
        self.blocks = nn.Sequential(*(OfficialBlock(dim, num_heads) for _ in range(depth)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to tokens, CLS first."""
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        out: Tensor = self.blocks(tokens)
        return out


def transformers_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under the names of ``InternVLVisionModel``."""
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.projection_layer",
        "ls1.gamma": "lambda_1",
        "ls2.gamma": "lambda_2",
    }
    renamed = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
    }
    for name, tensor in state.items():
        if not name.startswith("blocks."):
            continue
        _, number, part = name.split(".", 2)
        if part.startswith("attn.qkv."):
            for which, third in zip("qkv", tensor.chunk(3), strict=True):
                kind = part.rpartition(".")[2]
                renamed[f"encoder.layer.{number}.attention.{which}_proj.{kind}"] = third
            continue
        for ours, theirs in parts.items():
            part = part.replace(ours, theirs)
        renamed[f"encoder.layer.{number}.{part}"] = tensor
    return renamed


def build_peers(encoder: InternViT, dtype: torch.dtype) -> dict[str, Callable[[Tensor], Tensor]]:
    """Every implementation as a function from images to tokens, all on the tensors of ``encoder``."""
    dim, depth, heads = encoder.embed_dim, encoder.depth, encoder.blocks[0].attn.num_heads
    state = encoder.state_dict()
    with torch.device("meta"):
        official = OfficialWay(dim, depth, heads, IMAGE_SIZE // 14).eval()
        theirs = transformers.InternVLVisionModel(
            transformers.InternVLVisionConfig(
                hidden_size=dim,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                intermediate_size=4 * dim,
                image_size=[IMAGE_SIZE, IMAGE_SIZE],
                patch_size=[14, 14],
                attention_bias=True,
            )
        ).eval()
    official.load_state_dict(state, assign=True)
    theirs.load_state_dict(transformers_names(state), assign=True)
    vit = timm.create_model("vit_intern300m_patch14_448", depth=depth, num_classes=0).eval().to(dtype)
    vit.load_state_dict(state, assign=True)

    def run_transformers(images: Tensor) -> Tensor:
        tokens: Tensor = theirs(images).last_hidden_state
        return tokens

    return {
        OURS: encoder.forward_features,
        "ours, compiled": torch.compile(encoder.forward_features),
        "the official way": official,
        f"transformers {transformers.__version__} ({theirs.config._attn_implementation})": run_transformers,
        f"timm {timm.__version__}": vit.forward_features,
        f"timm {timm.__version__}, compiled": torch.compile(vit.forward_features),
    }


def check_same_tokens(peers: dict[str, Callable[[Tensor], Tensor]], images: Tensor) -> None:
    """Times of models that compute something else would mean nothing."""
    want = peers["the official way"](images).float()
    for name, peer in peers.items():
        error = ((peer(images).float() - want).norm() / want.norm()).item()
        limit = 1e-5 if images.dtype == torch.float32 else 2e-2
        if error > limit:
            raise AssertionError(f"{name!r} gives other tokens: relative error {error:.1e} > {limit:.0e}.")


def measure(dtype: torch.dtype, rounds: int, depth: int) -> str:
    """The table of one dtype."""
    torch.manual_seed(0)
    torch.compiler.reset()
    encoder = create_encoder("internvit_300m_448px", depth=depth, dtype=dtype).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        # At the initial values biases are 0 and norms do nothing: a peer without them would go unnoticed.
        parameter.add_(0.02 * torch.randn_like(parameter))
    images = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE).to(dtype)
    peers = build_peers(encoder, dtype)
    check_same_tokens(peers, images)
    runs = {name: partial(peer, images) for name, peer in peers.items()}
    limits = products(encoder, IMAGE_SIZE, dtype)
    peak = peak_flops(dtype)
    seconds = interleaved(runs | limits, rounds)
    peak = max(peak, peak_flops(dtype))
    limit = min(seconds[name] for name in limits)
    at_peak = count_flops(encoder, IMAGE_SIZE) / peak
    rows = [
        [name, f"{time:.3f}", f"{time / seconds[OURS]:.2f}", f"{limit / time:.2f}", f"{at_peak / time:.2f}"]
        for name, time in seconds.items()
    ]
    ratio = at_peak / seconds[OURS]
    rows.append([f"FLOPs at peak ({peak / 1e9:.0f} GFLOP/s)", f"{at_peak:.3f}", f"{ratio:.2f}", "", ""])
    name = str(dtype).removeprefix("torch.")
    return table(
        [f"{name}, {count_flops(encoder, IMAGE_SIZE) / 1e9:.0f} GFLOP", "s", "/ ours", "of products", "of peak"], rows
    )


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], help="names of torch dtypes")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; all cores if left out")
    parser.add_argument("--depth", type=int, default=24, help="blocks, in every model")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    parts = [machine()]
    with torch.inference_mode():
        parts += [measure(getattr(torch, name), options.rounds, options.depth) for name in options.dtypes]
    text = "\n\n".join(parts)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
