"""What stands in a study's folder when it is done: tables, JSON, the resolved config and the report."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from numpy.typing import NDArray

from ..data.band_pictures import read_drawn, reader_of
from ..data.names import output_names
from ..data.palette import distinct_palette
from ..data.writing import whole_file
from ..inference import Segmenter
from ..segmentation.inference import Inference
from ..segmentation.windows import padded_size
from ..training.config import python_text
from ..training.results import versions, write_json
from ..visualization.classified import draw_classified
from ..visualization.feature_pca import draw_feature_pca
from ..visualization.overlay import IGNORED, draw_panel
from .encoder_study import EncoderStudy
from .head_spec import HeadResult
from .report import Report, write_report
from .selection import Reported
from .settings import ProbeSettings
from .study import Study
from .summary import best_by_encoder, best_head, mean_and_std, with_score, write_tables
from .task import Task

# Blocks whose features are drawn, at most.
_DRAWN_BLOCKS = 6


def _chosen(task: Task, settings: ProbeSettings) -> list[int]:
    """Validation images to show, spread over all of them."""
    count = min(settings.pictures, len(task.val))
    return [i * len(task.val) // count for i in range(count)]


def _examples(folder: Path, task: Task, settings: ProbeSettings, best: HeadResult) -> list[tuple[str, Figure]]:
    """Images with their labels and what a head, read like any other checkpoint, predicts."""
    if best.checkpoint is None or best.config is None:
        return []
    segmenter = Segmenter.from_checkpoint(folder / best.config, folder / best.checkpoint)
    palette = task.val.metainfo.get("palette") or ()
    palette = palette if len(palette) == len(task.classes) else distinct_palette(len(task.classes))
    figures = []
    paths = [info["img_path"] for info in task.infos(task.val)]
    names = output_names(paths)
    for index in _chosen(task, settings):
        sample = task.val.dataset[index]["data_samples"]
        image = read_drawn(paths[index], segmenter.reader)
        seen = image if segmenter.reader is None else paths[index]
        truth = sample.gt_sem_seg.data[0].numpy()
        truth = np.where((truth == task.ignore_index) | (truth >= len(task.classes)), IGNORED, truth)
        figures.append((names[index], draw_panel(image, truth, segmenter(seen).labels, task.classes, palette)))
    return figures


def _classified(task: Task, settings: ProbeSettings, predicted: Sequence[int]) -> list[tuple[str, Figure]]:
    """Images with their classes and those that a head predicts."""
    infos = [task.infos(task.val)[index] for index in _chosen(task, settings)]
    reader = reader_of(task.val.dataset)
    images = [read_drawn(info["img_path"], reader) for info in infos]
    found = [task.classes[predicted[index]] for index in _chosen(task, settings)]
    return [
        ("class and prediction", draw_classified(images, [task.classes[info["gt_label"]] for info in infos], found))
    ]


def _features(task: Task, settings: ProbeSettings, part: EncoderStudy) -> Figure | None:
    """Feature maps of some images, after some blocks, as colours."""
    if not task.is_dense:
        return None
    blocks, patch = part.features.blocks, getattr(part.features.encoder.backbone, "patch_size", 1)
    drawn = [blocks[i] for i in np.linspace(0, len(blocks) - 1, min(len(blocks), _DRAWN_BLOCKS)).round().astype(int)]
    images: list[NDArray[np.uint8]] = []
    maps: dict[str, list[Any]] = {f"block {block}": [] for block in drawn}
    chosen = _chosen(task, settings)
    infos = task.infos(task.val)
    for index, sample in zip(chosen, part.features.source("val").samples(chosen, drawn), strict=True):
        images.append(
            _first_window(read_drawn(infos[index]["img_path"], reader_of(task.val.dataset)), sample.meta, task, patch)
        )
        for block in drawn:
            maps[f"block {block}"].append(sample.features[block][0].permute(2, 0, 1).float())
    return draw_feature_pca(images, maps) if images else None


def _first_window(image: NDArray[np.uint8], meta: Mapping[str, Any], task: Task, patch: int) -> NDArray[np.uint8]:
    """What an encoder saw of an image, or the first window of it, with the padding that its maps cover, too."""
    height, width = meta["size"]
    left, right, top, bottom = meta.get("img_padding_size", meta.get("padding_size", (0, 0, 0, 0)))
    image = mmcv.imresize(image, (width - left - right, height - top - bottom))
    image = np.pad(image, ((top, bottom), (left, right), (0, 0)))
    down, across = Inference.read(task.test_cfg).cut((height, width))
    rows, columns = padded_size((down.window, across.window), patch)
    after = ((0, rows - down.window), (0, columns - across.window), (0, 0))
    return np.pad(image[: down.window, : across.window], after)


def _stores(study: Study) -> dict[str, dict[str, Any]]:
    return {
        f"{name}, {split}": {
            "folder": str(store.folder),
            "bytes": store.nbytes(),
            "seconds_to_make": round(store.seconds(), 1),
            "key": store.key,
        }
        for name, part in study.parts.items()
        for split, store in part.features.stores.items()
    }


def _timing(study: Study) -> dict[str, float]:
    several = len(study.parts) > 1
    return {
        f"{name}: {phase}" if several else phase: seconds
        for name, part in study.parts.items()
        for phase, seconds in part.timing.items()
        if seconds >= 0.05
    }


def _as_json(reported: Reported | None) -> dict[str, Any] | None:
    return None if reported is None else reported.to_json()


def write_study_report(folder: Path, config: Config, settings: ProbeSettings, task: Task, study: Study) -> None:
    """Write ``results.csv``, ``results.json``, the resolved config and ``index.html``.

    Args:
        folder: Of the study.
        config: Its config.
        settings: Of it.
        task: Its data.
        study: What it came to.
    """
    results, stores = study.scored.results, _stores(study)
    best = best_head(results) if with_score(results) else None
    confusion = study.scored.counts[results.index(best)].sum(0)[:-1, :-1] if best is not None else None
    bests = best_by_encoder(results)
    pictures: list[tuple[str, Figure]] = []
    features: list[tuple[str, Figure]] = []
    for encoder, own in bests.items():
        named = f"{encoder}: " if len(study.parts) > 1 else ""
        if not settings.pictures:
            break
        if task.is_dense:
            found = _examples(folder, task, settings, own)
        else:
            found = _classified(task, settings, study.scored.predicted[results.index(own)])
        pictures += [(f"{named}{name}", figure) for name, figure in found]
        if (figure := _features(task, settings, study.parts[encoder])) is not None:
            features.append((f"{named}feature maps as colours", figure))
    resolved = folder / Path(config.filename).name
    with whole_file(resolved) as file:
        file.write_text(python_text(config))
    write_tables(folder, results)
    facts: Mapping[str, Any] = {
        "config": str(config.filename),
        "resolved_config": str(resolved),
        "seed": task.seed,
        "versions": versions(),
        "encoders": {name: part.features.weights for name, part in study.parts.items()},
        "stores": stores,
        "seconds": _timing(study),
    }
    repeated = [
        {"name": one.spec.name, "mean": one.mean, "std": one.std, "n": one.n, "diverged": one.diverged}
        for one in mean_and_std(results)
        if one.n + one.diverged > 1
    ]
    content: dict[str, Any] = {"metric": task.metric, "best": best and best.spec.name}
    content |= {"chosen_on": study.selection.on, "reported": _as_json(study.reported.get(""))}
    content |= {"reported_of_encoders": {name: _as_json(one) for name, one in study.reported.items() if name}}
    content |= {"best_of_encoders": {encoder: own.spec.name for encoder, own in bests.items()}}
    content |= {"repeated": repeated, "classes": task.classes, "heads": [asdict(result) for result in results]}
    content |= {"confusion": confusion.tolist() if confusion is not None else None, **facts}
    write_json(folder / "results.json", content)
    told = {
        "config": str(config.filename),
        "seed of augmentation": str(task.seed),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
    told |= {f"encoder {name}": f"SHA-256 {part.features.weights}" for name, part in study.parts.items()}
    for name, store in stores.items():
        told[f"features, {name}"] = (
            f"{store['folder']}, {store['bytes'] / 1e9:.3g} GB, made in {store['seconds_to_make']} s"
        )
    report = Report(
        title=f"Probing {', '.join(study.parts)}",
        metric=task.metric,
        results=results,
        classes=task.classes,
        reported=study.reported,
        confusion=confusion,
        pictures=pictures,
        features=features,
        timing=_timing(study),
        facts=told,
        commands=[" ".join(["python", *sys.argv])],
        config=python_text(config),
    )
    write_report(folder / "index.html", report)
