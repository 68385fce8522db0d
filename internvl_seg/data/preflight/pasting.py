"""Commands that can be pasted into a shell."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def _value(value: Any) -> str:
    """A value as ``--cfg-options`` takes it."""
    if isinstance(value, (list, tuple)):
        inside = ",".join(map(_value, value))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    text = str(value)
    if not isinstance(value, str) or not any(mark in text for mark in ",()[]'\""):
        return text
    return f"'{text}'" if "'" not in text else f'"{text}"'


@dataclass(frozen=True)
class Command:
    """A command of this project.

    Attributes:
        words: The command without its options for the config, such as ('python', 'tools/train.py', 'config.py').
        options: What was put over the config.
    """

    words: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, Any]) -> str:
        """The command with further options, quoted for a shell.

        Args:
            options: By dotted keys, with indices as ``[0]``; they replace those of the command.
        """
        more = {key.replace("[", ".").replace("]", ""): value for key, value in options.items()}
        given = [f"{key}={_value(value)}" for key, value in {**self.options, **more}.items()]
        return shlex.join([*self.words, *(["--cfg-options", *given] if given else [])])

    def with_words(self, *words: str) -> str:
        """The command with further words before its options."""
        return Command((*self.words, *words), self.options).with_options({})

    def of(self, *words: str) -> "Command":
        """Another command with the same options."""
        return Command(words, self.options)
