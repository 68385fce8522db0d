"""The config inside a checkpoint, read as data: no word of it is run.

MMEngine keeps a run's config as Python text and reads it back by running it. Here the text is parsed, and what is no
plain value (literals, ``dict(...)`` and what is made of these) stays text.
"""

import ast
from typing import Any

# A released config has some ten thousand characters.
_MOST = 4 << 20


class Expression(str):
    """Source text of what is no plain value, and was not run."""


class ConfigTextError(ValueError):
    """A text is no config of assignments."""


def parse_config_text(text: str) -> dict[str, Any]:
    """Read a config's text as data.

    Args:
        text: ``KEY = VALUE`` lines, as MMEngine's ``Config.pretty_text`` and
            :func:`internvl_seg.training.config.python_text` give them.

    Returns:
        Values by key. What is no plain value, such as a call of a function, is given as its source text, an
        :class:`Expression`.

    Raises:
        ConfigTextError: It is something else than assignments, or too large or deep to be a config.
    """
    if not isinstance(text, str) or len(text) > _MOST:
        raise ConfigTextError(f"A config is text of at most {_MOST:,} characters; found {type(text).__name__}.")
    try:
        tree = ast.parse(text)
        found: dict[str, Any] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets):
                value = _value(statement.value)
                found |= {target.id: value for target in statement.targets if isinstance(target, ast.Name)}
            elif not _is_harmless(statement):
                raise ConfigTextError(
                    f"Line {statement.lineno} of the config in the checkpoint is no assignment: "
                    f"{ast.unparse(statement)[:80]!r}. It was not run."
                )
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigTextError):
            raise
        raise ConfigTextError(f"The config in the checkpoint cannot be parsed: {error}") from error
    return found


def _is_harmless(statement: ast.stmt) -> bool:
    """Whether a statement says nothing of the config: an import, a docstring or ``pass``; none is run."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass))


def _value(node: ast.expr) -> Any:
    """A plain value, or its source text."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        return _dict_of(node)
    if isinstance(node, ast.Call) and _is_dict(node):
        found = {
            key: value for part in node.args if isinstance(part, ast.Dict) for key, value in _dict_of(part).items()
        }
        return found | {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, (int, float)):
            return -value
    return Expression(ast.unparse(node))


def _dict_of(node: ast.Dict) -> dict[Any, Any]:
    pairs = zip(node.keys, node.values, strict=True)
    return {key.value: _value(value) for key, value in pairs if isinstance(key, ast.Constant)}


def _is_dict(node: ast.Call) -> bool:
    """Whether a call is ``dict(KEY=VALUE, ...)`` or ``dict({KEY: VALUE, ...})``."""
    plain = all(
        isinstance(part, ast.Dict) and all(isinstance(k, ast.Constant) for k in part.keys) for part in node.args
    )
    named = all(word.arg is not None for word in node.keywords)
    return isinstance(node.func, ast.Name) and node.func.id == "dict" and plain and named
