"""Reading the files of data sets on all cores, each only once while it stays as it is."""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.progress import Progress

from ...common.library_noise import quiet_opencv
from .cache import Cache
from .facts import ImageFacts, MaskFacts, decode_image, look_at_image, read_mask
from .header import Header
from .listing import Info, Listing

# So many files are a task of a thread.
_TOGETHER = 8
Facts = TypeVar("Facts", ImageFacts, MaskFacts)


_EXPECTED: dict[Any, list[Any]] = {kind: list(vars(kind(Header())).values())[1:] for kind in (ImageFacts, MaskFacts)}


@dataclass(frozen=True)
class Pair:
    """An image and its mask; a part that is missing is None.

    Attributes:
        image_path: Of the image.
        mask_path: Of the mask; '' in a set without masks.
        image: Facts of the image.
        mask: Facts of the mask.
        name: What the image is called where people read of it.
        labels: Of the image as a whole; none where its pixels have labels.
    """

    image_path: str
    mask_path: str
    image: ImageFacts | None
    mask: MaskFacts | None
    name: str
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Looked:
    """A data set and what was read of it.

    Attributes:
        listing: The data set.
        pairs: Its images and masks, or a sample of them.
    """

    listing: Listing
    pairs: list[Pair]


def labels_of(info: Info) -> tuple[int, ...]:
    """The classes that an image shows, if it has labels as a whole."""
    label = info.get("gt_label", ())
    return (label,) if isinstance(label, int) else tuple(np.ravel(label).astype(int).tolist())


