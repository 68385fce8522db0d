"""Parts of a config that MMEngine takes together or not at all, and samplers and loaders that fit their loop."""

from collections.abc import Iterator

from mmengine.config import Config

from ..config import is_segmentation
from .contradiction import Contradiction, option, type_name

_TOGETHER = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}
_EXAMPLES = {
    "train_cfg": "dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=8000)",
    "val_cfg": "dict(type='ValLoop')",
    "test_cfg": "dict(type='TestLoop')",
    "optim_wrapper": "dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.0001))",
    "val_evaluator": "dict(type='SegmentationMetric', iou_metrics=['mIoU'])",
    "test_evaluator": "dict(type='SegmentationMetric', iou_metrics=['mIoU'])",
}


def check_parts(config: Config, action: str) -> Iterator[Contradiction]:
    """Find parts that are missing: of the action itself, or of another loop that has others.

    Args:
        config: The config.
        action: 'train' or 'test'.
    """
    if config.get("model") is None:
        yield Contradiction("model", "is missing: there is nothing to run.", "Add it: model = dict(type=..., ...).")
    elif (
        is_segmentation(config)
        and config.model.get("backbone")  # A class of one's own may take images as they are.
        and not (config.model.get("data_preprocessor") or config.get("data_preprocessor"))
    ):
        yield Contradiction(
            "model.data_preprocessor",
            "is missing: nothing would make batches of the images.",
            "Add it: data_preprocessor=dict(type='SegDataPreProcessor', size=..., mean=..., std=...).",
        )
    for loop, parts in _TOGETHER.items():
        missing = [part for part in parts if config.get(part) is None]
        if loop != action and len(missing) == len(parts):
            continue
        for part in missing:
            example = _EXAMPLES.get(part, "dict(batch_size=..., sampler=..., dataset=...)")
            others = " and ".join(other for other in parts if other not in missing)
            there = f", but there is {others}" if others else ""
            leave = "" if loop == action or not others else f", or set {others} to None, too"
            yield Contradiction(
                part, f"is missing{there}: all of {', '.join(parts)} are needed.", f"Add {part} = {example}{leave}."
            )
        if missing or (loop == "test") != (action == "test"):
            continue
        if config[parts[0]].get("dataset") is None:
            yield Contradiction(f"{parts[0]}.dataset", "is missing.", "Add it: dataset=dict(type=..., ...).")
        if config[parts[0]].get("sampler") is None and config[parts[0]].get("batch_sampler") is None:
            name = "InfiniteSampler" if loop == "train" else "DefaultSampler"
            yield Contradiction(
                f"{parts[0]}.sampler", "is missing.", f"Add it: sampler=dict(type='{name}', shuffle={loop == 'train'})."
            )


def check_scored_loaders(config: Config, loops: tuple[str, ...]) -> Iterator[Contradiction]:
    """Find loaders of a validation or test that would never end, or would leave images out.

    Args:
        config: The config.
        loops: Which to look at, of 'val' and 'test'.
    """
    for key in (f"{loop}_dataloader" for loop in loops):
        loader = config.get(key) or {}
        if type_name(loader.get("sampler") or {}) == "InfiniteSampler":
            yield Contradiction(
                f"{key}.sampler.type",
                "= 'InfiniteSampler' never comes to an end, for which its loop waits.",
                f"Set {option(f'{key}.sampler.type', 'DefaultSampler')}, and shuffle=False.",
            )
        if loader.get("drop_last") and loader.get("batch_size") != 1:
            yield Contradiction(
                f"{key}.drop_last",
                "= True leaves out the images of the last batch, which would not be scored.",
                f"Set {option(f'{key}.drop_last', False)}.",
            )
