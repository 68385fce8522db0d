"""A hundred data sets, each with one fault somewhere: it is found, with its file, and nothing else is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight import check_dataset
from internvl_seg.training.config import load_config

from .conftest import CONFIG, draw_set

NAMES, SEEDS = ("a", "b", "c", "d", "e"), range(5)
Fault = Callable[[Path, Path, np.random.Generator], None]


def change_mask(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Fault:
    def make(image: Path, mask: Path, generator: np.random.Generator) -> None:
        Image.fromarray(change(np.asarray(Image.open(mask)).copy(), generator)).save(mask)

    return make


def change_image(change: Callable[[Image.Image], Image.Image], suffix: str = ".png") -> Fault:
    def make(image: Path, mask: Path, generator: np.random.Generator) -> None:
        with Image.open(image) as before:
            changed = change(before.copy())
        changed.save(image.with_suffix(f".new{suffix}"))
        image.with_suffix(f".new{suffix}").replace(image)

    return make


def dot(value: int) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    def paint(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        mask[generator.integers(30), generator.integers(50)] = value
        return mask

    return paint


def cut(which: int) -> Fault:
    def make(image: Path, mask: Path, generator: np.random.Generator) -> None:
        path = (image, mask)[which]
        content = path.read_bytes()
        path.write_bytes(content[: generator.integers(40, len(content) - 13)])

    return make


def cut_jpeg(image: Path, mask: Path, generator: np.random.Generator) -> None:
    change_image(lambda picture: picture, ".jpg")(image, mask, generator)
    content = image.read_bytes()
    image.write_bytes(content[: generator.integers(len(content) // 2, len(content) - 2)])


def flip_a_byte(image: Path, mask: Path, generator: np.random.Generator) -> None:
    content = bytearray(image.read_bytes())
    content[generator.integers(60, len(content) - 20)] ^= 255
    image.write_bytes(bytes(content))


def leak(image: Path, mask: Path, generator: np.random.Generator) -> None:
    Path("data/images/val/v.png").write_bytes(image.read_bytes())


def grey_16(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 200)


def colours(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    table = generator.permutation(256 * 3).reshape(256, 3).astype(np.uint8)
    return table[mask]


# By fault: how it is made, and the kind that is found.
FAULTS: dict[str, tuple[Fault, str]] = {
    "no mask": (lambda image, mask, generator: mask.unlink(), "missing_mask"),
    "no image": (lambda image, mask, generator: image.unlink(), "missing_image"),
    "image cut": (cut(0), "unreadable"),
    "mask cut": (cut(1), "unreadable"),
    "JPEG cut": (cut_jpeg, "unreadable"),
    "image damaged": (flip_a_byte, "unreadable"),
    "image empty": (lambda image, mask, generator: image.write_bytes(b""), "unreadable"),
    "mask is text": (lambda image, mask, generator: mask.write_text("404: Not found"), "unreadable"),
    "mask smaller": (change_mask(lambda mask, generator: mask[: generator.integers(5, 29)]), "size_mismatch"),
    "mask turned": (change_mask(lambda mask, generator: np.rot90(mask).copy()), "size_mismatch"),
    "label far out": (change_mask(dot(77)), "label_out_of_range"),
    "one label more": (change_mask(dot(3)), "reduce_zero_label"),
    "mask in colours": (change_mask(colours), "rgb_mask"),
    "mask of 16 bits": (change_mask(lambda mask, generator: mask.astype(np.uint16)), "wide_mask"),
    "all ignored": (change_mask(lambda mask, generator: np.full_like(mask, 255)), "unlabelled_mask"),
    "grey": (change_image(lambda picture: picture.convert("L")), "grayscale_image"),
    "transparent": (change_image(lambda picture: picture.convert("RGBA")), "alpha_image"),
    "CMYK": (change_image(lambda picture: picture.convert("CMYK"), ".jpg"), "cmyk_image"),
    "16 bits": (change_image(grey_16), "unsupported_image"),
    "copy": (leak, "overlap"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_with_its_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, kind = FAULTS[name]
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        monkeypatch.chdir(folder)
        Path("config.py").write_text(CONFIG)
        draw_set((*(f"train/{name}" for name in NAMES), "val/v"), seed)
        at = NAMES[seed]  # Each place in the list has its turn.
        generator = np.random.default_rng([seed, len(name)])
        make(Path(f"data/images/train/{at}.png"), Path(f"data/annotations/train/{at}.png"), generator)
        # As before a training: of most images only heads and ends are read.
        for pictures in (None,) if name == "image damaged" else (None, 0):
            (finding,) = check_dataset(load_config("config.py"), splits=("train", "val"), pictures=pictures).findings
            assert finding.kind == kind
            assert f"{at}.png" in finding.examples[0]
            assert finding.count == 1


def test_there_are_a_hundred_and_none_is_found_in_a_sound_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(FAULTS) * len(SEEDS) >= 100
    monkeypatch.chdir(tmp_path)
    Path("config.py").write_text(CONFIG)
    draw_set((*(f"train/{name}" for name in NAMES), "val/v"), 0)
    assert check_dataset(load_config("config.py")).findings == ()
