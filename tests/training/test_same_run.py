"""Which settings may differ between a checkpoint and the run that goes on from it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from internvl_seg.checkpoints.config_text import parse_config_text
from internvl_seg.training.same_run import (
    OtherRunError,
    compare_classes,
    compare_configs,
    compare_samples,
    compare_weights,
    name_images,
    refuse,
)

from ..error_table import DocumentedError

TEXT = """
model = dict(type='EncoderDecoder', backbone=dict(type='InternViT', with_cp=False, init_cfg=dict(checkpoint='a.pth')),
    decode_head=dict(type='LinearHead', num_classes=4, loss_decode=[dict(type='CrossEntropyLoss', loss_weight=1.0)]),
    test_cfg=dict(mode='whole'))
train_dataloader = dict(batch_size=4, num_workers=2, sampler=dict(type='InfiniteSampler'), dataset=dict(
    type='FolderDataset', data_root='a', ann_file='lists/train.txt', pipeline=[dict(type='RandomFlip', prob=0.5)]))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.1), accumulative_counts=2)
param_scheduler = [dict(type='PolyLR', end=4)]
default_hooks = dict(logger=dict(interval=1))
work_dir = 'one'
"""
META = {"cfg": TEXT, "seed": 3}


def differences(old: str, new: str, processes: int = 1, **meta: Any) -> dict[str, tuple[Any, Any]]:
    assert old in TEXT
    config = parse_config_text(TEXT.replace(old, new))
    return {d.key: (d.old, d.new) for d in compare_configs(META | meta, config, processes)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_iters=4", "max_iters=8"),
        ("val_interval=2", "val_interval=1"),
        ("interval=1", "interval=9"),
        ("data_root='a'", "data_root='/elsewhere'"),
        ("'lists/train.txt'", "'/elsewhere/train.txt'"),
        ("checkpoint='a.pth'", "checkpoint='/elsewhere/a.pth'"),
        ("num_workers=2", "num_workers=0, persistent_workers=False"),
        ("with_cp=False", "with_cp=True"),
        ("mode='whole'", "mode='slide'"),
        ("work_dir = 'one'", "work_dir = 'two'\nload_from = 'b.pth'\nresume = True\nlauncher = 'pytorch'"),
        ("'InfiniteSampler'", "'mmengine.dataset.sampler.InfiniteSampler'"),
        ("[dict(type='RandomFlip', prob=0.5)]", "(dict(type='RandomFlip', prob=0.5), )"),
    ],
)
def test_what_does_not_change_the_training_may_differ(old: str, new: str) -> None:
    assert differences(old, new) == {}


@pytest.mark.parametrize(
    ("old", "new", "key", "values"),
    [
        ("num_classes=4", "num_classes=5", "model.decode_head.num_classes", (4, 5)),
        ("loss_weight=1.0", "loss_weight=0.5", "model.decode_head.loss_decode[0].loss_weight", (1.0, 0.5)),
        ("prob=0.5", "prob=0.9", "train_dataloader.dataset.pipeline[0].prob", (0.5, 0.9)),
        ("train.txt", "trainval.txt", "train_dataloader.dataset.ann_file", ("lists/train.txt", "lists/trainval.txt")),
        ("InfiniteSampler", "DefaultSampler", "train_dataloader.sampler.type", ("InfiniteSampler", "DefaultSampler")),
        ("AdamW", "SGD", "optim_wrapper.optimizer.type", ("AdamW", "SGD")),
        ("lr=0.1", "lr=0.2", "optim_wrapper.optimizer.lr", (0.1, 0.2)),
        ("accumulative_counts=2", "clip_grad=None", "optim_wrapper.accumulative_counts", (2, None)),
        ("end=4", "end=8", "param_scheduler[0].end", (4, 8)),
        ("batch_size=4", "batch_size=2", "train_dataloader.batch_size", ("4 x 1 processes", "2 x 1 processes")),
        ("work_dir", "randomness = dict(seed=4)\nwork_dir", "randomness.seed", (3, 4)),
    ],
)
def test_what_changes_the_training_is_named(old: str, new: str, key: str, values: tuple[Any, Any]) -> None:
    assert differences(old, new) == {key: values}


def test_a_batch_may_be_spread_over_processes() -> None:
    assert differences("batch_size=4", "batch_size=2", processes=2, world_size=1) == {}
    assert differences("batch_size=4", "batch_size=4", processes=2, world_size=1).keys() == {
        "train_dataloader.batch_size"
    }


def test_classes_samples_and_weights() -> None:
    old = {"dataset_meta": {"classes": ["a", "b"]}, "samples": 4}
    assert not list(compare_classes(old, {"classes": ("a", "b")}))
    assert not list(compare_classes({}, {"classes": ("a", "b")}))
    (difference,) = compare_classes(old, {"classes": ("b", "a")})
    assert difference[1:] == (["a", "b"], ["b", "a"])
    assert not list(compare_samples(old, range(4)))
    assert [d[1:] for d in compare_samples(old, range(5))] == [(4, 5)]
    model = nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 2), "bias": torch.zeros(4)}
    assert [tuple(d) for d in compare_weights(state, model)] == [("bias", (4,), (3,))]
    model.bias.requires_grad_(False)
    assert not list(compare_weights(state, model))
    assert [d.key for d in compare_weights({}, model)] == ["weight"]


def test_the_refusal_lists_what_differs(documented_error: DocumentedError) -> None:
    config = parse_config_text(TEXT.replace("lr=0.1", "lr=0.2").replace("num_classes=4", "num_classes=5"))
    refuse("run/iter_2.pth", [])
    with documented_error("a resumed run is another one than its checkpoint's", OtherRunError):
        refuse("run/iter_2.pth", compare_configs(META, config, 1))


class Named:
    """A data set that tells names."""

    def __init__(self, *paths: Any) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Of one image."""
        return {"img_path": self.paths[index]}


def test_images_are_known_by_their_names() -> None:
    old = {"images": name_images(Named("a/0.png", "a/1.png", "a/2.png"))}
    assert str(old["images"]).startswith("0.png to 2.png (")
    around = SimpleNamespace(dataset=Named("elsewhere/0.png", "elsewhere/1.png", "elsewhere/2.png"))
    assert name_images(around) == old["images"]
    assert not list(compare_samples(old, around))
    for other in (Named("0.png", "x.png", "2.png"), Named("1.png", "0.png", "2.png")):
        (difference,) = compare_samples(old, other)
        assert difference.key == "images of the training set"
        assert difference.old != difference.new
    for unknown in (Named(), Named("0.png", None), range(3), object()):
        assert name_images(unknown) is None
        assert not list(compare_samples(old, unknown))


def test_of_many_images_some_are_looked_at() -> None:
    many = [f"{i}.png" for i in range(10)]
    told = name_images(Named(*many), most=5)
    assert str(told).startswith("0.png to 8.png (")
    assert name_images(Named(*[name if name != "3.png" else "x" for name in many]), most=5) == told
    assert name_images(Named(*[name if name != "4.png" else "x" for name in many]), most=5) != told
