"""The formats in which InternViTs are published: how to recognise each and how it names a parameter.

A format answers one question, "what are you called there?", for the official name of a parameter; everything else
(the architecture, what is missing, what is too much) follows from it.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A naming scheme.

    Attributes:
        name: For messages.
        rename: From a parameter's official name to its names in the file; several are concatenated in their order.
        unused: Matches, from their start, names that such files may hold besides an encoder.
    """

    name: str
    rename: Callable[[str], list[str]]
    unused: re.Pattern[str]


def _rename_by(table: dict[str, str]) -> Callable[[str], list[str]]:
    """A renaming that replaces whole dotted parts; a ``*`` in the new name makes three of it, for q, k and v."""
    pattern = re.compile("|".join(rf"\b{re.escape(old)}(?=\.|$)" for old in table))

    def rename(name: str) -> list[str]:
        new = pattern.sub(lambda match: table[match.group()], name)
        return [new.replace("*", letter) for letter in "qkv"] if "*" in new else [new]

    return rename


OFFICIAL = Format(
    name="official .pth",
    rename=lambda name: [name],
    # Parts of the released 224px file, of classifiers, of segmentors (the pyramid) and of DINOv2.
    unused=re.compile(r"clip_projector\.|attn_pooling\.|norm\.|head\.|up[1-4]\.|mask_token$|pooler\."),
)
HF_REMOTE_CODE = Format(
    name="Hugging Face remote code (intern_vit_6b)",
    rename=_rename_by(
        {
            "pos_embed": "embeddings.position_embedding",
            "cls_token": "embeddings.class_embedding",
            "patch_embed.proj": "embeddings.patch_embedding",
            "blocks": "encoder.layers",
            "ls1.gamma": "ls1",
            "ls2.gamma": "ls2",
        }
    ),
    unused=re.compile(r"pooler\.|mask_token$|embeddings\.mask_token$"),
)
HF_NATIVE = Format(
    name="Hugging Face native (internvl_vision)",
    rename=_rename_by(
        {
            "pos_embed": "embeddings.position_embeddings",
            "cls_token": "embeddings.cls_token",
            "patch_embed.proj": "embeddings.patch_embeddings.projection",
            "blocks": "encoder.layer",
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "ls1.gamma": "lambda_1",
            "ls2.gamma": "lambda_2",
            "attn.qkv": "attention.*_proj",
            "attn.proj": "attention.projection_layer",
            "attn": "attention",
        }
    ),
    unused=re.compile(r"pooler\.|layernorm\.|embeddings\.mask_token$"),
)
FORMATS = (OFFICIAL, HF_REMOTE_CODE, HF_NATIVE)
ANCHOR = "patch_embed.proj.weight"


def find_encoders(names: Collection[str]) -> list[tuple[Format, str]]:
    """Every encoder among a file's tensors: its format and the prefix of its names, such as ``vision_model.``."""
    found = []
    for candidate in FORMATS:
        (anchor,) = candidate.rename(ANCHOR)
        for name in names:
            if name == anchor or name.endswith("." + anchor):
                found.append((candidate, name.removesuffix(anchor)))
    return found
