"""The encoder inside an opened checkpoint: its architecture, whether it fits, its tensors."""

import logging
import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..encoder.allocation import allocate
from ..encoder.intern_vit import InternViT
from ..encoder.position import resize_patch_embed, resize_pos_embed
from ..encoder.releases import find_release
from .errors import KeyMismatchError, NotACheckpointError, ShapeMismatchError, UnknownArchitectureError, list_names
from .formats import ANCHOR, FORMATS, Format, find_encoders
from .plain_weights import check_plain, explain_names
from .sources import Source

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
            KeyMismatchError: A block has a number that no encoder's has.
        """
        (first,) = self.names("blocks.0.norm1.weight")
        pattern = re.compile(re.escape(first).replace(r"\.0\.", r"\.([0-9]+)\.", 1))
        numbers = [match[1] for name in self.source.reader.names if (match := pattern.fullmatch(name))]
        if wrong := [number for number in numbers if len(number) > 4 or int(number) >= _MOST_BLOCKS]:
            raise KeyMismatchError(
                f"{self.source.where} names a block {list_names(wrong, 1)}, more than any InternViT has "
                f"({_MOST_BLOCKS} at most are read)."
            )
        return max(map(int, numbers), default=-1) + 1

    def grid(self) -> tuple[int, int]:
        """Rows and columns of the stored position grid: square unless the configuration says otherwise.

        Raises:
            ShapeMismatchError: It is not square and there is no configuration that fits.
        """
        positions, patch_size = self.shape("pos_embed")[1] - 1, self.shape(ANCHOR)[2]
        size = self.source.config.get("image_size")
        grid = (math.isqrt(positions), math.isqrt(positions))
        if isinstance(size, list) and size[0] // patch_size * (size[1] // patch_size) == positions:
            grid = (size[0] // patch_size, size[1] // patch_size)
        if grid[0] * grid[1] != positions:
            raise ShapeMismatchError(
                f"{self.source.where}: {self.names('pos_embed')[0]} has {positions} positions besides the CLS token, "
                "which is no square, and no config.json says how many rows and columns they are."
            )
        return grid

    def _num_heads(self, embed_dim: int, norm: str) -> int:
        """From ``config.json``, else from the released family, else the 64 channels a head of every plain ViT."""
        if self.source.config.get("hidden_size") == embed_dim and "num_attention_heads" in self.source.config:
            return int(self.source.config["num_attention_heads"])
        release = find_release(embed_dim=embed_dim)
        if release is not None:
            return release.num_heads
        if norm == "layer_norm" and embed_dim % 64 == 0:
            return embed_dim // 64
        raise UnknownArchitectureError(
            f"{self.source.where} does not tell how many attention heads its {embed_dim} channels make; "
            f"pass num_heads=, a divisor of {embed_dim}."
        )

    def architecture(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """Arguments of :class:`InternViT`, from the tensors' names and shapes; ``overrides`` go before them.

        Raises:
            UnknownArchitectureError: The file does not tell the number of heads and nobody else does.
            KeyMismatchError: The file lacks parts without which nothing can be told.
        """
        needed = ["pos_embed", "cls_token", "blocks.0.norm1.weight", "blocks.0.mlp.fc1.weight"]
        missing = [name for parameter in needed if not self.has(parameter) for name in self.names(parameter)]
        if missing:
            raise KeyMismatchError(f"{self.source.where} is no whole encoder: it lacks {list_names(missing)}.")
        embed_dim, in_chans, patch_size, _ = self.shape(ANCHOR)
        norm = "layer_norm" if self.has("blocks.0.norm1.bias") else "rms_norm"
        told: dict[str, Any] = {
            "patch_size": patch_size,
            "in_chans": in_chans,
            "embed_dim": embed_dim,
            "depth": self.depth(),
            "mlp_ratio": self.shape("blocks.0.mlp.fc1.weight")[0] / embed_dim,
            "norm": norm,
            "qkv_bias": self.has("blocks.0.attn.qkv.bias"),
            "qk_norm": self.has("blocks.0.attn.q_norm.weight"),
        }
        if "num_heads" not in overrides:
            told["num_heads"] = self._num_heads(embed_dim, norm)
        if "img_size" not in overrides:
            rows, columns = self.grid()
            side = overrides.get("patch_size", patch_size)
            told["img_size"] = (rows * side, columns * side)
        return told | overrides

    def check(self, encoder: InternViT) -> None:
        """Check every name and shape against an encoder, before anything is read.

        Blocks after the encoder's last one are left out without complaint: its depth was asked for.

        Raises:
            KeyMismatchError: The file lacks or has too many parameters; the message lists them.
            ShapeMismatchError: A tensor has the wrong shape; the message lists them.
        """
        parameters = {name: self.names(name) for name, _ in encoder.named_parameters()}
        wanted = {name for names in parameters.values() for name in names}
        present = {name for name in self.source.reader.names if name.startswith(self.prefix)}
        (first,) = self.names("blocks.0.norm1.weight")
        block = re.compile(re.escape(first.split(".0.")[0]) + r"\.([0-9]+)\.")
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
                got, want = got[2:], want[2:]
            elif name == ANCHOR:
                got, want = got[:2], want[:2]
            if got != want:
                wrong.append(f"{' + '.join(self.names(name))} is {self.shape(name)}, expected {tuple(parameter.shape)}")
        if wrong:
            raise ShapeMismatchError(f"{self.source.where} does not fit the encoder: {list_names(wrong, 4)}.")

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

    def read_into(self, parameter: str, encoder: InternViT, out: Tensor, start: int = 0) -> None:
        """Read a parameter, resized to an encoder, into its place; of large ones nothing else is kept in memory.

        Args:
            parameter: Its official name.
            encoder: The encoder.
            out: The parameter, or some rows of it; of any dtype, on any device.
            start: Which row of the parameter the first of ``out`` is.
        """
        if parameter in ("pos_embed", ANCHOR):
            with torch.no_grad():
                out.copy_(self.tensor(parameter, encoder)[start : start + len(out)])
        else:
            self._read_rows(parameter, out, start)

    def load(
        self, parameter: str, encoder: InternViT, dtype: torch.dtype, device: torch.device | str, mmap: bool
    ) -> Tensor:
        """A parameter as an encoder is to have it.

        Args:
            parameter: Its official name.
            encoder: The encoder, for its shape.
            dtype: Of the result.
            device: Of the result.
            mmap: Whether it may stay mapped from the file if nothing has to be done to it.
        """
        names = self.names(parameter)
        as_it_is = len(names) == 1 and parameter not in ("pos_embed", ANCHOR) and torch.device(device).type == "cpu"
        if mmap and as_it_is and self.dtype(parameter) == dtype:
            return self.source.reader.stored(names[0]).map()
        data = allocate(tuple(encoder.get_parameter(parameter).shape), dtype, device)
        self.read_into(parameter, encoder, data)
        return data
