"""What is given damaged files, what it is to say about them, and what it may never do."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor, nn

from internvl_seg import InternViT, load_classifier, load_encoder
from internvl_seg.checkpoints import convert_checkpoint
from internvl_seg.checkpoints.chat_model import find_vision_encoder, insert_encoder
from internvl_seg.checkpoints.config_text import parse_config_text
from internvl_seg.checkpoints.reading import open_file, read_pickle
from internvl_seg.data.archives import ArchiveBackend, list_archive
from internvl_seg.inference.model import read_weights
from internvl_seg.inference.pictures import read_picture
from internvl_seg.inference.predictions import PredictionsFolder
from internvl_seg.inference.raster_reader import RasterReader
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.inference.videos import VideoReader
from internvl_seg.probing.feature_store import FeatureStore
from internvl_seg.segmentation.linear_head import LinearHead

from .seeds import ARCH, CLASSES, IDENTITY, RUN, STORE_KEY, small_encoder
from .target import Target
from .targets_of_labels import LABEL_TARGETS


class NotFiniteError(AssertionError):
    """What was loaded holds NaN or infinity, and nothing was said."""


def _weights(module: nn.Module) -> Iterable[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _load_encoder(path: Path) -> Iterable[Tensor]:
    return _weights(load_encoder(path, **({"num_heads": 2} if path.suffix in (".pth", ".safetensors") else {})))


def _load_classifier(path: Path) -> Iterable[Tensor]:
    return _weights(load_classifier(path, num_heads=2))


def _convert(path: Path) -> Iterable[Tensor]:
    made = path.parent / "converted.safetensors"
    convert_checkpoint(path, made, num_heads=2)
    reader = open_file(made)
    return [reader.read(name) for name in reader.names]


def _insert(folder: Path) -> None:
    find_vision_encoder(folder)
    insert_encoder(_encoder(), folder, folder.with_name("inserted"))


@cache
def _encoder() -> InternViT:
    return small_encoder()


class _Segmentor(nn.Module):
    """The model of the seeds' training."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = InternViT(**ARCH)
        self.decode_head = LinearHead(in_channels=16, num_classes=len(CLASSES))


def _read_weights(path: Path) -> Iterable[Tensor]:
    model = _Segmentor()
    read_weights(model, path, Config({}))
    return _weights(model)


def _read_pickle(path: Path) -> None:
    read_pickle(path)


def _parse(path: Path) -> None:
    parse_config_text(path.read_text(errors="replace"))


