"""All heads of a study on one encoder: its features, their training, their scores, their files."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common.finite import is_finite
from ..segmentation.memory import free_bytes
from .batched_heads import BatchedHeads
from .closed_form import ClosedForm
from .convex import ConvexFit
from .encoder_features import EncoderFeatures, Track
from .errors import ProbeError
from .exporting import export_head
from .extraction import Content
from .feature_store import DTYPES
from .features import Norms, pool
from .head_spec import HeadResult, HeadSpec
from .head_training import HeadTraining
from .heads import Heads
from .module_heads import AttentionProbe, ModuleHeads, UperNet, upernet_parts
from .planning import group
from .scored import Scored
from .settings import ProbeSettings
from .sources import Batch, collate
from .store_key import hash_code, hash_json
from .task import Task
from .validation import count_all


class EncoderStudy:
    """Trains and scores heads on one encoder.

    Args:
        task: Data and loss.
        settings: Of the study.
        features: Of the encoder, prepared.
        folder: Of the study.
        fold_of: (N,), of every validation image the fold in which it is counted.
        track: Shows how far a part is.

    Attributes:
        features: Of the encoder.
        timing: Seconds of this run by part.
    """

    def __init__(
        self,
        task: Task,
        settings: ProbeSettings,
        features: EncoderFeatures,
        folder: Path,
        fold_of: NDArray[np.int64],
        track: Track,
    ) -> None:
        self.features = features
        self.timing = features.timing
        self._task = task
        self._settings = settings
        self._encoder = features.encoder
        self._content: Content = features.content
        self._folder = folder
        self._fold_of = fold_of
        self._track = track

    def run(self, specs: Sequence[HeadSpec], phase: str) -> Scored:
        """Train, score and write heads; what was done before a kill is gone on from.

        Args:
            specs: The heads.
            phase: Name of this part of the study, for files.
        """
        # What was done with other heads, features or settings has another name, and is not found.
        settings = {name: value for name, value in asdict(self._settings).items() if name not in ("store", "pictures")}
        about: list[Any] = [self.features.keys, settings, [asdict(spec) for spec in specs], self._task.about]
        about += [hash_code(("probing",)), bool(self.features.stores)]
        self._study = hash_json(about)
        self._state = self._folder / "state" / f"{self._encoder.name}-{phase}-{self._study[:8]}"
        done = self._state.with_name(f"{self._state.name}.json")
        if done.is_file():
            places = len(self._task.classes) + 1
            scored = Scored.read(done, self._study, specs, (int(self._fold_of.max()) + 1, places, places))
            files = [file for one in scored.results for file in (one.checkpoint, one.config) if file is not None]
            if all((self._folder / file).is_file() for file in files):
                return scored
        scored = Scored([], [], [])
        stepwise = [spec for spec in specs if spec.solver in ("adamw", "sgd")]
        convex = [spec for spec in specs if spec.solver == "lbfgs"]
        if stepwise:
            heads = [self._build(members) for members in group(stepwise)]
            training = self._train(heads)
            norms = [training.norms(one) for one in heads]
            self._score(heads, norms, scored, training.losses, training.diverged, None)
        if convex:
            fits = [self._fit(members, i) for i, members in enumerate(group(convex))]
            losses, diverged = [fit.losses for _, fit in fits], [fit.diverged for _, fit in fits]
            gradient_norms = [fit.gradient_norms for _, fit in fits]
            norms = [fit.norms for _, fit in fits]
            self._score([heads for heads, _ in fits], norms, scored, losses, diverged, gradient_norms)
        self._closed_form([spec for spec in specs if spec.solver == "closed_form"], scored)
        scored.write(done, self._study)
        return scored

    def _build(self, specs: Sequence[HeadSpec]) -> Heads:
        """Heads that are trained in one computation."""
        kind, blocks, width = specs[0].kind, specs[0].blocks, self._encoder.embed_dim
        classes, precision = len(self._task.classes), DTYPES[self._settings.precision]
        if kind == "upernet":
            parts = upernet_parts(width, self._task.config.model.decode_head, specs[0].channels)
            return ModuleHeads(specs, lambda: UperNet(parts, blocks), precision)
        if kind == "attention_pooling":
            heads = self._encoder.pool_heads
            return ModuleHeads(specs, lambda: AttentionProbe(width, heads, classes, blocks[0]), precision)
        return BatchedHeads(specs, width if self._content == "maps" else 2 * width, classes, self._content, precision)

    def _train(self, heads: Sequence[Heads]) -> HeadTraining:
        settings = self._settings
        training = HeadTraining(
            heads,
            self.features.source("train"),
            self._task.images_of,
            settings,
            self._task.objectives(settings.loss_stride),
            self._content,
            self._state.with_name(f"{self._state.name}.pth"),
            self._study,
            one_order=not self.features.stores,
        )
        count = sum(len(one.specs) for one in heads)
        with self._track(f"{self._encoder.name}: training {count} heads", settings.iterations) as advance:
            seconds = training.run(advance)
        for one in heads:
            training.norms(one).check(self._encoder.name)
        self.timing["training"] = self.timing.get("training", 0.0) + seconds
        return training

    def _fit(self, specs: Sequence[HeadSpec], number: int) -> tuple[BatchedHeads, ConvexFit]:
        start = time.monotonic()
        heads = self._build(specs)
        assert isinstance(heads, BatchedHeads)
        settings, images, blocks = self._settings, self._task.images_of(specs[0].subset), specs[0].blocks
        store = self.features.stores["train"]

        def read() -> Iterator[Batch]:
            for view in range(settings.views):
                for first in range(0, len(images), settings.batch_size):
                    chosen = images[first : first + settings.batch_size]
                    yield collate([store.read(view, image, blocks) for image in chosen], blocks, {})

        batches: Callable[[], Iterable[Batch]] = read
        # Every iteration reads all images: from memory if their float32 vectors take no more than half of what is free.
        needed = settings.views * len(images) * len(blocks) * 2 * self._encoder.embed_dim * 4
        if self._content != "maps" and needed < free_bytes(torch.device("cpu")) // 2:
            kept = [Batch({block: pool(m) for block, m in batch.maps.items()}, batch.labels) for batch in read()]
            batches = kept.copy
        objectives = self._task.objectives(settings.loss_stride)
        state = self._state.with_name(f"{self._state.name}-lbfgs{number}.pth")
        limits = (settings.lbfgs_iterations, settings.lbfgs_tolerance)
        fit = ConvexFit(heads, batches, objectives, self._content, *limits, state, self._study)
        fit.norms.check(self._encoder.name)
        name = f"{self._encoder.name}: L-BFGS, blocks {blocks}"
        with self._track(name, settings.lbfgs_iterations) as advance:
            fit.run(advance)
        self.timing["L-BFGS"] = self.timing.get("L-BFGS", 0.0) + time.monotonic() - start
        return heads, fit

    def _score(
        self,
        heads: Sequence[Heads],
        norms: Sequence[Norms],
        scored: Scored,
        losses: list[list[float]],
        diverged: list[list[bool]],
        gradient_norms: list[list[float]] | None,
    ) -> None:
        """Score trained heads on the validation images, and write them."""
        start = time.monotonic()
        images = range(len(self._task.val))
        with self._track(f"{self._encoder.name}: validation", len(images)) as advance:
            counts, predicted, finite = count_all(
                heads,
                norms,
                self.features.source("val").samples(images, sorted({b for one in heads for b in one.specs[0].blocks})),
                self._content,
                self._task.decide(self._encoder),
                len(self._task.classes),
                self._task.ignore_index,
                self._fold_of,
                advance,
            )
        self.timing["validation"] = self.timing.get("validation", 0.0) + time.monotonic() - start
        for i, one in enumerate(heads):
            for j, spec in enumerate(one.specs):
                norm = None if gradient_norms is None else gradient_norms[i][j]
                found, tensors = (counts[i][j], predicted[i][j]), one.exported(j, norms[i])
                failed = diverged[i][j] or not finite[i][j] or not all(map(is_finite, tensors.values()))
                self._add(scored, spec, *found, tensors, failed, losses[i][j], norm)

    def _closed_form(self, specs: Sequence[HeadSpec], scored: Scored) -> None:
        if not specs:
            return
        start = time.monotonic()
        plain, val, classes = self.features.source("plain"), self.features.source("val"), len(self._task.classes)
        solver = ClosedForm(plain, val, self._fold_of, self._content, classes, self._settings.temperature)
        alike: dict[Any, list[HeadSpec]] = {}
        for spec in specs:
            alike.setdefault((spec.kind, spec.blocks, spec.subset), []).append(spec)
        with self._track(f"{self._encoder.name}: closed forms", len(alike)) as advance:
            for members in alike.values():
                fitted = solver.fit(members, self._task.images_of(members[0].subset))
                for spec, count, predicted, tensors, diverged in zip(members, *fitted, strict=True):
                    self._add(scored, spec, count, predicted, tensors, diverged, None, None)
                advance(1)
        self.timing["closed forms"] = self.timing.get("closed forms", 0.0) + time.monotonic() - start

    def _add(
        self,
        scored: Scored,
        spec: HeadSpec,
        counts: NDArray[np.int64],
        predicted: list[int],
        tensors: Mapping[str, Tensor],
        diverged: bool,
        loss: float | None,
        norm: float | None,
    ) -> None:
        """Add a head to those that are scored, and write it; one that diverged has neither figures nor a file."""
        scored.counts.append(counts)
        scored.predicted.append(predicted)
        if diverged:
            scored.results.append(HeadResult(spec, None, [None] * len(self._task.classes), diverged=True))
            return
        if not counts.any():
            raise ProbeError(
                f"There is nothing to score on: none of the {len(self._task.val)} validation images has a label "
                f"that is not ignored (ignore_index = {self._task.ignore_index}). Look at the masks of "
                "val_dataloader.dataset."
            )
        per_class, score = self._task.score(counts.sum(0))
        folder, checkpoint, config = self._folder / "heads", None, None
        if tensors:
            meta: dict[str, Any] = {"classes": self._task.classes}
            if self._task.is_dense:
                meta["palette"] = self._task.val.metainfo.get("palette")
            found = export_head(folder, self._task.config, self._encoder, spec, tensors, meta)
            checkpoint, config = (path.relative_to(self._folder).as_posix() for path in found)
        scored.results.append(HeadResult(spec, round(score, 2), per_class, loss, norm, checkpoint, config))
