"""What tells one head of a study from the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["linear", "mlp", "upernet", "attention_pooling", "ridge", "knn"]
Solver = Literal["adamw", "sgd", "lbfgs", "closed_form"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SOLVERS: tuple[Solver, ...] = get_args(Solver)


@dataclass(frozen=True)
class Subset:
    """A few of the training images, drawn with a seed.

    Attributes:
        fraction: Share of all images, above 0 and up to 1, or None.
        per_class: Images of every class, or None; for image labels only. One of the two is given.
        seed: Of the draw.
    """

    fraction: float | None
    per_class: int | None
    seed: int

    def __str__(self) -> str:
        amount = f"{self.fraction:g} of the images" if self.fraction else f"{self.per_class} a class"
        return f"{amount}, draw {self.seed}"


def _short(value: float) -> str:
    """A number with as few digits as tell it from every other."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


@dataclass(frozen=True)
class HeadSpec:
    """One head of a study.

    Attributes:
        encoder: Name of the encoder.
        kind: Architecture of the head.
        blocks: Blocks whose maps it reads, from 0; several are concatenated, or make UperNet's pyramid.
        solver: How it is trained.
        lr: Highest learning rate; 0 for solvers without one.
        weight_decay: Of matrices; for 'ridge' the penalty alpha.
        batch_norm: Whether features are normalised by a BatchNorm.
        seed: Of initial weights, order and random crops.
        subset: Training images, all of them if None.
        neighbours: For 'knn', how many vote.
        channels: For 'mlp' those of the hidden layer, for 'upernet' those of its maps.
    """

    encoder: str
    kind: Kind
    blocks: tuple[int, ...]
    solver: Solver
    lr: float
    weight_decay: float
    batch_norm: bool
    seed: int
    subset: Subset | None = None
    neighbours: int = 0
    channels: int = 0

    @property
    def name(self) -> str:
        """A name for files: what tells it from every other head, without spaces."""
        parts = [self.encoder, self.kind, "block" + "-".join(map(str, self.blocks)), self.solver]
        if self.kind == "knn":
            parts.append(f"k{self.neighbours}")
        else:
            parts += [f"lr{_short(self.lr)}"] * (self.lr > 0) + [f"wd{_short(self.weight_decay)}"]
        parts += [f"c{self.channels}"] * (self.channels > 0)
        parts += ["raw"] * (not self.batch_norm) + [f"seed{self.seed}"]
        if self.subset is not None:
            amount = _short(self.subset.fraction) if self.subset.fraction else f"{self.subset.per_class}shot"
            parts.append(f"{amount}-draw{self.subset.seed}")
        return "_".join(parts)


@dataclass(frozen=True)
class HeadResult:
    """How a head scored.

    Attributes:
        spec: The head.
        score: mIoU or top-1 accuracy on the validation images, in percent; None of a head that diverged.
        per_class: IoU or accuracy of every class in percent, in their order; None for a class that is not there.
        loss: Of the last iterations (their mean) or, with L-BFGS, at its end; None for solvers without one.
        gradient_norm: Of the objective at the end of L-BFGS, None for others.
        checkpoint: File with the head, None for one that has none.
        config: Config that reads the checkpoint, None for one that has none.
        diverged: Whether its loss, weights or logits became NaN or infinite; it has no figures and no checkpoint then.
    """

    spec: HeadSpec
    score: float | None
    per_class: list[float | None]
    loss: float | None = None
    gradient_norm: float | None = None
    checkpoint: str | None = None
    config: str | None = None
    diverged: bool = False

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "HeadResult":
        """The result that ``dataclasses.asdict`` made JSON of."""
        spec = dict(content["spec"])
        spec["blocks"] = tuple(spec["blocks"])
        spec["subset"] = Subset(**spec["subset"]) if spec["subset"] else None
        return cls(**{**content, "spec": HeadSpec(**spec)})

    def row(self) -> dict[str, Any]:
        """A flat row for tables."""
        spec = self.spec
        return {
            "name": spec.name,
            "score": self.score,
            "diverged": self.diverged,
            "encoder": spec.encoder,
            "kind": spec.kind,
            "blocks": " ".join(map(str, spec.blocks)),
            "solver": spec.solver,
            "lr": spec.lr,
            "weight_decay": spec.weight_decay,
            "batch_norm": spec.batch_norm,
            "seed": spec.seed,
            "neighbours": spec.neighbours,
            "channels": spec.channels,
            "subset": str(spec.subset) if spec.subset else "",
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "checkpoint": self.checkpoint,
            "config": self.config,
        }
