"""A frozen encoder in checkpoints: left out of those that are written, and compared with those that are read."""

import math
from typing import Any

from ..checkpoints.errors import ShapeMismatchError
from ..checkpoints.position_grid import GRID, grid_of_state
from ..checkpoints.reference import (
    REFERENCE,
    WrongEncoderError,
    embeddings_of,
    hash_blocks,
    read_reference,
    write_reference,
)
from ..encoder.lora import is_lora
from ..encoder.position import resize_pos_embed


def leave_encoder_out(module: Any, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    """Replace a frozen encoder's weights in a state dict by a reference; adapters stay."""
    metadata[GRID] = list(module.grid_size)  # Of a position embedding that stays, which its shape does not tell.
    if not module.frozen or module.init_cfg is None or module.patch_embed.proj.weight.is_meta:
        return
    for name, _ in module.named_parameters():
        if not is_lora(name):
            del state[prefix + name]
    state[prefix + REFERENCE] = write_reference(
        str(module.init_cfg["checkpoint"]), module.sha256(), embeddings_of(module)
    )


def check_reference(module: Any, state: dict[str, Any], prefix: str, metadata: dict[str, Any], *_rest: object) -> None:
    """Compare the reference in a state dict with the encoder that is there, which then stands in for its weights.

    A position embedding of another image size is resized, and adapters of another strength are refused.
    """
    _fit_positions(module, state, prefix + "pos_embed", metadata)
    alpha = state.get(prefix + "lora_alpha")
    if alpha is not None and module.lora is not None and not alpha.equal(own := module.get_buffer("lora_alpha").cpu()):
        raise WrongEncoderError(
            f"This checkpoint's adapters were trained with alpha = {alpha.tolist()}, but backbone.lora has "
            f"{own.item()}. Set backbone.lora.alpha={alpha.tolist()}."
        )
    known = module.frozen and (module.init_cfg is not None or module.is_shared)
    if known and prefix and not any(name.startswith(prefix) for name in state):
        # A file of a head alone, such as the official ones, is put on the encoder that the config reads.
        state.update({prefix + name: parameter.detach() for name, parameter in module.named_parameters()})
        return
    if prefix + REFERENCE not in state:
        if module.is_shared:
            raise WrongEncoderError(
                "This checkpoint holds an encoder of its own, which would replace the one that another model uses, "
                "too. Leave encoder= out."
            )
        if not module.has_all_weights:
            _leave_same_blocks_out(module, state, prefix)
            return
        module.encoder_hash = module.stored_embeddings = None
        module.is_init |= any(name.startswith(prefix + "blocks.") for name in state)
        return
    told = read_reference(state.pop(prefix + REFERENCE))
    if module.init_cfg is None:
        raise WrongEncoderError(
            f"This checkpoint holds heads trained on the frozen encoder {told.checkpoint!r} and not the encoder "
            "itself. Set backbone.init_cfg=dict(type='Pretrained', checkpoint=...) in the config to read it."
        )
    if module.frozen and (how := told.differs(module.sha256(), embeddings_of(module))):
        there = f"the config reads {module.init_cfg['checkpoint']!r}"
        remedy = "Set backbone.init_cfg.checkpoint to the encoder it was trained on."
        if module.is_shared:
            there, remedy = "the shared one is another", "Leave encoder= out."
        raise WrongEncoderError(
            f"This checkpoint's heads were trained on the frozen encoder {told.checkpoint!r}, but {there} ({how}). "
            f"{remedy}"
        )
    module.init_weights()  # Of an encoder that is tuned from here on; a frozen one has them.
    _stand_in(module, state, prefix)


def _fit_positions(module: Any, state: dict[str, Any], name: str, metadata: dict[str, Any]) -> None:
    """Resize a state dict's position embedding to a backbone's grid, from the one that the checkpoint tells.

    If it does not tell, what is of the backbone's shape is taken to be of its grid, and all else to be a square.

    Raises:
        ShapeMismatchError: It does not tell, and the embedding is no square.
    """
    pos_embed = state.get(name)
    if pos_embed is None or pos_embed.ndim != 3 or pos_embed.shape[1] < 2:
        return
    positions = pos_embed.shape[1] - 1
    grid = grid_of_state(metadata, positions)
    if grid is None:
        if pos_embed.shape == module.pos_embed.shape:
            return
        side = math.isqrt(positions)
        if side * side != positions:
            rows, columns = module.grid_size
            raise ShapeMismatchError(
                f"This checkpoint's {name} has {positions} positions besides the CLS token, which is no square, and "
                f"nothing in it tells how many rows and columns they are; the config's are {rows} x {columns}. Set "
                "backbone.img_size to the size that it was trained with."
            )
        grid = (side, side)
    if grid != tuple(module.grid_size):
        state[name] = resize_pos_embed(pos_embed, grid, module.grid_size)


def _leave_same_blocks_out(module: Any, state: dict[str, Any], prefix: str) -> None:
    """Take a checkpoint's blocks out of its state dict if they are those that the encoder was made of."""
    own = f"{prefix}blocks."
    theirs = {name.removeprefix(own): state.pop(name) for name in list(state) if name.startswith(own)}
    if hash_blocks(theirs) != module.sha256():
        raise WrongEncoderError(
            "This checkpoint holds an encoder of its own, and not the one that the config reads, "
            f"{module.init_cfg['checkpoint']!r}. With quantization or blocks_in_memory it has to be read there: set "
            "backbone.init_cfg.checkpoint to this checkpoint."
        )
    module.stored_embeddings = None  # The checkpoint's own come with it.
    _stand_in(module, state, prefix)


def _stand_in(module: Any, state: dict[str, Any], prefix: str) -> None:
    """Put the encoder that is there into a state dict that lacks it."""
    for name, parameter in module.named_parameters():
        if not is_lora(name):
            state.setdefault(prefix + name, parameter.detach())
