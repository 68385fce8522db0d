"""The ``probe`` of a config: what a study makes, trains and compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..training import ConfigError
from .feature_store import DTYPES
from .head_spec import KINDS, SOLVERS, Kind, Solver

# A block, or several whose maps are concatenated.
Blocks = Sequence[int | Sequence[int]]
SCHEDULES = ("poly", "cosine")
PRECISIONS = ("float32", "bfloat16")


def _check_in(what: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{what}={value!r} is not known; choose one of {', '.join(allowed)}.")


def _check_least(what: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{what}={value} must be at least {least}.")


@dataclass(frozen=True)
class StoreSettings:
    """Where features are kept.

    Attributes:
        folder: Of all stores; those of one encoder, data set and pipeline are found again by other studies.
        dtype: 'bfloat16', 'int8' or 'float32', of dense maps and tokens; pooled vectors are float32.
        batch_size: Windows that go through the encoder at once.
        workers: Processes that read images ahead.
    """

    folder: str = "work_dirs/features"
    dtype: str = "bfloat16"
    batch_size: int = 4
    workers: int = 2

    def __post_init__(self) -> None:
        _check_in("probe.store.dtype", self.dtype, tuple(DTYPES))
        _check_least("probe.store.batch_size", self.batch_size, 1)
        _check_least("probe.store.workers", self.workers, 0)


@dataclass(frozen=True)
class HeadGrid:
    """Heads to train: one for every combination of the lists.

    Attributes:
        kind: 'linear', 'mlp' or 'upernet' for segmentation; 'linear', 'attention_pooling', 'ridge' or 'knn' for
            classification.
        blocks: Blocks, or sets of blocks; those of the study if None.
        solver: 'adamw', 'sgd' or, of linear heads, 'lbfgs'; ridge and k-NN have none.
        lr: Highest learning rates; not read by L-BFGS, ridge and k-NN.
        weight_decay: Of AdamW (decoupled), SGD and L-BFGS (half its square is added to the loss); ridge's alpha.
        batch_norm: Whether features are normalised by a BatchNorm, for linear heads and MLPs.
        channels: Of an MLP's hidden layer or UperNet's maps.
        neighbours: How many vote, for k-NN.
    """

    kind: Kind = "linear"
    blocks: Blocks | None = None
    solver: Solver = "adamw"
    lr: Sequence[float] = (1e-3,)
    weight_decay: Sequence[float] = (0.0,)
    batch_norm: Sequence[bool] = (True,)
    channels: int = 256
    neighbours: Sequence[int] = (10, 20, 100, 200)

    def __post_init__(self) -> None:
        _check_in("probe.heads[].kind", self.kind, KINDS)
        _check_in("probe.heads[].solver", self.solver, SOLVERS)
        for name in ("lr", "weight_decay", "batch_norm", "neighbours"):
            if not isinstance(getattr(self, name), (list, tuple)) or not getattr(self, name):
                raise ConfigError(f"probe.heads[].{name}={getattr(self, name)!r}: give a list of at least one value.")
        if self.solver == "lbfgs" and self.kind != "linear":
            raise ConfigError(f"probe.heads[].solver='lbfgs' is for linear heads, not for kind={self.kind!r}.")


@dataclass(frozen=True)
class FewShot:
    """Training on a few of the images, some of them drawn several times.

    Attributes:
        fractions: Shares of the training images, above 0 and up to 1.
        per_class: Images of every class, for image labels.
        draws: How often each amount is drawn.
    """

    fractions: Sequence[float] = ()
    per_class: Sequence[int] = ()
    draws: int = 3

    def __post_init__(self) -> None:
        for fraction in self.fractions:
            if not 0 < fraction <= 1:
                raise ConfigError(f"probe.few_shot.fractions holds {fraction}: give shares above 0 and up to 1.")
        for count in (*self.per_class, self.draws):
            _check_least("probe.few_shot.per_class and draws", count, 1)


@dataclass(frozen=True)
class Repeat:
    """Which heads are trained again with other seeds, once all are scored.

    Attributes:
        best: How many of the best; none if 0.
        seeds: Seeds of the repeats; a head's own one is not trained twice.
    """

    best: int = 0
    seeds: Sequence[int] = (0, 1, 2)


@dataclass(frozen=True)
class ProbeSettings:
    """Fields of a config's ``probe``.

    Attributes:
        blocks: Blocks, or sets of blocks, that heads read; negative ones count from the last. All single ones if
            None.
        encoders: Backbones by name; each is put over ``model.backbone``, or in its place if it has a ``type``. That
            of the model alone if empty.
        views: Augmented views of every training image to keep.
        iterations: Training steps of every head.
        batch_size: Images in a step.
        warmup: Steps until the learning rate has grown to that of its decay.
        schedule: 'poly' (linear) or 'cosine' decay to 0.
        loss_stride: Every how many-th pixel, down and across, the loss looks at, from a random one on; 1 for all.
        precision: Of the matrix products in training steps, 'float32' or 'bfloat16', which is twice as fast where the
            processor has it. Parameters, BatchNorm, loss, L-BFGS and scores are float32 in any case.
        seeds: Of initial weights and order; every head is trained with each. In a stream the order is that of one seed
            for all, so that an image is encoded once.
        heads: What to train.
        lbfgs_iterations: Of L-BFGS, at most.
        lbfgs_tolerance: Norm of the gradient at which L-BFGS is done.
        temperature: Of the votes of k-NN.
        few_shot: Training on a few of the images, besides all of them.
        repeat: Training the best again.
        store: Where features are kept.
        pictures: Validation images shown in the report.
    """

    blocks: Blocks | None = None
    encoders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    views: int = 1
    iterations: int = 1000
    batch_size: int = 16
    warmup: int = 0
    schedule: Literal["poly", "cosine"] = "poly"
    loss_stride: int = 14
    precision: Literal["float32", "bfloat16"] = "float32"
    seeds: Sequence[int] = (0,)
    heads: Sequence[HeadGrid] = (HeadGrid(),)
    lbfgs_iterations: int = 500
    lbfgs_tolerance: float = 1e-4
    temperature: float = 0.07
    few_shot: FewShot = FewShot()
    repeat: Repeat = Repeat()
    store: StoreSettings = StoreSettings()
    pictures: int = 4

    def __post_init__(self) -> None:
        _check_in("probe.schedule", self.schedule, SCHEDULES)
        _check_in("probe.precision", self.precision, PRECISIONS)
        for name in ("views", "iterations", "batch_size", "loss_stride"):
            _check_least(f"probe.{name}", getattr(self, name), 1)
        if not self.seeds or not self.heads:
            raise ConfigError("probe.seeds and probe.heads need at least one entry each.")

    @classmethod
    def read(cls, probe: Mapping[str, Any] | None) -> "ProbeSettings":
        """Check a config's ``probe``.

        Raises:
            ConfigError: It is missing, a field is not known or its value not allowed.
        """
        if probe is None:
            raise ConfigError(
                "probe is missing: add probe=dict(...) to the config (docs/probing.md), or use tools/train.py."
            )
        given = dict(probe)
        if "heads" in given:
            given["heads"] = tuple(_build(HeadGrid, head, f"probe.heads[{i}]") for i, head in enumerate(given["heads"]))
        for name, kind in (("few_shot", FewShot), ("repeat", Repeat), ("store", StoreSettings)):
            if name in given:
                given[name] = _build(kind, given[name], f"probe.{name}")
        settings: ProbeSettings = _build(cls, given, "probe")
        return settings


def _build(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    known = [one.name for one in fields(kind)]
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"{where}.{unknown[0]} is not known; the fields are {', '.join(known)}.")
    return kind(**given)
