"""Which mask belongs to which image, by their names below two folders."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from .folder_errors import CONVERTER, LAYOUT, PAGE, FolderError, MissingMaskError, NoImageError
from .scanning import is_junk, scan_folder

_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
# What labelling tools write in the place of masks; text may be anything where no masks are expected.
_LABELS = (".json", ".geojson", ".gpkg", ".xml")
_TEXT = (".csv", ".txt")
# Formats of pictures that cameras, microscopes and programs write.
UNREAD = frozenset(
    {
        *(".heic", ".heif", ".hif", ".avif", ".jxl", ".psd", ".exr", ".npy", ".npz", ".svg", ".pdf"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
        *(".dcm", ".nii", ".nii.gz", ".svs", ".ndpi", ".mrxs", ".czi", ".lif", ".ecw", ".sid", ".vrt"),
    }
)
_SHOWN = 5


@dataclass(frozen=True)
class PairedFolders:
    """A folder of images and one of masks, whose names are the same but for their suffixes, at any depth.

    Junk that systems leave in folders is passed over.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks, which may be the same or in the other; None in a set without masks.
        img_suffix: End of an image's name, in whatever case, such as '_leftImg8bit.png'; if None the suffix of any
            format of Pillow's.
        seg_map_suffix: End of a mask's name, such as '_mask.png'. If None a mask has its image's name with the suffix
            of a format that keeps ids, and there is only one such.
    """

    images: Path
    masks: Path | None
    img_suffix: str | None = None
    seg_map_suffix: str | None = None

    @cached_property
    def stems(self) -> dict[str, str]:
        """What an image shares with its mask, by the image's POSIX path below the folder, sorted.

        Raises:
            NoImageError: There is no such folder or no image in it.
        """
        if not self.images.is_dir():
            raise NoImageError(
                f"{self.images} is not a folder. Expected {LAYOUT}. For other layouts see {PAGE}; {CONVERTER} takes "
                "what labelling tools export."
            )
        taken = _suffixes(self.img_suffix)
        stems = {name: stem for name in self._files if (stem := _stem(name, taken)) is not None}
        if not stems:
            what = "no image" if self.img_suffix is None else f"no *{self.img_suffix}"
            other = f" {self.skipped[0]} is of a format that is not read; convert it." if self.skipped else ""
            raise NoImageError(f"{self.images} holds {what}.{other} Expected {LAYOUT}.")
        return stems

    @cached_property
    def _files(self) -> list[str]:
        """All files in the folder of the images that are no masks, sorted."""
        return sorted(name for name in _scan(self.images) if not self._is_mask(name))

    @property
    def skipped(self) -> list[str]:
        """Pictures in the folder of the images that are left out, as their formats are not read."""
        if self.img_suffix is not None:
            return []
        unread = tuple(sorted(UNREAD - set(_suffixes(None))))
        return [name for name in self._files if name.lower().endswith(unread)]

    @cached_property
    def mask_names(self) -> dict[str, list[str]]:
        """The names of masks by their stems; several for one are one too many."""
        found: dict[str, list[str]] = defaultdict(list)
        if self.masks is None or not self.masks.is_dir():
            return found
        taken = _suffixes(self.seg_map_suffix)
        # Images beside their masks are none; neither are images in a folder inside.
        beside = self.stems if self.masks == self.images else {}
        inside = _below(self.masks, self.images)
        for name in sorted(_scan(self.masks)):
            stem = _stem(name, taken)
            if stem is not None and name not in beside and not (inside and name.startswith(inside)):
                found[stem].append(name)
        if self.seg_map_suffix is None:
            for stem, names in found.items():
                # A preview beside a mask is none; where there is nothing else, reading it says what is wrong.
                found[stem] = [name for name in names if PurePosixPath(name).suffix.lower() not in _LOSSY] or names
        return found

    def pairs(self, names: Iterable[str] | None = None) -> list[tuple[Path, Path]]:
        """Images with their masks, whether these are there or not.

        Args:
            names: Keys of :attr:`stems`; all if None.

        Returns:
            (image, mask) in the order of the names. A mask that is missing has the name that was looked for.

        Raises:
            NoImageError: As :attr:`stems`.
            FolderError: Two images have one mask, or an image has two.
        """
        masks = self.masks
        if masks is None:
            raise ValueError("These images have no masks.")
        first: dict[str, str] = {}
        pairs = []
        for name in self.stems if names is None else names:
            stem = self.stems[name]
            if stem in first:
                raise FolderError(
                    f"{self.images} holds {first[stem]} and {name}, two images for one mask {stem}.*. Take one "
                    f"away, or say which with img_suffix={name.removeprefix(stem)!r} ({PAGE})."
                )
            first[stem] = name
            found = self.mask_names.get(stem, [])
            if len(found) > 1:
                raise FolderError(
                    f"{masks} holds {' and '.join(found)}, two masks for the image {name}. Take one away, or say which "
                    f"with seg_map_suffix={found[0].removeprefix(stem)!r} ({PAGE})."
                )
            pairs.append((self.images / name, masks / (found[0] if found else stem + (self.seg_map_suffix or ".png"))))
        return pairs

    def complete_pairs(self, names: Iterable[str] | None = None) -> list[tuple[Path, Path]]:
        """Images with their masks, as :meth:`pairs`.

        Raises:
            MissingMaskError: A mask is missing.
            FolderError: As :meth:`pairs`.
        """
        pairs = self.pairs(names)
        if missing := [mask for _, mask in pairs if not mask.is_file()]:
            raise MissingMaskError(self.images, pairs, missing, self._hint(pairs, len(missing) == len(pairs)))
        return pairs

    def unused_masks(self) -> list[Path]:
        """Masks that belong to no image."""
        stems = set(self.stems.values())
        unused = [name for stem, names in self.mask_names.items() if stem not in stems for name in names]
        return [self.masks / name for name in unused] if self.masks is not None else []

    def _is_mask(self, name: str) -> bool:
        """Whether a file in the folder of the images is a mask, by where it is or what it is called."""
        if self.masks is None:
            return False
        if self.masks == self.images:
            suffix = self.seg_map_suffix
            # Of '.png' and '_mask.png' the longer one says more.
            is_less = suffix is not None and self.img_suffix is not None and len(suffix) <= len(self.img_suffix)
            return suffix is not None and not is_less and _stem(name, (suffix.lower(),)) is not None
        inside = _below(self.images, self.masks)
        return bool(inside) and name.startswith(inside)

    def _hint(self, pairs: list[tuple[Path, Path]], none_is_there: bool) -> str:
        """What there may be in the place of masks that are missing."""
        masks = self.masks
        if masks is None or not none_is_there:
            return ""
        if masks.is_dir() and (suffix := self._common_suffix(masks)):
            return f"Masks there are called NAME{suffix}: set seg_map_suffix={suffix!r} in the data set ({PAGE})."
        if other := self._labels_beside(masks):
            return f"{other} may hold the labels: {CONVERTER} makes masks of what labelling tools export ({PAGE})."
        if masks.is_dir() and (other := self._unread_beside(masks)):
            return f"{other} is of a format that is not read as a mask: save class ids as PNG or TIFF ({PAGE})."
        what = "holds no mask of them" if masks.is_dir() else "is not a folder"
        return f"{masks} {what}: set data_prefix.seg_map_path to where the masks are ({PAGE})."

    def _common_suffix(self, masks: Path) -> str | None:
        """What follows the names of the images in those of the masks, if it is the same for the first few."""
        there = [name for name in _scan(masks) if _stem(name, _suffixes(None)) is not None]
        if masks == self.images:
            there = [name for name in there if name not in self.stems]
        ends = []
        for stem in list(self.stems.values())[:_SHOWN]:
            ends.append({name.removeprefix(stem) for name in there if name.startswith(stem)})
        shared = set.intersection(*ends)
        return shared.pop() if len(shared) == 1 else None

    def _unread_beside(self, masks: Path) -> Path | None:
        """A file with the name of an image in a format that is not read."""
        stems, unread = set(self.stems.values()), tuple(sorted(UNREAD))
        return next((masks / name for name in _scan(masks) if _stem(name, unread) in stems), None)

    def _labels_beside(self, masks: Path) -> Path | None:
        """A file of labels with the masks, the images, or in the folder that both are in."""
        for folder in (masks, self.images, self.images.parent, masks.parent):
            taken = _LABELS + _TEXT if folder == masks else _LABELS
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in taken and path.is_file() and not is_junk(path.name):
                    return path
        return None


def _suffixes(given: str | None) -> tuple[str, ...]:
    if given is not None:
        return (given.lower(),)
    return tuple(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN)


def _stem(name: str, suffixes: tuple[str, ...]) -> str | None:
    """A name without the one of some suffixes that it ends in; None if it ends in none, or is nothing else."""
    lowered = name.lower()
    if not lowered.endswith(suffixes):
        return None
    stem = name[: -max(len(suffix) for suffix in suffixes if lowered.endswith(suffix))]
    # Some systems write an accent as a character of its own; the names mean the same.
    stem = unicodedata.normalize("NFC", stem)
    return stem if PurePosixPath(stem).name and not stem.endswith("/") else None


def _below(folder: Path, inner: Path) -> str:
    """How names begin that are in an inner folder; '' if that is not inside."""
    return f"{inner.relative_to(folder).as_posix()}/" if inner != folder and inner.is_relative_to(folder) else ""


def _scan(folder: Path) -> list[str]:
    try:
        return list(scan_folder(folder))
    except OSError as error:
        raise FolderError(f"{error.filename or folder} cannot be read: {error.strerror or error}.") from error
