"""What can be wrong with a checkpoint, one class each."""

from collections.abc import Collection

from ..common.finite import NonFiniteError


class CheckpointError(RuntimeError):
    """Base of all errors about checkpoints: nothing was loaded or written."""


class CheckpointNotFoundError(CheckpointError):
    """There is no such file, folder, release or hub repository."""


class HubUnavailableError(CheckpointError):
    """The hub cannot be reached and the files are not in the local cache."""


class HubAccessError(CheckpointError):
    """The hub has the repository, but refuses it to this user."""


class NotACheckpointError(CheckpointError):
    """The file is no checkpoint, or holds no InternViT in a known format."""


class TruncatedCheckpointError(CheckpointError):
    """The file ends before its own directory of tensors says it should."""


class ChangedCheckpointError(CheckpointError):
    """A file has become another one while an encoder still reads from it."""


class MissingShardError(CheckpointError):
    """The index names a file that is not there, or a tensor that its file does not hold."""


class UnsafePickleError(CheckpointError):
    """The pickle asks for code to be run; it was not."""


class KeyMismatchError(CheckpointError):
    """The file lacks parameters of the model or holds some that the model does not have."""


class ShapeMismatchError(CheckpointError):
    """A tensor has another shape than the model's parameter."""


class UnknownArchitectureError(CheckpointError):
    """The file does not tell an argument of the architecture."""


class WrongConfigError(CheckpointError):
    """What stands beside the weights of how they are used cannot be read, contradicts them, or is of no InternViT."""


class NonFiniteWeightsError(CheckpointError, NonFiniteError):
    """Weights are NaN or infinite, in the file or in the dtype that they are to have."""


class DestinationError(CheckpointError):
    """What is to be written would replace something."""


class UnreadableWeightsError(CheckpointError):
    """The weights are there in a form that is not read: quantised, adapters beside a model, shares of processes."""


def list_names(names: Collection[str], limit: int = 12) -> str:
    """The first names of a list and how many more there are, for an error message."""
    shown = ", ".join(map(printable, sorted(names)[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def printable(name: str, limit: int = 200) -> str:
    """A name from a file, of bearable length, and without characters that a terminal would obey."""
    short = name if len(name) <= limit else f"{name[:limit]}..."
    return short if short.isprintable() else repr(short)[1:-1]
