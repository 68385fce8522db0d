"""What a config's evaluators are made into before a test: ours where it counts the same, and one that writes."""

from typing import Any

from mmengine.config import Config
from mmseg.evaluation import IoUMetric

from .config import ConfigError

# MMSegmentation's metric by the names under which configs have it, and its class, which pure Python configs have. In
# trainings the registry gives ours for the names.
_THEIRS = ("IoUMetric", "mmseg.IoUMetric", IoUMetric)
_OURS = "SegmentationMetric"


def evaluators(config: Config, key: str = "test_evaluator") -> list[dict[str, Any]]:
    """The evaluators of a config, of which it may have one or a list.

    Raises:
        ConfigError: It has none.
    """
    found = config.get(key)
    if not found:
        raise ConfigError(f"{config.filename}: {key} is missing: without a metric there is nothing to evaluate.")
    return list(found) if isinstance(found, (list, tuple)) else [found]


def count_with_ours(config: Config) -> None:
    """Put our metric in the place of MMSegmentation's, so that all results are the same files."""
    for evaluator in evaluators(config):
        if evaluator.get("type") in _THEIRS:
            evaluator["type"] = _OURS


def write_labels(config: Config, folder: str, scored: bool = True) -> None:
    """Have the predicted labels written, by one evaluator; if none of them writes, by one that does nothing else.

    Args:
        config: The config.
        folder: Where to.
        scored: Whether there are masks. Without them nothing else than to write can be done.
    """
    found = evaluators(config)
    # The others may call one of theirs output_dir, but name and encode the files in their own way. A folder that the
    # config names is written to as well.
    ours = [evaluator for evaluator in found if evaluator.get("type") == _OURS and not evaluator.get("output_dir")]
    if scored and ours:
        ours[0]["output_dir"] = folder
        return
    writer = {"type": _OURS, "format_only": True, "output_dir": folder}
    config.test_evaluator = [*(found if scored else []), writer]
