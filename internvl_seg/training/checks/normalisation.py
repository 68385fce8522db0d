"""Mean and standard deviation by which images are normalised: of as many channels, on their scale, and only once."""

from collections.abc import Iterator
from numbers import Real
from typing import Any

from mmengine.config import Config

from .contradiction import Contradiction, option, type_name
from .steps import Chain, chains

# They change the scale of the numbers.
_SCALING = ("Normalize", "Rerange", "Albu", "BioMedicalRandomGamma")


def check_normalisation(config: Config, loaders: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find a mean and deviation of several lengths, on the scale 0 to 1, or of images that are normalised already.

    Args:
        config: The config of a segmentor.
        loaders: The keys of the loaders to look at.
    """
    of_model = config.model.get("data_preprocessor")
    key, node = "model.data_preprocessor", of_model or config.get("data_preprocessor") or {}
    if not of_model:
        key = "data_preprocessor"
    mean: Any = node.get("mean")
    std: Any = node.get("std")
    for name, other in (("mean", "std"), ("std", "mean")):
        if type_name(node) == "SegDataPreProcessor" and _is_numbers(node.get(name)) and node.get(other) is None:
            yield Contradiction(
                f"{key}.{other}",
                f"is None, but {name} = {list(node[name])}: images are normalised by both or not at all.",
                f"Set it, or {option(f'{key}.{name}', None)}.",
            )
    if not _is_numbers(mean) or not _is_numbers(std):
        return
    if len(mean) != len(std):
        yield from _told_lengths(key, mean, std)
        return
    found = [chain for loader in loaders for chain in chains(config, loader)]
    for chain in found:
        yield from _check_twice(key, chain)
    if max(std) < 1 and any(map(_is_of_bytes, found)):
        values = [f"{key}.{name}={_times(values)}" for name, values in (("mean", mean), ("std", std))]
        yield Contradiction(
            f"{key}.std",
            f"= {std} is for pixels from 0 to 1, but LoadImageFromFile gives them from 0 to 255.",
            f"Set --cfg-options {' '.join(values)}, which are 255 times as much.",
        )


def _is_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(number, Real) for number in value)


def _times(values: Any) -> str:
    scaled = [round(255 * value, 3) if abs(value) <= 1 else value for value in values]
    return str(scaled).replace(" ", "")


def _told_lengths(key: str, mean: Any, std: Any) -> Iterator[Contradiction]:
    name, short, many = ("mean", mean, len(std)) if len(mean) < len(std) else ("std", std, len(mean))
    other = "std" if name == "mean" else "mean"
    repeated = f"Set {option(f'{key}.{name}', [short[0]] * many)} for the same in all channels."
    yield Contradiction(
        f"{key}.{name}",
        f"= {short} has {len(short)} number{'s' * (len(short) > 1)}, but {other} has {many}: both are one a channel.",
        repeated if len(short) == 1 else "Give the numbers of all channels.",
    )


def _is_of_bytes(chain: Chain) -> bool:
    """Whether a pipeline is known to give pixels from 0 to 255."""
    steps = chain.all_steps()
    loading = [step for step in steps if step.name == "LoadImageFromFile"]
    plain = all(
        step.node.get("imdecode_backend", "cv2") != "tifffile"
        and step.node.get("color_type") != "unchanged"
        and step.node.get("bands") is None
        for step in loading
    )
    return bool(loading) and plain and chain.is_known and not any(step.name in _SCALING for step in steps)


def _check_twice(key: str, chain: Chain) -> Iterator[Contradiction]:
    for step in chain.all_steps():
        if step.name != "Normalize":
            continue
        mean, std = step.node.get("mean") or (), step.node.get("std") or ()
        if any(mean) or any(number != 255 for number in std):  # Otherwise it only divides by 255.
            yield Contradiction(
                step.key,
                f"(Normalize) normalises images, and so does {key}, once more.",
                f"Leave this step out, or mean and std of {key}.",
            )
