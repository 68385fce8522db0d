"""Functions that a data loader calls, which MMEngine looks up by their names."""

from collections.abc import Iterator
from difflib import get_close_matches

from mmengine.config import Config
from mmengine.registry import FUNCTIONS

from .contradiction import Contradiction, option, type_name

# The usual one of each; MMEngine's own that begins a worker has no name.
_FIELDS = {"collate_fn": "pseudo_collate", "worker_init_fn": None}


def check_functions(config: Config, loaders: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find functions of a loader that are not registered, or are no dicts with a type.

    Args:
        config: The config.
        loaders: The keys of the loaders to look at.
    """
    for loader in loaders:
        for field, usual in _FIELDS.items():
            value = (config.get(loader) or {}).get(field)
            key = f"{loader}.{field}"
            if value is None or callable(value):
                continue
            name = type_name(value) if isinstance(value, dict) else ""
            if not name:
                yield Contradiction(
                    key, f"= {value!r}: expected a dict with a type.", f"Write {field}=dict(type='{usual or '...'}')."
                )
            elif isinstance(value["type"], str) and FUNCTIONS.get(value["type"]) is None:
                near = [*get_close_matches(name, FUNCTIONS.module_dict, 1), usual][0]
                mend = f"Set {option(f'{key}.type', near)}, for example." if near else "Leave it out."
                yield Contradiction(f"{key}.type", f"= {name!r} is not registered.", mend)
