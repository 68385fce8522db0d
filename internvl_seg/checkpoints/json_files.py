"""JSON beside weights, read within bounds."""

import json
from pathlib import Path
from typing import Any

from ..common.small_files import TooLargeError, read_small
from .errors import NotACheckpointError, printable
from .file_kinds import check_text

# The index of the largest models, of 100,000 tensors, has 10 MB.
_MOST = 16 << 20


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        path: The file.
        what: What it should be, for messages, such as 'an index of shards'.

    Raises:
        NotACheckpointError: It is something else, or larger or deeper than such a file can be.
    """
    try:
        text = read_small(path, _MOST)
        check_text(path, text[:512])
        found = json.loads(text)
    except TooLargeError as error:
        raise NotACheckpointError(f"{path} is not {what}: {error}, more than any needs.") from error
    except OSError as error:
        raise NotACheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotACheckpointError(
            f"{path} is not {what}, and not valid JSON: {printable(str(error)) or type(error).__name__}"
        ) from error
    if not isinstance(found, dict):
        raise NotACheckpointError(f"{path} is not {what}: it holds a JSON {type(found).__name__}, expected an object.")
    return found
