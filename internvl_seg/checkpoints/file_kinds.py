"""What a file is, told by its first bytes, for those that are no checkpoint but often lie where one should."""

import zipfile
from pathlib import Path

from .errors import NotACheckpointError, TruncatedCheckpointError, list_names, printable

_UNPACK = "Unpack it and name the checkpoint in it."
_BY_START = {
    b"\x1f\x8b": ("compressed with gzip", _UNPACK),
    b"BZh": ("compressed with bzip2", _UNPACK),
    b"\xfd7zXZ": ("compressed with xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"GGUF": ("a GGUF file, quantised for llama.cpp", "Take the model's .safetensors."),
    b"GGML": ("a GGML file, quantised for llama.cpp", "Take the model's .safetensors."),
    b"\x89HDF": ("an HDF5 file, as Keras and TensorFlow write", "Take the model's .safetensors or .pth."),
    b"\x93NUMPY": ("a NumPy array", "Write all arrays as one .safetensors file: safetensors.numpy.save_file."),
    b"%PDF": ("a PDF", "Name the checkpoint."),
    b"\x89PNG": ("a picture", "Name the checkpoint."),
    b"\xff\xd8\xff": ("a picture", "Name the checkpoint."),
}
_BY_SUFFIX = {
    ".onnx": ("an ONNX graph", "Take the checkpoint that it was exported from."),
    ".engine": ("a TensorRT engine", "Take the checkpoint that it was made from."),
    ".msgpack": ("a Flax checkpoint", "Convert it to PyTorch with transformers, or take the model's .safetensors."),
    ".h5": ("a Keras checkpoint", "Take the model's .safetensors or .pth."),
    ".pb": ("a TensorFlow graph", "Take the model's .safetensors or .pth."),
    ".tflite": ("a TensorFlow Lite graph", "Take the model's .safetensors or .pth."),
    ".distcp": (
        "a part of a distributed checkpoint (torch.distributed.checkpoint)",
        "Name its folder to read how it becomes one file.",
    ),
}


def check_kind(path: Path) -> str:
    """Check that a file may be a checkpoint.

    Returns:
        Which one: 'safetensors' or 'torch'.

    Raises:
        TruncatedCheckpointError: It is empty.
        NotACheckpointError: It is something else; the message says what, and what to do.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise NotACheckpointError(f"{path} is a pipe or a device, not a regular file. Name the checkpoint itself.")
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise NotACheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not start:
        raise TruncatedCheckpointError(f"{path} is empty (0 bytes). Download or copy it again.")
    check_text(path, start)
    if start.startswith(b"PK"):
        return _check_zip(path)
    if start[257:262] == b"ustar":
        raise _is(path, "a tar archive", _UNPACK)
    for beginning, (what, advice) in _BY_START.items():
        if start.startswith(beginning):
            raise _is(path, what, advice)
    if path.suffix == ".safetensors":
        _check_no_text(path, start)
    if start[4:9] == b"\0\0\0\0{" or path.suffix == ".safetensors":  # The size of a header, and its beginning.
        return "safetensors"
    if path.suffix.lower() in _BY_SUFFIX:
        raise _is(path, *_BY_SUFFIX[path.suffix.lower()])
    if start[:1] == b"\x80":
        return "torch"
    if start[:1] == b"\x08" and (b"pytorch" in start[:64] or b"onnx" in start[:64] or b"tf2onnx" in start[:64]):
        raise _is(path, *_BY_SUFFIX[".onnx"])
    if start.lstrip()[:1] in (b"{", b"["):
        raise _is(path, "JSON", "Name the checkpoint itself; an index of shards ends in .index.json.")
    raise NotACheckpointError(
        f"{path} is no checkpoint: it was not written by torch.save and is not a .safetensors file."
    )


def _check_no_text(path: Path, start: bytes) -> None:
    """Refuse a text under the name of weights, which begin with the size of their header."""
    text = start.decode(errors="replace").strip()
    if not all(character.isprintable() or character.isspace() for character in text):
        return
    if text[:1] in ("{", "["):
        raise _is(path, "JSON", "Name the checkpoint itself; an index of shards ends in .index.json.")
    if len(start) < 512 and text.isascii():
        raise NotACheckpointError(
            f"{path} is a text, {printable(text, 80)!r}, not the file itself: what a server said in the place of it. "
            "Look at the address, and download it again ('hf download OWNER/NAME FILE')."
        )


def check_text(path: Path, start: bytes) -> None:
    """Refuse the texts that lie where a file should be: a pointer to it, or what a server said instead.

    Args:
        path: The file.
        start: Its first bytes.

    Raises:
        NotACheckpointError: It is one of these.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs") or b"/annex/objects/" in start[:60]:
        raise NotACheckpointError(
            f"{path} is a Git LFS pointer, which stands for the file, not the file itself. Fetch it: run "
            "'git lfs install' and 'git lfs pull' in its repository, or 'hf download OWNER/NAME'."
            if start.startswith(b"version")
            else f"{path} is a pointer of git-annex. Fetch what it stands for: 'git annex get'."
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error", b"<!--")):
        raise NotACheckpointError(
            f"{path} is a page ({'XML' if text.startswith((b'<?xml', b'<error')) else 'HTML'}), not the file itself: "
            "the download gave a login, an error or the page about the file. Open it in a browser to see what it says, "
            "and download the file itself ('hf download OWNER/NAME FILE', or the link that ends in /resolve/main/FILE)."
        )


def _is(path: Path, what: str, advice: str) -> NotACheckpointError:
    return NotACheckpointError(f"{path} is {what}, no checkpoint that can be read here. {advice}")


def _check_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, LookupError):
        return "torch"  # It is cut short or damaged, which is said by those who read it.
    leaves = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in leaves:
        raise _is(
            path,
            "a TorchScript archive, a program; nothing of it was run",
            "Where you trust it: torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), 'weights.pth').",
        )
    if names and all(name.endswith(".npy") for name in names):
        raise _is(
            path,
            "an .npz archive of NumPy arrays",
            "Write them as .safetensors: safetensors.numpy.save_file(dict(numpy.load(FILE)), 'weights.safetensors').",
        )
    if "archive_format" in leaves or any(name.startswith("models/") for name in leaves):
        raise _is(
            path,
            "a graph of torch.export (.pt2)",
            "Take the checkpoint that it was exported from, or save its state_dict.",
        )
    if not any(name.endswith("/data.pkl") and name.count("/") == 1 for name in names):
        raise _is(path, f"a zip archive of {list_names(names, 3) or 'nothing'}", _UNPACK)
    return "torch"
