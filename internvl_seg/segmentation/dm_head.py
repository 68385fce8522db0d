"""MMSegmentation's DMHead on the maps of a ViT."""

from collections.abc import Sequence

from mmseg.models import decode_heads
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module(force=True)
class DMHead(decode_heads.DMHead):
    """MMSegmentation's head, in whose place it is registered: it views maps channel by channel.

    A ViT's maps lie in memory pixel by pixel, so they are copied here. Threads may share it in eval mode.
    """

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        maps: Tensor = super()._transform_inputs(inputs)
        return maps.contiguous()
