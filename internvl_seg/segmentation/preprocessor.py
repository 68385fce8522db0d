"""Normalising images of any number of bands."""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models import SegDataPreProcessor as MMSegSegDataPreProcessor
from mmseg.registry import MODELS

_KNOWN = (1, 3)


# Where a config names MMSegmentation's preprocessor, this one is built.
@MODELS.register_module(name="SegDataPreProcessor", force=True)
class SegDataPreProcessor(MMSegSegDataPreProcessor):
    """MMSegmentation's preprocessor of this name, but that ``mean`` and ``std`` may be of any number of bands.

    Threads may share it.

    Args:
        mean: Of every band, or one for all.
        std: Standard deviations, as many.
        **kwargs: Others of mmseg's ``SegDataPreProcessor``.

    Raises:
        ValueError: There are more of the one than of the other.
    """

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None, **kwargs: Any) -> None:
        if mean is None or std is None or len(mean) in _KNOWN:
            super().__init__(mean=mean, std=std, **kwargs)
            return
        if len(mean) != len(std):
            raise ValueError(f"mean has {len(mean)} numbers, but std {len(std)}: both are one for each band.")
        super().__init__(**kwargs)
        self._enable_normalize = True
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), False)
