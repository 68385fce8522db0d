"""The encoder inside an opened checkpoint: its tensors by their official names, read as they are to be used."""

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..common.finite import is_finite
from ..encoder.allocation import allocate
from ..encoder.intern_vit import InternViT
from ..encoder.position import resize_patch_embed, resize_pos_embed, widen_patch_embed
from . import config_json, meta_config
from .errors import NotACheckpointError, ShapeMismatchError, list_names
from .finite_weights import non_finite
from .formats import ANCHOR, FORMATS, Format, find_encoders
from .plain_weights import check_plain, explain_names
from .position_grid import find_grid
from .sources import Source
from .told import OWN, Told, read_own
from .weight_names import unwrapped

# Bytes of a weight that is looked through at once, though it may stay mapped.
_SMALL = 1 << 20


@dataclass(frozen=True)
class EncoderFile:
    """An encoder inside an opened checkpoint, addressed by the official parameter names.

    Attributes:
        source: The checkpoint.
        format: How it names parameters.
        prefix: What stands before the encoder's names.
    """

    source: Source
    format: Format
    prefix: str

    @classmethod
    def find(cls, source: Source) -> "EncoderFile":
        """Find the one encoder in a checkpoint.

        Raises:
            NotACheckpointError: There is none, or more than one.
            KeyMismatchError: Without what wrapped the model, or a block of it, two of its weights have one name.
        """
        source = replace(source, reader=unwrapped(source.reader, source.where))
        found = find_encoders(source.reader.names)
        if len(found) == 1:
            file = cls(source, *found[0])
            settings = source.config.get("quantization_config")
            method = settings.get("quant_method") if isinstance(settings, dict) else None
            check_plain(source.reader, file._own_names(), source.where, str(method or ""))
            return file
        if not found:
            explain_names(source.reader.names, source.where)
        anchors = [known.rename(ANCHOR)[0] for known in FORMATS]
        what = "no InternViT" if not found else f"{len(found)} encoders, at {list_names([repr(p) for _, p in found])}"
        raise NotACheckpointError(
            f"{source.where} holds {what}. Looked for {' or '.join(anchors)}; found {list_names(source.reader.names)}."
        )

    def _own_names(self) -> list[str]:
        """Names in the file of the encoder's parts, whatever else has the same prefix."""
        parts = ("pos_embed", "cls_token", "patch_embed.proj", "blocks")
        roots = tuple(self.prefix + self.format.rename(part)[0] for part in parts)
        return [name for name in sorted(self.source.reader.names) if name.startswith(roots)]

    def names(self, parameter: str) -> list[str]:
        """Names in the file of an official parameter."""
        return [self.prefix + name for name in self.format.rename(parameter)]

    def has(self, parameter: str) -> bool:
        """Whether the file holds a parameter."""
        return self.source.reader.names.issuperset(self.names(parameter))

    def shape(self, parameter: str) -> tuple[int, ...]:
        """Shape of a parameter."""
        shapes = [self.source.reader.shape(name) for name in self.names(parameter)]
        if len(shapes) == 1:
            return shapes[0]
        if len(set(shapes)) > 1 or not shapes[0]:
            parts = [f"{name} {shape}" for name, shape in zip(self.names(parameter), shapes, strict=True)]
            raise ShapeMismatchError(
                f"{self.source.where}: queries, keys and values are not alike, {list_names(parts)}, which no InternViT "
                "has."
            )
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def read(self, parameter: str) -> Tensor:
        """Data of a parameter, in the file's dtype."""
        out = torch.empty(self.shape(parameter), dtype=self.dtype(parameter))
        self._read_rows(parameter, out, 0)
        return out

    def dtypes(self, parameter: str) -> set[torch.dtype]:
        """Dtypes of a parameter's parts."""
        return {self.source.reader.stored(name).dtype for name in self.names(parameter)}

    def dtype(self, parameter: str) -> torch.dtype:
        """Dtype of a parameter; of parts in several the one that holds the values of all."""
        return functools.reduce(torch.promote_types, self.dtypes(parameter))

    def nbytes(self, parameter: str) -> int:
        """Bytes of a parameter in the file."""
        return sum(self.source.reader.stored(name).nbytes for name in self.names(parameter))

    def _read_rows(self, parameter: str, out: Tensor, start: int) -> None:
        """Read as many rows of a parameter as ``out`` has; the file may hold it in parts, one below the other."""
        stop, above = start + len(out), 0
        for name in self.names(parameter):
            part = self.source.reader.stored(name)
            first, last = max(start - above, 0), min(stop - above, part.shape[0])
            if first < last:
                part.rows(first, last).read_into(out[above + first - start : above + last - start])
            above += part.shape[0]

    @functools.cached_property
    def told(self) -> list[Told]:
        """What stands beside the weights: what this package writes into a file, a run's config, ``config.json``.

        Raises:
            WrongConfigError: One of them cannot be read.
        """
        where, about, width = self.source.where, self.source.reader.about, self.shape("cls_token")[-1]
        found = (
            read_own(about.get(OWN), where),
            meta_config.read_told(about, self.prefix, where, width=width),
            config_json.read_told(self.source.config, where, width),
        )
        return [told for told in found if told is not None]

    def grid(self, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
        """Rows and columns of the stored position grid: as is told, else as is wanted if it fits, else of a square.

        Args:
            wanted: Rows and columns that were asked for.

        Raises:
            ShapeMismatchError: Nothing tells, and it is no square.
            WrongConfigError: What tells does not fit it, or another that does.
        """
        positions, patch_size = self.shape("pos_embed")[1] - 1, self.shape(ANCHOR)[2]
        where = f"{self.source.where}: {self.names('pos_embed')[0]}"
        return find_grid(self.told, positions, patch_size, where, wanted)

    def tensor(self, parameter: str, encoder: InternViT) -> Tensor:
        """A parameter's data, resized to the encoder's position grid and patch size, and widened to its bands."""
        data = self.read(parameter)
        if parameter == "pos_embed":
            grid = self.grid(encoder.grid_size)
            return data if grid == encoder.grid_size else resize_pos_embed(data, grid, encoder.grid_size)
        if parameter == ANCHOR and data.shape[-1] != encoder.patch_size:
            data = resize_patch_embed(data, encoder.patch_size)
        return widen_patch_embed(data, encoder.in_chans, encoder.extra_bands) if parameter == ANCHOR else data

    def read_into(self, parameter: str, encoder: InternViT, out: Tensor, start: int = 0, check: bool = True) -> None:
        """Read a parameter, resized to an encoder, into its place; of large ones nothing else is kept in memory.

        Args:
            parameter: Its official name.
            encoder: The encoder.
            out: The parameter, or some rows of it; of any dtype, on any device.
            start: Which row of the parameter the first of ``out`` is.
            check: Whether to look for NaN and infinity.

        Raises:
            NonFiniteWeightsError: There is NaN or infinity in it, or becomes so in the dtype of ``out``.
        """
        if parameter in ("pos_embed", ANCHOR):
            with torch.no_grad():
                out.copy_(self.tensor(parameter, encoder)[start : start + len(out)])
        else:
            self._read_rows(parameter, out, start)
        if check:
            self._check_finite(parameter, out)

    def _check_finite(self, parameter: str, data: Tensor) -> None:
        if not is_finite(data):
            stored = {name: self.source.reader.stored(name) for name in self.names(parameter)}
            raise non_finite(stored, data, self.source.where)

    def load(
        self,
        parameter: str,
        encoder: InternViT,
        dtype: torch.dtype,
        device: torch.device | str,
        mmap: bool,
        check_all: bool = False,
    ) -> Tensor:
        """A parameter as an encoder is to have it.

        Args:
            parameter: Its official name.
            encoder: The encoder, for its shape.
            dtype: Of the result.
            device: Of the result.
            mmap: Whether it may stay mapped from the file if nothing has to be done to it.
            check_all: Whether to look for NaN and infinity in those over 1 MiB that stay mapped, too, which reads them.

        Raises:
            NonFiniteWeightsError: There is NaN or infinity in it, or becomes so in ``dtype``.
        """
        names = self.names(parameter)
        as_it_is = len(names) == 1 and parameter not in ("pos_embed", ANCHOR) and torch.device(device).type == "cpu"
        if mmap and as_it_is and self.dtype(parameter) == dtype:
            data = self.source.reader.stored(names[0]).map()
            if check_all or data.nbytes <= _SMALL or not parameter.startswith("blocks."):
                self._check_finite(parameter, data)
            return data
        data = allocate(tuple(encoder.get_parameter(parameter).shape), dtype, device)
        self.read_into(parameter, encoder, data)
        return data
