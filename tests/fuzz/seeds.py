"""Small whole files of every kind that is read, from tiny models and pictures, made anew each time."""

import functools
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import torch
from mmengine.logging import HistoryBuffer
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin
from safetensors.torch import load_file, save_file

from internvl_seg import InternViT, export_encoder
from internvl_seg.encoder.classifier import InternViTClassifier
from internvl_seg.inference.predictions import PredictionsFolder
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.probing.feature_store import FeatureStore, Sample
from internvl_seg.segmentation.linear_head import LinearHead

from .seeds_of_exports import write_data_set, write_exports

ARCH: dict[str, Any] = {"img_size": 28, "embed_dim": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
CLASSES = ("sky", "tree")
STORE_KEY = {"dtype": "float32", "encoder": "a", "transforms": [{"type": "RandomFlip"}]}
RUN = {"checkpoint_sha256": "00ff", "classes": list(CLASSES)}
IDENTITY = ("checkpoint_sha256", "classes")
CONFIG_TEXT = f"""
model = dict(type='EncoderDecoder', backbone=dict(type='InternViT', arch={ARCH}, frozen=False))
train_cfg = dict(max_iters=4, val_interval=-1, betas=(0.9, 0.999))
classes = ['sky', "tree"]
"""


def small_encoder() -> InternViT:
    """The encoder that all checkpoints hold."""
    torch.manual_seed(0)
    return InternViT(**ARCH)


def write_seeds(folder: Path) -> None:
    """Write all of them.

    Args:
        folder: Gets a folder for each kind.
    """
    _write_checkpoints(folder)
    _write_store(folder / "store")
    _write_pictures(folder / "pictures")
    _write_archives(folder / "archives")
    _write_results(folder / "results")
    _write_videos(folder / "videos")
    _write_bombs(folder / "bombs")
    write_exports(folder)
    write_data_set(folder / "data_set")
    (folder / "text").mkdir()
    (folder / "text/config.txt").write_text(CONFIG_TEXT)


def _save(content: Any, path: Path) -> None:
    """In the format of today, and in the one before PyTorch 1.6 beside it."""
    path.parent.mkdir(exist_ok=True, parents=True)
    torch.save(content, path)
    torch.save(content, path.with_stem(f"{path.stem}_legacy"), _use_new_zipfile_serialization=False)


def _write_checkpoints(folder: Path) -> None:
    encoder = small_encoder()
    state = {name: p.detach() for name, p in encoder.named_parameters()}
    _save({"module": state}, folder / "official/encoder.pth")
    _save({"state_dict": OrderedDict(state), "half": torch.ones(2).half()[None].T}, folder / "odd/encoder.pth")
    save_file({name: t.bfloat16().contiguous() for name, t in state.items()}, folder / "official/encoder.safetensors")
    for to in ("hf_remote_code", "hf_native"):
        export_encoder(encoder, folder / to, to=to)
    export_encoder(encoder, folder / "sharded", to="hf_remote_code", max_shard_size=4000)
    _write_chat_model(folder / "hf_remote_code", folder / "chat_model")
    classifier = InternViTClassifier(encoder, "attention_pooling", pool_heads=2, pool_dim=16, num_classes=3)
    names = {name.removeprefix("encoder."): t for name, t in classifier.state_dict().items()}
    _save({"module": names}, folder / "classifier/classifier.pth")
    _save(_trained(state), folder / "trained/iter_4.pth")


def _write_chat_model(remote_code: Path, folder: Path) -> None:
    folder.mkdir()
    vision = json.loads((remote_code / "config.json").read_text())
    config = {"model_type": "internvl_chat", "vision_config": vision, "llm_config": {"hidden_size": 8}}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {f"vision_model.{name}": t for name, t in load_file(remote_code / "model.safetensors").items()}
    language = {"language_model.embed.weight": torch.zeros(4, 8)}
    parts = {"model-00001-of-00002.safetensors": tensors, "model-00002-of-00002.safetensors": language}
    for name, part in parts.items():
        save_file(part, folder / name, metadata={"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def _trained(encoder: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What a run writes: a segmentor with optimizer, scalars that were logged and a config."""
    head = LinearHead(in_channels=16, num_classes=2).state_dict()
    state = {f"backbone.{n}": t for n, t in encoder.items()} | {f"decode_head.{n}": t for n, t in head.items()}
    loss = HistoryBuffer([0.5, 0.25], [1, 1])
    return {
        "state_dict": OrderedDict(state),
        "optimizer": {"state": {0: {"step": torch.tensor(4.0), "exp_avg": torch.zeros(16)}}, "param_groups": []},
        "message_hub": {"log_scalars": {"train/loss": loss}, "runtime_info": {"iter": 4}, "resumed_keys": {}},
        "meta": {
            "cfg": CONFIG_TEXT,
            "seed": 3,
            "iter": 4,
            "epoch": 0,
            "dataset_meta": {"classes": CLASSES, "palette": np.zeros((2, 3), np.float32)},
        },
    }


def _write_store(folder: Path) -> None:
    store = FeatureStore.at(folder, "train", STORE_KEY, 4, sample_bytes=(64 << 20) // 2)
    draw = torch.Generator().manual_seed(0)
    for shard in store.missing(1):
        features = [{1: torch.randn(1, 2, 2, 4, generator=draw)} for _ in shard.images]
        store.write(shard, [Sample(f, torch.zeros(4, 4, dtype=torch.uint8), {"img_path": "a.jpg"}) for f in features])


def _write_pictures(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    rgb = Image.fromarray(pixels)
    for suffix in ("png", "bmp", "ppm", "tga", "ico", "pcx", "jp2"):
        rgb.save(folder / f"rgb.{suffix}")
    rgb.save(folder / "rgb.webp", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "rgb.jpg", exif=exif)
    rgb.quantize(16).save(folder / "palette.png", transparency=3)
    rgb.save(folder / "pages.gif", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "pages.tif", save_all=True, append_images=[rgb], compression="tiff_lzw")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256).save(folder / "deep.png")
    profile = {"driver": "GTiff", "height": 24, "width": 32, "dtype": "uint8", "crs": "EPSG:32632"}
    where = {"transform": from_origin(400_000, 5_000_000, 1, 1)}
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "nodata": 0}
    with rasterio.open(folder / "tiled.tif", "w", count=3, **profile, **where, **tiles) as raster:
        raster.write(pixels.transpose(2, 0, 1))
    corner = GroundControlPoint(0, 0, 1.0, 2.0)
    with rasterio.open(folder / "grey.tif", "w", count=1, gcps=[corner], **profile) as raster:
        raster.write(pixels[..., 0], 1)
        raster.write_colormap(1, {i: (i, 255 - i, 0, 255) for i in range(256)})
    (folder / "mosaic.vrt").write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="24"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">tiled.tif</SourceFilename><SourceBand>1</SourceBand>'
        '<SrcRect xOff="0" yOff="0" xSize="32" ySize="24"/><DstRect xOff="0" yOff="0" xSize="32" ySize="24"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def _write_archives(folder: Path) -> None:
    folder.mkdir()
    made = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(made, "PNG")
    picture = made.getvalue()
    with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("val/a.png", "val/b.png"):
            archive.writestr(zipfile.ZipInfo(name), picture, zipfile.ZIP_DEFLATED)
    inner = io.BytesIO()
    _write_tar(inner, {"b.png": picture})
    with (folder / "images.tar").open("wb") as file:
        _write_tar(file, {"val/a.png": picture, "val/n01.tar": inner.getvalue()})


def _write_tar(file: Any, members: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _write_results(folder: Path) -> None:
    segmented = ResultsFolder(folder / "segmented", CLASSES, [[0, 0, 0], [9, 9, 9]], RUN, IDENTITY)
    (folder / "segmented/labels").mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        Image.new("L", (4, 4)).save(folder / f"segmented/labels/{name}.png")
        segmented.add(Path(f"{name}.jpg"), name, [("", (4, 4), {"sky": 12, "tree": 4})])
    predictions = PredictionsFolder(folder / "classified", 1, RUN, IDENTITY)
    row = {"file": "a.jpg", "class_1": "1", "name_1": "tree", "probability_1": "0.9"}
    (folder / "classified/predictions.csv").write_text(
        ",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8"
    )
    assert predictions.folder.is_dir()


def _write_videos(folder: Path) -> None:
    folder.mkdir()
    for name, codec in (("clip.mp4", "mp4v"), ("clip.avi", "MJPG")):
        video = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*codec), 5, (32, 24))
        for i in range(4):
            video.write(np.full((24, 32, 3), 60 * i, np.uint8))
        video.release()


def _write_bombs(folder: Path) -> None:
    """Small files that say of themselves, or become when they are read, what no memory holds."""
    folder.mkdir()
    _write_zip_of_zeros(folder / "images.zip", "val/a.png")
    _write_zip_of_zeros(folder / "encoder.pth", "encoder/data.pkl")
    (folder / "store").mkdir()
    manifest = {"key": STORE_KEY, "images": 10**9, "per_shard": 1}
    (folder / "store/store.json").write_text(json.dumps(manifest))
    head = struct.pack(">II5B", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT" + zlib.compress(bytes(1 << 20)), b"IEND")
    (folder / "wide.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    )


def _write_zip_of_zeros(path: Path, member: str, megabytes: int = 1200) -> None:
    """A zip archive with one member of zeros, in a thousandth of its size."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    # Of no memory of what came before, so that it may stand there many times.
    zeros = bytes(1 << 20)
    megabyte = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)
    content = megabyte * megabytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    name = member.encode()
    crc = functools.reduce(lambda crc, _: zlib.crc32(zeros, crc), range(megabytes), 0)
    sizes = struct.pack("<HHIIIHH", 0, 33, crc, len(content), megabytes << 20, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HHH", 20, 0, 8) + sizes + name + content
    central = b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, 0, 8) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
