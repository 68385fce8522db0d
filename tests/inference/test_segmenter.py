"""A trained model as a function from pictures to labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from mmseg.apis import inference_model
from mmseg.registry import DATASETS, MODELS
from PIL import Image

import internvl_seg
from internvl_seg.checkpoints.errors import CheckpointError, UnreadableWeightsError, WrongConfigError
from internvl_seg.checkpoints.whole_model import WrongWeightsError
from internvl_seg.inference import Segmenter
from internvl_seg.training import ConfigError
from internvl_seg.training.config import load_config

from ..error_table import DocumentedError
from .conftest import CLASSES, CONFIG, picture


def test_labels_are_those_of_the_evaluation(segmenter: Segmenter, config: Path, checkpoint: Path) -> None:
    folder = config.parent / "data"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    image = picture(30, 44)
    Image.fromarray(image).save(folder / "images/a.png")
    Image.fromarray(np.zeros((30, 44), np.uint8)).save(folder / "masks/a.png")
    loaded = load_config(config, {"test_dataloader.dataset.data_root": str(folder)})
    dataset = DATASETS.build(loaded.test_dataloader.dataset)
    model = MODELS.build({**loaded.model, "type": "EncoderDecoder"}).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    sample = dataset[0]
    with torch.no_grad():
        (want,) = model.test_step({"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]})
    got = segmenter(folder / "images/a.png")
    assert (got.labels == want.pred_sem_seg.data[0].numpy()).all()
    assert len(np.unique(got.labels)) == 4
    # And of MMSegmentation's own function for single pictures, which takes BGR.
    model.cfg = loaded
    theirs = inference_model(model, image[..., ::-1].copy()).pred_sem_seg.data[0].numpy()
    assert (got.labels == theirs).all()


def test_it_takes_pictures_in_any_form_one_or_several(segmenter: Segmenter, tmp_path: Path) -> None:
    image = picture(30, 44)
    Image.fromarray(image).save(tmp_path / "a.png")
    want = segmenter(image).labels
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    for form in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), tensor):
        got = segmenter(form)
        assert got.labels.dtype == np.uint8
        assert (got.labels == want).all()
    other = picture(17, 60, seed=1)
    several = segmenter([image, tmp_path / "a.png", other, image])
    assert [s.labels.shape for s in several] == [(30, 44), (30, 44), (17, 60), (30, 44)]
    assert (several[2].labels == segmenter(other).labels).all()
    assert all((several[i].labels == want).all() for i in (0, 1, 3))
    assert len(segmenter(np.stack([image, image]))) == len(segmenter(torch.stack([tensor, tensor]))) == 2
    assert segmenter([]) == []


def test_pictures_are_read_when_their_turn_comes(segmenter: Segmenter) -> None:
    segmenter.model.test_cfg.window_batch = 2
    read: list[int] = []

    def pictures() -> Iterator[np.ndarray]:
        for i in range(6):
            read.append(i)
            yield picture(30, 44, i)

    for done, found in enumerate(segmenter.iterate(pictures()), start=1):
        assert len(read) <= done + 1
        assert (found.labels == segmenter(picture(30, 44, done - 1)).labels).all()
    assert done == 6


def test_areas_and_probabilities(segmenter: Segmenter) -> None:
    found = segmenter(picture(30, 44), probabilities=True)
    assert list(found.areas) == segmenter.classes == CLASSES
    assert [found.areas[name] for name in CLASSES] == [int((found.labels == i).sum()) for i in range(4)]
    assert found.probabilities is not None
    assert found.probabilities.shape == (4, 30, 44)
    np.testing.assert_allclose(found.probabilities.sum(0), 1, rtol=1e-5)
    assert (found.probabilities.argmax(0) == found.labels).all()
    assert segmenter(picture(30, 44)).probabilities is None


def test_views_are_averaged(segmenter: Segmenter, config: Path, checkpoint: Path) -> None:
    averaging = Segmenter.from_checkpoint(config, checkpoint, device="cpu", tta=True)
    image = picture(30, 44)
    mirrored = averaging(np.ascontiguousarray(image[:, ::-1]), probabilities=True).probabilities
    # Seen both ways, a picture and its mirror image are the same.
    np.testing.assert_allclose(averaging(image, probabilities=True).probabilities, mirrored[..., ::-1], atol=1e-3)
    plain = segmenter(image, probabilities=True).probabilities
    assert abs(plain - averaging(image, probabilities=True).probabilities).max() > 0.01


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bands_are_the_labels_of_the_picture_in_one_piece(
    segmenter: Segmenter, height: int, width: int, slides: bool
) -> None:
    segmenter.model.test_cfg = ConfigDict(window_batch=1)
    if slides:
        segmenter.model.test_cfg.update(mode="slide", crop_size=(10, 12), stride=(6, 7))
    image = picture(height, width)
    asked: list[tuple[int, int]] = []

    def rows(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return image[start:stop]

    out = np.full((height, width), 99)
    for start, band in segmenter.bands((height, width), rows):
        assert (out[start : start + len(band)] == 99).all()
        out[start : start + len(band)] = band
    sliding = segmenter.sliding()
    assert (sliding.crop_size, sliding.stride) == (((10, 12), (6, 7)) if slides else ((16, 24), (14, 21)))
    segmenter.model.test_cfg.update(mode="slide", crop_size=sliding.crop_size, stride=sliding.stride)
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    ready = segmenter.model.data_preprocessor({"inputs": [pixels]})["inputs"]
    assert (out == segmenter.model.predict(ready)[0].pred_sem_seg.data[0].numpy()).all()
    assert asked == sorted(asked)
    assert max(stop - start for start, stop in asked) <= sliding.crop_size[0]


def test_classes_come_from_the_checkpoint_or_the_config_or_are_numbers(config: Path, checkpoint: Path) -> None:
    segmenter = Segmenter.from_checkpoint(config, checkpoint, device="cpu")
    assert segmenter.palette[1] == [86, 180, 233]  # HGSCNestDataset's.
    saved = torch.load(checkpoint, weights_only=True)
    saved["meta"]["dataset_meta"] = {"classes": ("a", "b", "c", "d"), "palette": [[i, i, float(i)] for i in range(4)]}
    torch.save(saved, checkpoint)
    segmenter = Segmenter.from_checkpoint(config, checkpoint, device="cpu")
    assert (segmenter.classes, segmenter.palette[3]) == (["a", "b", "c", "d"], [3, 3, 3])
    saved["meta"]["dataset_meta"] = {"classes": ("a", "b")}
    torch.save(saved, checkpoint)
    segmenter = Segmenter.from_checkpoint(config, checkpoint, device="cpu")
    assert segmenter.classes == ["class 0", "class 1", "class 2", "class 3"]
    assert len({tuple(colour) for colour in segmenter.palette}) == 4


def test_a_config_of_mmsegmentation_is_taken_and_options_are_used(config: Path, checkpoint: Path) -> None:
    options = {"model.type": "EncoderDecoder", "model.test_cfg.max_memory": 1000}
    for given_config in (config, Config.fromfile(config)):
        segmenter = Segmenter.from_checkpoint(given_config, checkpoint, device="cpu", options=options)
        assert type(segmenter.model).__name__ == "StreamingEncoderDecoder"
        assert segmenter.model.test_cfg.max_memory == 1000
        assert not segmenter.model.training


def test_what_does_not_fit_is_told(
    config: Path, checkpoint: Path, tmp_path: Path, documented_error: DocumentedError
) -> None:
    def load(options: dict[str, Any] | None = None, tta: bool = False) -> None:
        Segmenter.from_checkpoint(config, checkpoint, device="cpu", options=options, tta=tta)

    with documented_error("a segmentor of another kind is to segment pictures", ConfigError):
        load({"model.type": "CascadeEncoderDecoder"})
    with documented_error("the weights of a segmentor are of another size", WrongWeightsError):
        load({"model.decode_head.num_classes": 5})
    with documented_error("the weights of a segmentor lack a part", WrongWeightsError):
        load({"model.backbone.arch.depth": 2})
    saved = torch.load(checkpoint, weights_only=True)
    saved["state_dict"] |= {"auxiliary_head.x": torch.zeros(1), "neck.up1.weight": torch.zeros(1)}
    torch.save(saved, checkpoint)
    with documented_error("the weights of a segmentor have a part too much", WrongWeightsError):
        load()
    del saved["state_dict"]["neck.up1.weight"]
    torch.save(saved, checkpoint)
    load()  # Heads that only training needs may be there.
    config.write_text(config.read_text().replace("tta_pipeline", "other"))
    with documented_error("a segmenter is to average over views without a tta_pipeline", ConfigError):
        load(tta=True)
    checkpoint.unlink()
    with pytest.raises(ConfigError, match="There is no checkpoint"):
        load()


@pytest.mark.parametrize("name", ["decode_head.conv_seg.weight", "backbone.blocks.0.mlp.fc1.weight"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_dtypes_that_no_weights_have(name: str, dtype: torch.dtype, config: Path, checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    saved["state_dict"][name] = saved["state_dict"][name].to(dtype)
    torch.save(saved, checkpoint)
    with pytest.raises(UnreadableWeightsError, match=f"weights.pth (is quantised|holds).*{name} as {dtype}"):
        Segmenter.from_checkpoint(config, checkpoint, device="cpu")


def test_weights_in_other_floating_point_dtypes_are_cast(config: Path, checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    want = saved["state_dict"]["decode_head.conv_seg.weight"].bfloat16()
    saved["state_dict"]["decode_head.conv_seg.weight"] = want
    torch.save(saved, checkpoint)
    segmenter = Segmenter.from_checkpoint(config, checkpoint, device="cpu")
    assert torch.equal(segmenter.model.decode_head.conv_seg.weight, want.float())


ABCD = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ([1], r"meta = \[1\], expected a dict or None"),
        ("x", "meta = 'x', expected a dict or None"),
        ({"dataset_meta": [1, 2]}, r"meta\.dataset_meta = \[1, 2\], expected a dict"),
        ({"dataset_meta": "abc"}, r"meta\.dataset_meta = 'abc', expected a dict"),
        ({"dataset_meta": {"classes": 5}}, r"dataset_meta\.classes = 5, expected a list of names"),
        ({"dataset_meta": {"classes": "abcd"}}, r"dataset_meta\.classes = 'abcd', expected a list of names"),
        ({"dataset_meta": {"classes": [1, 2, 3, 4]}}, "expected a list of names"),
        ({"dataset_meta": {"classes": ABCD, "palette": [1, 2, 3, 4]}}, r"palette = .* from 0 to 255"),
        ({"dataset_meta": {"classes": ABCD, "palette": [[999, 2, 3]] * 4}}, r"palette = .* from 0 to 255"),
        ({"dataset_meta": {"classes": ABCD, "palette": [[9, 2.5, 3]] * 4}}, r"palette = .* from 0 to 255"),
        ({"dataset_meta": {"classes": ABCD, "palette": [[9, 2, -3]] * 4}}, r"palette = .* from 0 to 255"),
        ({"dataset_meta": {"classes": ABCD, "palette": [[9, 2], [3]]}}, r"palette = .* from 0 to 255"),
    ],
)
def test_what_a_checkpoint_says_of_classes_is_of_its_kind(
    meta: object, message: str, config: Path, checkpoint: Path
) -> None:
    torch.save(torch.load(checkpoint, weights_only=True) | {"meta": meta}, checkpoint)
    with pytest.raises(WrongConfigError, match=rf"weights\.pth says .*{message}"):
        Segmenter.from_checkpoint(config, checkpoint, device="cpu")


def test_a_checkpoint_need_not_speak_of_classes(config: Path, checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    for meta in (None, {"dataset_meta": None}):
        torch.save(saved | {"meta": meta}, checkpoint)
        assert Segmenter.from_checkpoint(config, checkpoint, device="cpu").classes == CLASSES


def test_names_of_fewer_classes_are_told(config: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    torch.save(saved | {"meta": {"dataset_meta": {"classes": ABCD[:3]}}}, checkpoint)
    assert Segmenter.from_checkpoint(config, checkpoint, device="cpu").classes[3] == "class 3"
    assert "3 names of classes are given, but the model has 4" in caplog.text


@pytest.mark.parametrize("value", [None, "x", torch.ones(3).tolist()])
def test_position_embeddings_that_are_no_tensors(value: object, config: Path, checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    saved["state_dict"]["backbone.pos_embed"] = value
    torch.save(saved | {"meta": {"cfg": CONFIG}}, checkpoint)
    with pytest.raises(CheckpointError, match=r"weights\.pth.*pos_embed"):
        Segmenter.from_checkpoint(config, checkpoint, device="cpu")


@pytest.mark.parametrize("path", ["x" * 5000, "~nobodyx/w.pth", None, "", "\0", 5])
def test_paths_of_no_file(path: Any, config: Path) -> None:
    with pytest.raises(ConfigError, match="There is no checkpoint") as error:
        Segmenter.from_checkpoint(config, path, device="cpu")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("told", ["num_heads=4", "num_heads=2, norm_eps=1e-3"])
def test_an_encoder_of_other_heads_or_epsilon(told: str, config: Path, checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    saved["meta"]["cfg"] = CONFIG.replace("num_heads=2", told)
    torch.save(saved, checkpoint)
    with pytest.raises(WrongConfigError, match=r"weights\.pth \(meta\.cfg\) says .*, but .*config\.py has"):
        Segmenter.from_checkpoint(config, checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("metainfo", "message"),
    [
        ("dict(classes=5)", r"metainfo\.classes = 5, expected a list of names"),
        ("dict(classes='abcd')", r"metainfo\.classes = 'abcd', expected a list of names"),
        ("dict(palette=[1, 2])", r"metainfo\.palette = \[1, 2\]"),
        ("[1]", r"test_dataloader\.dataset\.metainfo = \[1\], expected a dict"),
    ],
)
def test_what_a_config_says_of_classes_is_of_its_kind(
    metainfo: str, message: str, config: Path, checkpoint: Path
) -> None:
    config.write_text(CONFIG.replace("data_root='data'", f"data_root='data', metainfo={metainfo}"))
    with pytest.raises(WrongConfigError, match=rf"config\.py says .*{message}"):
        Segmenter.from_checkpoint(config, checkpoint, device="cpu")


def test_a_config_may_name_a_file_of_classes(config: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(ABCD))
    told = f"dict(classes={str(tmp_path / 'classes.txt')!r})"
    config.write_text(CONFIG.replace("data_root='data'", f"data_root='data', metainfo={told}"))
    assert Segmenter.from_checkpoint(config, checkpoint, device="cpu").classes == ABCD


def test_devices_that_are_not_here(config: Path, checkpoint: Path) -> None:
    for device in ("foo", "meta"):
        with pytest.raises(ValueError, match=f"device='{device}'"):
            Segmenter.from_checkpoint(config, checkpoint, device=device)


def test_it_is_part_of_the_package() -> None:
    assert internvl_seg.Segmenter is Segmenter
