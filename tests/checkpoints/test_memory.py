"""Loading takes the memory of the weights and no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from safetensors.torch import save_file
from torch import nn

from internvl_seg import InternViT
from internvl_seg.checkpoints.in_place import find_places, reading_in_place
from internvl_seg.checkpoints.reading import read_pickle

ARCH = {"img_size": 224, "embed_dim": 1024, "depth": 8, "num_heads": 16}
PEAK = """
import json, re, sys
from pathlib import Path
import torch
import internvl_seg
from internvl_seg.checkpoints.in_place import find_places
from internvl_seg.checkpoints.whole_model import load_whole
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.segmentation.backbone import InternViTBackbone, reading_weights_later
how, path, arch = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
quantization = "int8" if how == "int8" else None
internvl_seg.load_encoder(sys.argv[4], quantization=quantization)  # What a first load imports counts for nothing.
Path("/proc/self/clear_refs").write_text("5")  # Sets the peak to what is held now.
before = peak()
if how == "load_encoder":
    model = internvl_seg.load_encoder(path)
elif how == "init_cfg":
    init_cfg = {"type": "Pretrained", "checkpoint": path}
    model = InternViTBackbone(arch, frozen=True, dtype="bfloat16", init_cfg=init_cfg)
elif how == "load_whole":
    with reading_weights_later():
        model = InternViTBackbone(arch, frozen=True, dtype="bfloat16")
    checkpoint = read_pickle(Path(path))
    load_whole(model, checkpoint, find_places(Path(path), checkpoint), path, "config.py")
elif how == "int8":
    model = internvl_seg.load_encoder(path, quantization=quantization)
size = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
print((peak() - before) / size)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 MB in bf16, and a tiny encoder, in both kinds of files."""
    made = tmp_path_factory.mktemp("weights")
    state = {name: t.bfloat16() for name, t in InternViT(**ARCH).state_dict().items()}
    torch.save({"module": state}, made / "large.pth")
    save_file(state, made / "large.safetensors")
    tiny = InternViT(img_size=28, embed_dim=64, depth=1, num_heads=1, norm="layer_norm").state_dict()
    torch.save({"module": tiny}, made / "tiny.pth")
    save_file(tiny, made / "tiny.safetensors")
    return made


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="asks Linux for the peak of a process")
@pytest.mark.parametrize(
    ("how", "suffix", "most"),
    [
        ("load_encoder", "safetensors", 1.05),
        ("load_encoder", "pth", 1.05),
        ("init_cfg", "safetensors", 1.05),
        ("load_whole", "pth", 1.05),
        # Here one layer in bf16 is 8 % of the quantized weights, and the room it is worked on in as much again; whoever
        # quantized after reading would be at 3.
        ("int8", "safetensors", 1.3),
    ],
)
def test_the_peak_is_that_of_the_weights(how: str, suffix: str, most: float, folder: Path) -> None:
    arguments = [how, str(folder / f"large.{suffix}"), json.dumps(ARCH), str(folder / f"tiny.{suffix}")]
    done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    assert 0.95 < float(done.stdout.splitlines()[-1]) < most


def _in_memory(path: Path) -> int:
    """KiB of a mapped file that this process holds."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="asks Linux what is mapped")
@pytest.mark.parametrize("load", [nn.Module.load_state_dict, load_state_dict], ids=["torch", "mmengine"])
def test_a_mapped_state_dict_is_read_and_not_paged_in(load: object, tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1000, dtype=torch.float64))
    torch.save({"state_dict": layers.state_dict(), "meta": {}}, tmp_path / "x.pth")
    checkpoint = read_pickle(tmp_path / "x.pth")
    into = nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1000))  # Of another dtype, too.
    with reading_in_place(find_places(tmp_path / "x.pth", checkpoint)):
        load(into, checkpoint["state_dict"])
    assert _in_memory(tmp_path / "x.pth") < 200
    assert torch.equal(into[0].weight, layers[0].weight)
    assert torch.equal(into[1].weight, layers[1].weight.float())
    load(into, checkpoint["state_dict"])
    assert _in_memory(tmp_path / "x.pth") > 10_000  # What would have been there besides.


def test_tensors_that_change_places_are_not_mixed_up(tmp_path: Path) -> None:
    written = {"first": torch.randn(4, 5), "second": torch.randn(4, 5), "third": torch.randn(2)}
    torch.save({"state_dict": written}, tmp_path / "x.pth")
    checkpoint = read_pickle(tmp_path / "x.pth")
    state = checkpoint["state_dict"]
    places = find_places(tmp_path / "x.pth", checkpoint)
    state["first"], state["second"] = state["second"], state["first"]  # As a hook does that averages weights.
    state["third"] = state["third"] + 1
    into = {name: torch.empty_like(tensor) for name, tensor in written.items()}
    with reading_in_place(places):
        for name, tensor in into.items():
            tensor.copy_(state[name])
    assert torch.equal(into["first"], written["second"])
    assert torch.equal(into["second"], written["first"])
    assert torch.equal(into["third"], written["third"] + 1)
