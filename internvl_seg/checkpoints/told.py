"""What stands beside weights about the encoder that they make: read as values, or refused."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.kinds import UnfitValueError, epsilon, flag, height_and_width, ratio, short, whole
from ..encoder.block import NORMS
from ..encoder.position import EXTRA_BANDS
from .errors import WrongConfigError

# Key under which files of this package hold what names and shapes do not tell: beside the weights in a ``torch.save``
# file, in the metadata of a ``.safetensors`` one.
OWN = "internvl_seg"


@dataclass(frozen=True)
class Told:
    """What one place says of an encoder.

    Attributes:
        where: The place, for messages.
        keys: How it calls what it says, by the names in ``values``.
        values: Arguments of :class:`internvl_seg.InternViT`, as many as it says; ``hidden`` is the width of the MLP and
            ``img_size`` is (height, width).
        unclear: Why it may say more that cannot be understood, and what to do, for an error where nobody else says it.
    """

    where: str
    keys: dict[str, str]
    values: dict[str, Any]
    unclear: str = ""

    def quote(self, name: str) -> str:
        """What it says of something, for messages."""
        return f"{self.where} says {self.keys[name]} = {short(self.values[name])}"


def norm_name(value: object) -> str:
    """A norm that an encoder may have."""
    if not isinstance(value, str) or value not in NORMS:
        raise UnfitValueError(f"{' or '.join(NORMS)}, as an InternViT has")
    return value


def extra_bands(value: object) -> str:
    """What bands after the third get of weights of RGB."""
    if value not in EXTRA_BANDS:
        raise UnfitValueError(" or ".join(map(repr, EXTRA_BANDS)))
    return str(value)


def side(value: object) -> int:
    """One side of a square: a number, or two that are equal."""
    height, width = height_and_width(value)
    if height != width:
        raise UnfitValueError("a square: an InternViT has no other patches")
    return height


KINDS: dict[str, Callable[[object], Any]] = {
    "patch_size": side,
    "in_chans": whole,
    "extra_bands": extra_bands,
    "embed_dim": whole,
    "depth": whole,
    "num_heads": whole,
    "head_dim": whole,
    "hidden": whole,
    "mlp_ratio": ratio,
    "norm": norm_name,
    "qkv_bias": flag,
    "qk_norm": flag,
    "norm_eps": epsilon,
    "img_size": height_and_width,
}


def read_value(
    kind: Callable[[object], Any], value: object, where: str, key: str, remedy: str = " Correct it there."
) -> Any:
    """A value that stands at a key.

    Args:
        kind: Reads it, or raises :class:`UnfitValueError`.
        value: The value.
        where: The place, for the error.
        key: Its key there, for the error.
        remedy: What to do, for the error.

    Raises:
        WrongConfigError: It is none of the kind.
    """
    try:
        return kind(value)
    except UnfitValueError as error:
        raise WrongConfigError(f"{where} says {key} = {short(value)}, expected {error}.{remedy}") from error


def read_own(about: object, where: str) -> Told | None:
    """What a file of this package says of the encoder in it.

    Args:
        about: Of the key :data:`OWN`: a dict, or its JSON.
        where: The file, for errors.

    Raises:
        WrongConfigError: It is none.
    """
    if about is None:
        return None
    where = f"{where}, under {OWN!r},"
    if isinstance(about, str):
        try:
            about = json.loads(about)
        except (ValueError, RecursionError) as error:
            raise WrongConfigError(f"{where} holds no JSON: {error}.") from error
    if not isinstance(about, Mapping):
        raise WrongConfigError(f"{where} holds {type(about).__name__}, expected an object. Correct it there.")
    values = {name: read_value(KINDS[name], about[name], where, name) for name in KINDS if name in about}
    return Told(where, {name: name for name in values}, values)


def check_clear(told: Sequence[Told]) -> None:
    """Check that nothing is left that may say what nobody else says, before that is guessed.

    Raises:
        WrongConfigError: There is such.
    """
    for one in told:
        if one.unclear:
            raise WrongConfigError(one.unclear)


def check_fits(told: Told, known: Mapping[str, Any], what: str, remedy: str) -> None:
    """Check that what is told and what is known are the same, where both speak.

    Args:
        told: What is told.
        known: Values by the same names.
        what: What is known, for the error, such as 'the weights have {}'.
        remedy: What to do, a sentence.

    Raises:
        WrongConfigError: They contradict each other.
    """
    for name, value in told.values.items():
        if name in known and known[name] != value and not _nearly(known[name], value):
            raise WrongConfigError(f"{told.quote(name)}, but {what.format(short(known[name]))}. {remedy}")


def _nearly(first: object, second: object) -> bool:
    """Whether two epsilons are the same, one of which may have been through fp32."""
    return isinstance(first, float) and isinstance(second, float) and math.isclose(first, second, rel_tol=1e-6)
