"""Images of all kinds: what is said of them is what the pipeline's own loading steps make of them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmseg.registry import TRANSFORMS
from PIL import Image

from internvl_seg.data.preflight import DatasetError, Report, check_before_training, check_dataset, facts
from internvl_seg.data.preflight.facts import count_ids
from internvl_seg.training.config import load_config

TRAIN = Path("data/images/train"), Path("data/annotations/train")
pytestmark = pytest.mark.usefixtures("data")


def check(**options: Any) -> Report:
    return check_dataset(load_config("config.py"), **options)


def found(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.examples for finding in report.findings}


def tiff(path: Path, pixels: np.ndarray) -> None:
    """A TIFF of (H, W, bands) of any dtype, in the place of a PNG: decoders look at the content."""
    bands = pixels.transpose(2, 0, 1)
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    shape |= {"photometric": "rgb"} if len(bands) == 3 else {}
    with rasterio.open("new.tif", "w", driver="GTiff", **shape) as file:
        file.write(bands)
    Path("new.tif").replace(path)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(256, size=shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "kind", "told"),
    [
        (noise(30, 50, 5), "unsupported_image", "b.png: TIFF, 5 bands of 8 bits: "),
        (noise(30, 50, 1) / np.float32(255), "unsupported_image", "1 band of floating-point numbers of 32 bits"),
        (noise(30, 50, 3) / np.float32(255), "unsupported_image", "3 bands of floating-point numbers of 32 bits"),
        (noise(30, 50, 3).astype(np.uint16) * 16, "unsupported_image", "b.png: TIFF, 3 bands of 16 bits: "),
        (noise(30, 50, 1).astype(np.uint16) * 16, "unsupported_image", "b.png: TIFF, 1 band of 16 bits: "),
    ],
    ids=["five bands", "float", "float RGB", "RGB of 16 bits", "grey of 16 bits"],
)
def test_what_the_pipeline_cannot_decode_or_cuts(pixels: np.ndarray, kind: str, told: str) -> None:
    tiff(TRAIN[0] / "b.png", pixels)
    assert told in found(check())[kind][0]
    if kind == "unsupported_image":
        with pytest.raises(DatasetError, match=r"b\.png: TIFF") as caught:
            check_before_training(load_config("config.py"))
        assert "--allow" not in str(caught.value)  # It would be of no use.


def test_16_bits_that_a_step_keeps_are_no_fault() -> None:
    """Whatever the loading step of the config gives is what counts."""
    pixels = noise(30, 50, 3).astype(np.uint16) * 16
    tiff(TRAIN[0] / "b.png", pixels)
    text = Path("config.py").read_text()
    step = "dict(type='LoadImageFromFile', color_type='unchanged')"
    Path("config.py").write_text(text.replace("dict(type='LoadImageFromFile')", step))
    assert found(check()) == {}
    # Another's, which cuts them.
    TRANSFORMS.register_module(name="LoadCutImage", module=MMCVLoadImageFromFile, force=True)
    Path("config.py").write_text(text.replace("LoadImageFromFile'", "LoadCutImage', to_float32=True"))
    assert found(check()) == {"wide_image": ("b.png: TIFF, 3 bands of 16 bits",)}


def test_a_format_that_only_pillow_reads() -> None:
    Image.open(TRAIN[0] / "b.png").save("b.tga")
    Path("b.tga").rename(TRAIN[0] / "b.png")
    assert found(check())["unsupported_image"][0].startswith("b.png: TGA, 3 bands of 8 bits: ")
    step = "dict(type='LoadImageFromFile', imdecode_backend='pillow')"
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("dict(type='LoadImageFromFile')", step))
    assert found(check()) == {}


def test_a_portrait_photograph_is_as_wide_as_it_is_seen() -> None:
    """EXIF 6 turns by a quarter: the mask has to have the sides of the picture as it is seen."""
    text = Path("config.py").read_text().replace("crop_size=(28, 42)", "crop_size=(28, 28)")
    Path("config.py").write_text(text)
    exif = Image.Exif()
    exif[274] = 6
    image = Image.open(TRAIN[0] / "b.png")
    image.save(TRAIN[0] / "b.png", exif=exif)
    assert found(check(pictures=0)).keys() == {"rotated_image", "size_mismatch"}
    mask = np.asarray(Image.open(TRAIN[1] / "b.png"))
    Image.fromarray(np.rot90(mask, -1).copy()).save(TRAIN[1] / "b.png")
    assert found(check()).keys() == {"rotated_image"}
    # It is not turned by a step that says so.
    step = "LoadImageFromFile', color_type='color_ignore_orientation'"
    Path("config.py").write_text(text.replace("LoadImageFromFile'", step))
    assert found(check())["size_mismatch"] == ("b.png: 50x30, its mask 30x50",)


def test_grey_with_alpha_is_grey() -> None:
    Image.open(TRAIN[0] / "b.png").convert("LA").save(TRAIN[0] / "b.png")
    assert found(check()) == {"grayscale_image": ("b.png: LA",), "alpha_image": ("b.png: LA",)}


def test_pictures_of_other_shapes_are_no_copies() -> None:
    pixels = noise(30, 50, 3)
    for path, shape in ((TRAIN[0] / "b.png", (30, 50, 3)), (Path("data/images/val/d.png"), (50, 30, 3))):
        Image.fromarray(pixels.reshape(shape)).save(path)
    Image.fromarray(np.zeros((50, 30), np.uint8)).save("data/annotations/val/d.png")
    assert "overlap" not in found(check())


@pytest.mark.parametrize("specks", [0, 3])
def test_blank_tiles_may_be_in_two_splits(specks: int) -> None:
    blank = np.zeros((30, 50, 3), np.uint8)
    blank[5, :specks] = 7
    for path in (TRAIN[0] / "b.png", Path("data/images/val/d.png")):
        Image.fromarray(blank).save(path)
    assert found(check()) == {}


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_a_file_that_is_cut_off_is_found_though_no_picture_is_decoded(suffix: str) -> None:
    image = Image.open(TRAIN[0] / "b.png")
    image.save(f"cut.{suffix}")
    content = Path(f"cut.{suffix}").read_bytes()
    (TRAIN[0] / "c.png").write_bytes(content[: len(content) * 9 // 10])
    assert found(check(pictures=0))["unreadable"][0].startswith("c.png: ")


def test_a_damaged_byte_in_a_png() -> None:
    path = TRAIN[0] / "b.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))
    assert found(check())["unreadable"][0].startswith("b.png: ")


def test_the_last_of_many_is_looked_at_in_a_sample() -> None:
    for i in range(30):
        for kind, name in (("images", "b"), ("annotations", "b")):
            Image.open(f"data/{kind}/train/{name}.png").save(f"data/{kind}/train/x{i:02}.png")
    for i in range(23, 30):  # The last fifth of the list.
        Image.new("L", (9, 9)).save(TRAIN[1] / f"x{i:02}.png")
    assert "size_mismatch" in found(check(sample=5))


@pytest.mark.parametrize("split", ["val", "test"])
def test_training_on_the_very_files_that_are_scored_is_told(split: str) -> None:
    text = Path("config.py").read_text()
    Path("config.py").write_text(
        text.replace(f"{split}_dataloader = loader('val')", f"{split}_dataloader = loader('train')")
    )
    (finding,) = [finding for finding in check().findings if finding.kind in ("overlap", "trained_images")]
    assert (finding.kind, finding.where) == ("trained_images", split)
    assert finding.examples == (f"{split}_dataloader.dataset reads 3 training images",)
    check_before_training(load_config("config.py"), splits=("train", split))  # It may be meant.


def test_a_pipeline_that_scales_otherwise_is_looked_at_though_the_files_are_the_same() -> None:
    text = Path("config.py").read_text()
    resize = "[pipeline[0], dict(type='Resize', scale=(10, 10)), *pipeline[1:2], pipeline[-1]]"
    text = text.replace("del loader", f"test_dataloader['dataset']['pipeline'] = {resize}\ndel loader")
    Path("config.py").write_text(text)
    assert found(check()) == {"scaled_image": ("d.png: 50x30 becomes 10x10, 5.0 times smaller",)}


def test_copies_are_found_though_no_picture_is_decoded() -> None:
    (TRAIN[0] / "c.png").write_bytes(Path("data/images/val/d.png").read_bytes())
    assert found(check(pictures=0)) == {"overlap": ("d.png = c.png",)}
    Image.open(TRAIN[0] / "c.png").save(TRAIN[0] / "c.png", compress_level=1)  # Other bytes, the same pixels.
    assert found(check()) == {"overlap": ("d.png = c.png",)}


@pytest.mark.parametrize(("size", "told"), [((400, 20), "20.0 times smaller"), ((10, 100), "10.0 times larger")])
def test_a_picture_that_training_would_scale(size: tuple[int, int], told: str) -> None:
    before, after = size
    for path in Path("data").rglob("*.png"):
        Image.open(path).resize((before, before), 0).save(path)
    resize = f"dict(type='Resize', scale=({after}, {after})), dict(type='RandomCrop'"
    text = Path("config.py").read_text().replace("dict(type='RandomCrop'", resize).replace("(28, 42)", "(14, 14)")
    Path("config.py").write_text(text)
    report = check()
    assert f"d.png: {before}x{before} becomes {after}x{after}, {told}" in found(report)["scaled_image"]
    mend = next(finding.mend for finding in report.findings if finding.kind == "scaled_image")
    assert ("--tile" in mend) == (after < before), "What is made larger is not to be cut."


def test_ids_are_counted_as_numpy_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("internvl_seg.data.preflight.facts._EXACT", 100)
    for mask in (noise(30, 50), noise(30, 50).astype(np.uint16) + 300, np.zeros((3, 400), np.uint8)):
        ids, counts = count_ids(mask)
        expected = np.unique(mask, return_counts=True)
        assert (ids.tolist(), counts.tolist()) == (expected[0].tolist(), expected[1].tolist())


def test_a_step_of_ones_own_reads_the_masks() -> None:
    """Ids are what the config's step gives, not what the file holds."""

    @TRANSFORMS.register_module(name="LoadHalvedAnnotations", force=True)
    class LoadHalvedAnnotations:
        def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
            ids = np.asarray(Image.open(results["seg_map_path"]))
            results["gt_seg_map"] = np.where(ids == 255, 255, ids // 2)
            return results

    for path in Path("data/annotations").rglob("*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == 255, 255, mask * 2).astype(np.uint8)).save(path)
    assert "label_out_of_range" in found(check())
    text = Path("config.py").read_text().replace("LoadAnnotations", "LoadHalvedAnnotations")
    Path("config.py").write_text(text)
    assert found(check()) == {}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_mask_that_is_too_large_is_not_called_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in Path("data/annotations").rglob("*.png"):
        Image.open(path).save("mask.gif")  # Of a format that is not read in parts.
        Path("mask.gif").rename(path)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 700)  # Twice as many pixels are an error.
    (example, *_) = found(check())["large_image"]
    assert example == "d.png: Image size (1500 pixels) exceeds limit of 1400 pixels"
    # OpenCV reads the images all the same.
    assert "unreadable" not in found(check())


def test_an_image_of_more_pixels_than_opencv_reads_is_not_called_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: Any, **__: Any) -> None:
        raise cv2.error("(-215:Assertion failed) pixels <= CV_IO_MAX_IMAGE_PIXELS in function 'validateInputImageSize'")

    monkeypatch.setattr("mmcv.imfrombytes", decode)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 700)
    assert found(check()).keys() == {"large_image"}


