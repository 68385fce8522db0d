"""Which classes and functions a checkpoint's pickle may name, and what stands for what they would make."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch

from .notes import MENTIONED, NOTES, UNREAD
from .pickles import Global, Made, PickleError

# The last part of the names of storages, of which torch.save makes tensors.
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
    "QUInt4x2Storage": torch.quint4x2,
    "QUInt2x4Storage": torch.quint2x4,
}
# Tensors that hold something else than their numbers. What stands for one of these says so when it is asked for.
ODD_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor on the meta device, without data",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
    "torch._tensor._rebuild_from_type_v2": "a tensor of a class of its own",
}
# What makes a NumPy array.
ARRAYS = frozenset(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core"))
_PARTS_OF_SHARDED = re.compile(r"torch\.distributed\.(tensor|_tensor|device_mesh|_shard|fsdp|_mesh_layout)\.?")
_PARTS_OF_QUANTISED = re.compile(r"(torchao|bitsandbytes|quanto|optimum\.quanto|hqq)\.")
# What takes over the process that reads a pickle: none of it is ever beside weights.
_HOSTILE = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|ctypes|importlib|imp|runpy|code|codeop|pty|pickle|_pickle|marshal|"
    r"webbrowser|urllib|http|requests|asyncio|multiprocessing|threading|tempfile|io|_io|operator|functools|inspect|"
    r"types|builtins|torch\.hub|torch\.jit|torch\.load|torch\.storage|torch\.serialization|commands|platform|signal|"
    r"pip|timeit|bdb|pdb|cProfile|profile|trace|distutils|setuptools|numpy\.f2py|numpy\.testing|nose|pydoc|dill|joblib|"
    r"cloudpickle|site|zipimport|linecache|logging|gc|atexit|glob|fileinput|sqlite3|xmlrpc|ftplib|smtplib|telnetlib)"
    r"(\.|$)"
)


def describe_odd(made: Made) -> str:
    """What a tensor is that is none of the plain ones."""
    if made.by in ARRAYS:
        return "a NumPy array"
    kinds = [arg.name for arg in made.args if isinstance(arg, Global) and "." in arg.name[6:]]
    of = f" ({kinds[-1]})" if kinds else ""
    return ODD_TENSORS.get(made.by, f"a tensor made by {made.by}") + of


@dataclass(frozen=True)
class Storage:
    """The memory of tensors, as a pickle names it.

    Attributes:
        key: Its name in the file.
        dtype: Of its elements.
        numel: How many they are.
    """

    key: str
    dtype: torch.dtype
    numel: int


@dataclass(frozen=True)
class View:
    """A tensor, as a pickle describes it.

    Attributes:
        storage: Where its elements are.
        offset: Of the first one, in elements of ``dtype``.
        shape: Its shape.
        stride: Its strides, in elements.
        dtype: Its dtype.
        negative: Whether it is the negative of what is stored.
        conjugate: Whether it is the conjugate.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    negative: bool = False
    conjugate: bool = False


def _sizes(values: Any) -> tuple[int, ...]:
    if isinstance(values, Made) and values.by == "torch.Size":
        values = values.args[0]
    if not isinstance(values, (tuple, list)) or not all(type(v) is int and 0 <= v < 2**62 for v in values):
        raise PickleError("a tensor's sizes are no sizes")
    return tuple(values)


def _view(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None, flags: Any) -> View:
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise PickleError("a tensor without a place")
    shape, strides = _sizes(size), _sizes(stride)
    if len(shape) != len(strides) or len(shape) > 64:
        raise PickleError("a tensor's sizes and strides differ in number")
    flags = flags if isinstance(flags, dict) else {}
    return View(
        storage, offset, shape, strides, dtype or storage.dtype, bool(flags.get("neg")), bool(flags.get("conj"))
    )


