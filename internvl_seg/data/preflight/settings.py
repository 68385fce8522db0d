"""What a config says in several places that have to agree."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..confusion import IGNORED
from .findings import Finding
from .listing import Listing, leaves
from .loading import class_of, nested
from .pasting import Command


def heads(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The heads of a config's model with their keys."""
    for key in ("decode_head", "auxiliary_head", "head"):
        found = config.model.get(key)
        several = isinstance(found, (list, tuple))
        for i, head in enumerate(found if several else [found] if found else []):
            yield f"model.{key}[{i}]" if several else f"model.{key}", head


def _evaluators(config: Config, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    key = f"{split}_evaluator"
    found = config.get(key)
    if isinstance(found, (list, tuple)):
        yield from ((f"{key}[{i}]", metric) for i, metric in enumerate(found))
    elif found:
        yield key, found


def ignored_labels(config: Config) -> dict[str, int]:
    """The label that every place of a config ignores or pads with, by the key of the place."""
    found: dict[str, int] = {key + ".ignore_index": head.get("ignore_index", IGNORED) for key, head in heads(config)}
    if "data_preprocessor" in config.model:
        found["model.data_preprocessor.seg_pad_val"] = config.model.data_preprocessor.get("seg_pad_val", IGNORED)
    for split in ("train", "val", "test"):
        loader = config.get(f"{split}_dataloader")
        for leaf in leaves(loader["dataset"], f"{split}_dataloader.dataset") if loader else ():
            found[f"{leaf.key}.ignore_index"] = leaf.node.get("ignore_index", IGNORED)
            for transform in nested(leaf.pipeline):
                key = f"{leaf.key}.pipeline: {transform['type']}"
                found |= {f"{key}.{name}": value for name, value in _of_step(transform).items() if value is not None}
        for key, metric in _evaluators(config, split):
            found[f"{key}.ignore_index"] = metric.get("ignore_index", IGNORED)
    return found


def _of_step(step: dict[str, Any]) -> dict[str, Any]:
    """What a step of a pipeline pads masks with or ignores, by its fields and by those that it has by itself."""
    kind = class_of(step)
    pad = step.get("pad_val")
    own = inspect.signature(kind).parameters.get("seg_pad_val") if inspect.isclass(kind) else None
    pads = inspect.isclass(kind) and kind.__name__ == "Pad"
    return {
        "seg_pad_val": step.get("seg_pad_val", IGNORED if own is not None and own.default == IGNORED else None),
        "pad_val.seg": pad.get("seg", IGNORED) if isinstance(pad, dict) else IGNORED if pads else None,
        "ignore_index": step.get("ignore_index"),
    }


def most_ignored(labels: dict[str, int]) -> int:
    """The label that most places of a config ignore."""
    return max(set(labels.values()), key=list(labels.values()).count)


def options_to_ignore(config: Config, label: int) -> dict[str, Any] | None:
    """The options with which a label is ignored everywhere; None if a place has no key that an option can name."""
    labels = ignored_labels(config)
    if any(": " in key and value != label for key, value in labels.items()):
        return None
    return {key: label for key in labels if ": " not in key}


def options_for_classes(config: Config, number: int) -> dict[str, Any]:
    """The options that give all heads another number of classes."""
    return {f"{key}.num_classes": number for key, head in _sized(config) if head.get("num_classes") != number}


def _sized(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The heads, and what else of a model is told the number of classes."""
    yield from heads(config)
    preprocessor = config.model.get("data_preprocessor") or {}
    if preprocessor.get("num_classes") is not None:
        yield "model.data_preprocessor", preprocessor  # It mixes labels.


def check_settings(config: Config, listings: list[Listing], command: Command) -> list[Finding]:
    """Find values of a config that contradict each other.

    Args:
        config: The config.
        listings: Its data sets.
        command: What is run, for the advice.
    """
    findings = []
    labels = ignored_labels(config) if all(listing.is_dense for listing in listings) else {}
    if len(set(labels.values())) > 1:
        cases = [f"{key} = {value}" for key, value in labels.items()]
        # The odd ones first: they are what is to be changed.
        cases.sort(key=lambda case: case.endswith(f" = {most_ignored(labels)}"))
        findings.append(Finding("ignore_index", "", len(cases), tuple(cases)))
    for split in dict.fromkeys(listing.split for listing in listings):
        # Parts of one split have one head; parts with other classes are a fault of their own.
        classes = next(listing.classes for listing in listings if listing.split == split)
        wrong = [
            f"{key}.num_classes = {head['num_classes']}, the {split} set has {len(classes)}"
            for key, head in _sized(config)
            if head.get("num_classes", len(classes)) != len(classes)
        ]
        if wrong and classes:  # There are none of a set that could not be listed.
            mend = "set num_classes of every head to the number of the data set's classes"
            options = options_for_classes(config, len(classes))
            if len(classes) > 1:
                mend += f": {command.with_options(options)}"
            findings.append(Finding.of("num_classes", split, wrong, mend))
    return findings
