"""Which encoder a checkpoint holds, told from names, shapes and what stands beside them; and whether it fits one."""

import logging
import re
from typing import Any

from ..common.words import counted
from ..encoder.block import NORM_EPS, hidden_channels
from ..encoder.intern_vit import InternViT
from ..encoder.position import RGB
from ..encoder.releases import find_release
from .encoder_file import EncoderFile
from .errors import KeyMismatchError, ShapeMismatchError, UnknownArchitectureError, WrongConfigError, list_names
from .formats import ANCHOR, HF_NATIVE
from .told import check_clear, check_fits

# Far above the 48 of the largest: who writes a number into a name shall not decide how much is built.
_MOST_BLOCKS = 256

logger = logging.getLogger(__name__)


def find_architecture(file: EncoderFile, overrides: dict[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`InternViT` for the encoder in a checkpoint, from the tensors' names and shapes.

    Args:
        file: The encoder in it.
        overrides: Arguments that go before what the file tells.

    Raises:
        UnknownArchitectureError: The file does not tell the number of heads and nobody else does.
        KeyMismatchError: The file lacks parts without which nothing can be told.
        ShapeMismatchError: A tensor has other dimensions than an encoder's.
        WrongConfigError: What stands beside the weights contradicts them.
    """
    needed = ["pos_embed", "cls_token", "blocks.0.norm1.weight", "blocks.0.mlp.fc1.weight"]
    missing = [name for parameter in needed if not file.has(parameter) for name in file.names(parameter)]
    if missing:
        raise KeyMismatchError(f"{file.source.where} is no whole encoder: it lacks {list_names(missing)}.")
    _check_shapes(file)
    embed_dim, in_chans, patch_size, _ = file.shape(ANCHOR)
    hidden = file.shape("blocks.0.mlp.fc1.weight")[0]
    shown: dict[str, Any] = {
        "patch_size": patch_size,
        "in_chans": in_chans,
        "embed_dim": embed_dim,
        "depth": count_blocks(file),
        "norm": "layer_norm" if file.has("blocks.0.norm1.bias") else "rms_norm",
        "qkv_bias": file.has("blocks.0.attn.qkv.bias"),
        "qk_norm": file.has("blocks.0.attn.q_norm.weight"),
    }
    _check_told(file, shown | {"hidden": hidden})
    told = shown | {"mlp_ratio": hidden / embed_dim, "norm_eps": _norm_eps(file, shown["qk_norm"])}
    if "num_heads" not in overrides:
        told["num_heads"] = _num_heads(file, embed_dim, shown["norm"])
    if "img_size" not in overrides:
        rows, columns = file.grid()
        side = overrides.get("patch_size", patch_size)
        told["img_size"] = (rows * side, columns * side)
    return told | overrides


def count_blocks(file: EncoderFile) -> int:
    """Number of blocks in a checkpoint.

    Raises:
        KeyMismatchError: Most of them are not there, whatever the number of the last one says.
    """
    (first,) = file.names("blocks.0.norm1.weight")
    pattern = re.compile(re.escape(first).replace(r"\.0\.", r"\.([0-9]{1,9})\.", 1))
    blocks = {int(match[1]) for name in file.source.reader.names if (match := pattern.fullmatch(name))}
    last = max(blocks, default=-1)
    if last >= _MOST_BLOCKS:
        raise KeyMismatchError(
            f"{file.source.where} is no whole encoder: it has a block {last}, but only {len(blocks)} of them; of "
            f"more than {_MOST_BLOCKS} none is read."
        )
    if last >= 2 * len(blocks):
        raise KeyMismatchError(
            f"{file.source.where} is no whole encoder: it has a block {last}, but only {len(blocks)} of them."
        )
    return last + 1


def _check_shapes(file: EncoderFile) -> None:
    """Check that the tensors that tell the architecture have the dimensions that it is told from."""
    wanted = {
        ANCHOR: (None, None, None, None),
        "pos_embed": (1, None, None),
        "cls_token": (1, 1, None),
        "blocks.0.mlp.fc1.weight": (None, None),
    }
    for parameter, want in wanted.items():
        shape = file.shape(parameter)
        fits = len(shape) == len(want) and all(w in (None, s) and s > 0 for s, w in zip(shape, want, strict=True))
        if not fits or (parameter == "pos_embed" and shape[1] < 2):
            dims = ", ".join("any" if w is None else str(w) for w in want)
            raise ShapeMismatchError(f"{file.source.where}: {file.names(parameter)[0]} is {shape}, expected ({dims}).")
    if (kernel := file.shape(ANCHOR)[2:])[0] != kernel[1]:
        raise ShapeMismatchError(
            f"{file.source.where}: {file.names(ANCHOR)[0]} makes patches of {kernel[0]} x {kernel[1]} pixels, but "
            "an InternViT has square ones."
        )


def _check_told(file: EncoderFile, shown: dict[str, Any]) -> None:
    """Compare what is told with what names and shapes show, and with itself."""
    for told in file.told:
        check_fits(
            told,
            shown,
            "the weights have {}",
            "It is of another model, or was changed: correct it, or put the weights where it is not.",
        )
        for name in ("num_heads", "head_dim"):
            if shown["embed_dim"] % told.values.get(name, 1):
                raise WrongConfigError(f"{told.quote(name)}, which does not divide {shown['embed_dim']} channels.")
        ratio = told.values.get("mlp_ratio")
        if ratio is not None and hidden_channels(shown["embed_dim"], ratio) != shown["hidden"]:
            raise WrongConfigError(
                f"{told.quote('mlp_ratio')}, but the weights have {shown['hidden'] / shown['embed_dim']:g}. Correct it "
                "there."
            )
    for told in file.told[1:]:
        check_fits(file.told[0], told.values, f"{told.where} says {{}}", "Correct one of them.")


def _num_heads(file: EncoderFile, embed_dim: int, norm: str) -> int:
    """As is told, else from the released family, else the 64 channels a head of every plain ViT.

    What is told was compared with the weights, so it is of this encoder.
    """
    for told in file.told:
        if "num_heads" in told.values:
            return int(told.values["num_heads"])
        if "head_dim" in told.values:
            return embed_dim // int(told.values["head_dim"])
    check_clear(file.told)
    release = find_release(embed_dim=embed_dim)
    if release is not None:
        return release.num_heads
    if norm == "layer_norm" and embed_dim % 64 == 0:
        return embed_dim // 64
    raise UnknownArchitectureError(
        f"{file.source.where} does not tell how many attention heads its {embed_dim} channels make; "
        f"pass num_heads=, a divisor of {embed_dim}."
    )


def _norm_eps(file: EncoderFile, qk_norm: bool) -> float:
    """As is told, else that of all released encoders.

    Raises:
        WrongConfigError: It is told of a format in which it is not that of queries and keys.
    """
    for told in file.told:
        if "norm_eps" in told.values:
            found = float(told.values["norm_eps"])
            if file.format is HF_NATIVE and qk_norm and found != NORM_EPS:
                raise WrongConfigError(
                    f"{told.quote('norm_eps')}, which transformers gives the norms of blocks but not those of "
                    f"queries and keys: an InternViT has one, {NORM_EPS} in all releases."
                )
            return found
    return NORM_EPS


def check_encoder(file: EncoderFile, encoder: InternViT) -> None:
    """Check every name and shape against an encoder, before anything is read.

    Blocks after the encoder's last one are left out without complaint: its depth was asked for.

    Raises:
        KeyMismatchError: The file lacks or has too many parameters; the message lists them.
        ShapeMismatchError: A tensor has the wrong shape; the message lists them.
        WrongConfigError: What stands beside the weights says that they are used otherwise.
    """
    parameters = {name: file.names(name) for name, _ in encoder.named_parameters()}
    wanted = {name for names in parameters.values() for name in names}
    present = {name for name in file.source.reader.names if name.startswith(file.prefix)}
    (first,) = file.names("blocks.0.norm1.weight")
    block = re.compile(re.escape(first.split(".0.")[0]) + r"\.([0-9]{1,9})\.")
    cut = {n for n in present - wanted if (match := block.match(n)) and int(match[1]) >= encoder.depth}
    unused = {n for n in present - wanted if file.format.unused.match(n.removeprefix(file.prefix))}
    missing, unexpected = wanted - present, present - wanted - unused - cut
    if missing or unexpected:
        raise KeyMismatchError(
            f"{file.source.where} ({file.format.name}) does not fit the encoder."
            + (f" It lacks {len(missing)}: {list_names(missing, 50)}." if missing else "")
            + (f" It has {len(unexpected)} too many: {list_names(unexpected, 50)}." if unexpected else "")
        )
    if unused:
        logger.info("%s: an encoder does not use %s", file.source.where, list_names(unused))
    wrong = []
    for name, parameter in encoder.named_parameters():
        got, want = file.shape(name), tuple(parameter.shape)
        if name == "pos_embed":
            got, want = (got[0], *got[2:]), (want[0], *want[2:])
        elif name == ANCHOR:
            got, want = got[:2], want[:2]
            if got != want and got[1:] != want[1:] and got[1] != RGB:
                bands = counted(got[1], "band")
                raise ShapeMismatchError(
                    f"{file.source.where}: {file.names(name)[0]} is of {bands}, but in_chans = {want[1]}. Set "
                    f"in_chans={got[1]}; only weights of RGB are made to fit another number."
                )
            got, want = got[:1], want[:1]
        if got != want:
            wrong.append(f"{' + '.join(file.names(name))} is {file.shape(name)}, expected {tuple(parameter.shape)}")
    if wrong:
        raise ShapeMismatchError(f"{file.source.where} does not fit the encoder: {list_names(wrong, 4)}.")
    _check_use(file, encoder)


def _check_use(file: EncoderFile, encoder: InternViT) -> None:
    """Compare what is told with an encoder that is to have these weights.

    Raises:
        WrongConfigError: It would compute something else with them.
    """
    head_dim = encoder.embed_dim // encoder.num_heads
    used = {"num_heads": encoder.num_heads, "head_dim": head_dim, "norm_eps": encoder.norm_eps}
    for told in file.told:
        check_fits(told, used, "{} was asked for", "Ask for what it says, or correct it if it is wrong.")
