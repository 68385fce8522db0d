"""ImageNet and its variants, read from folders and archives, and every kind of damage."""

import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import mmengine.fileio
import pytest
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from timm.data import ImageNetInfo

from internvl_seg.classification import ImageNetVariant
from internvl_seg.classification.imagenet_classes import imagenet_classes
from internvl_seg.classification.layout import LayoutError, check_count
from internvl_seg.classification.variants import VARIANTS
from internvl_seg.data.archives import ArchiveError

from ..error_table import DocumentedError
from .conftest import ANALOG_CLOCK, DIGITAL_CLOCK, JELLYFISH, LION, TICK, WNID, Copies


def listed(dataset: ImageNetVariant) -> list[tuple[str, int | list[int]]]:
    """File name and label of every image."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert {info["variant"] for info in infos} == {dataset.variant}
    return [(info["img_path"].replace("::", "/").rpartition("/")[2], info["gt_label"]) for info in infos]


def small(variant: str, root: Path, folders: list[Any], num_images: int, **kwargs: Any) -> ImageNetVariant:
    return ImageNetVariant(
        variant, data_root=str(root), folders=[str(f) for f in folders], num_images=num_images, **kwargs
    )


def test_the_table_of_classes_is_that_of_the_libraries(shared_info: dict[str, list[str]]) -> None:
    table = imagenet_classes()
    assert [c.id for c in table] == list(range(1000))
    assert [c.wnid for c in table] == ImageNetInfo("imagenet-1k").label_names()
    assert [c.name for c in table] == list(IMAGENET_CATEGORIES)
    for variant, key in (("imagenet_a", "a"), ("imagenet_r", "r")):
        ids = VARIANTS[variant].ids
        assert len(ids) == len(set(ids)) == 200
        assert set(ids) < set(range(1000))
        assert sorted(WNID[i] for i in ids) == sorted(shared_info[key])
    assert len({*VARIANTS["imagenet_a"].ids} & {*VARIANTS["imagenet_r"].ids}) == len(
        {*shared_info["a"]} & {*shared_info["r"]}
    )


@pytest.fixture
def shared_info() -> dict[str, list[str]]:
    """What timm knows of the classes of ImageNet-A and ImageNet-R."""
    import timm.data

    folder = Path(timm.data.__file__).parent / "_info"
    return {key: (folder / f"imagenet_{key}_synsets.txt").read_text().split() for key in ("a", "r")}


def test_imagenet_without_class_folders_and_with(copies: Copies) -> None:
    copies.imagenet()
    root = copies.root / "imagenet-1k"
    folders = [WNID[i] for i in (TICK, JELLYFISH, LION)]
    labels = [TICK, TICK, JELLYFISH, JELLYFISH, LION, LION]
    flat = small("imagenet", root, folders, 6)
    assert listed(flat) == [(f"ILSVRC2012_val_{i + 1:08d}.JPEG", label) for i, label in enumerate(labels)]
    assert len(flat.metainfo["classes"]) == 1000
    train = small("imagenet", root, folders, 6, split="train")
    assert listed(train) == [(f"ILSVRC2012_train_{i + 1:08d}.JPEG", label) for i, label in enumerate(labels)]
    for i, label in enumerate(labels):
        (root / "val" / WNID[label]).mkdir(exist_ok=True)
        name = f"ILSVRC2012_val_{i + 1:08d}.JPEG"
        (root / "val" / name).rename(root / "val" / WNID[label] / name)
    (root / "meta/val.txt").unlink()
    assert listed(small("imagenet", root, folders, 6)) == listed(flat)


def test_every_variant_in_its_layout(copies: Copies) -> None:
    copies.v2()
    copies.by_wnid("imagenet-a", (LION, JELLYFISH))
    copies.objectnet()
    v2 = small("imagenet_v2", copies.root / "imagenetv2", [LION, TICK], 4)
    # By name of the folder: 291 before 78.
    assert [label for _, label in listed(v2)] == [LION, LION, TICK, TICK]
    a = small("imagenet_a", copies.root / "imagenet-a", [WNID[JELLYFISH], WNID[LION]], 4)
    assert [label for _, label in listed(a)] == [JELLYFISH, JELLYFISH, LION, LION]
    objects = small("objectnet", copies.root / "objectnet-1.0", ["alarm_clock"], 2)
    assert [label for _, label in listed(objects)] == [[ANALOG_CLOCK, DIGITAL_CLOCK]] * 2


def pack_tar(folder: Path) -> None:
    with tarfile.open(folder.with_name(folder.name + ".tar"), "w") as archive:
        archive.add(folder, folder.name)


def pack_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder.with_name(folder.name + ".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
        archive.writestr("__MACOSX/._0.jpg", "left by an archiver")


@pytest.mark.parametrize("pack", [pack_tar, pack_zip])
def test_archives_are_read_where_they_stand(copies: Copies, pack: Any) -> None:
    copies.by_wnid("imagenet-r", (JELLYFISH, LION))
    root, folders = copies.root / "imagenet-r", [WNID[JELLYFISH], WNID[LION]]
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "PackInputs"}]
    plain = small("imagenet_r", root, folders, 4, pipeline=pipeline)
    pack(root)
    want = [plain[i]["inputs"] for i in range(4)]
    shutil.rmtree(root)
    packed = small("imagenet_r", root, folders, 4, pipeline=pipeline)
    assert listed(packed) == listed(plain)
    for i in range(4):
        assert packed[i]["inputs"].equal(want[i])


def test_the_archives_of_imagenet_itself(copies: Copies) -> None:
    copies.imagenet()
    root, folders = copies.root / "imagenet-1k", [WNID[i] for i in (TICK, JELLYFISH, LION)]
    want = {split: small("imagenet", root, folders, 6, split=split) for split in ("train", "val")}
    contents = {
        split: [Path(dataset.get_data_info(i)["img_path"]).read_bytes() for i in range(6)]
        for split, dataset in want.items()
    }
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as archive:
        for path in sorted((root / "val").iterdir()):
            archive.add(path, path.name)
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as archive:
        for folder in sorted((root / "train").iterdir()):
            with tarfile.open(root / f"{folder.name}.tar", "w") as inner:
                for path in sorted(folder.iterdir()):
                    inner.add(path, path.name)
            archive.add(root / f"{folder.name}.tar", f"{folder.name}.tar")
    for split in ("train", "val"):
        shutil.rmtree(root / split)
        packed = small("imagenet", root, folders, 6, split=split)
        assert listed(packed) == listed(want[split])
        paths = [packed.get_data_info(i)["img_path"] for i in range(6)]
        assert [mmengine.fileio.get(path) for path in paths] == contents[split]


def test_damaged_archives(copies: Copies, documented_error: DocumentedError) -> None:
    copies.by_wnid("imagenet-a", (LION,))
    root = copies.root / "imagenet-a"
    pack_tar(root)
    shutil.rmtree(root)
    archive = copies.root / "imagenet-a.tar"
    data = small("imagenet_a", root, [WNID[LION]], 2)
    archive.write_bytes(archive.read_bytes()[:20_000])
    with pytest.raises(ArchiveError, match=r"is cut short: \d+ of \d+ bytes"):
        mmengine.fileio.get(data.get_data_info(1)["img_path"])
    with documented_error("an archive of a data set is cut short", ArchiveError):
        small("imagenet_a", root, [WNID[LION]], 2)
    subprocess.run(["gzip", archive], check=True)
    with documented_error("an archive of a data set is compressed as a whole", ArchiveError):
        small("imagenet_a", root, [WNID[LION]], 2)
    Path(f"{archive}.gz").unlink()
    (copies.root / "imagenet-a.zip").write_bytes(b"PK no zip")
    with pytest.raises(ArchiveError, match="cannot be read as an archive"):
        small("imagenet_a", root, [WNID[LION]], 2)


def test_a_missing_data_set(copies: Copies, documented_error: DocumentedError) -> None:
    with documented_error("a variant of ImageNet is missing", LayoutError):
        ImageNetVariant("imagenet_sketch", data_root=str(copies.root / "imagenet-sketch"))
    (copies.root / "imagenet-1k/train").mkdir(parents=True)
    with documented_error("ImageNet has no validation images", LayoutError):
        ImageNetVariant("imagenet", data_root=str(copies.root / "imagenet-1k"))


def test_class_folders_that_lack_and_that_are_too_many(copies: Copies, documented_error: DocumentedError) -> None:
    copies.by_wnid("imagenet-r", (JELLYFISH,))
    root = copies.root / "imagenet-r"
    with documented_error("a class folder is missing", LayoutError):
        ImageNetVariant("imagenet_r", data_root=str(root))
    copies.picture("imagenet-r/dogs/0.jpg")
    with documented_error("a folder is there that is no class", LayoutError):
        small("imagenet_r", root, [WNID[JELLYFISH]], 2)
    shutil.rmtree(root / "dogs")
    (root / WNID[JELLYFISH] / "1.jpg").unlink()
    with documented_error("a data set is half unpacked", LayoutError):
        small("imagenet_r", root, [WNID[JELLYFISH]], 2)
    with pytest.raises(LayoutError, match="has 1 images, expected 0: others are among them"):
        check_count(1, 0, "It")


def test_labels_that_are_wrong(copies: Copies, documented_error: DocumentedError) -> None:
    copies.imagenet()
    root, listing = copies.root / "imagenet-1k", copies.root / "imagenet-1k/meta/val.txt"
    right = listing.read_text()
    for case, text in (
        ("val.txt has a label out of range", right.replace(f" {LION}", " 1000", 1)),
        ("val.txt lacks an image", right.replace("ILSVRC2012_val_00000004", "ILSVRC2012_val_00000009")),
        ("val.txt lists more images than there are", right + "ILSVRC2012_val_00000007.JPEG 3\n"),
    ):
        listing.write_text(text)
        with documented_error(case, LayoutError):
            ImageNetVariant("imagenet", data_root=str(root), num_images=6)
    listing.unlink()
    with documented_error("validation images have no labels", LayoutError):
        ImageNetVariant("imagenet", data_root=str(root), num_images=6)


def test_objectnet_with_wrong_mappings(copies: Copies, documented_error: DocumentedError) -> None:
    copies.objectnet()
    folder = "objectnet-1.0/mappings"

    def expect(case: str, name: str, content: object) -> None:
        path = copies.root / folder / name
        right = path.read_text()
        if content is None:
            path.unlink()
        else:
            copies.write(f"{folder}/{name}", content)
        with documented_error(case, LayoutError):
            small("objectnet", copies.root / "objectnet-1.0", ["alarm_clock"], 2)
        path.write_text(right)

    expect("ObjectNet's mapping is no JSON", "objectnet_to_imagenet_1k.json", "{")
    expect("ObjectNet's mapping is no object", "folder_to_objectnet_label.json", [1])
    expect("ObjectNet's mapping is missing", "imagenet_to_label_2012_v2", None)
    expect("ObjectNet names an unknown class", "objectnet_to_imagenet_1k.json", {"Alarm clock": "sundial"})
    expect("ObjectNet's mapping has a label out of range", "pytorch_to_imagenet_2012_id.json", {"1000": 1, "409": 2})
    assert len(small("objectnet", copies.root / "objectnet-1.0", ["alarm_clock"], 2)) == 2


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="variant='imagenet_c' is not known; choose one of imagenet, imagenet_v2"):
        ImageNetVariant("imagenet_c", data_root=str(tmp_path))
    with pytest.raises(ValueError, match="split='train' is not there of 'imagenet_a'"):
        ImageNetVariant("imagenet_a", data_root=str(tmp_path), split="train")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match="dogs is no class folder of 'imagenet_a'"):
        ImageNetVariant("imagenet_a", data_root=str(tmp_path), folders=["dogs"])
