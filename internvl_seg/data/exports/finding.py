"""Which format an export has."""

import importlib
from types import ModuleType

from .export import ExportError
from .formats import FORMATS
from .hints import hints, refuse_archive
from .source import Source

# Asked when no other format claims an export: any folder of masks is one of theirs.
_ANY_FOLDER = ("colour_masks", "id_masks")
# Formats whose files another one's readers would take for their own, too.
_INSTEAD_OF = {
    "roboflow_coco": ("coco",),
    "cvat_masks": ("voc",),
    "cvat_colours": ("cityscapes",),
    "hasty": ("coco",),
    "segments_ai": ("coco",),
    "colour_masks": ("id_masks",),
}
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def find_format(source: Source, name: str | None = None) -> tuple[ModuleType, str]:
    """The format of an export, and what told it.

    Args:
        source: The export.
        name: The format that the user says it has; None to find out.

    Raises:
        ExportError: There is no such format; no format claims the export, or more than one does.
    """
    modules = known_formats()
    if name is not None:
        if name not in modules:
            raise ExportError(f"--format {name} is not known. {_listed(modules)}")
        return modules[name], modules[name].recognise(source) or f"--format {name}"
    if source.root.is_dir() and not source.files:
        raise ExportError(f"{source.root} holds no file. Name the folder, or the file, that a labelling tool exported.")
    refuse_archive(source)
    claims = _claims(source, [name for name in modules if name not in _ANY_FOLDER])
    claims = claims or _claims(source, [name for name in modules if name in _ANY_FOLDER])
    covered = {other for name in claims for other in _INSTEAD_OF.get(name, ())}
    left = {name: why for name, why in claims.items() if name not in covered}
    if not left:
        told = " ".join(["", *hints(source)])
        raise ExportError(f"{source.root} is no export of a known format.{told} {_listed(modules)}")
    if len(left) > 1:
        found = "; ".join(f"{name} ({why})" for name, why in left.items())
        raise ExportError(
            f"{source.root} may be of {len(left)} formats: {found}. Say which by --format {' or --format '.join(left)}"
            ", or name the folder or file of one of them."
        )
    ((found, why),) = left.items()
    return modules[found], why


def known_formats() -> dict[str, ModuleType]:
    """The formats' modules by name, in the order in which they are asked."""
    return {name: importlib.import_module(f"{__package__}.formats.{name}") for name in FORMATS}


def list_formats() -> str:
    """A line of each format: its name and what it is."""
    return "\n".join(f"  {name:15} {module.SUMMARY}" for name, module in known_formats().items())


def _claims(source: Source, names: list[str]) -> dict[str, str]:
    modules = known_formats()
    return {name: why for name in names if (why := modules[name].recognise(source)) is not None}


def _listed(modules: dict[str, ModuleType]) -> str:
    return "Known are, to be named by --format:\n" + "\n".join(
        f"  {name:15} {module.SUMMARY}" for name, module in modules.items()
    )
