"""What would stop a study, or make it say little, told before any feature is computed."""

from collections.abc import Iterator, Mapping, Sequence

from ..training import ConfigError
from .head_spec import HeadSpec, Subset
from .settings import ProbeSettings
from .summary import without_seeds
from .task import Task


def check_study(settings: ProbeSettings, task: Task, planned: Mapping[str, Sequence[HeadSpec]]) -> list[str]:
    """Check that settings, data and heads fit each other.

    Args:
        settings: The study.
        task: The data.
        planned: Heads by encoder.

    Returns:
        What is possible, but hardly meant: a sentence each.

    Raises:
        ConfigError: They do not; the message names the key.
    """
    specs = [spec for heads in planned.values() for spec in heads]
    if not task.classes or not len(task.val) or not len(task.train):
        raise ConfigError(f"{task.config.filename}: train_dataloader or val_dataloader has no image.")
    task.objectives(settings.loss_stride)
    for name, data in (("train", task.train), ("val", task.val)):
        _check_labels(task, name, data.dataset.get_data_info(0))
    _check_names(specs)
    _check_repeats(settings, specs)
    notes: list[str] = []
    for subset in dict.fromkeys(spec.subset for spec in specs):
        count = len(task.images_of(subset))
        notes += _check_amount(settings, task, count, [spec for spec in specs if spec.subset == subset], subset)
    return notes


def _check_labels(task: Task, loader: str, info: Mapping[str, object]) -> None:
    name = "seg_map_path" if task.is_dense else "gt_label"
    if info.get(name) is None:
        advice = " Set its data_prefix.seg_map_path." if task.is_dense else ""
        raise ConfigError(
            f"{task.config.filename}: {loader}_dataloader.dataset has no labels ({name} of {info.get('img_path')} is "
            f"missing): a probe trains and scores on labelled images.{advice}"
        )


def _check_names(specs: Sequence[HeadSpec]) -> None:
    """Names of files that differ in capitals only are one on some disks."""
    names: dict[str, str] = {}
    for spec in specs:
        if (other := names.setdefault(spec.encoder.lower(), spec.encoder)) != spec.encoder:
            raise ConfigError(f"probe.encoders has {other!r} and {spec.encoder!r}, which differ in capitals only.")


def _check_repeats(settings: ProbeSettings, specs: Sequence[HeadSpec]) -> None:
    candidates = {without_seeds(spec) for spec in specs if spec.subset is None and spec.solver in ("adamw", "sgd")}
    if settings.repeat.best > len(candidates):
        raise ConfigError(
            f"probe.repeat.best={settings.repeat.best}, but the study has {len(candidates)} heads that a seed changes "
            "(those of 'adamw' and 'sgd', on all images). Take no more of them."
        )


def _check_amount(
    settings: ProbeSettings, task: Task, count: int, specs: Sequence[HeadSpec], subset: Subset | None
) -> Iterator[str]:
    """Check heads of a subset against its number of images."""
    images = f"{count} images" if subset is None else f"{count} images ({subset})"
    most = max((spec.neighbours for spec in specs), default=0)
    if most > count:
        raise ConfigError(f"probe.heads[].neighbours holds {most}, but there are {images} to train on. Take no more.")
    trained = [spec for spec in specs if spec.solver in ("adamw", "sgd")]
    normed = [spec for spec in trained if spec.batch_norm and (not task.is_dense or spec.kind == "upernet")]
    if normed and settings.batch_size == 1:
        raise ConfigError(
            f"probe.batch_size=1, but {normed[0].kind!r} has a BatchNorm, whose statistics need two values. Take a "
            "larger batch."
        )
    if trained and count < settings.batch_size:
        yield (
            f"probe.batch_size={settings.batch_size} is more than the {images}: a batch holds some of them several "
            "times, and its BatchNorm has seen no others."
        )
