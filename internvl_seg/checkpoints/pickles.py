"""What a pickle describes, without making any of it: no class is looked up and no function called.

A pickle is a program that makes objects, by calling whatever it names. Here the program is followed with data alone: a
name stays a :class:`Global`, a call of it becomes what the caller's table says, and each step is bounded, so that a
small file can take neither much time nor much memory.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

# A checkpoint of 10,000 tensors takes half a million steps.
_MOST_STEPS = 1_000_000
# Keys that hash alike make a dictionary slow; of texts they cannot be made up, of tuples they can.
_MOST_TUPLES_AS_KEYS = 10_000
# A checkpoint's lists and dicts are some thousand at most five or six deep, and few are referred to twice.
_MOST_VALUES = 2_000_000
_DEEPEST = 200
_SCALARS = (str, bytes, int, float, type(None))


class PickleError(ValueError):
    """A pickle is cut short, damaged, or made to take time and memory."""


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names.

    Attributes:
        name: Module and name, such as ``collections.OrderedDict``.
    """

    name: str


@dataclass(eq=False, repr=False)
class Made:
    """What a call, or a class, would have made.

    Attributes:
        by: The function or class.
        args: What it would have been given.
        state: What would have been put into it afterwards.
    """

    by: str
    args: tuple[Any, ...]
    state: Any = None

    def __repr__(self) -> str:
        """By what it would have been made; what is in it may be of any size."""
        return f"<{self.by}>"


class Table(Protocol):
    """What stands for what a pickle names."""

    def mention(self, name: str) -> None:
        """Note that a class or function is named, such as ``collections.OrderedDict``."""

    def make(self, name: str, args: tuple[Any, ...]) -> Any:
        """What stands for the result of a call. Dictionaries and lists stand for their subclasses."""

    def build(self, made: Made) -> None:
        """Look at the state that something was given."""

    def find(self, identifier: Any) -> Any:
        """What stands for a persistent id."""


class _Mark:
    """Where the items of a list or dictionary begin on the stack."""


def follow(stream: IO[bytes], table: Table) -> Any:
    """Follow a pickle to its end.

    Args:
        stream: Where it begins; afterwards, where it ended.
        table: What stands for what it names.

    Returns:
        Plain values, :class:`Global`, :class:`Made`, and what the table gave.

    Raises:
        PickleError: It is damaged or takes too much.
    """
    try:
        return _follow(stream, table)
    except PickleError:
        raise
    # Of an empty stack, of operands of the wrong type, of a place that was never filled, of text that is none.
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        raise PickleError(str(error) or type(error).__name__) from error


