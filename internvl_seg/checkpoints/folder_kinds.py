"""Folders as trainers leave them: where the weights are in them, or how they become a file."""

import os
import re
from contextlib import suppress
from pathlib import Path

from ..common.small_files import read_small
from .errors import NotACheckpointError, UnreadableWeightsError, list_names, printable

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_RANK = re.compile(r"mp_rank_(\d+)_model_states\.pt")


def find_in_folder(folder: Path) -> Path:
    """The file of weights in a folder that is none of transformers'.

    Raises:
        UnreadableWeightsError: The weights are in parts; the message says how they become one file.
        NotACheckpointError: There is none, or one cannot tell which.
    """
    names = sorted(os.listdir(folder))
    if _is_distributed(names):
        raise _distributed(folder)
    deepspeed = _find_deepspeed(folder, names)
    if deepspeed is not None:
        return deepspeed
    if "adapter_config.json" in names or any(name.startswith("adapter_model.") for name in names):
        raise UnreadableWeightsError(
            f"{folder} holds adapters (LoRA, of peft) without the model that they belong to. Merge them into it: "
            "peft.PeftModel.from_pretrained(model, FOLDER).merge_and_unload().save_pretrained(...)."
        )
    shards = [name for name in names if re.search(r"-\d+-of-\d+\.(safetensors|bin)$", name)]
    if shards:
        raise NotACheckpointError(
            f"{folder} holds shards, such as {shards[0]}, but not the index that says what is in which: download "
            f"{shards[0].split('-')[0]}.{'safetensors' if shards[0].endswith('s') else 'bin'}.index.json, too."
        )
    names = [name for name in names if not name.startswith(".")]
    _check_inner(folder, names)
    if not names:
        raise NotACheckpointError(
            f"{folder} is empty. Put the weights there ('hf download OWNER/NAME --local-dir {folder}'), or name the "
            "folder or file that they are in."
        )
    if (newest := _newest_of_run(folder, names)) is not None:
        raise NotACheckpointError(
            f"{folder} is the work folder of a training, and one of its checkpoints is wanted. Name its file; the "
            f"newest is {newest}."
        )
    weights = [name for name in names if name.endswith(_SUFFIXES) and (folder / name).is_file()]
    if len(weights) == 1:
        advice = f"Name the checkpoint file itself: {folder / printable(weights[0])}."
    elif weights:
        advice = f"Name the checkpoint file itself, such as {folder / printable(weights[0])}."
    elif "config.json" in names:
        advice = (
            "The weights are missing, as after half a download: put one of these files beside config.json, with its "
            f"shards if it is an index ('hf download OWNER/NAME --local-dir {folder}')."
        )
    else:
        advice = "There are no weights in it: name the folder or file that they are in."
    raise NotACheckpointError(
        f"{folder} holds none of {', '.join(WEIGHT_FILES)}; it holds {list_names(names)}. {advice}"
    )


def _newest_of_run(folder: Path, names: list[str]) -> Path | None:
    """The newest checkpoint of a training whose work folder it is: the one that it names, or of the highest number."""
    if "last_checkpoint" in names:
        with suppress(OSError, ValueError):
            told = read_small(folder / "last_checkpoint", 1 << 16).decode("utf-8-sig").strip()
            for path in (folder / re.split(r"[/\\]", told)[-1], Path(told)):
                if told and path.is_file():
                    return path
    numbers = {
        name: int(found[1]) for name in names if (found := re.fullmatch(r"(?:iter|epoch)_(\d{1,12})\.pth", name))
    }
    return folder / max(numbers, key=lambda name: numbers[name]) if numbers else None


def check_no_adapters(folder: Path, weights: str) -> None:
    """Refuse a folder of a model beside which adapters lie that may not be merged into it.

    Args:
        folder: The folder.
        weights: Its file of weights.

    Raises:
        UnreadableWeightsError: It is such a folder.
    """
    names = os.listdir(folder)
    if "adapter_config.json" in names and (found := [n for n in names if re.match(r"adapter_model\.(safe|bin)", n)]):
        raise UnreadableWeightsError(
            f"{folder} holds adapters (LoRA, of peft), {found[0]}, beside {weights}, and whether they are merged into "
            "it is not told. Merge them: peft.PeftModel.from_pretrained(model, FOLDER).merge_and_unload()"
            f".save_pretrained(...). If they are, or are not wanted, name the file itself: {folder / weights}"
        )


def _is_distributed(names: list[str]) -> bool:
    return ".metadata" in names or any(name.endswith(".distcp") for name in names)