def _read_store(folder: Path) -> Iterable[Tensor]:
    """A store, and one whose files have the names of what is in them, as if they were written so."""
    for path in folder.glob("view*.safetensors"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        path.rename(path.with_name(f"{path.name[:12]}{digest}.safetensors"))
    store = FeatureStore.open(folder, STORE_KEY)
    missing = {image for shard in store.missing(1) for image in shard.images}
    for image in range(min(store.images, 100)):
        if image not in missing:
            sample = store.read(0, image, [1])
            yield from sample.features.values()


def _read_picture(path: Path) -> None:
    pixels = read_picture(path)
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def _read_raster(path: Path) -> None:
    with RasterReader(path) as reader:
        for start in range(0, min(reader.height, 256), 16):
            stop = min(start + 16, reader.height)
            assert reader.rows(start, stop).shape == (stop - start, reader.width, 3)
            reader.valid_rows(start, stop)
        reader.preview(8)


def _read_archive(path: Path) -> None:
    for member in list_archive(path).values():
        ArchiveBackend().get(member)


def _resume_results(folder: Path) -> None:
    results = ResultsFolder(folder, CLASSES, [[0, 0, 0], [9, 9, 9]], RUN, IDENTITY, resume=True)
    results.names([Path("a.jpg"), Path("c.jpg")])
    results.is_done(Path("a.jpg"))


def _resume_predictions(folder: Path) -> None:
    results = PredictionsFolder(folder, 1, RUN, IDENTITY, resume=True)
    results.is_done(Path("a.jpg"))
    results.write_contact_sheets([Path("a.jpg")])


def _read_video(path: Path) -> None:
    with VideoReader(path) as video:
        for _ in zip(range(50), video, strict=False):
            pass


_OFFICIAL = tuple(f"official/encoder{end}" for end in (".pth", "_legacy.pth", ".safetensors"))
_TRAINED = ("trained/iter_4.pth", "trained/iter_4_legacy.pth")
_SHARDED = ("sharded/config.json", "sharded/model.safetensors.index.json")
_CHAT = (
    "chat_model/config.json",
    "chat_model/model.safetensors.index.json",
    "chat_model/model-00001-of-00002.safetensors",
)
_PICTURES = (
    *(f"pictures/rgb.{suffix}" for suffix in ("png", "jpg", "webp", "bmp", "ppm", "tga", "ico", "pcx", "jp2")),
    "pictures/palette.png", "pictures/pages.gif", "pictures/pages.tif", "pictures/deep.png", "pictures/tiled.tif",
)  # fmt: skip
_FOLDERS = tuple(
    f"{kind}/{name}" for kind in ("hf_remote_code", "hf_native") for name in ("config.json", "model.safetensors")
)
_FILES = (*_OFFICIAL, "odd/encoder.pth", "odd/encoder_legacy.pth", *_TRAINED)

TARGETS: dict[str, Target] = {
    "load_encoder": Target(_load_encoder, (load_encoder,), _FILES, bombs=("bombs/encoder.pth",)),
    "load_encoder_folder": Target(_load_encoder, (load_encoder,), (*_FOLDERS, *_SHARDED, *_CHAT), folder=True),
    "load_classifier": Target(
        _load_classifier, (load_classifier,), ("classifier/classifier.pth", "classifier/classifier_legacy.pth")
    ),
    "convert_checkpoint": Target(_convert, (convert_checkpoint,), (*_OFFICIAL, *_TRAINED)),
    "insert_encoder": Target(_insert, (find_vision_encoder, insert_encoder), _CHAT, folder=True),
    "read_pickle": Target(_read_pickle, (read_pickle,), _TRAINED),
    "read_weights": Target(_read_weights, (read_weights,), _TRAINED),
    "parse_config_text": Target(_parse, (parse_config_text,), ("text/config.txt",)),
    "feature_store": Target(
        _read_store,
        (FeatureStore.open, FeatureStore.missing, FeatureStore.read),
        ("store/*/store.json", "store/*/view0-00000-*.safetensors"),
        folder=True,
        bombs=("bombs/store/store.json",),
    ),
    "read_picture": Target(_read_picture, (read_picture,), _PICTURES, bombs=("bombs/wide.png",)),
    "raster_reader": Target(
        _read_raster,
        (RasterReader, RasterReader.rows, RasterReader.valid_rows, RasterReader.preview),
        tuple(
            f"pictures/{name}" for name in ("tiled.tif", "grey.tif", "pages.tif", "mosaic.vrt", "rgb.png", "rgb.jp2")
        ),
    ),
    "list_archive": Target(
        _read_archive,
        (list_archive, ArchiveBackend.get),
        ("archives/images.zip", "archives/images.tar"),
        bombs=("bombs/images.zip",),
    ),
    "resume_results": Target(
        _resume_results, (ResultsFolder,), ("results/segmented/run.json", "results/segmented/areas.csv"), folder=True
    ),
    "resume_predictions": Target(
        _resume_predictions,
        (PredictionsFolder,),
        ("results/classified/run.json", "results/classified/predictions.csv"),
        folder=True,
    ),
    "video_reader": Target(_read_video, (VideoReader,), ("videos/clip.mp4", "videos/clip.avi")),
    **LABEL_TARGETS,
}


def check_finite(tensors: Iterable[Tensor] | None) -> None:
    """Look at what was loaded.

    Raises:
        NotFiniteError: There is NaN or infinity in it.
    """
    for tensor in tensors or ():
        if not bool(torch.isfinite(tensor.detach().float()).all()):
            raise NotFiniteError(f"a tensor of shape {tuple(tensor.shape)} was loaded with NaN or infinity in it")
