"""The encoder inside an opened checkpoint: its architecture, whether it fits, its tensors."""

import functools
import logging
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..common.finite import is_finite
from ..encoder.allocation import allocate
from ..encoder.block import NORM_EPS
from ..encoder.intern_vit import InternViT
from ..encoder.position import resize_patch_embed, resize_pos_embed
from ..encoder.releases import find_release
from . import config_json, run_config
from .errors import (
    KeyMismatchError,
    NotACheckpointError,
    ShapeMismatchError,
    UnknownArchitectureError,
    WrongConfigError,
    list_names,
)
from .finite_weights import non_finite
from .formats import ANCHOR, FORMATS, HF_NATIVE, Format, find_encoders
from .plain_weights import check_plain, explain_names
from .position_grid import find_grid
from .sources import Source
from .told import OWN, Told, check_fits, read_own

# Far above the 48 of the largest: who writes a number into a name shall not decide how much is built.
_MOST_BLOCKS = 256

logger = logging.getLogger(__name__)


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
        """
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
        return [name for name in self.source.reader.names if name.startswith(roots)]

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

    def dtype(self, parameter: str) -> torch.dtype:
        """Dtype of a parameter."""
        return self.source.reader.stored(self.names(parameter)[0]).dtype

    def _read_rows(self, parameter: str, out: Tensor, start: int) -> None:
        """Read as many rows of a parameter as ``out`` has; the file may hold it in parts, one below the other."""
        stop, above = start + len(out), 0
        for name in self.names(parameter):
            part = self.source.reader.stored(name)
            first, last = max(start - above, 0), min(stop - above, part.shape[0])
            if first < last:
                part.rows(first, last).read_into(out[above + first - start : above + last - start])
            above += part.shape[0]

    def depth(self) -> int:
        """Number of blocks.

        Raises:
            KeyMismatchError: Most of them are not there, whatever the number of the last one says.
        """
        (first,) = self.names("blocks.0.norm1.weight")
        pattern = re.compile(re.escape(first).replace(r"\.0\.", r"\.([0-9]{1,9})\.", 1))
        blocks = {int(match[1]) for name in self.source.reader.names if (match := pattern.fullmatch(name))}
        last = max(blocks, default=-1)
        if last >= _MOST_BLOCKS:
            raise KeyMismatchError(
                f"{self.source.where} is no whole encoder: it has a block {last}, but only {len(blocks)} of them; of "
                f"more than {_MOST_BLOCKS} none is read."
            )
        if last >= 2 * len(blocks):
            raise KeyMismatchError(
                f"{self.source.where} is no whole encoder: it has a block {last}, but only {len(blocks)} of them."
            )
        return last + 1

    @functools.cached_property
    def told(self) -> list[Told]:
        """What stands beside the weights: what this package writes into a file, a run's config, ``config.json``.

        Raises:
            WrongConfigError: One of them cannot be read.
        """
        where, about = self.source.where, self.source.reader.about
        found = (
            read_own(about.get(OWN), where),
            run_config.read_told(about.get("meta"), self.prefix, where),
            config_json.read_told(self.source.config, where),
        )
        return [told for told in found if told is not None]

    def grid(self) -> tuple[int, int]:
        """Rows and columns of the stored position grid: as is told, else those of a square.

        Raises:
            ShapeMismatchError: Nothing tells, and it is no square.
            WrongConfigError: What tells does not fit it, or another that does.
        """
        positions, patch_size = self.shape("pos_embed")[1] - 1, self.shape(ANCHOR)[2]
        return find_grid(self.told, positions, patch_size, f"{self.source.where}: {self.names('pos_embed')[0]}")

    def _num_heads(self, embed_dim: int, norm: str) -> int:
        """As is told, else from the released family, else the 64 channels a head of every plain ViT.

        What is told was compared with the weights, so it is of this encoder.
        """
        for told in self.told:
            if "num_heads" in told.values:
                return int(told.values["num_heads"])
        release = find_release(embed_dim=embed_dim)
        if release is not None:
            return release.num_heads
        if norm == "layer_norm" and embed_dim % 64 == 0:
            return embed_dim // 64
        raise UnknownArchitectureError(
            f"{self.source.where} does not tell how many attention heads its {embed_dim} channels make; "
            f"pass num_heads=, a divisor of {embed_dim}."
        )

    def _check_shapes(self) -> None:
        """Check that the tensors that tell the architecture have the dimensions that it is told from."""
        wanted = {
            ANCHOR: (None, None, None, None),
            "pos_embed": (1, None, None),
            "cls_token": (1, 1, None),
            "blocks.0.mlp.fc1.weight": (None, None),
        }
        for parameter, want in wanted.items():
            shape = self.shape(parameter)
            fits = len(shape) == len(want) and all(w in (None, s) and s > 0 for s, w in zip(shape, want, strict=True))
            if not fits or (parameter == "pos_embed" and shape[1] < 2):
                dims = ", ".join("any" if w is None else str(w) for w in want)
                raise ShapeMismatchError(
                    f"{self.source.where}: {self.names(parameter)[0]} is {shape}, expected ({dims})."
                )
        if (kernel := self.shape(ANCHOR)[2:])[0] != kernel[1]:
            raise ShapeMismatchError(
                f"{self.source.where}: {self.names(ANCHOR)[0]} makes patches of {kernel[0]} x {kernel[1]} pixels, but "
                "an InternViT has square ones."
            )

    def architecture(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """Arguments of :class:`InternViT`, from the tensors' names and shapes; ``overrides`` go before them.

        Raises:
            UnknownArchitectureError: The file does not tell the number of heads and nobody else does.
            KeyMismatchError: The file lacks parts without which nothing can be told.
            ShapeMismatchError: A tensor has other dimensions than an encoder's.
            WrongConfigError: What stands beside the weights contradicts them.
        """
        needed = ["pos_embed", "cls_token", "blocks.0.norm1.weight", "blocks.0.mlp.fc1.weight"]
        missing = [name for parameter in needed if not self.has(parameter) for name in self.names(parameter)]
        if missing:
            raise KeyMismatchError(f"{self.source.where} is no whole encoder: it lacks {list_names(missing)}.")
        self._check_shapes()
        embed_dim, in_chans, patch_size, _ = self.shape(ANCHOR)
        hidden = self.shape("blocks.0.mlp.fc1.weight")[0]
        shown: dict[str, Any] = {
            "patch_size": patch_size,
            "in_chans": in_chans,
            "embed_dim": embed_dim,
            "depth": self.depth(),
            "norm": "layer_norm" if self.has("blocks.0.norm1.bias") else "rms_norm",
            "qkv_bias": self.has("blocks.0.attn.qkv.bias"),
            "qk_norm": self.has("blocks.0.attn.q_norm.weight"),
        }
        self._check_told(shown | {"hidden": hidden})
        told = shown | {"mlp_ratio": hidden / embed_dim, "norm_eps": self._norm_eps(shown["qk_norm"])}
        if "num_heads" not in overrides:
            told["num_heads"] = self._num_heads(embed_dim, shown["norm"])
        if "img_size" not in overrides:
            rows, columns = self.grid()
            side = overrides.get("patch_size", patch_size)
            told["img_size"] = (rows * side, columns * side)
        return told | overrides

    def _norm_eps(self, qk_norm: bool) -> float:
        """As is told, else that of all released encoders.

        Raises:
            WrongConfigError: It is told of a format in which it is not that of queries and keys.
        """
        for told in self.told:
            if "norm_eps" in told.values:
                found = float(told.values["norm_eps"])
                if self.format is HF_NATIVE and qk_norm and found != NORM_EPS:
                    raise WrongConfigError(
                        f"{told.quote('norm_eps')}, which transformers gives the norms of blocks but not those of "
                        f"queries and keys: an InternViT has one, {NORM_EPS} in all releases."
                    )
                return found
        return NORM_EPS

    def _check_told(self, shown: dict[str, Any]) -> None:
        """Compare what is told with what names and shapes show, and with itself."""
        for told in self.told:
            check_fits(
                told,
                shown,
                "the weights have {}",
                "It is of another model, or was changed: correct it, or put the weights where it is not.",
            )
            heads = told.values.get("num_heads", 1)
            if shown["embed_dim"] % heads:
                raise WrongConfigError(
                    f"{told.quote('num_heads')}, which does not divide {shown['embed_dim']} channels."
                )
        for told in self.told[1:]:
            check_fits(self.told[0], told.values, f"{told.where} says {{}}", "Correct one of them.")

    def check_use(self, encoder: InternViT) -> None:
        """Compare what is told with an encoder that is to have these weights.

        Raises:
            WrongConfigError: It would compute something else with them.
        """
        used = {"num_heads": encoder.num_heads, "norm_eps": encoder.norm_eps}
        for told in self.told:
            check_fits(told, used, "{} was asked for", "Ask for what it says, or correct it if it is wrong.")

    def check(self, encoder: InternViT) -> None:
        """Check every name and shape against an encoder, before anything is read.

        Blocks after the encoder's last one are left out without complaint: its depth was asked for.

        Raises:
            KeyMismatchError: The file lacks or has too many parameters; the message lists them.
            ShapeMismatchError: A tensor has the wrong shape; the message lists them.
            WrongConfigError: What stands beside the weights says that they are used otherwise.
        """
        parameters = {name: self.names(name) for name, _ in encoder.named_parameters()}
        wanted = {name for names in parameters.values() for name in names}
        present = {name for name in self.source.reader.names if name.startswith(self.prefix)}
        (first,) = self.names("blocks.0.norm1.weight")
        block = re.compile(re.escape(first.split(".0.")[0]) + r"\.([0-9]{1,9})\.")
        cut = {n for n in present - wanted if (match := block.match(n)) and int(match[1]) >= encoder.depth}
        unused = {n for n in present - wanted if self.format.unused.match(n.removeprefix(self.prefix))}
        missing, unexpected = wanted - present, present - wanted - unused - cut
        if missing or unexpected:
            raise KeyMismatchError(
                f"{self.source.where} ({self.format.name}) does not fit the encoder."
                + (f" It lacks {len(missing)}: {list_names(missing, 50)}." if missing else "")
                + (f" It has {len(unexpected)} too many: {list_names(unexpected, 50)}." if unexpected else "")
            )
        if unused:
            logger.info("%s: an encoder does not use %s", self.source.where, list_names(unused))
        wrong = []
        for name, parameter in encoder.named_parameters():
            got, want = self.shape(name), tuple(parameter.shape)
            if name == "pos_embed":
                got, want = (got[0], *got[2:]), (want[0], *want[2:])
            elif name == ANCHOR:
                got, want = got[:2], want[:2]
            if got != want:
                wrong.append(f"{' + '.join(self.names(name))} is {self.shape(name)}, expected {tuple(parameter.shape)}")
        if wrong:
            raise ShapeMismatchError(f"{self.source.where} does not fit the encoder: {list_names(wrong, 4)}.")
        self.check_use(encoder)

    def nbytes(self, parameter: str) -> int:
        """Bytes of a parameter in the file."""
        return sum(self.source.reader.stored(name).nbytes for name in self.names(parameter))

    def tensor(self, parameter: str, encoder: InternViT) -> Tensor:
        """A parameter's data, resized to the encoder's position grid and patch size."""
        data = self.read(parameter)
        if parameter == "pos_embed":
            grid = self.grid()
            return data if grid == encoder.grid_size else resize_pos_embed(data, grid, encoder.grid_size)
        if parameter == ANCHOR and data.shape[-1] != encoder.patch_size:
            return resize_patch_embed(data, encoder.patch_size)
        return data

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
            check_all: Whether to look for NaN and infinity in large ones that stay mapped, too, which reads them.

        Raises:
            NonFiniteWeightsError: There is NaN or infinity in it, or becomes so in ``dtype``.
        """
        names = self.names(parameter)
        as_it_is = len(names) == 1 and parameter not in ("pos_embed", ANCHOR) and torch.device(device).type == "cpu"
        if mmap and as_it_is and self.dtype(parameter) == dtype:
            data = self.source.reader.stored(names[0]).map()
            if check_all or data.ndim == 1 or not parameter.startswith("blocks."):
                self._check_finite(parameter, data)
            return data
        data = allocate(tuple(encoder.get_parameter(parameter).shape), dtype, device)
        self.read_into(parameter, encoder, data)
        return data