def test_pictures_that_differ_in_a_few_of_many_bands_are_not_blank() -> None:
    """A sum in which the last bands outweigh the first would lose these."""
    pixels = np.full((64, 64, 12), 10_000, np.uint16)
    pixels[..., 0] = np.random.default_rng(0).integers(10_000, size=(64, 64))
    assert not facts._is_blank(pixels)
    assert facts._is_blank(np.full((64, 64, 12), np.nan, np.float32))


def test_masks_in_a_format_that_keeps_no_ids() -> None:
    Image.open(TRAIN[1] / "b.png").save("mask.jpg")
    Path("mask.jpg").rename(TRAIN[1] / "b.png")
    (example,) = found(check())["unsupported_mask"]
    assert example.startswith("b.png: JPEG, 1 band of 8 bits: b.png is a JPEG")


def test_what_all_files_have_is_told_once() -> None:
    for name in ("a", "b", "c"):
        tiff(TRAIN[0] / f"{name}.png", noise(30, 50, 5))
    first, *others = found(check())["unsupported_image"]
    assert first.startswith("a.png: TIFF, 5 bands of 8 bits: ")
    assert others == ["b.png: the same", "c.png: the same"]


def test_a_part_of_a_png_that_is_longer_than_the_file_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV takes as much memory as the part says, up to 2 GiB; Pillow, which reads the masks, does not."""
    read: list[str] = []
    real = facts.Loader.image

    def counted(loader: Any, info: Any) -> Any:
        read.append(Path(info["img_path"]).name)
        return real(loader, info)

    monkeypatch.setattr(facts.Loader, "image", counted)
    for folder in TRAIN:
        content = (folder / "b.png").read_bytes()
        (folder / "b.png").write_bytes(content[:33] + b"\x50\0\0\0" + content[37:])
    size = (TRAIN[0] / "b.png").stat().st_size
    # All pixels of the mask are there, and read.
    assert found(check()) == {"unreadable": (f"b.png: it is cut off after {size} bytes",)}
    assert sorted(set(read)) == ["a.png", "c.png", "d.png"]


def test_a_step_that_chooses_bands_says_nothing_of_the_others() -> None:
    pixels = np.stack([np.full((30, 50), high, np.uint16) for high in (200, 4000, 3000)], -1)
    path = str(TRAIN[0] / "b.png")
    tiff(Path(path), pixels)
    header = facts.look_at_image(path).header
    assert not facts._is_cut(path, header, pixels[..., :1].astype(np.float32))
    assert facts._is_cut(path, header, np.minimum(pixels, 255).astype(np.float32))
    assert not facts._is_cut(path, header, pixels.astype(np.float32))
