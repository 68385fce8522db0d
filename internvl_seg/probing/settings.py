"""The ``probe`` of a config: what a study makes, trains and compares."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..training import ConfigError
from .feature_store import DTYPES
from .head_spec import KINDS, SOLVERS, Kind, Solver
from .select_settings import Select
from .values import check_fields, is_whole, list_of, number, one_of, text, truth, whole

# A block, or several whose maps are concatenated.
Blocks = Sequence[int | Sequence[int]]
SCHEDULES = ("poly", "cosine")
PRECISIONS = ("float32", "bfloat16")
_NAME = re.compile(r"[^\W_][\w.-]*")


def _check_block(key: str, value: Any) -> None:
    if is_whole(value):
        return
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}={value!r} is neither the number of a block nor a list of such.")
    list_of(_check_number_of_block)(key, value)


def _check_number_of_block(key: str, value: Any) -> None:
    if not is_whole(value):
        raise ConfigError(f"{key}={value!r} is not the number of a block.")


def _check_blocks(key: str, value: Any) -> None:
    if value is not None:
        list_of(_check_block)(key, value)


def _check_encoders(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}={value!r}: give a dict of backbones by name.")
    for name, backbone in value.items():
        # Names of heads, and so of files, begin with it.
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{key} has an encoder named {name!r}: give a name of letters, digits, '.', '-' and '_' that begins "
                "with a letter or digit."
            )
        if not isinstance(backbone, Mapping):
            raise ConfigError(
                f"{key}.{name}={backbone!r}: give a dict of the backbone's fields; dict() takes all of it."
            )


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
        checks = {"folder": text, "dtype": one_of(tuple(DTYPES)), "batch_size": whole(1), "workers": whole(0)}
        check_fields("probe.store", self, checks)


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
        checks = {
            "kind": one_of(KINDS),
            "blocks": _check_blocks,
            "solver": one_of(SOLVERS),
            "lr": list_of(number(above=0)),
            "weight_decay": list_of(number(above=0) if self.kind == "ridge" else number(least=0)),
            "batch_norm": list_of(truth),
            "channels": whole(1),
            "neighbours": list_of(whole(1)),
        }
        check_fields("probe.heads[]", self, checks)
        if self.solver == "lbfgs" and self.kind != "linear":
            raise ConfigError(f"probe.heads[].solver='lbfgs' is for linear heads, not for kind={self.kind!r}.")
        if self.solver == "closed_form" and self.kind not in ("ridge", "knn"):
            raise ConfigError(
                f"probe.heads[].solver='closed_form' is that of ridge and knn, not of kind={self.kind!r}."
            )


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
        checks = {
            "fractions": list_of(number(above=0, most=1), may_be_empty=True),
            "per_class": list_of(whole(1), may_be_empty=True),
            "draws": whole(1),
        }
        check_fields("probe.few_shot", self, checks)


@dataclass(frozen=True)
class Repeat:
    """Which heads are trained again with other seeds, once all are scored.

    Attributes:
        best: How many of the best; none if 0.
        seeds: Seeds of the repeats; a head's own one is not trained twice.
    """

    best: int = 0
    seeds: Sequence[int] = (0, 1, 2)

    def __post_init__(self) -> None:
        check_fields("probe.repeat", self, {"best": whole(0), "seeds": list_of(whole(0))})


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
        select: On which images heads are chosen, and on which the chosen one is scored.
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
    select: Select = field(default_factory=Select)
    store: StoreSettings = StoreSettings()
    pictures: int = 4

    def __post_init__(self) -> None:
        positive = dict.fromkeys(("views", "iterations", "batch_size", "loss_stride", "lbfgs_iterations"), whole(1))
        checks = {
            "blocks": _check_blocks,
            "encoders": _check_encoders,
            **positive,
            "warmup": whole(0),
            "schedule": one_of(SCHEDULES),
            "precision": one_of(PRECISIONS),
            "seeds": list_of(whole(0)),
            "lbfgs_tolerance": number(above=0),
            "temperature": number(above=0),
            "pictures": whole(0),
        }
        check_fields("probe", self, checks)
        if not self.heads:
            raise ConfigError("probe.heads=[]: give a list of at least one value.")
        if self.warmup >= self.iterations:
            raise ConfigError(
                f"probe.warmup={self.warmup} is not below probe.iterations={self.iterations}: the study would end "
                "before its learning rate is reached. Make warmup shorter, or iterations more."
            )

    @classmethod
    def read(cls, probe: Mapping[str, Any] | None) -> "ProbeSettings":
        """Check a config's ``probe``.

        Raises:
            ConfigError: It is missing, a field is not known or its value not allowed. None stands for the default.
        """
        if probe is None:
            raise ConfigError(
                "probe is missing: add probe=dict(...) to the config (docs/probing.md), or use tools/train.py."
            )
        given = _given(cls, probe, "probe")
        if "heads" in given:
            if not isinstance(heads := given["heads"], (list, tuple)):
                raise ConfigError(f"probe.heads={heads!r}: give a list of dicts.")
            given["heads"] = tuple(_build(HeadGrid, head, f"probe.heads[{i}]") for i, head in enumerate(heads))
        for name, kind in (("few_shot", FewShot), ("repeat", Repeat), ("select", Select), ("store", StoreSettings)):
            if name in given:
                given[name] = _build(kind, given[name], f"probe.{name}")
        settings: ProbeSettings = _build(cls, given, "probe")
        return settings


def _given(kind: Any, given: Any, where: str) -> dict[str, Any]:
    """Fields of an object without those that are None: so a config takes away what it inherits."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}={given!r}: give a dict of its fields.")
    known = [one.name for one in fields(kind)]
    if unknown := [name for name in given if name not in known]:
        raise ConfigError(f"{where}.{unknown[0]} is not known; the fields are {', '.join(known)}.")
    return {name: value for name, value in given.items() if value is not None}


def _build(kind: Any, given: Any, where: str) -> Any:
    found = _given(kind, given, where)
    try:
        return kind(**found)
    except ConfigError as error:  # Which of the heads it is.
        raise ConfigError(str(error).replace("probe.heads[]", where)) from None
