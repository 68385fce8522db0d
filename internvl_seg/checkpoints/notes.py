"""Names of what trainers keep beside weights, none of whose code is needed or run."""

_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
# Settings and notes that trainers keep beside weights. An empty dictionary stands for each: their code is not needed.
NOTES = frozenset(
    f"{module}.{name}"
    for module, names in {
        "yacs.config": ("CfgNode",),
        "fvcore.common.config": ("CfgNode",),
        "detectron2.config.config": ("CfgNode",),
        "argparse": ("Namespace",),
        "types": ("SimpleNamespace",),
        "collections": ("defaultdict",),
        "easydict": ("EasyDict",),
        "addict.addict": ("Dict",),
        "munch": ("Munch",),
        "ml_collections.config_dict.config_dict": ("ConfigDict", "FrozenConfigDict"),
        "mmengine.config.config": ("Config", "ConfigDict"),
        "mmcv.utils.config": ("Config", "ConfigDict"),
        "omegaconf.dictconfig": ("DictConfig",),
        "omegaconf.listconfig": ("ListConfig",),
        "omegaconf.base": ("ContainerMetadata", "Metadata"),
        "omegaconf.nodes": tuple(f"{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Path")),
        "pathlib": _PATHS,
        "pathlib._local": _PATHS,
        "datetime": ("datetime", "date", "timedelta"),
        "lightning.fabric.utilities.data": ("AttributeDict",),
        "lightning_fabric.utilities.data": ("AttributeDict",),
        "pytorch_lightning.utilities.parsing": ("AttributeDict",),
        "deepspeed.runtime.fp16.loss_scaler": ("LossScaler", "DynamicLossScaler"),
        "deepspeed.runtime.zero.config": ("ZeroStageEnum",),
        "deepspeed.utils.tensor_fragment": ("fragment_address",),
    }.items()
    for name in names
)
# Names that notes mention without calling them.
MENTIONED = frozenset(
    ["typing.Any", *(f"builtins.{kind.__name__}" for kind in (dict, list, tuple, int, float, str, bool))]
)
# Values that are neither weights nor code, which PyTorch does not make: they are passed over, or told where all of a
# file is wanted.
UNREAD = {
    "builtins.frozenset": "a frozenset",
    "builtins.slice": "a slice",
    "builtins.range": "a range",
    "builtins.Ellipsis": "an Ellipsis",
    "collections.deque": "a deque",
    "decimal.Decimal": "a Decimal",
    "fractions.Fraction": "a Fraction",
    "uuid.UUID": "a UUID",
}
