"""What a target of the fuzz run is."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Target:
    """A function that reads files.

    Attributes:
        call: Given the file or folder; what it gives, if it gives weights, has to be finite.
        functions: Those whose docstrings say what may be raised.
        files: Files of the seeds that are changed, each in a folder of its own with all that lies beside it.
        folder: Whether ``call`` is given the folder of the file.
        bombs: Files that are small, become large, and have to be refused as they are.
        depth: How many of the folders in a file's name lead to the one that is copied; None for all of them.
        names_files: Whether refusals have to name a file, or the folder of all.
    """

    call: Callable[[Path], Iterable[Tensor] | None]
    functions: tuple[Callable[..., Any], ...]
    files: tuple[str, ...]
    folder: bool = False
    bombs: tuple[str, ...] = ()
    depth: int | None = None
    names_files: bool = False

    def root(self, file: Path, seeds: Path) -> Path:
        """The folder of the seeds that is copied for one of its files."""
        return file.parent if self.depth is None else seeds.joinpath(*file.relative_to(seeds).parts[: self.depth])

    def documented(self) -> tuple[type[Exception], ...]:
        """The errors of this package that the docstrings name; a bare ``ValueError`` is about arguments, not files."""
        found = set()
        for function in self.functions:
            raises = (inspect.getdoc(function) or "").partition("Raises:\n")[2]
            names = re.findall(r"^ {4}(\w+):", raises, re.MULTILINE)
            found |= {cls for name in names if (cls := _own_errors().get(name))}
        return tuple(found)


@cache
def _own_errors() -> dict[str, type[Exception]]:
    modules = [module for name, module in sys.modules.items() if name.startswith("internvl_seg")]
    values = [value for module in modules for value in vars(module).values()]
    return {
        v.__name__: v for v in values if isinstance(v, type) and issubclass(v, Exception) and "internvl" in v.__module__
    }
