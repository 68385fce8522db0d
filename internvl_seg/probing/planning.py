"""Which heads a study trains."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from ..training import ConfigError
from .frozen_encoder import FrozenEncoder
from .head_spec import HeadResult, HeadSpec, Kind, Solver, Subset
from .settings import FewShot, HeadGrid, ProbeSettings

_KINDS: dict[str, tuple[Kind, ...]] = {
    "segmentation": ("linear", "mlp", "upernet"),
    "classification": ("linear", "attention_pooling", "ridge", "knn"),
}
_CLOSED_FORM = ("ridge", "knn")


def resolve_blocks(grid: HeadGrid, settings: ProbeSettings, encoder: FrozenEncoder) -> list[tuple[int, ...]]:
    """The blocks, or sets of blocks, that heads of a grid read, from 0.

    Raises:
        ConfigError: The encoder has no such block, or the kind of head cannot read so many.
    """
    given = grid.blocks if grid.blocks is not None else settings.blocks
    if given is None:
        given = range(encoder.depth)
    chosen = [[entry] if isinstance(entry, int) else list(entry) for entry in given]
    try:
        sets = [encoder.resolve(entry) for entry in chosen]
    except ValueError as error:
        raise ConfigError(f"probe.blocks={list(given)}: {error}") from error
    if twice := [entry for entry in sets if len(set(entry)) < len(entry)]:
        raise ConfigError(
            f"probe.blocks={list(given)}: {twice[0]} holds a block twice, of an encoder of {encoder.depth}."
        )
    wanted = {"upernet": 4, "attention_pooling": 1}.get(grid.kind)
    if wanted and grid.blocks is None:  # Of the study's blocks, those that such a head can read.
        sets = [entry for entry in sets if len(entry) == wanted]
    if bad := [entry for entry in sets if wanted and len(entry) != wanted] or not sets:
        raise ConfigError(
            f"probe.heads[].kind={grid.kind!r} reads {wanted} block{'s' * (wanted != 1)} at a time, but blocks are "
            f"{bad if sets else list(given)}: give probe.heads[].blocks."
        )
    return sets


def subsets(few_shot: FewShot) -> list[Subset | None]:
    """All images, and then the few-shot draws."""
    amounts: list[tuple[float | None, int | None]] = [(fraction, None) for fraction in few_shot.fractions]
    amounts += [(None, count) for count in few_shot.per_class]
    return [None, *(Subset(*amount, seed) for amount in amounts for seed in range(few_shot.draws))]


def plan(settings: ProbeSettings, encoder: FrozenEncoder, task: str) -> list[HeadSpec]:
    """Every head that a study trains on an encoder before it repeats the best.

    Args:
        settings: The study.
        encoder: The encoder.
        task: 'segmentation' or 'classification'.

    Raises:
        ConfigError: A kind of head is not one of the task's, or its blocks do not fit.
    """
    found: dict[HeadSpec, None] = {}
    for i, grid in enumerate(settings.heads):
        if grid.kind not in _KINDS[task]:
            raise ConfigError(f"probe.heads[{i}].kind={grid.kind!r} is not for {task}: choose one of {_KINDS[task]}.")
        if settings.few_shot.per_class and task == "segmentation":
            raise ConfigError("probe.few_shot.per_class is for image labels: use fractions for segmentation.")
        closed = grid.kind in _CLOSED_FORM
        solver: Solver = "closed_form" if closed else grid.solver
        lrs = grid.lr if solver in ("adamw", "sgd") else (0.0,)
        norms = grid.batch_norm if grid.kind in ("linear", "mlp") else (not closed,)
        decays = (0.0,) if grid.kind == "knn" else grid.weight_decay
        votes = grid.neighbours if grid.kind == "knn" else (0,)
        width = grid.channels if grid.kind in ("mlp", "upernet") else 0
        seeds = settings.seeds[:1] if closed or solver == "lbfgs" else settings.seeds
        for blocks, subset, seed in product(resolve_blocks(grid, settings, encoder), subsets(settings.few_shot), seeds):
            for lr, decay, norm, k in product(lrs, decays, norms, votes):
                numbers = (float(lr), float(decay), bool(norm), int(seed), subset, int(k), width)
                found[HeadSpec(encoder.name, grid.kind, blocks, solver, *numbers)] = None
    return list(found)


def repeats(results: Sequence[HeadResult], settings: ProbeSettings) -> list[HeadSpec]:
    """The best heads on all images with the seeds that they have not been trained with yet."""
    candidates = [(r.score, r) for r in results if r.spec.subset is None and r.spec.solver in ("adamw", "sgd")]
    ranked = sorted([(score, r) for score, r in candidates if score is not None], key=lambda pair: -pair[0])
    done = {r.spec for r in results}
    out: dict[HeadSpec, None] = {}
    chosen: dict[HeadSpec, None] = {}
    for _, result in ranked:
        if len(chosen) < settings.repeat.best:
            chosen[_with_seed(result.spec, 0)] = None
    for base in chosen:
        for seed in settings.repeat.seeds:
            if (spec := _with_seed(base, seed)) not in done:
                out[spec] = None
    return list(out)


def _with_seed(spec: HeadSpec, seed: int) -> HeadSpec:
    return replace(spec, seed=seed)


def group(specs: Sequence[HeadSpec]) -> list[list[HeadSpec]]:
    """Specs that differ in learning rate and weight decay only, and are trained in one computation."""
    groups: dict[HeadSpec, list[HeadSpec]] = {}
    for spec in specs:
        groups.setdefault(replace(spec, lr=0.0, weight_decay=0.0), []).append(spec)
    return list(groups.values())
