"""Bands of images: as many are read as are normalised and as the encoder takes, in one order, by fitting steps."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ...data.bands import check_bands as check_numbers
from .contradiction import Contradiction, option, type_name
from .steps import Chain, Step, chains
from .unread_bands import check_unread_bands

# Steps that take pictures of 8 bits in BGR, as OpenCV reads them, or the colours of these.
_OF_COLOURS = (
    *("PhotoMetricDistortion", "CLAHE", "AdjustGamma", "RGB2Gray", "RandomCutOut", "Albu", "Albumentations"),
    *("RandomGrayscale", "ColorJitter", "Lighting", "ColorTransform", "Solarize", "SolarizeAdd", "Posterize"),
    *("AutoContrast", "Equalize", "Contrast", "Brightness", "Sharpness", "Invert", "GaussianBlur", "AutoAugment"),
    *("RandAugment", "NumpyToPIL", "torchvision/ColorJitter"),
)
# Of more bands OpenCV pads none.
_MOST_PADDED = 4
_OURS = ("InternViT", "TimmViT")
_SWAPS = ("bgr_to_rgb", "rgb_to_bgr", "to_rgb")
_RGB = 3


def check_bands(config: Config, loaders: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find images of other bands than the model takes, or that a step or the preprocessor would take for BGR.

    Args:
        config: The config.
        loaders: The keys of the loaders to look at.
    """
    model: Any = config.get("model") or {}
    own = model.get("data_preprocessor")
    key, preprocessor = (
        ("model.data_preprocessor", own) if own else ("data_preprocessor", config.get("data_preprocessor") or {})
    )
    takes = bands_of(model.get("backbone"))
    found = [chain for loader in loaders for chain in chains(config, loader)]
    told: dict[str, Contradiction] = {}
    for chain in found:
        for step in chain.all_steps():
            if step.name == "LoadImageFromFile":
                for contradiction in _check_chain(chain, step, takes, key, preprocessor):
                    told.setdefault(contradiction.key, contradiction)
    yield from told.values()
    if not told:
        yield from check_unread_bands(config, takes)
    # What is tested was trained with the config's training set.
    both = [chain for loader in ("train_dataloader", *loaders) for chain in chains(config, loader)]
    orders = {tuple(step.node["bands"]): step for chain in both for step in chain.all_steps()
              if step.name == "LoadImageFromFile" and isinstance(step.node.get("bands"), (list, tuple))}  # fmt: skip
    if not told and len(orders) > 1:
        (first, _), (second, step) = list(orders.items())[:2]
        yield Contradiction(
            f"{step.key}.bands",
            f"= {list(second)}, but elsewhere it is {list(first)}: the model would see others than it has learned.",
            f"Set {option(f'{step.key}.bands', list(first))}.",
        )


def check_tta_bands(config: Config) -> Iterator[Contradiction]:
    """The same of a test set that has the config's ``tta_pipeline``, where it is to be changed.

    Args:
        config: The config.
    """
    key = "test_dataloader.dataset.pipeline"
    for found in check_bands(config, ("test_dataloader",)):
        if found.fatal:  # The others were told with the test's own pipeline.
            where, problem, mend = (text.replace(key, "tta_pipeline") for text in found[:3])
            yield Contradiction(where, problem, mend)


def bands_of(backbone: Any) -> int | None:
    """How many bands an encoder takes; None if that is not known.

    Args:
        backbone: Its config.
    """
    if not isinstance(backbone, dict) or type_name(backbone) not in _OURS:
        return None
    arch = backbone.get("arch")
    inside = arch.get("in_chans") if isinstance(arch, dict) else None
    takes = backbone.get("in_chans") or inside or _RGB
    return takes if isinstance(takes, int) else None


