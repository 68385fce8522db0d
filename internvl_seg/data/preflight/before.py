"""The preflight before a training, a test or a study: it prints warnings and stops at errors."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mmengine.config import Config
from rich.console import Console

from ...common.words import counted
from .check import DatasetError, check_dataset
from .findings import KINDS, Finding
from .pasting import Command

# Of each data set so many images are decoded; of the others the files' heads are read, and of all the masks.
PICTURES = 200
# Of a classifier's data set so many images are looked at: the heads of ImageNet's 1.3 million would take minutes.
LABELLED = 20_000


def check_before_training(
    config: Config,
    sample: int | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    splits: Iterable[str] = ("train", "val"),
    allow: Collection[str] = (),
    command: Command | None = None,
    harm: str = "Training would fail or learn the wrong thing",
) -> None:
    """Look at all masks and a sample of the images that a run reads; print warnings.

    What was read is kept (:mod:`.cache`), so that a second run starts at once.

    Args:
        config: The config.
        sample: Look at so many images of each data set and their masks only; all if None, or 20,000 of a classifier's.
        options: What was put over the config's file, for the commands that are advised.
        splits: Which of 'train', 'val' and 'test' are read.
        allow: Kinds of findings that are as they should be.
        command: What is run, for the commands that are advised.
        harm: What errors would do.

    Raises:
        DatasetError: Something would stop or ruin the run, and is not allowed; the message lists all that was found.
    """
    if unknown := [kind for kind in allow if kind not in KINDS]:
        raise DatasetError(f"--allow {unknown[0]}: there is no such finding. There are: {', '.join(KINDS)}.")
    command = command or Command(("python", "tools/train.py", str(config.filename)), options or {})
    console = Console()
    if sample is None and config.get("default_scope") == "mmpretrain":
        sample = LABELLED
    report = check_dataset(config, splits=splits, sample=sample, pictures=PICTURES, command=command, console=console)
    errors = []
    for finding in report.findings:
        if finding.severity == "error" and finding.kind not in allow:
            errors.append(finding)
        elif finding.severity == "error" or finding.kind not in allow:
            told = f"Data, {finding.kind}{' (allowed)' if finding.kind in allow else ''}: {finding}"
            console.print(told, style="yellow", soft_wrap=True, markup=False, highlight=False)
    if errors:
        raise DatasetError(_refusal(errors, harm, report.images, command, allow, str(config.filename)))


def _refusal(errors: list[Finding], harm: str, images: int, command: Command, allow: Collection[str], file: str) -> str:
    listed = "\n".join(f"- {finding.kind}: {finding}" for finding in errors)
    kinds = dict.fromkeys([*allow, *(finding.kind for finding in errors)])
    told = ""
    if not any(KINDS[finding.kind].stops for finding in errors):
        told = f"If this is as it should be: {command.with_words('--allow', *kinds)}\n"
    check = command.of("python", "tools/check_dataset.py", file)
    return f"{harm} (looked at {counted(images, 'image')}):\n{listed}\n{told}All of it: {check.with_options({})}"
