"""What makes another store, and what does not."""

from pathlib import Path

import pytest

from internvl_seg.probing import store_key
from internvl_seg.probing.store_key import code_versions, hash_code, hash_data, hash_json

CODE = [
    "encoder/intern_vit.py",
    "encoder/attention.py",
    "checkpoints/architecture.py",
    "checkpoints/config_json.py",
    "checkpoints/config_text.py",
    "checkpoints/containers.py",
    "checkpoints/encoder_file.py",
    "checkpoints/folder_kinds.py",
    "checkpoints/formats.py",
    "checkpoints/loading.py",
    "checkpoints/meta_config.py",
    "checkpoints/position_grid.py",
    "checkpoints/sources.py",
    "checkpoints/told.py",
    "checkpoints/weight_names.py",
    "probing/extraction.py",
    "probing/frozen_encoder.py",
    "probing/quantization.py",
    "segmentation/backbone.py",
    "segmentation/timm_config.py",
    "segmentation/timm_vit.py",
    "segmentation/timm_weights.py",
    "segmentation/windows.py",
    "training/stream.py",
]


@pytest.mark.parametrize("name", CODE)
def test_code_that_features_depend_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before, real = hash_code(), store_key.sha256_of
    monkeypatch.setattr(store_key, "sha256_of", lambda path: "other" if str(path).endswith(name) else real(path))
    assert hash_code() != before


@pytest.mark.parametrize(
    "package", ["torch", "numpy", "opencv-python", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmpretrain", "timm"]
)
def test_packages_that_features_depend_on(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    before, versions = code_versions(), store_key.versions()
    monkeypatch.setattr(store_key, "versions", lambda: versions | {package: "0.0"})
    assert code_versions() != before


def test_labels_images_and_their_order_are_hashed(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    infos = [{"img_path": str(tmp_path / name), "gt_label": label} for name, label in (("a", 0), ("b", 1))]
    relabelled = [infos[0], infos[1] | {"gt_label": 0}]
    assert len({hash_data(found) for found in (infos, infos[::-1], relabelled, infos[:1])}) == 4
    assert hash_data(infos) == hash_data([dict(info) for info in infos])


def test_the_order_of_keys_is_no_matter() -> None:
    assert hash_json({"a": 1, "b": {"c": 2, "d": 3}}) == hash_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert hash_json([1, 2]) != hash_json([2, 1])