def _check_chain(chain: Chain, step: Step, takes: int | None, key: str, preprocessor: Any) -> Iterator[Contradiction]:
    bands = step.node.get("bands")
    if bands is None:
        yield from _check_plain(step, takes, key, preprocessor)
        return
    try:
        check_numbers(bands, step.node.get("no_data"))
    except ValueError as error:
        field = "bands" if "bands=" in str(error) else "no_data"
        yield Contradiction(f"{step.key}.{field}", f"is wrong: {error}", "Correct it.")
        return
    count = len(bands)
    if takes is not None and count != takes:
        yield Contradiction(
            f"{step.key}.bands",
            f"= {list(bands)} are {count}, but the encoder takes in_chans = {takes}.",
            f"Set {option('model.backbone.in_chans', count)}, or other bands.",
        )
    yield from _check_lengths(key, preprocessor, count, f"{step.key}.bands = {list(bands)} are {count}")
    steps = chain.all_steps()
    if chain.is_known and preprocessor.get("mean") is None and not any(other.name == "Normalize" for other in steps):
        yield Contradiction(
            f"{key}.mean",
            f"is None, so nothing normalises {step.key}.bands = {list(bands)}: the encoder sees the files' numbers.",
            "Set mean and std to what python tools/measure_bands.py CONFIG gives.",
            fatal=False,
        )
    for name in _SWAPS:
        if preprocessor.get(name):
            yield Contradiction(
                f"{key}.{name}",
                f"= True is for BGR, as OpenCV reads it, but {step.key}.bands = {list(bands)} says the order.",
                f"Set {option(f'{key}.{name}', False)}.",
            )
    for other in steps:
        if other.name in _OF_COLOURS:
            yield Contradiction(
                other.key,
                f"({other.name}) takes pictures of 8 bits in BGR, but {step.key}.bands = {list(bands)} gives numbers "
                "of any range.",
                "Leave this step out.",
            )
        elif other.name == "Normalize" and other.node.get("to_rgb", True):
            yield Contradiction(
                f"{other.key}.to_rgb",
                f"is True, by default, too, for BGR as OpenCV reads it, but {step.key}.bands = {list(bands)} says the "
                "order.",
                f"Set {option(f'{other.key}.to_rgb', False)}.",
            )
        elif other.name == "RandomRotate" and count > 1 and other.node.get("pad_val"):
            yield Contradiction(
                f"{other.key}.pad_val",
                f"= {other.node['pad_val']} is what the first band gets at the corners; the others get 0.",
                f"Set {option(f'{other.key}.pad_val', 0)}.",
            )
        elif other.name == "RandomMosaic" and count != _RGB:
            yield Contradiction(
                other.key, f"(RandomMosaic) takes 3 bands, but {step.key}.bands are {count}.", "Leave this step out."
            )
        elif other.node.get("backend") == "pillow":
            yield Contradiction(
                f"{other.key}.backend",
                f"= 'pillow' takes pictures of 8 bits, but {step.key}.bands = {list(bands)} gives other numbers.",
                f"Set {option(f'{other.key}.backend', 'cv2')}.",
            )
        elif other.name == "Pad" and count > _MOST_PADDED:
            yield Contradiction(
                other.key,
                f"(Pad) pads up to {_MOST_PADDED} bands, but {step.key}.bands are {count}.",
                "Leave this step out: model.data_preprocessor.size pads batches.",
            )


def _check_lengths(key: str, preprocessor: Any, count: int, told: str) -> Iterator[Contradiction]:
    """Of the mean and the deviation, that are one number or one a channel."""
    for name in ("mean", "std"):
        values = preprocessor.get(name)
        if isinstance(values, (list, tuple)) and len(values) not in (1, count):
            yield Contradiction(
                f"{key}.{name}",
                f"has {len(values)} numbers, but {told}.",
                "Give a number for each band in this order; python tools/measure_bands.py CONFIG measures them.",
            )


def _check_plain(step: Step, takes: int | None, key: str, preprocessor: Any) -> Iterator[Contradiction]:
    """Of pictures as OpenCV reads them."""
    gives = {"color": 3, "grayscale": 1}.get(step.node.get("color_type", "color"))
    if takes is not None and gives is not None and takes != gives:
        yield Contradiction(
            step.key,
            f"(LoadImageFromFile) gives {gives} channel{'s' * (gives > 1)}, but the encoder takes in_chans = {takes}.",
            f"Set {option(f'{step.key}.bands', list(range(1, takes + 1)))} for the bands that it shall see, or "
            f"model.backbone.in_chans to {gives}.",
        )
        return
    # Of "unchanged" the file decides, but no other number goes into the encoder.
    count = gives or takes
    if count is None or count == _RGB:
        return
    told = f"{step.key} (LoadImageFromFile) gives {count} channel{'s' * (count > 1)}"
    yield from _check_lengths(key, preprocessor, count, told)
    for name in _SWAPS:
        if preprocessor.get(name):
            yield Contradiction(
                f"{key}.{name}", f"= True is for three channels, but {told}.", f"Set {option(f'{key}.{name}', False)}."
            )
