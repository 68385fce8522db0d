"""What is gathered of shards, by formula."""

from torch import nn

from internvl_seg.planning.footprint import gathered_nbytes


class TwoBlocks(nn.Module):
    """A model of two blocks, of which the first is larger and half frozen, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.blocks = nn.ModuleList([nn.Linear(10, 20), nn.Linear(5, 5)])
        self.backbone.blocks[0].weight.requires_grad_(False)
        self.head = nn.Linear(4, 3)
        self.head.bias.requires_grad_(False)


def test_weights_and_gradients_that_are_gathered() -> None:
    block, learning = 4 * (10 * 20 + 20), 4 * 20
    head, learning_head = 4 * (4 * 3 + 3), 4 * 4 * 3
    # Of the block its weights, a copy where they arrived, and the next block's; its gradients, and two buffers of them.
    assert gathered_nbytes(TwoBlocks()) == head + learning_head + 3 * block + 3 * learning
