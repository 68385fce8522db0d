"""Which mask is whose: names, suffixes, folders inside folders, junk, and what is not clear."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvl_seg.data.folder_errors import FolderError, MissingMaskError, NoImageError
from internvl_seg.data.folder_pairs import PairedFolders


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def pairs(root: Path, images: str = "images", masks: str = "masks", **suffixes: str) -> list[tuple[str, str]]:
    found = PairedFolders(root / images, root / masks, **suffixes).complete_pairs()
    return [(image.relative_to(root).as_posix(), mask.relative_to(root).as_posix()) for image, mask in found]


def test_names_are_paired_at_any_depth_without_junk(tmp_path: Path) -> None:
    make(tmp_path, "images/b.JPG", "images/a.b.png", "images/site/x.tif", "images/site/deep/x.bmp")
    make(tmp_path, "masks/b.png", "masks/a.b.TIF", "masks/site/x.bmp", "masks/site/deep/x.png")
    make(tmp_path, "images/._b.JPG", "images/Thumbs.db", "images/@eaDir/b.JPG", "masks/._b.png", "images/b.jpgw")
    make(tmp_path, "masks/.cache/b.png", "images/notes.txt", "masks/unused.png")
    assert pairs(tmp_path) == [
        ("images/a.b.png", "masks/a.b.TIF"),
        ("images/b.JPG", "masks/b.png"),
        ("images/site/deep/x.bmp", "masks/site/deep/x.png"),
        ("images/site/x.tif", "masks/site/x.bmp"),
    ]
    assert PairedFolders(tmp_path / "images", tmp_path / "masks").unused_masks() == [tmp_path / "masks/unused.png"]


def test_accents_of_two_systems_are_the_same(tmp_path: Path) -> None:
    """macOS writes an accent as a character of its own."""
    make(tmp_path, "images/u\u0308ber.png", "masks/\u00fcber.png")
    assert pairs(tmp_path) == [("images/u\u0308ber.png", "masks/\u00fcber.png")]


@pytest.mark.parametrize(
    ("image", "mask", "suffixes"),
    [
        ("a.jpg", "a_mask.png", {"seg_map_suffix": "_mask.png"}),
        ("a.jpg", "a-labels.tif", {"seg_map_suffix": "-labels.tif"}),
        ("a.jpg", "a.jpg.png", {"seg_map_suffix": ".jpg.png"}),
        ("a.JPG", "a_MASK.PNG", {"seg_map_suffix": "_mask.png"}),
        ("x/a_leftImg8bit.png", "x/a_gtFine.png", {"img_suffix": "_leftImg8bit.png", "seg_map_suffix": "_gtFine.png"}),
        ("a_RGB.tif", "a.png", {"img_suffix": "_RGB.tif"}),
    ],
)
def test_suffixes(image: str, mask: str, suffixes: dict[str, str], tmp_path: Path) -> None:
    make(tmp_path, f"images/{image}", f"masks/{mask}", "masks/other.txt")
    if "img_suffix" in suffixes:
        make(tmp_path, "images/another.png")  # Not of the suffix, and so not asked for.
    assert pairs(tmp_path, **suffixes) == [(f"images/{image}", f"masks/{mask}")]


@pytest.mark.parametrize(
    ("files", "images", "masks", "suffixes", "expected"),
    [
        (("d/a.jpg", "d/a_mask.png"), "d", "d", {"seg_map_suffix": "_mask.png"}, ("d/a.jpg", "d/a_mask.png")),
        (
            ("d/a.png", "d/a_m.png"),
            "d",
            "d",
            {"img_suffix": ".png", "seg_map_suffix": "_m.png"},
            ("d/a.png", "d/a_m.png"),
        ),
        (("d/a.jpg", "d/a.png"), "d", "d", {"img_suffix": ".jpg"}, ("d/a.jpg", "d/a.png")),
        (("d/a.jpg", "d/gt/a.png"), "d", "d/gt", {}, ("d/a.jpg", "d/gt/a.png")),
        (("d/rgb/a.png", "d/a.png"), "d/rgb", "d", {}, ("d/rgb/a.png", "d/a.png")),
        (("i/a.png", "m/a.png", "m/a.jpg"), "i", "m", {}, ("i/a.png", "m/a.png")),
        (("i/a.png", "m/a.jpg"), "i", "m", {}, ("i/a.png", "m/a.jpg")),
    ],
)
def test_masks_beside_or_below_images(
    files: tuple[str, ...], images: str, masks: str, suffixes: dict[str, str], expected: tuple[str, str], tmp_path: Path
) -> None:
    assert pairs(make(tmp_path, *files), images, masks, **suffixes) == [expected]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ("i/a.png", "m/a.png", "m/a.tif"),
            r"m holds a\.png and a\.tif, two masks for the image a\.png.*seg_map_suffix='\.png'",
        ),
        (
            ("i/a.png", "i/a.jpg", "m/a.png"),
            r"i holds a\.jpg and a\.png, two images for one mask a\.\*.*img_suffix='\.png'",
        ),
        (("i/a.txt", "m/a.png"), r"i holds no image\. Expected images/"),
        (("m/a.png",), r"i is not a folder.*docs/own_data\.md; python tools/prepare_dataset\.py"),
        (("i/a.png", "m/a_mask.png"), r"Masks there are called NAME_mask\.png: set seg_map_suffix='_mask\.png'"),
        (("i/a.png", "m/coco.json"), r"m/coco\.json may hold the labels: python tools/prepare_dataset\.py makes masks"),
        (("i/a.png", "i/a.json"), r"i/a\.json may hold the labels"),
        (("i/a.png", "labels.xml"), r"labels\.xml may hold the labels"),
        (("i/a.png", "classes.txt"), r"m is not a folder: set data_prefix\.seg_map_path"),
        (("i/a.png", "m/b.png"), r"m holds no mask of them: set data_prefix\.seg_map_path"),
        (("i/a.png", "i/b.png", "m/b.png"), r"1 of 2 images in .*i have no mask; the first is .*a\.png\.$"),
    ],
)
def test_what_does_not_fit_is_told(files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=message):
        pairs(make(tmp_path, *files), "i", "m")


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    make(tmp_path, "i/a.png", "m/a.png")
    (tmp_path / "i/b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FolderError, match=r"i/b\.png cannot be read: A link to a file that is not there"):
        pairs(tmp_path, "i", "m")


def test_errors_keep_what_a_preflight_needs(tmp_path: Path) -> None:
    make(tmp_path, "i/a.png", "i/b.png", "m/b.png")
    with pytest.raises(MissingMaskError) as told:
        pairs(tmp_path, "i", "m")
    assert [mask.name for _, mask in told.value.pairs] == ["a.png", "b.png"]
    with pytest.raises(NoImageError, match=r"holds no \*\.jpg"):
        pairs(tmp_path, "i", "m", img_suffix=".jpg")


NAMES = st.from_regex(r"[a-c][a-c0-9._-]{0,3}", fullmatch=True).filter(lambda name: not name.endswith("."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60)
@given(
    stems=st.lists(PATHS, min_size=1, max_size=6, unique=True),
    img_suffix=st.sampled_from([".jpg", "_rgb.png", ".tif"]),
    seg_map_suffix=st.sampled_from(["_mask.png", "-labels.tif", ".bmp"]),
    given_suffixes=st.booleans(),
)
def test_every_image_gets_the_mask_of_its_name(
    stems: list[str],
    img_suffix: str,
    seg_map_suffix: str,
    given_suffixes: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if not given_suffixes:
        img_suffix, seg_map_suffix = ".jpg", ".png"
    files = [f"{stem}{img_suffix}" for stem in stems]
    if any(f"{file}/" in f"{other}/" for file in files for other in stems):
        return  # No file is a folder, too.
    root = make(tmp_path_factory.mktemp("pairs"), *(f"i/{file}" for file in files))
    make(root, *(f"m/{stem}{seg_map_suffix}" for stem in stems))
    suffixes = {"img_suffix": img_suffix, "seg_map_suffix": seg_map_suffix} if given_suffixes else {}
    expected = sorted((f"i/{stem}{img_suffix}", f"m/{stem}{seg_map_suffix}") for stem in stems)
    assert sorted(pairs(root, "i", "m", **suffixes)) == expected