def _distributed(folder: Path) -> UnreadableWeightsError:
    return UnreadableWeightsError(
        f"{folder} is a distributed checkpoint (torch.distributed.checkpoint, as FSDP saves it), in parts. If you "
        f"trust it, make one file of it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} "
        "weights.pth"
    )


def _check_inner(folder: Path, names: list[str]) -> None:
    """Say of folders that trainers put others into what is in these."""
    inside: dict[str, list[str]] = {}
    for name in names:
        with suppress(OSError):  # It is a file, or of another user.
            inside[name] = sorted(os.listdir(folder / name))
    parts = [name for name, inner in inside.items() if _is_distributed(inner)]
    if parts:  # The optimizer's, of accelerate, is beside the model's.
        raise _distributed(folder / next((name for name in parts if "optim" not in name), parts[0]))
    if universal := [name for name, inner in inside.items() if name.endswith("_universal") and "zero" in inner]:
        raise UnreadableWeightsError(
            f"{folder / universal[0]} is a universal checkpoint of DeepSpeed, in which each weight is a file of its "
            "own beside its optimizer's state. Make one file of the checkpoint that it was made from: python "
            "zero_to_fp32.py FOLDER weights; or resume from it where it was trained and save the model."
        )
    for name, inner in inside.items():
        if any(re.match(r"mp_rank_\d+", rank) and (folder / name / rank).is_dir() for rank in inner):
            raise UnreadableWeightsError(
                f"{folder / name} is a checkpoint of Megatron-LM, in a folder for each process ({inner[0]} and so on). "
                "Convert it where it was trained, with Megatron's tools/checkpoint/convert.py or the conversion to "
                "transformers of the code that trained it, and name what that writes."
            )
    if whole := [name for name, inner in inside.items() if set(inner) & set(WEIGHT_FILES)]:
        last = max(whole, key=lambda name: [int(number) for number in re.findall(r"\d{1,9}", name)])
        raise NotACheckpointError(
            f"{folder} holds no weights itself, but its folders do: {list_names(whole, 4)}. Name one of them, such as "
            f"{folder / last}"
        )


# In the order in which transformers looks for them: a model saved anew may lie beside the index of an older one.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def _find_deepspeed(folder: Path, names: list[str]) -> Path | None:
    """DeepSpeed's file of weights, if they are whole."""
    step = folder
    if "latest" in names:
        try:
            told = read_small(folder / "latest", 1000).decode().strip()
        except (OSError, ValueError):
            told = ""
        if re.fullmatch(r"[\w.-]+", told) and (folder / told).is_dir() and ".." not in told:
            step = folder / told
    elif steps := [name for name in names if re.fullmatch(r"global_step\d+", name)]:
        step = folder / max(steps, key=lambda name: int(name[11:]))
    inside = sorted(os.listdir(step))
    ranks = [name for name in inside if _RANK.fullmatch(name)]
    if len(ranks) == 1:
        return step / ranks[0]
    parts = [name for name in inside if "mp_rank_" in name and name.endswith("_states.pt")]
    if not parts:
        return None
    if len(ranks) > 1:
        raise UnreadableWeightsError(
            f"{step} is a checkpoint of DeepSpeed whose layers are cut over {len(ranks)} processes (mp_rank_00 and so "
            "on). Write whole weights where it was trained, such as with the trainer's save_pretrained."
        )
    raise UnreadableWeightsError(
        f"{step} is a checkpoint of DeepSpeed ZeRO-3, in parts ({parts[0]} and so on). Make one file of it with the "
        f"script that DeepSpeed has put beside it: python zero_to_fp32.py {step.parent} weights"
    )


def check_one_set(index: Path, named: frozenset[str]) -> None:
    """Refuse an index beside another whole set of shards, because one of the two is old.

    Args:
        index: The index.
        named: The shards that it names.

    Raises:
        NotACheckpointError: Its folder holds another whole set.
    """
    sets: dict[tuple[str, str, str], set[int]] = {}
    for name in os.listdir(index.parent):
        found = re.fullmatch(r"(.+)-(\d{1,9})-of-(\d{1,9})\.(safetensors|bin)", name)
        if found and name not in named and index.name.startswith(f"{found[1]}.{found[4]}"):
            sets.setdefault((found[1], found[3], found[4]), set()).add(int(found[2]))
    for (stem, count, suffix), numbers in sets.items():
        if len(numbers) == int(count):
            raise NotACheckpointError(
                f"{index} does not name {stem}-...-of-{count}.{suffix}, which lie beside it as a whole set, too: one "
                "of the two is of another run. Remove the one that is old."
            )
