"""Pipelines that say which step failed on which file, also from the workers of a loader."""

from typing import Any

from mmengine.dataset import Compose

from .own_words import OwnWordsError

# Under these keys samples name their files; steps that read a mask fail on that one.
_IMAGE, _MASK = "img_path", "seg_map_path"


class SampleError(OwnWordsError):
    """A sample cannot be prepared; the message names its file and the step of the pipeline."""


class NamedSteps(Compose):
    """MMEngine's ``Compose``, whose errors name the file and the step.

    Threads may share it if they may share its steps.

    Args:
        steps: Those of a pipeline, as they were built.
    """

    def __init__(self, steps: list[Any]) -> None:
        super().__init__([])
        self.transforms = steps

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """Take a sample through all steps; None if one of them leaves it out.

        Raises:
            SampleError: A step failed.
            LabelError: A mask holds no class ids.
        """
        for number, step in enumerate(self.transforms):
            try:
                result = step(data)
            except OwnWordsError:
                raise
            except Exception as error:  # A step may be of anybody's.
                name = type(step).__name__
                path = data.get(_MASK if "Annotation" in name and data.get(_MASK) else _IMAGE) or "A sample"
                raise SampleError(
                    f"{path}: step {number} of the pipeline, {name}, failed: {type(error).__name__}: "
                    f"{str(error).strip() or 'no message'}"
                ) from error
            if result is None:
                return None
            data = result
        return data


def name_steps(dataset: Any) -> None:
    """Let the pipelines of a data set, and of those in it, name what fails.

    Args:
        dataset: The data set; its ``pipeline`` is replaced, if it is MMEngine's own.
    """
    if type(getattr(dataset, "pipeline", None)) is Compose:
        dataset.pipeline = NamedSteps(dataset.pipeline.transforms)
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    for part in inner:
        if part is not None:
            name_steps(part)
