"""Every study in configs/probing: its fields are known, its encoders are built, its heads are planned."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from internvl_seg.probing.commands import backbones
from internvl_seg.probing.frozen_encoder import FrozenEncoder
from internvl_seg.probing.planning import plan
from internvl_seg.probing.settings import ProbeSettings

from . import FOLDER, read

STUDIES = sorted(path.relative_to(FOLDER).as_posix() for path in Path(FOLDER, "probing").glob("*.py"))


@pytest.mark.parametrize("name", STUDIES)
def test_its_heads_are_planned_for_its_encoders(name: str) -> None:
    config = read(name)
    settings = ProbeSettings.read(config.probe)
    init_default_scope(config.default_scope)
    task = "segmentation" if "decode_head" in config.model else "classification"
    for encoder, backbone in backbones(config, settings).items():
        with torch.device("meta"):
            shapes = FrozenEncoder(encoder, backbone, (-1,))
        specs = plan(settings, shapes, task)
        assert len({spec.name for spec in specs}) == len(specs) >= 4
        assert all(0 <= block < shapes.depth for spec in specs for block in spec.blocks)
        assert {spec.encoder for spec in specs} == {encoder}


def test_all_encoders_of_a_comparison_are_tapped_at_the_same_depth() -> None:
    config = read("probing/encoders_ade20k-504x504.py")
    settings = ProbeSettings.read(config.probe)
    init_default_scope("mmseg")
    depths = set()
    for encoder, backbone in backbones(config, settings).items():
        with torch.device("meta"):
            depths.add(FrozenEncoder(encoder, backbone, (-1,)).depth)
    assert depths == {24}
