"""A run's config, whose text can always be written and read."""

from typing import Any

from mmengine.config import Config

from .config import python_text


class RunConfig(Config):
    """MMEngine's config with texts that are Python whatever its keys are, and fast.

    MMEngine's own text fails on a key that is a reserved word, such as a class called ``class``, and writes classes as
    names that are defined nowhere.
    """

    def to_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        """As MMEngine's; classes and functions are given as dotted names, which registries look up, too."""
        plain: dict[str, Any] = _named(super().to_dict(keep_imported))
        return plain

    @property
    def pretty_text(self) -> str:
        """The text."""
        return python_text(self)


def run_config(config: Any) -> RunConfig | None:
    """The same config, or dict, as a :class:`RunConfig`; None stays None."""
    if config is None or isinstance(config, RunConfig):
        return config
    made = RunConfig.__new__(RunConfig)
    made.__dict__.update((config if isinstance(config, Config) else Config(config)).__dict__)
    return made


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_named(item) for item in value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return value
