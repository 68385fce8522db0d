"""Numbers of a config that are text, or out of the range that can be meant."""

import math
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple

from mmengine.config import Config

from .contradiction import Contradiction, found_value, listed, option, type_name


class Kind(NamedTuple):
    """What a field may hold.

    Attributes:
        words: The same for a person, as it goes on after "expected".
        accepts: Whether a value is of this kind.
        example: A value of this kind.
    """

    words: str
    accepts: Callable[[Any], bool]
    example: Any


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def whole(least: int, example: int | None = None) -> Kind:
    """A whole number, ``least`` or above."""

    def accepts(value: Any) -> bool:
        return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least

    return Kind(f"a whole number, {least} or above", accepts, least if example is None else example)


def _or_none(kind: Kind) -> Kind:
    return Kind(f"{kind.words}, or None", lambda value: value is None or kind.accepts(value), kind.example)


def _or_list(kind: Kind) -> Kind:
    def accepts(value: Any) -> bool:
        return all(map(kind.accepts, value)) if isinstance(value, (list, tuple)) else kind.accepts(value)

    return Kind(f"{kind.words}, or a list of such", accepts, kind.example)


_BOOL = Kind("True or False", lambda value: isinstance(value, bool), False)
_NUMBER = Kind("a number", _is_number, 1.0)
_POSITIVE = Kind("a number above 0", lambda value: _is_number(value) and value > 0, 1.0)
_RATE = Kind(_POSITIVE.words, _POSITIVE.accepts, 0.0001)
_FROM_0 = Kind("a number, 0 or above", lambda value: _is_number(value) and value >= 0, 0.0)
_SHARE = Kind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1, 0.5)
_BELOW_1 = Kind("a probability, 0 or above and below 1", lambda value: _is_number(value) and 0 <= value < 1, 0.1)
_COUNT = whole(1)
_ANY_COUNT = Kind(
    "a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool), 1000
)  # Of an interval 0 or less is never, of what is kept it is all.
_LABEL, _INDEX = (Kind(_ANY_COUNT.words, _ANY_COUNT.accepts, example) for example in (255, 0))
_TEXT = Kind("text, the name of a metric", lambda value: isinstance(value, str) and bool(value), "mIoU")
# A part that is built by itself, without which it can do.
_BUILT = Kind("a dict with a type", lambda value: isinstance(value, dict) and bool(value.get("type")), None)
_SEED = Kind(
    "a whole number from 0 to 4,294,967,295, or None",
    lambda value: value is None or (whole(0).accepts(value) and value < 2**32),
    0,
)
_SIZE = Kind(
    "two whole numbers above 0, height and width",
    lambda value: isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_COUNT.accepts, value)),
    [504, 504],
)
_NUMBERS = Kind(
    "a list of numbers", lambda value: isinstance(value, (list, tuple)) and all(map(_is_number, value)), [1]
)
_SCALES = Kind(
    "a list of numbers above 0", lambda value: _NUMBERS.accepts(value) and all(map(_POSITIVE.accepts, value)), [1]
)
_PREPROCESSOR = {"mean": _or_none(_NUMBERS), "std": _or_none(_SCALES), "size": _or_none(_SIZE)}
_INTERVALS = Kind(
    "a list of pairs of whole numbers, from when on and the interval, which is 1 or above",
    lambda value: (
        value is None
        or (
            isinstance(value, (list, tuple))
            and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value)
            and all(whole(0).accepts(begin) and whole(1).accepts(interval) for begin, interval in value)
        )
    ),
    [[0, 1000]],
)
_HEAD: dict[str, Kind] = {
    "dropout_ratio": _BELOW_1,
    "ignore_index": _or_none(_LABEL),
    "num_classes": _COUNT,
    "out_channels": _or_none(_COUNT),
    "channels": _COUNT,
    "threshold": _or_none(_NUMBER),
    "in_channels": _or_list(_COUNT),
    "in_index": _or_list(_INDEX),
    **dict.fromkeys(("sampler", "norm_cfg", "act_cfg", "conv_cfg"), _or_none(_BUILT)),
    "init_cfg": _or_none(_or_list(_BUILT)),
    "align_corners": _BOOL,
}
_LOADER: dict[str, Kind] = {
    "batch_size": _COUNT,
    "num_workers": whole(0),
    **dict.fromkeys(("prefetch_factor", "num_batch_per_epoch"), _or_none(_COUNT)),
    "drop_last": _BOOL,
    "persistent_workers": _BOOL,
    "pin_memory": _BOOL,
}
_WORDS = Kind("text", lambda value: isinstance(value, str), "")
_DATASET: dict[str, Kind] = {
    **dict.fromkeys(("data_root", "ann_file"), _or_none(_WORDS)),
    **dict.fromkeys(("img_suffix", "seg_map_suffix"), Kind(_WORDS.words, _WORDS.accepts, ".png")),
    **dict.fromkeys(("test_mode", "lazy_init", "serialize_data"), _BOOL),
    "reduce_zero_label": _or_none(_BOOL),
    "ignore_index": _LABEL,
    "indices": _or_none(_or_list(_ANY_COUNT)),
    "max_refetch": whole(0, 1000),
}
_SCHEDULE: dict[str, Kind] = {
    **dict.fromkeys(("begin", "end"), _FROM_0),
    **dict.fromkeys(("by_epoch", "convert_to_iter_based"), _BOOL),
    **dict.fromkeys(("start_factor", "factor", "gamma"), _POSITIVE),  # They are divided by.
    **dict.fromkeys(("end_factor", "power", "eta_max"), _NUMBER),
    **dict.fromkeys(("eta_min_ratio", "eta_min"), _or_none(_FROM_0)),
    "T_max": _or_none(_POSITIVE),
    "monitor": _TEXT,
    **dict.fromkeys(("total_steps", "step_size", "warmup_epochs"), _COUNT),
    **dict.fromkeys(("milestones", "periods"), _NUMBERS),
}
# What stands in the fields of a dict, or of each dict of a list.
FIELDS: dict[str, dict[str, Kind]] = {
    "train_cfg": {
        "max_iters": _or_none(_COUNT),
        "max_epochs": _or_none(_COUNT),
        "val_begin": whole(0, 1),
        "val_interval": whole(1, 1000),
        "dynamic_intervals": _INTERVALS,
    },
    "val_cfg": {"fp16": _BOOL},
    "test_cfg": {"fp16": _BOOL},
    "train_dataloader": _LOADER,
    "val_dataloader": _LOADER,
    "test_dataloader": _LOADER,
    **{f"{loop}_dataloader.sampler": {"shuffle": _BOOL, "round_up": _BOOL} for loop in ("train", "val", "test")},
    **{f"{loop}_dataloader.dataset": _DATASET for loop in ("train", "val", "test")},
    "optim_wrapper": {"accumulative_counts": _COUNT},
    "optim_wrapper.optimizer": {"lr": _RATE, "weight_decay": _FROM_0},
    "optim_wrapper.clip_grad": {"max_norm": _POSITIVE, "clip_value": _POSITIVE},
    "optim_wrapper.paramwise_cfg": dict.fromkeys(
        ("bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult"), _FROM_0
    ),
    "param_scheduler": _SCHEDULE,
    "env_cfg": {"resource_limit": _COUNT, "cudnn_benchmark": _BOOL},
    "env_cfg.mp_cfg": {"opencv_num_threads": whole(0)},
    "log_processor": {"window_size": _COUNT, "by_epoch": _BOOL},
    "auto_scale_lr": {"enable": _BOOL, "base_batch_size": _COUNT},
    "default_hooks.checkpoint": {
        "interval": _ANY_COUNT,
        "max_keep_ckpts": _ANY_COUNT,
        "save_last": _BOOL,
        "by_epoch": _BOOL,
        "save_best": _or_none(_or_list(_TEXT)),
    },
    "default_hooks.logger": {"interval": _COUNT},
    "default_hooks.visualization": {"interval": _COUNT, "draw": _BOOL},
    "custom_hooks": {"stop_after": _COUNT, "patience": _COUNT, "monitor": _TEXT},
    "randomness": {"seed": _SEED, "deterministic": _BOOL, "diff_rank_seed": _BOOL},
    "model.data_preprocessor": _PREPROCESSOR,
    "data_preprocessor": _PREPROCESSOR,
    "model.test_cfg": {"crop_size": _SIZE, "stride": _SIZE, "window_batch": _or_none(_COUNT)},
    "model.backbone.arch": dict.fromkeys(("embed_dim", "depth", "num_heads", "patch_size"), _COUNT),
    "model.backbone": {"drop_path_rate": _BELOW_1},
    "model.decode_head": _HEAD,
    "model.auxiliary_head": _HEAD,
}
_LOSS = {
    "loss_weight": _POSITIVE,
    **dict.fromkeys(("per_image", "avg_non_ignore", "use_sigmoid", "use_mask", "activate", "naive_dice"), _BOOL),
}
_METRIC = {
    "ignore_index": _LABEL,
    "beta": _POSITIVE,
    "nan_to_num": _or_none(_NUMBER),
    "format_only": _BOOL,
    "collect_device": Kind("'cpu' or 'gpu'", lambda value: value in ("cpu", "gpu", "npu", "mlu", "musa"), "cpu"),
}
# Those that a test reads.
_OF_TESTS = ("test_dataloader", "test_cfg", "randomness", "model", "data_preprocessor")
# The same of losses and metrics, by their class.
_BY_CLASS: dict[str, dict[str, Kind]] = {
    "IoUMetric": _METRIC,
    "SegmentationMetric": _METRIC,
    "FocalLoss": {"alpha": _or_list(_SHARE), "gamma": _FROM_0},
    "TverskyLoss": {"alpha": _FROM_0, "beta": _FROM_0, "smooth": _FROM_0},
    "DiceLoss": {"eps": _FROM_0},
    "OhemCrossEntropy": {"thres": _SHARE, "min_kept": _COUNT},
    "OHEMPixelSampler": {"thresh": _or_none(_SHARE), "min_kept": _COUNT},
}


