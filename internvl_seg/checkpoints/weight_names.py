"""Names of weights without what wrapped or held the model that they were saved from."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from .errors import KeyMismatchError, NotACheckpointError, list_names, printable
from .reading import TensorReader
from .stored import InMemory, Stored

# What wraps a model (DDP, torch.compile, FSDP) puts these into names, anywhere.
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# One of several copies of a model, or the model within a trainer's, stands before all names.
COPIES = frozenset({"model", "teacher", "student", "ema", "ema_model", "model_ema", "net", "network"})


def plain_names(names: Collection[str], where: str, own: Collection[str] = ()) -> dict[str, str]:
    """Names of a model's weights as it has them itself, each with its name in a file.

    ``module.backbone.blocks.0...`` and ``backbone._orig_mod.blocks.0...`` become ``backbone.blocks.0...``, and so does
    ``model.backbone.blocks.0...`` if all names of the file, or the model's own ones, begin so.

    Args:
        names: In the file.
        where: The file, for errors.
        own: Names of the model, which stay as they are; unknown if empty.

    Raises:
        KeyMismatchError: Two weights have one name.
        NotACheckpointError: There are several copies of the model, such as a teacher and a student.
    """
    own = frozenset(own)
    found = {name: name if name in own else _without_wrappers(name) for name in names}
    if own.isdisjoint(found.values()):
        copies = {name.partition(".")[0] for name in found.values()} & COPIES
        fitting = [copy for copy in sorted(copies) if not own or _holds(found.values(), copy, own)]
        if len(fitting) > 1:
            raise NotACheckpointError(
                f"{where} holds {len(fitting)} copies of a model, under {list_names([f'{c}.*' for c in fitting])}, and "
                "which of them is wanted is not told. Save the one that is, in a file of its own."
            )
        if fitting and (own or all(name.startswith(f"{fitting[0]}.") for name in found.values())):
            found = {name: plain.removeprefix(f"{fitting[0]}.") for name, plain in found.items()}
    return by_new_names(found, where)


def unwrapped(reader: TensorReader, where: str) -> TensorReader:
    """A file whose names have no :data:`WRAPPERS`, also within a model: ``blocks.0._orig_mod.attn...`` has none.

    Args:
        reader: Of the file, which is given back if none of its names has any.
        where: The file, for errors.

    Raises:
        KeyMismatchError: Two weights have one name.
    """
    found = {name: _without_wrappers(name) for name in reader.names}
    return (
        reader if all(name == new for name, new in found.items()) else RenamedReader(reader, by_new_names(found, where))
    )


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _holds(names: Collection[str], copy: str, own: frozenset[str]) -> bool:
    return any(name.startswith(f"{copy}.") and name.removeprefix(f"{copy}.") in own for name in names)


def by_new_names(names: Mapping[str, str], where: str) -> dict[str, str]:
    """Names in a file by the new ones that each of them is given.

    Raises:
        KeyMismatchError: Two weights are given one name.
    """
    plain: dict[str, str] = {}
    for name, new in names.items():
        if new in plain:
            raise KeyMismatchError(
                f"{where} holds {printable(plain[new])} and {printable(name)}, two weights for one place, and which of "
                "them is wanted is not told. Leave one out."
            )
        plain[new] = name
    return plain


class RenamedReader(TensorReader):
    """A file whose tensors are called otherwise.

    Args:
        reader: Of the file.
        names: In the file, by the names that they have from here on.
    """

    def __init__(self, reader: TensorReader, names: Mapping[str, str]) -> None:
        self._reader, self._names = reader, MappingProxyType(dict(names))
        self.names, self.about = frozenset(names), reader.about

    def stored(self, name: str) -> Stored | InMemory:
        """As any reader."""
        return self._reader.stored(self._names[name])
