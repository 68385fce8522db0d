"""Sliding-window inference against MMSegmentation's EncoderDecoder: seconds and peak memory.

``python benchmarks/inference.py`` prints Markdown tables. Both sides run the same weights on the same image, each in a
process of its own that may take 24 GiB, and their labels are compared. ``--weights`` names a ViT-S/14 for the row with
a real encoder; its weights are random without.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from process import forget_peak, status
from timing import machine, table

from internvl_seg.segmentation import StreamingEncoderDecoder

CROP, STRIDE = 504, 322
LIMIT = 24 << 30
OURS, THEIRS = StreamingEncoderDecoder.__name__, EncoderDecoder.__name__
# An encoder that costs nothing: what remains is everything but the encoder.
TINY = {"embed_dim": 32, "depth": 1, "num_heads": 2}
VIT_S = {"embed_dim": 384, "depth": 12, "num_heads": 6, "norm": "layer_norm", "qkv_bias": True, "qk_norm": False}


def build(kind: str, classes: int, arch: dict[str, Any], weights: str | None, dtype: str) -> Any:
    """A segmentor with a linear head that slides."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    init_cfg = {"type": "Pretrained", "checkpoint": weights} if weights else None
    backbone = {"type": "InternViT", "arch": arch, "img_size": CROP, "frozen": True, "dtype": dtype}
    config = {
        "type": kind,
        "backbone": {**backbone, "init_cfg": init_cfg},
        "decode_head": {"type": "LinearHead", "in_channels": arch["embed_dim"], "num_classes": classes},
        "data_preprocessor": {"type": "SegDataPreProcessor"},
        "test_cfg": ConfigDict(mode="slide", crop_size=(CROP, CROP), stride=(STRIDE, STRIDE)),
    }
    model = MODELS.build(config).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def measure(job: dict[str, Any]) -> None:
    """Run one side and print what it took; a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    model = build(job["kind"], job["classes"], job["arch"], job["weights"], job["dtype"])
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(
        torch.randn(1, 3, *(side // 32 for side in job["size"]), generator=generator), job["size"], mode="bilinear"
    )
    encoder, spent = model.backbone.forward, [0.0]

    def timed(inputs: torch.Tensor) -> Any:
        start = time.perf_counter()
        maps = encoder(inputs)
        spent[0] += time.perf_counter() - start
        return maps

    model.backbone.forward = timed
    seconds = []
    before = status("VmRSS")
    forget_peak()
    for _ in range(job["rounds"]):
        spent[0], start = 0.0, time.perf_counter()
        meta = {"ori_shape": tuple(job["to"]), "img_shape": tuple(job["size"])}
        with torch.no_grad():
            (sample,) = model.predict(image, [SegDataSample(metainfo=meta)])
        seconds.append((time.perf_counter() - start, spent[0]))
        labels = sample.pred_sem_seg.data[0].numpy().astype(np.uint16)
        del sample
    whole, encoding = min(seconds)
    np.save(job["labels"], labels)
    top = status("VmHWM")
    print(json.dumps({"whole": whole, "rest": whole - encoding, "peak": top - before, "process": top}))


def run(kind: str, size: tuple[int, int], to: tuple[int, int], classes: int, labels: Path, **more: Any) -> Any:
    """What one side took, or None if its memory did not suffice."""
    job = {"kind": kind, "size": size, "to": to, "classes": classes, "labels": str(labels), "rounds": 3} | more
    job = {"arch": TINY, "weights": None, "dtype": "float32"} | job
    done = subprocess.run([sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "allocate memory" in done.stderr or "MemoryError" in done.stderr or done.returncode == -9:
        return None
    raise RuntimeError(done.stderr[-2000:])


def megabytes(count: int) -> str:
    """Bytes in MB."""
    return f"{count / 1e6:,.0f}"


def compare(title: str, key: str, folder: Path, rounds: int, **job: Any) -> str:
    """The table of both sides on one image."""
    found = {kind: run(kind, labels=folder / f"{kind}.npy", rounds=rounds, **job) for kind in (OURS, THEIRS)}
    ours, theirs = found[OURS], found[THEIRS]
    rows = [["ours", f"{ours[key]:.2f}", megabytes(ours["peak"]), "1", "1"]]
    if theirs is None:
        rows.append(["MMSegmentation", "-", f"more than {LIMIT >> 30} GiB", "-", "-"])
        note = f"\n\nOurs with the image, the libraries and the model: {megabytes(ours['process'])} MB."
        return table([title, "s", "MB", "time / ours", "memory / ours"], rows) + note
    ratios = [f"{theirs[key] / ours[key]:.1f}", f"{theirs['peak'] / ours['peak']:.1f}"]
    rows.append(["MMSegmentation", f"{theirs[key]:.2f}", megabytes(theirs["peak"]), *ratios])
    equal = (np.load(folder / f"{OURS}.npy") == np.load(folder / f"{THEIRS}.npy")).mean()
    return table([title, "s", "MB", "time / ours", "memory / ours"], rows) + f"\n\nEqual labels: {100 * equal:.4f} %."


def sweep(folder: Path, rounds: int) -> str:
    """Memory over the number of classes."""
    rows = []
    for classes in (2, 19, 150, 500, 1000):
        job = {"size": (2048, 2048), "to": (2048, 2048), "classes": classes, "labels": folder / "sweep.npy"}
        ours = run(OURS, rounds=rounds, **job)
        # Of more classes it takes minutes, and of a thousand more memory than there is.
        theirs = run(THEIRS, rounds=1, **job) if classes <= 150 else None
        peer = [f"{theirs['rest']:.2f}", megabytes(theirs["peak"])] if theirs else ["not run", "not run"]
        rows.append([str(classes), f"{ours['rest']:.2f}", megabytes(ours["peak"]), *peer])
    return table(["classes, 2048 x 2048", "ours, s", "ours, MB", "MMSegmentation, s", "MMSegmentation, MB"], rows)


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed; the fastest counts")
    parser.add_argument("--weights", help="a ViT-S/14, anything that load_encoder takes")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        measure(options.job)
        return
    street = {"size": (1024, 2048), "to": (1500, 3000), "classes": 150}
    square = {"size": (8192, 8192), "to": (8192, 8192), "classes": 150}
    parts: list[str] = []

    def add(part: str) -> None:
        print(part, end="\n\n", flush=True)
        parts.append(part)

    add(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        title = "1024 x 2048 to 1500 x 3000, 150 classes, all but the encoder"
        add(compare(title, "rest", folder, options.rounds, **street))
        title = f"the same, the whole, ViT-S/14 in bf16{'' if options.weights else ' (random)'}"
        real = {"arch": VIT_S | {"img_size": 518}, "weights": options.weights, "dtype": "bfloat16"}
        add(compare(title, "whole", folder, options.rounds, **street, **real))
        title = "8192 x 8192, 150 classes, all but the encoder"
        add(compare(title, "rest", folder, 1, **square))
        add(sweep(folder, options.rounds))
    if options.markdown:
        options.markdown.write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
