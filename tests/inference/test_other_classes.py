"""A checkpoint of other classes than the config's is refused in words that say which config to use."""

from pathlib import Path
from typing import Any

import pytest
import torch

from internvl_seg.checkpoints.whole_model import WrongWeightsError
from internvl_seg.inference import Segmenter


def test_a_checkpoint_of_other_classes_is_told(config: Path, checkpoint: Path) -> None:
    def told(num_classes: int = 5, **options: Any) -> str:
        options = {"model.decode_head.num_classes": num_classes} | options
        with pytest.raises(WrongWeightsError) as caught:
            Segmenter.from_checkpoint(config, checkpoint, device="cpu", options=options)
        text = str(caught.value)
        assert "\n" not in text
        assert "Error(s) in loading" not in text
        return text

    text = told()
    assert "conv_seg.weight is 4 x 8 x 1 x 1, not 5 x 8 x 1 x 1; decode_head.conv_seg.bias is 4, not 5." in text
    assert "The checkpoint's decode_head tells 4 classes apart, the config's 5. " in text
    assert text.endswith("Use the config that it was trained with, which a run saves beside its checkpoints.")
    saved = torch.load(checkpoint, weights_only=True)
    saved["meta"]["dataset_meta"] = {"classes": ("sky", "sea", "wood", "road")}
    torch.save(saved, checkpoint)
    own = config.with_name("of_the_run.py")
    own.write_text(config.read_text())
    text = told()
    assert "tells 4 classes apart (sky, sea, wood, road), the config's 5. " in text
    assert text.endswith(f"which a run saves beside its checkpoints: {own}.")
    # Another encoder, of as many classes: no more than three weights are named.
    text = told(4, **{"model.backbone.arch.embed_dim": 16, "model.decode_head.in_channels": 16})
    assert "; and " in text
    assert text.count(", not ") == 3
    assert "classes" not in text