def _name(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise PickleError("a class is not named by text")
    if (module, name) in NAME_MAPPING:  # Of Python 2, as pickle itself does.
        module, name = NAME_MAPPING[module, name]
    return Global(f"{IMPORT_MAPPING.get(module, module)}.{name}")


class _Keys:
    """Lets through what may be a key without making a dictionary slow."""

    def __init__(self) -> None:
        self._tuples = 0

    def check(self, key: Any) -> Any:
        if isinstance(key, tuple):
            self._tuples += 1
            if self._tuples > _MOST_TUPLES_AS_KEYS or not all(isinstance(part, _SCALARS) for part in key):
                raise PickleError("tuples as keys, too many or too deep")
        elif isinstance(key, (int, float)):
            if not abs(key) < 2**60:
                raise PickleError("a number as a key is too large")
        elif not isinstance(key, (*_SCALARS, Made, Global)):
            raise PickleError(f"a {type(key).__name__} as a key")
        return key


def _follow(stream: IO[bytes], table: Table) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    keys = _Keys()

    def pop_items() -> list[Any]:
        at = len(stack) - 1
        while not isinstance(stack[at], _Mark):
            at -= 1
            if at < 0:
                raise PickleError("items without a beginning")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def named(module: Any, name: Any) -> Global:
        found = _name(module, name)
        table.mention(found.name)
        return found

    def call(function: Any, args: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise PickleError("a call of what is no function")
        return table.make(function.name, args)

    def put(items: list[Any]) -> None:
        target = stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(target, dict):
                target[keys.check(key)] = value
            elif not isinstance(target, Made):
                raise PickleError(f"items for a {type(target).__name__}")

    def extend(items: list[Any]) -> None:
        if isinstance(stack[-1], list):
            stack[-1].extend(items)
        elif isinstance(stack[-1], set):
            stack[-1].update(map(keys.check, items))
        elif not isinstance(stack[-1], Made):
            raise PickleError(f"items for a {type(stack[-1]).__name__}")

    arg: Any
    for step, (opcode, arg, _) in enumerate(pickletools.genops(stream)):
        if step > _MOST_STEPS:
            raise PickleError(f"more than {_MOST_STEPS:,} steps")
        name = opcode.name
        if name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[arg] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[arg])
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_Mark())
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "TUPLE":
            stack.append(tuple(pop_items()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "LIST":
            stack.append(pop_items())
        elif name == "DICT":
            items = pop_items()
            stack.append({})
            put(items)
        elif name == "FROZENSET":
            stack.append(frozenset(map(keys.check, pop_items())))
        elif name in ("SETITEM", "SETITEMS"):
            put(pop_items() if name == "SETITEMS" else [stack.pop(-2), stack.pop()])
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            extend([stack.pop()] if name == "APPEND" else pop_items())
        elif name == "GLOBAL":
            stack.append(named(*arg.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            last = stack.pop()
            stack.append(named(stack.pop(), last))
        elif name in ("REDUCE", "NEWOBJ"):
            args = stack.pop()
            stack.append(call(stack.pop(), args))
        elif name == "NEWOBJ_EX":
            words, args = stack.pop(), stack.pop()
            stack.append(call(stack.pop(), (*args, words)))
        elif name == "INST":
            stack.append(call(named(*arg.split(" ", 1)), tuple(pop_items())))
        elif name == "OBJ":
            function, *rest = pop_items()
            stack.append(call(function, tuple(rest)))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Made):
                stack[-1].state = state
                table.build(stack[-1])
        elif name == "BINPERSID":
            stack.append(table.find(stack.pop()))
        elif name == "POP":
            stack.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "POP_MARK":
            pop_items()
        elif name == "STOP":
            break
        elif name in _NUMBERS_AND_TEXTS:
            stack.append(arg)
        else:
            raise PickleError(f"the operation {name}")
    return stack.pop()


def find_excess(content: Any) -> str:
    """What makes it endless to write out, to compare or to copy what a pickle describes.

    A list that holds another one twice, which holds another one twice, and so on, takes little room in a file and in
    memory; whoever walks through it walks for ever. One that holds itself ends there.

    Args:
        content: Of :func:`follow`.

    Returns:
        A part of a sentence about it; nothing if it is as a checkpoint's.
    """
    count = 0
    inside = [iter((content,))]
    around: dict[int, None] = {}  # Ids of what is being walked through, from the outermost on.
    while inside:
        for value in inside[-1]:
            if not isinstance(value, (dict, list, tuple, Made)) or id(value) in around:
                continue
            count += 1 if isinstance(value, Made) else 1 + len(value)
            if count > _MOST_VALUES:
                return f"of more than {_MOST_VALUES:,} values, each counted wherever it is referred to"
            if len(inside) > _DEEPEST:
                return f"more than {_DEEPEST} deep within one another"
            around[id(value)] = None
            if isinstance(value, Made):
                inside.append(iter((*value.args, value.state)))
            else:
                inside.append(iter(value.values() if isinstance(value, dict) else value))
            break
        else:
            inside.pop()
            if around:
                around.popitem()
    return ""


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS_AND_TEXTS = frozenset(
    opcode.name
    for opcode in pickletools.opcodes
    if opcode.name.endswith(("STRING", "UNICODE", "UNICODE8", "BYTES", "BYTES8", "ARRAY8", "FLOAT", "INT"))
    or opcode.name in ("BININT1", "BININT2", "LONG", "LONG1", "LONG4")
)
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