def _dtype(value: Any) -> torch.dtype:
    found = getattr(torch, value.name.removeprefix("torch."), None) if isinstance(value, Global) else None
    if not isinstance(found, torch.dtype):
        raise PickleError("a tensor without a dtype")
    return found


def _tensor(name: str, args: tuple[Any, ...]) -> Any:
    """A tensor, or what stands for one that is none of the plain ones."""
    leaf = name.rpartition(".")[2]
    if leaf in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        storage, offset, size, stride = args[:4]
        return _view(storage, offset, size, stride, None, args[6] if len(args) > 6 else None)
    if leaf == "_rebuild_tensor_v3":
        storage, offset, size, stride = args[:4]
        return _view(storage, offset, size, stride, _dtype(args[6]), args[7] if len(args) > 7 else None)
    if leaf in ("_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter"):
        return args[0]
    if leaf == "_rebuild_from_type_v2" and isinstance(args[1], Global) and args[1].name in _PLAIN:
        return _tensor(args[0].name, args[2])
    return Made(name, args)


_PLAIN = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
_TENSORS = frozenset(
    [f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3", "parameter")]
    + ["torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter", *ODD_TENSORS]
)
_NUMPY = re.compile(r"numpy\.(_?core\.multiarray\.(_reconstruct|scalar)|ndarray|dtype|dtypes\.\w+DType)")
# What MMEngine's checkpoints hold besides tensors and plain values: the logged scalars.
HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
_DTYPE_TEXT = re.compile(r"[<>=|]?[?bBhHiIlLqQefdgFDUSVM]\d{0,6}(\[\w+\])?|[biufc?]\d{1,2}")


def _check_array(made: str, args: tuple[Any, ...]) -> None:
    """Refuse arrays that take memory which the file does not have."""
    leaf = made.rpartition(".")[2]
    right = (
        (leaf == "_reconstruct" and args[0] == Global("numpy.ndarray") and args[1] == (0,) and len(args) == 3)
        or (leaf == "scalar" and len(args) == 2 and isinstance(args[0], Made))
        or (leaf == "dtype" and isinstance(args[0], str))
        or (leaf.endswith("DType") and not args)
    )
    if not right:
        raise PickleError(f"{made} of something else than numbers")


_FUNCTIONS = (
    *("collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.bytearray", "builtins.getattr"),
    *("builtins.complex", "_codecs.encode", "torch.Size", "torch.device", "torch.serialization._get_layout", *_PLAIN),
    "builtins.bytes",
)


class CheckpointTable:
    """What stands for what a checkpoint names; names that are none of a checkpoint's are noted.

    Attributes:
        strange: These names, in their order.
        named: All names.
        storages: All storages, by their keys.
        odd: What the tensors are that are none of the plain ones, such as 'a sparse tensor'.
        unread: What else is in it that PyTorch does not read without running it, such as 'a NumPy array of texts'.
    """

    def __init__(self) -> None:
        self.strange: list[str] = []
        self.named: set[str] = set()
        self.storages: dict[str, Storage] = {}
        self.odd: list[str] = []
        self.unread: list[str] = []

    def mention(self, name: str) -> None:
        """Note a name."""
        self.named.add(name)
        leaf = name.rpartition(".")[2]
        known = (
            name in NOTES or name in MENTIONED or name in UNREAD or name in _TENSORS or name in _FUNCTIONS
            or name == HISTORY or _NUMPY.fullmatch(name) or (name.startswith("torch.") and leaf in STORAGES)
            or isinstance(getattr(torch, leaf, None), (torch.dtype, torch.qscheme))
            or _PARTS_OF_SHARDED.match(name) or _PARTS_OF_QUANTISED.match(name)
        )  # fmt: skip
        if name in UNREAD:
            self.unread.append(UNREAD[name])
        if not known:
            self.strange.append(name)

    def make(self, name: str, args: tuple[Any, ...]) -> Any:
        """What stands for a call's result."""
        if name in NOTES:
            # MMEngine's and MMCV's are made of plain dictionaries, and may say how an encoder computes.
            is_plain = name.endswith(".config.ConfigDict") and len(args) == 1 and isinstance(args[0], dict)
            return args[0] if is_plain else {}
        if name in _TENSORS:
            made = _tensor(name, args)
            if isinstance(made, Made):
                self.odd.append(describe_odd(made))
            return made
        if name in ("collections.OrderedDict", "collections.Counter"):
            if args in ((), ([],)):
                return OrderedDict()
            if len(args) != 1 or not isinstance(args[0], dict):  # A Counter's counts, whose keys were looked at.
                raise PickleError(f"{name} with arguments")
            return OrderedDict(args[0])
        if name == "_codecs.encode":
            if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
                raise PickleError("text in an encoding that no bytes are kept in")
            return args[0].encode("latin1")
        if name == "builtins.bytes":  # As an empty array has it; anything else would be made of what is counted.
            if args:
                raise PickleError("bytes of no bytes")
            return b""
        if name == "builtins.bytearray" and args and not isinstance(args[0], (bytes, str)):
            raise PickleError("a bytearray of no bytes")
        if name == "torch.Tensor" or (
            name == "builtins.getattr" and (args[0] != Global(HISTORY) or args[1:] not in _STATISTICS)
        ):
            self.strange.append(name)
        if name in ("builtins.set", "torch.Size"):
            _check_plain(args[0])
        if _NUMPY.fullmatch(name):
            _check_array(name, args)
            if name == "numpy.dtype" and not _DTYPE_TEXT.fullmatch(args[0]):
                self.unread.append("a NumPy array of something else than numbers")
        return Made(name, args)

    def build(self, made: Made) -> None:
        """Note arrays of texts, objects and structures, whose states NumPy takes as they come."""
        if made.by == "numpy.dtype" and (made.state[2:5] != (None,) * 3 or made.state[7:] != (0,)):
            self.unread.append("a NumPy array of something else than numbers")
        if made.by.endswith("._reconstruct"):
            _sizes(made.state[1])
            if not isinstance(made.state[4], bytes):
                self.unread.append("a NumPy array of something else than numbers")

    def find(self, identifier: Any) -> Storage:
        """What stands for a storage."""
        if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] not in ("storage", b"storage"):
            raise PickleError("a tensor's storage is not described")
        kind, key, numel = identifier[1], identifier[2], identifier[4]
        dtype = STORAGES.get(kind.name.rpartition(".")[2]) if isinstance(kind, Global) else None
        if dtype is None or not isinstance(key, (str, int)) or type(numel) is not int or not 0 <= numel < 2**62:
            raise PickleError("a tensor's storage is not described")
        if len(identifier) > 5 and identifier[5] is not None:
            raise PickleError("a view of a storage, as PyTorch has not written them since 0.4")
        found = Storage(str(key), dtype, numel)
        if self.storages.setdefault(found.key, found) != found:
            raise PickleError(f"two storages are called {found.key[:40]}")
        return found

    @property
    def is_hostile(self) -> bool:
        """Whether it names what no checkpoint has a reason to."""
        return any(_is_hostile(name) for name in self.strange)

    def worst(self) -> str:
        """The strange name that says most."""
        return next((name for name in self.strange if _is_hostile(name)), self.strange[0])


def _is_hostile(name: str) -> bool:
    # Lightning keeps partial calls of optimizers among the settings; what such a one calls is named beside it.
    return name != "functools.partial" and _HOSTILE.match(name) is not None


_STATISTICS = tuple((what,) for what in ("min", "max", "current", "mean"))


def _check_plain(values: Any) -> None:
    """Refuse what takes time to hash."""
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(v, (str, bytes, float, type(None))) or (isinstance(v, int) and abs(v) < 2**60) for v in values
    ):
        raise PickleError("values that are not plain")