def evenly(count: int, number: int | None) -> list[int]:
    """So many of the places 0 to count - 1, spread evenly; all if None."""
    if number is None or count <= number:
        return list(range(count))
    return [i * count // number for i in range(number)]


class Reader:
    """Reads data sets.

    Threads may not share it.

    Args:
        sample: So many images of each data set and their masks are looked at, spread evenly; all if None.
        pictures: So many images of each data set are decoded; of the others what their files say is read, and those
            are decoded of which that is not enough. All if None.
        cache: Folder for what was read; None keeps nothing.
        bar: Where to show how far it is.
    """

    def __init__(self, sample: int | None, pictures: int | None, cache: Path | None, bar: Progress) -> None:
        self._sample = sample
        self._pictures = pictures
        self._folder = cache
        self._bar = bar

    def read(self, listings: list[Listing]) -> list[Looked]:
        """Read what is to be looked at of each data set."""
        chosen = [[listing.infos[i] for i in evenly(len(listing.infos), self._sample)] for listing in listings]
        # What OpenCV prints of a file that it cannot decode is told once, by the findings.
        with quiet_opencv(errors=False), ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                images = self._read_images(pool, listings, chosen)
                masks = [self._read_masks(pool, *work) for work in zip(listings, chosen, strict=True)]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        looked = []
        for listing, infos, known, ids in zip(listings, chosen, images, masks, strict=True):
            pairs = []
            for info in infos:
                image, mask = info["img_path"], info.get("seg_map_path") or ""
                name, labels = listing.name_of(image), labels_of(info)
                pairs.append(Pair(image, mask, known.get(image), ids.get(mask), name, labels))
            looked.append(Looked(listing, pairs))
        return looked

    def _read_images(
        self, pool: ThreadPoolExecutor, listings: list[Listing], chosen: list[list[Info]]
    ) -> list[dict[str, ImageFacts]]:
        caches, known = [], []
        for listing, infos in zip(listings, chosen, strict=True):
            by_path = {info["img_path"]: info for info in infos}
            caches.append(Cache(self._folder, listing.loader.image_key, by_path))
            there = {path: by_path[path] for path in caches[-1].there}
            known.append(self._all(pool, caches[-1], there, ImageFacts, lambda info: look_at_image(info["img_path"])))
        copies = _copies(listings, known)
        for listing, infos, cache, facts in zip(listings, chosen, caches, known, strict=True):
            wanted = _to_decode(facts, evenly(len(facts), self._pictures), copies)
            by_path = {info["img_path"]: info for info in infos if info["img_path"] in wanted}

            def decode(info: Info, facts: Mapping[str, ImageFacts] = facts, listing: Listing = listing) -> ImageFacts:
                return decode_image(facts[info["img_path"]], listing.loader, info)

            todo = {path: info for path, info in by_path.items() if not facts[path].is_decoded}
            facts |= self._run(pool, cache, todo, decode, f"{listing.split}: images")
            cache.save()
        return known

    def _read_masks(self, pool: ThreadPoolExecutor, listing: Listing, infos: list[Info]) -> dict[str, MaskFacts]:
        named = {info["seg_map_path"]: info for info in infos if info.get("seg_map_path")}
        cache = Cache(self._folder, listing.loader.mask_key, named)
        there = {path: named[path] for path in cache.there}
        found = self._all(
            pool, cache, there, MaskFacts, lambda info: read_mask(listing.loader, info), f"{listing.split}: masks"
        )
        cache.save()
        return found

    def _all(
        self,
        pool: ThreadPoolExecutor,
        cache: Cache,
        infos: Mapping[str, Info],
        kind: type[Facts],
        read: Callable[[Info], Facts],
        what: str = "",
    ) -> dict[str, Facts]:
        """Facts of all files, from the cache where it has them."""
        headers: dict[Any, Header] = {}
        found = {path: _from_json(kind, kept, headers) for path in infos if (kept := cache.get(path)) is not None}
        known = {path: facts for path, facts in found.items() if facts is not None}
        todo = {path: info for path, info in infos.items() if path not in known}
        return known | self._run(pool, cache, todo, read, what)

    def _run(
        self,
        pool: ThreadPoolExecutor,
        cache: Cache,
        infos: Mapping[str, Info],
        read: Callable[[Info], Facts],
        what: str,
    ) -> dict[str, Facts]:
        found: dict[str, Facts] = {}
        # A task for each file would cost half as much as the file.
        todo = list(infos.values())
        groups = [todo[i : i + _TOGETHER] for i in range(0, len(todo), _TOGETHER)]
        results: Iterable[Facts] = itertools.chain.from_iterable(
            pool.map(lambda group: [read(info) for info in group], groups)
        )
        if what and infos:
            results = self._bar.track(results, total=len(infos), description=what)
        try:
            for path, facts in zip(infos, results, strict=True):
                found[path] = facts
                cache.put(path, _as_json(facts))
        except BaseException:
            cache.save()  # What was read before an interruption.
            raise
        return found


def _copies(listings: list[Listing], known: list[dict[str, ImageFacts]]) -> set[str]:
    """Stamps of files of a training set that may be in another one, too, or in two classes of one set."""
    twice: set[str] = set()
    stamps: dict[bool, set[str]] = defaultdict(set)
    for listing, facts in zip(listings, known, strict=True):
        stamps[listing.split == "train"] |= {fact.stamp for fact in facts.values()}
        if not listing.is_dense:
            numbers = Counter(fact.stamp for fact in facts.values())
            twice |= {stamp for stamp, number in numbers.items() if number > 1}
    return stamps[True] & stamps[False] | twice


def _to_decode(facts: Mapping[str, ImageFacts], spread: list[int], copies: set[str]) -> set[str]:
    """Files that have to be decoded: an even sample, one of each kind, and those whose heads tell too little."""
    paths = list(facts)
    kinds = {fact.header.sort: path for path, fact in facts.items()}
    return {paths[i] for i in spread} | set(kinds.values()) | {
        path
        for path, fact in facts.items()
        if fact.stamp in copies or fact.header.orientation != 1 or not fact.seems_whole or not fact.header.format
    }  # fmt: skip


def _as_json(facts: ImageFacts | MaskFacts) -> list[Any]:
    header, *others = vars(facts).values()
    return [list(vars(header).values()), *others]


def _from_json(kind: type[Facts], kept: Any, headers: dict[Any, Header]) -> Facts | None:
    """Facts as they were kept; None if they are damaged. Equal headers are one object."""
    if not isinstance(kept, list) or not kept or not isinstance(kept[0], list):
        return None
    header, *others = (tuple(value) if isinstance(value, list) else value for value in kept)
    key = tuple(tuple(value) if isinstance(value, list) else value for value in header)
    if key not in headers:
        if not _fits(key, vars(Header()).values()):
            return None
        headers[key] = _made(Header, key)
    return _made(kind, (headers[key], *others)) if _fits(others, _EXPECTED[kind]) else None


def _made(kind: Any, values: Iterable[Any]) -> Any:
    return kind(*values)


def _fits(values: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether values are of the types of others."""
    return list(map(type, values)) == list(map(type, others))
