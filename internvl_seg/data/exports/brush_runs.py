"""Label Studio's brush masks: a stream of bits that holds the RGBA values of a picture.

The format is that of @thi.ng/rle-pack (https://github.com/thi-ng/umbrella, packages/rle-pack), as Label Studio writes
it and its SDK's ``converter/brush.py`` reads it: 32 bits for the number of values, 5 for the bits of a value less one,
4 times 4 for the bits of a length less one; then, until all values are there, a bit that says whether a value is
repeated, 2 bits for which of the four a length has, the length less one, and one value or as many as the length says.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .export import SourceError

_HEADER = 32 + 5 + 4 * 4
_CHANNELS = 4


def brush_alpha(runs: Any, size: tuple[int, int], what: str) -> NDArray[np.uint8]:
    """The alpha values of a brush mask, in which the object is.

    Args:
        runs: The stream's bytes as a list of numbers, as JSON gives it.
        size: (height, width) of the picture that was labelled.
        what: The object, for errors: "result x1 of task 7 of export.json".

    Returns:
        (H, W).

    Raises:
        SourceError: They are no bytes, for a picture of another size, or end before all values are there.
    """
    stream = _bytes_of(runs, what)
    count = _CHANNELS * size[0] * size[1]
    bits = 8 * stream.size
    # Five bytes from each byte on as a number: any 33 bits in a row are in one of them.
    padded = np.concatenate([stream, np.zeros(8, np.uint8)]).astype(np.int64)
    parts = [padded[i : i + stream.size + 3] << (32 - 8 * i) for i in range(5)]
    at_byte = (parts[0] | parts[1] | parts[2] | parts[3] | parts[4]).tolist()

    def read(at: int, length: int) -> int:
        word: int = at_byte[at >> 3]
        return word >> (40 - (at & 7) - length) & ((1 << length) - 1)

    stored = read(0, 32) if bits >= _HEADER else -1
    if stored != count:
        raise SourceError(
            f"The brush mask of {what} has {stored if bits >= _HEADER else 'no'} values, but {size[1]} x {size[0]} "
            f"pixels have {count}. Export with the pictures that were labelled, as they are."
        )
    if (word := read(32, 5) + 1) != 8:
        raise SourceError(f"The brush mask of {what} has values of {word} bits, not 8. Export it again.")
    lengths = [read(37 + 4 * i, 4) + 1 for i in range(4)]
    values = np.zeros(count, np.uint8)
    at, done = _HEADER, 0
    while done < count:
        if at + 3 > bits:
            _refuse(what)
        length = lengths[read(at + 1, 2)]
        if at + 3 + length + 8 > bits:
            _refuse(what)
        until = done + read(at + 3, length) + 1
        repeated = read(at, 1)
        at += 3 + length
        if repeated:
            values[done:until] = read(at, 8)
            at += 8
        else:
            number = until - done
            if at + 8 * number > bits:
                _refuse(what)
            byte, shift = at >> 3, at & 7
            pairs = padded[byte : byte + number] << 8 | padded[byte + 1 : byte + number + 1]
            values[done:until] = (pairs >> (8 - shift) & 255)[: count - done]
            at += 8 * number
        done = until
    return values[_CHANNELS - 1 :: _CHANNELS].reshape(size)


def _bytes_of(runs: Any, what: str) -> NDArray[np.uint8]:
    try:
        given = np.array(runs)
        fine = given.ndim == 1 and given.dtype.kind in "iu" and given.size > 0
        fine = fine and given.min() >= 0 and given.max() <= 255
    except (ValueError, TypeError, OverflowError):
        fine = False
    if not fine:
        raise SourceError(f"The brush mask of {what} is {str(runs)[:60]!r}: a list of bytes was expected.")
    return given.astype(np.uint8)


def _refuse(what: str) -> None:
    raise SourceError(f"The brush mask of {what} ends before all of its values. Export it again.")
