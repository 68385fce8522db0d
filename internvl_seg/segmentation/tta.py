"""Test-time augmentation for the streaming segmentor."""

from typing import Any

from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from .segmentor import StreamingEncoderDecoder


@MODELS.register_module()
class StreamingTTAModel(SegTTAModel):
    """Averages the probabilities of all views of an image, tile by tile, where mmseg's ``SegTTAModel`` holds them all.

    With one output (``out_channels=1``) the mean of the probabilities is compared with the threshold; MMSegmentation
    applies the sigmoid to them once more, so that every pixel passes its default threshold of 0.3.

    Threads may share it, as they may its model.

    Args:
        **kwargs: Those of ``SegTTAModel``. With another ``module`` than a ``StreamingEncoderDecoder`` it is mmseg's.
    """

    def test_step(self, data: dict[str, list[Any]]) -> list[SegDataSample]:
        """Predict a batch from a ``TestTimeAug`` pipeline.

        Args:
            data: ``inputs`` and ``data_samples``, a list for every augmentation with an entry for every image.

        Returns:
            A sample an image, with ``pred_sem_seg``, and what else it had (``gt_sem_seg``, ``img_path``).
        """
        if not isinstance(self.module, StreamingEncoderDecoder):
            return list(super().test_step(data))
        samples: list[SegDataSample] = []
        for number in range(len(data["inputs"][0])):
            # Images of a batch may differ in size.
            views = [
                self.module.data_preprocessor({"inputs": [images[number]], "data_samples": [found[number]]})
                for images, found in zip(data["inputs"], data["data_samples"], strict=True)
            ]
            samples += self.module.predict_views([v["inputs"] for v in views], [v["data_samples"] for v in views])
        return samples