def check_fields(config: Config, action: str) -> Iterator[Contradiction]:
    """Find numbers that are text, or out of the range that can be meant.

    Args:
        config: A config whose parts are dicts and lists where they have to be.
        action: 'train' or 'test', which is to be done with it.
    """
    for parent, kinds in FIELDS.items():
        if action == "test" and parent.partition(".")[0] not in _OF_TESTS:
            continue
        for key, node in listed(config, parent):
            yield from _wrong_fields(key, node, kinds)


def check_own_fields(key: str, node: dict[str, Any]) -> Iterator[Contradiction]:
    """Find the same in a loss, a metric or a sampler.

    Args:
        key: Of the node.
        node: Its config.
    """
    yield from _wrong_fields(key, node, _LOSS | _BY_CLASS.get(type_name(node), {}))


def _wrong_fields(key: str, node: dict[str, Any], kinds: dict[str, Kind]) -> Iterator[Contradiction]:
    for name, kind in kinds.items():
        if name not in node or kind.accepts(node[name]):
            continue
        value = node[name]
        yield Contradiction(
            f"{key}.{name}",
            f"{found_value(value)}: expected {kind.words}.",
            f"Set {option(f'{key}.{name}', _meant(value, kind))}, for example.",
        )


def _meant(value: Any, kind: Kind) -> Any:
    """The number that a text or a float such as 8e4 stands for, or else an example."""
    for read in (int, float):
        try:
            number = read(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if kind.accepts(number) and (isinstance(value, str) or number == value):
            return number
    return kind.example
