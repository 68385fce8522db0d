"""Metrics that hooks and schedules watch, and that a validation has to give."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from .contradiction import Contradiction, listed, option, type_name
from .metric_names import metric_names
from .schedule import Run


def _watched(config: Config) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Keys that name metrics, the metrics, and the node of each."""
    hooks = [(f"default_hooks.{name}", hook) for name, hook in (config.get("default_hooks") or {}).items()]
    for key, node in [*hooks, *listed(config, "custom_hooks")]:
        if not isinstance(node, dict):
            continue
        for field in ("save_best", "monitor"):
            value = node.get(field)
            if isinstance(value, str) or (value and isinstance(value, (list, tuple))):
                yield f"{key}.{field}", [value] if isinstance(value, str) else list(value), node
    for key, node in listed(config, "param_scheduler"):
        if type_name(node).startswith("ReduceOnPlateau"):
            yield f"{key}.monitor", [node.get("monitor", "loss")], node


def check_monitored(config: Config) -> Iterator[Contradiction]:
    """Find ``save_best`` and ``monitor`` of metrics that the validation does not compute.

    Args:
        config: The config.
    """
    watched = list(_watched(config))
    validates = config.get("val_dataloader") is not None and config.get("val_evaluator") is not None
    if not validates:
        for key, metrics, _ in watched:
            yield Contradiction(
                key,
                f"= {_shown(metrics)}, but there is no validation (val_dataloader, val_evaluator), so it does nothing.",
                "Add them, or take it out.",
                fatal=False,
            )
        return
    names = metric_names(config)
    begins = (config.get("train_cfg") or {}).get("val_begin", 1)
    run = Run.of(config)
    for key, metrics, node in watched:
        if run is not None and begins > run.length:
            yield Contradiction(
                key,
                f"= {_shown(metrics)}, but train_cfg.val_begin = {begins} and {run.key} = {run.length}: there is no "
                "validation, so it does nothing.",
                f"Set {option('train_cfg.val_begin', 1)}.",
                fatal=False,
            )
        yield from _check_names(key, metrics, names)
        yield from _check_rule(key, metrics, node, names or [])


def _check_names(key: str, metrics: list[str], names: list[str] | None) -> Iterator[Contradiction]:
    if names == []:
        yield Contradiction(
            key, f"= {_shown(metrics)}, but val_evaluator computes no metric (format_only).", "Leave format_only out."
        )
    missing = [metric for metric in metrics if metric != "auto" and names and metric not in names]
    if not missing or not names:
        return
    wanted = missing[0].lower()
    near = [name for name in names if name.lower() == wanted or name.lower().endswith(f"/{wanted}")]
    near += [name for name in names if get_close_matches(wanted, [name.lower(), name.lower().rpartition("/")[2]])]
    best = (near + [name for name in names if name.rpartition("/")[2] in ("mIoU", "top1")] + names)[0]
    replaced = list(dict.fromkeys(best if metric in missing else metric for metric in metrics))
    mend = f"It computes {', '.join(names)}. Set {option(key, replaced[0] if len(replaced) == 1 else replaced)}"
    family = {"mDice": "mDice", "mFscore": "mFscore", "mPrecision": "mFscore", "mRecall": "mFscore", "mIoU": "mIoU"}
    if missing[0] in family and not any(name.endswith(f"/{missing[0]}") for name in names):
        kinds = [kind for kind in dict.fromkeys(family.values()) if kind in names or kind == family[missing[0]]]
        mend += f", or have it computed with {option('val_evaluator.iou_metrics', kinds)}"
    yield Contradiction(key, f"= {_shown(metrics)}, but val_evaluator does not compute {missing[0]!r}.", mend + ".")


def _check_rule(key: str, metrics: list[str], node: dict[str, Any], names: list[str]) -> Iterator[Contradiction]:
    """Find names of which MMEngine cannot tell whether more of it is better, or that it takes for a loss."""
    rule = f"{key.rpartition('.')[0]}.rule"
    plateau = type_name(node).startswith("ReduceOnPlateau")
    # More is better of whatever is computed here.
    if node.get("rule", "less" if plateau else None) == "less" and any(metric in names for metric in metrics):
        yield Contradiction(
            rule,
            f"= 'less'{'' if 'rule' in node else ' (which is the default)'}, but more of {_shown(metrics)} is better.",
            f"Set {option(rule, 'greater')}.",
        )
    if type_name(node) not in ("CheckpointHook", "EarlyStoppingHook"):
        return
    try:
        if key.endswith("save_best"):
            keys = {name: node[name] for name in ("rule", "greater_keys", "less_keys") if node.get(name) is not None}
            CheckpointHook(save_best=metrics, **keys)
        else:
            EarlyStoppingHook(monitor=metrics[0], rule=node.get("rule"))
    except KeyError:
        yield Contradiction(
            rule, f"= {node.get('rule')!r}: expected greater or less.", f"Set {option(rule, 'greater')}."
        )
    except ValueError:
        yield Contradiction(
            key,
            f"= {_shown(metrics)}, of which MMEngine does not know whether more of it is better.",
            f"Say so with {option(rule, 'greater')} (or less).",
        )


def _shown(metrics: list[str]) -> str:
    return repr(metrics[0] if len(metrics) == 1 else metrics)
