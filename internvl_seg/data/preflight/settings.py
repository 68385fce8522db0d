"""What a config says in several places that have to agree."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..confusion import IGNORED
from .findings import Finding
from .listing import Listing, leaves


def _heads(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in ("decode_head", "auxiliary_head"):
        heads = config.model.get(key)
        several = isinstance(heads, (list, tuple))
        for i, head in enumerate(heads if several else [heads] if heads else []):
            yield f"model.{key}[{i}]" if several else f"model.{key}", head


def _transforms(pipeline: Any) -> Iterator[dict[str, Any]]:
    """Transforms, also those inside others."""
    for item in pipeline:
        if isinstance(item, dict):
            yield item
            yield from _transforms(item.get("transforms", []))
        elif isinstance(item, (list, tuple)):
            yield from _transforms(item)


def ignored_labels(config: Config) -> dict[str, int]:
    """The label that every place of a config ignores or pads with, by the key of the place."""
    found: dict[str, int] = {key + ".ignore_index": head.get("ignore_index", IGNORED) for key, head in _heads(config)}
    if "data_preprocessor" in config.model:
        found["model.data_preprocessor.seg_pad_val"] = config.model.data_preprocessor.get("seg_pad_val", IGNORED)
    for split in ("train", "val", "test"):
        loader, evaluator = config.get(f"{split}_dataloader"), config.get(f"{split}_evaluator")
        for dataset in leaves(loader["dataset"]) if loader else ():
            found[f"{split}_dataloader.dataset.ignore_index"] = dataset.get("ignore_index", IGNORED)
            for transform in _transforms(dataset.get("pipeline", [])):
                key = f"{split}_dataloader.dataset.pipeline: {transform['type']}"
                pad = transform.get("pad_val")
                values = {
                    "seg_pad_val": transform.get("seg_pad_val"),
                    "pad_val.seg": pad.get("seg") if isinstance(pad, dict) else None,
                    "ignore_index": transform.get("ignore_index"),
                }
                found |= {f"{key}.{name}": value for name, value in values.items() if value is not None}
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator] if evaluator else []:
            found[f"{split}_evaluator.ignore_index"] = metric.get("ignore_index", IGNORED)
    return found


def most_ignored(labels: dict[str, int]) -> int:
    """The label that most places of a config ignore."""
    return max(set(labels.values()), key=list(labels.values()).count)


def check_settings(config: Config, listings: list[Listing]) -> list[Finding]:
    """Find values of a config that contradict each other.

    Args:
        config: The config.
        listings: Its data sets.
    """
    findings = []
    labels = ignored_labels(config)
    if len(set(labels.values())) > 1:
        cases = [f"{key} = {value}" for key, value in labels.items()]
        # The odd ones first: they are what is to be changed.
        cases.sort(key=lambda case: case.endswith(f" = {most_ignored(labels)}"))
        findings.append(Finding("ignore_index", "", len(cases), tuple(cases)))
    for listing in listings:
        wrong = [
            f"{key}.num_classes = {head['num_classes']}, the {listing.split} set has {len(listing.classes)}"
            for key, head in _heads(config)
            if head["num_classes"] != len(listing.classes)
        ]
        if wrong:
            findings.append(Finding.of("num_classes", listing.split, wrong))
    return findings
