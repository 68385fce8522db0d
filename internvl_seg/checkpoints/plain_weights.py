"""Weights that are numbers as they are: not quantised, no adapters beside them, nothing left out."""

import os
import re
from collections.abc import Collection, Iterable

import torch

from .errors import UnreadableWeightsError, list_names, printable
from .reading import TensorReader

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Of peft and its kin, beside the layers that they adapt.
_ADAPTERS = re.compile(r"(^|\.)(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|lora_[ab]|lokr_w\d\w*|hada_w\d\w*|"
                       r"ia3_l|oft_r|vera_lambda_\w|base_layer|lora_(up|down))(\.|$)")  # fmt: skip
# Of bitsandbytes, GPTQ, AWQ, compressed-tensors, torchao and others, beside the codes.
_SCALES = re.compile(
    r"\.(qweight|qzeros|scales|g_idx|SCB|CB|weight_format|weight_scale|weight_scale_inv|weight_zero_point|"
    r"weight_packed|weight_shape|input_scale|scale_inv|w_scale|qscale|weight\.(absmax|quant_map|nested_absmax|"
    r"nested_quant_map|quant_state\S*|_data|_scale)|_extra_state)$"
)
_WEIGHT = re.compile(
    r"[._](weight|bias)$|\.(gamma|ls[12]|lambda_[12]|running_mean|running_var)$|(embed|embedding|embeddings|token)$"
)


def explain_names(names: Collection[str], where: str) -> None:
    """Refuse a file in which no encoder was found, if its names tell why.

    Raises:
        UnreadableWeightsError: It holds adapters alone.
    """
    if adapters := [name for name in names if _ADAPTERS.search(name)]:
        raise UnreadableWeightsError(_adapters(where, adapters))


def check_plain(reader: TensorReader, names: Collection[str], where: str, quantised_by: str = "") -> None:
    """Check that the tensors of a model's part, such as its encoder, are its weights.

    Args:
        reader: The file.
        names: Of the part's tensors in it.
        where: The file, for messages.
        quantised_by: What its config says of that, if anything.

    Raises:
        UnreadableWeightsError: They are not; the message says what they are, and what to do.
    """
    if adapters := [name for name in names if _ADAPTERS.search(name)]:
        raise UnreadableWeightsError(_adapters(where, adapters))
    if scales := [name for name in names if _SCALES.search(name) and not name.endswith("_extra_state")]:
        raise _quantised(where, f"scales or codes such as {printable(min(scales))}", quantised_by)
    empty = [name for name in names if 0 in reader.shape(name)]
    if empty:
        raise UnreadableWeightsError(
            f"{where} holds {len(empty)} of {len(names)} tensors empty, of size 0: "
            f"{list_names(empty, 3)}. So DeepSpeed ZeRO-3 leaves them if weights are saved without being gathered. "
            "Gather them with the zero_to_fp32.py beside the checkpoint, or set "
            "stage3_gather_16bit_weights_on_model_save."
        )
    check_dtypes([(name, reader.dtype(name)) for name in names], where, quantised_by)


def check_dtypes(
    dtypes: Iterable[tuple[str, torch.dtype]], where: str | os.PathLike[str], quantised_by: str = ""
) -> None:
    """Check the dtypes alone, as :func:`check_plain` does; counters and indices may be integers.

    Args:
        dtypes: Of tensors, with their names.
        where: The file, for messages.
        quantised_by: What its config says of that, if anything.

    Raises:
        UnreadableWeightsError: Weights are of a dtype that is not computed with.
    """
    for name, dtype in sorted(dtypes, key=lambda pair: pair[0]):
        if dtype.is_floating_point or dtype.is_complex or _WEIGHT.search(name):
            check_dtype(name, dtype, where, quantised_by)


def check_dtype(name: str, dtype: torch.dtype, where: str | os.PathLike[str], quantised_by: str = "") -> None:
    """Check that a tensor which is to become floating-point weights is such; PyTorch would cast whatever it is.

    Args:
        name: Of the tensor in its file.
        dtype: Its dtype there.
        where: The file, for messages.
        quantised_by: What its config says of that, if anything.

    Raises:
        UnreadableWeightsError: It is quantised, or of a dtype that no weights have.
    """
    if dtype in _FLOATS:
        return
    if dtype.is_complex or dtype in (torch.bool, torch.int64, torch.int16):
        raise UnreadableWeightsError(
            f"{where} holds {printable(name)} as {dtype}, expected one of {', '.join(map(str, _FLOATS))}."
        )
    raise _quantised(where, f"{printable(name)} as {dtype}", quantised_by)


def _adapters(where: str, names: list[str]) -> str:
    return (
        f"{where} holds adapters (LoRA) that are not merged into the weights, such as {printable(min(names))}. Merge "
        "them: a run of this package with tools/convert_checkpoint.py, InternVL's use_backbone_lora with its "
        "tools/merge_lora.py, others with peft's merge_and_unload()."
    )


def _quantised(where: str | os.PathLike[str], what: str, by: str) -> UnreadableWeightsError:
    return UnreadableWeightsError(
        f"{where} is quantised{f' ({by})' if by else ''}: it holds {what}. Take the model that it was made from, in "
        "bfloat16; quantization= makes fewer bits of that."
    )
