"""Layers that a config names: norms, activations and convolutions of heads and necks."""

from collections.abc import Iterator
from difflib import get_close_matches

from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from ..config import walk
from .annotations import meant
from .contradiction import Contradiction, option

# Which classes are meant; of activations there are too many kinds.
_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "norm_cfg": (_NormBase, nn.GroupNorm, nn.LayerNorm),
    "act_cfg": (nn.Module,),
    "conv_cfg": (_ConvNd,),
}


def check_layers_named(config: Config) -> Iterator[Contradiction]:
    """Find layers that are not registered, which MMCV tells without the key.

    Args:
        config: The config of a segmentor.
    """
    for key, node in walk(config.get("model"), "model"):
        kinds = _KINDS.get(key.rpartition(".")[2])
        name = node.get("type")
        if kinds is None or not isinstance(name, str) or not name:
            continue
        if MODELS.get(name) is None and "." not in name:
            known = sorted(
                other
                for registry in (MODELS, MODELS.parent)
                for other, kind in registry.module_dict.items()
                if isinstance(kind, type) and issubclass(kind, kinds)
            )
            lower = {other.lower(): other for other in known}
            near = [lower[text] for text in get_close_matches(name.lower(), lower, 1)]
            advice = f"Set {option(f'{key}.type', near[0])}." if near else f"There are {', '.join(known[:12])}."
            yield Contradiction(f"{key}.type", f"= {name!r} is not registered.", advice)
        given = node.get("requires_grad", True)
        if not isinstance(given, bool):  # No field of the layer's class: MMCV takes it out.
            yield Contradiction(
                f"{key}.requires_grad",
                f"= {given!r}: expected True or False.",
                f"Set {option(f'{key}.requires_grad', meant(given, [bool], False, True))}, for example.",
            )
