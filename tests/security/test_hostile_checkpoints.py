"""Nothing in a checkpoint is run, whoever reads it: every way in is tried with every hostile file."""

import ast
import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import mmpretrain
import mmseg.apis
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn

import internvl_seg
from internvl_seg import Classifier, InternViT, Segmenter, convert_checkpoint, load_classifier, load_encoder
from internvl_seg.checkpoints.chat_model import find_vision_encoder, insert_encoder
from internvl_seg.checkpoints.errors import CheckpointError
from internvl_seg.checkpoints.loading import read_weights
from internvl_seg.checkpoints.reference import REFERENCE, hash_file, write_reference
from internvl_seg.checkpoints.sources import open_source
from internvl_seg.demo import _configure
from internvl_seg.deployment.commands import export_encoder, export_segmentor
from internvl_seg.inference.commands import infer
from internvl_seg.planning.commands import plan_memory
from internvl_seg.probing import probe
from internvl_seg.segmentation.timm_vit import TimmViT
from internvl_seg.training import evaluate, replay_step, train
from internvl_seg.training.checks.unread_bands import check_unread_bands

from ..classification import small
from ..conftest import ROOT
from ..probing.conftest import CONFIG as PROBE_CONFIG
from ..training.test_config import CONFIG
from ..training.test_runner import EXTRA
from .hostile import config_text, write_hostile

QUIET = Console(quiet=True)
ARCH = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 42}
# A study of two heads whose training is over at once.
PROBE_OPTIONS = {
    "probe.blocks": [-1],
    "probe.views": 1,
    "probe.iterations": 1,
    "probe.lbfgs_iterations": 1,
    "probe.pictures": 0,
    "probe.heads": [{"kind": "linear"}, {"kind": "linear", "solver": "lbfgs"}],
}


@dataclass(frozen=True)
class World:
    """What the ways in need beside a checkpoint.

    Attributes:
        folder: The working folder, with ``config.py`` of a segmentor, ``photos`` and ``tiny``.
        ran: What hostile files make when they are run.
        hostile: Files by what is in them.
        weights: Of the segmentor.
    """

    folder: Path
    ran: Path
    hostile: dict[str, Path]
    weights: dict[str, Tensor]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HF_HUB_OFFLINE", "1")
        small.write(folder / "classes")
        shutil.move(folder / "classes/photos", folder / "photos")
        shutil.move(folder / "classes/config.py", folder / "classifier.py")
        shutil.move(folder / "classes/encoder.safetensors", folder / "encoder.safetensors")
        (folder / "config.py").write_text(CONFIG + EXTRA)
        (folder / "probe.py").write_text(PROBE_CONFIG.replace("'tiny'", "'study'").replace("depth=4", "depth=3"))
        for name, mode in (("images", "RGB"), ("annotations", "L")):
            for where in (f"tiny/{name}", f"study/{name}/train", f"study/{name}/val"):
                (folder / where).mkdir(parents=True)
                for i in range(2):
                    Image.new(mode, (42, 28), i).save(folder / f"{where}/{i}.png")
        Image.new("RGB", (42, 28)).save(folder / "picture.png")
        init_default_scope("mmseg")
        weights = dict(MODELS.build(Config.fromfile("config.py").model).state_dict())
        reference = write_reference("encoder.safetensors", "00" * 32)
        heads = {name: tensor for name, tensor in weights.items() if name.startswith("decode_head.")}
        torch.save({"state_dict": {**heads, f"backbone.{REFERENCE}": reference}}, folder / "heads.pth")
        ran = folder / "ran"
        yield World(folder, ran, write_hostile(folder / "hostile", ran, weights), weights)


Read = Callable[[Path], object]


def _resume(path: Path, in_config: bool = False) -> None:
    work = Path(tempfile.mkdtemp(prefix="resumed-", dir="."))  # MMEngine's visualizer keeps that of an earlier run.
    shutil.copy(path, work / "iter_1.pth")
    (work / "last_checkpoint").write_text(str((work / "iter_1.pth").absolute()))
    options = {"resume": True} if in_config else {}
    train("config.py", work_dir=str(work), resume=not in_config, options=options)


def _probe(resume: bool = False) -> None:
    probe("probe.py", work_dir="probed", resume=resume, options=PROBE_OPTIONS, console=QUIET)


def _probe_resumed(path: Path, names: str = "*.pth") -> None:
    """A study whose saved state is another file."""
    state = Path("probed/state")
    if not state.is_dir():
        _probe()
    for done in state.glob("*.json"):
        done.unlink()
    for kept in state.glob(names):
        shutil.copy(path, kept)
    _probe(resume=True)


def _folder_of(path: Path, name: str) -> Path:
    folder = Path("as_folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(path, folder / name)
    return folder


def _index_of(path: Path) -> Path:
    folder = _folder_of(path, "shard.bin")
    weight_map = {"embeddings.class_embedding": "shard.bin"}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def _safetensors_of(path: Path) -> Path:
    return _folder_of(path, "encoder.safetensors") / "encoder.safetensors"


def _chat_model(path: Path) -> Path:
    folder = _folder_of(path, "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"vision_config": {"hidden_size": 32}}))
    return folder


def _with_init_cfg(path: Path, part: str = "backbone") -> None:
    init_default_scope("mmseg")
    model = Config.fromfile("config.py").model
    model[part].init_cfg = {"type": "Pretrained", "checkpoint": str(path)}
    MODELS.build(model).init_weights()


def _frozen_init_cfg(path: Path) -> None:
    init_default_scope("mmseg")
    model = Config.fromfile("config.py").model
    model.backbone |= {"frozen": True, "init_cfg": {"type": "Pretrained", "checkpoint": str(path)}}
    MODELS.build(model)


def _shared_encoder(path: Path) -> None:
    init_default_scope("mmseg")
    backbone = Config.fromfile("config.py").model.backbone
    init_cfg = {"type": "Pretrained", "checkpoint": str(path)}
    other_size = {**backbone, "img_size": 28, "frozen": True, "init_cfg": init_cfg, "encoder": _encoder()}
    MODELS.build(other_size)


def _classifier_head(path: Path) -> None:
    init_default_scope("mmpretrain")
    model = Config.fromfile("classifier.py").model
    model.head.init_cfg = {"type": "Pretrained", "checkpoint": str(path)}
    MODELS.build(model).init_weights()


def _export(path: Path) -> None:
    export_segmentor("config.py", path, "segmentor.pt2")


def _encoder() -> InternViT:
    return InternViT(**ARCH)


# What reads files for all others is tried with everything.
EVERYTHING = ("load_encoder", "convert_checkpoint", "mmengine's CheckpointLoader")


def _bands(path: Path) -> None:
    """It passes over a file that cannot be read: building the encoder says so."""
    backbone = {"type": "InternViT", "frozen": True, "init_cfg": {"type": "Pretrained", "checkpoint": str(path)}}
    assert not list(check_unread_bands(Config({"model": {"backbone": backbone}}), 4))
    open_source(path)


WAYS_IN: dict[str, Read] = {
    "load_encoder": load_encoder,
    "load_encoder of a folder": lambda path: load_encoder(_folder_of(path, "pytorch_model.bin")),
    "load_encoder of an index": lambda path: load_encoder(_index_of(path)),
    "load_encoder of .safetensors": lambda path: load_encoder(_safetensors_of(path)),
    "load_encoder with blocks in memory": partial(load_encoder, blocks_in_memory=1),
    "load_encoder quantized": partial(load_encoder, quantization="int8"),
    "read_weights of an encoder": lambda path: read_weights(_encoder(), path),
    "load_classifier": load_classifier,
    "load_classifier's encoder": lambda path: load_classifier("encoder.safetensors", encoder=path),
    "load_classifier's head": lambda path: load_classifier(path, encoder=_encoder()),
    "convert_checkpoint": lambda path: convert_checkpoint(path, "converted.pth"),
    "convert_checkpoint to a segmentor": lambda path: convert_checkpoint(path, "converted.pth", to="segmentor"),
    "convert_checkpoint's encoder": lambda path: convert_checkpoint("heads.pth", "converted.pth", encoder=path),
    "convert_checkpoint into a chat model": lambda path: convert_checkpoint(
        "encoder.safetensors", "converted", into=_chat_model(path), num_heads=2
    ),
    "find_vision_encoder": lambda path: find_vision_encoder(_chat_model(path)),
    "insert_encoder": lambda path: insert_encoder(_encoder(), _chat_model(path), "inserted"),
    "hash_file": lambda path: hash_file(path, _encoder()),
    "TimmViT": lambda path: TimmViT("vit_tiny_patch16_224", init_cfg={"type": "Pretrained", "checkpoint": str(path)}),
    "export_encoder": lambda path: export_encoder(path, "encoder.pt2"),
    "the demo's encoder": lambda path: _configure(
        str(ROOT / "configs/hgsc_nest/encoder_linear_frozen_hgsc_nest-252x252.py"), None, str(path)
    ),
    "the look at a frozen encoder's bands": _bands,
    "mmengine's load_checkpoint": lambda path: mmengine_checkpoint.load_checkpoint(nn.Module(), str(path)),
    "mmengine's CheckpointLoader": lambda path: mmengine_checkpoint.CheckpointLoader.load_checkpoint(str(path)),
    "Segmenter.from_checkpoint": lambda path: Segmenter.from_checkpoint("config.py", path, device="cpu"),
    "Classifier.from_checkpoint": lambda path: Classifier.from_checkpoint("classifier.py", path, device="cpu"),
    "tools/infer.py": lambda path: infer("config.py", path, ["picture.png"], Path("inferred"), console=QUIET),
    "tools/infer.py, classes": lambda path: infer(
        "classifier.py", path, ["picture.png"], Path("inferred"), console=QUIET
    ),
    "tools/export.py": _export,
    "tools/test.py": lambda path: evaluate("config.py", path, work_dir="tested"),
    "tools/train.py, load_from": lambda path: train("config.py", work_dir="trained", options={"load_from": str(path)}),
    "tools/train.py --resume": _resume,
    "tools/train.py --replay": lambda path: replay_step("config.py", path),
    "tools/train.py, resume in the config": partial(_resume, in_config=True),
    "tools/train.py, resume from load_from": lambda path: train(
        "config.py", work_dir="trained", options={"load_from": str(path), "resume": True}
    ),
    "init_cfg of a backbone": _with_init_cfg,
    "init_cfg of a frozen backbone": _frozen_init_cfg,
    "the file of a shared encoder": _shared_encoder,
    "init_cfg of a segmentor's head": partial(_with_init_cfg, part="decode_head"),
    "init_cfg of a classifier's head": _classifier_head,
    "mmseg's init_model": lambda path: mmseg.apis.init_model("config.py", str(path), device="cpu"),
    "mmseg's MMSegInferencer": lambda path: mmseg.apis.MMSegInferencer("config.py", str(path), device="cpu"),
    "tools/probe.py --resume": _probe_resumed,
    "tools/probe.py --resume, L-BFGS": partial(_probe_resumed, names="*lbfgs*.pth"),
    "mmpretrain's get_model": lambda path: mmpretrain.get_model(Config.fromfile("classifier.py"), str(path)),
}

# One of each format, and those that are not among the weights.
CHOSEN = (
    "os.mkdir, legacy",
    "os.mkdir in the optimizer",
    "os.mkdir in the facts about the run",
    "a field of a logged scalar",
    "TorchScript",
)


# Folders to which ways in copy a file that has to have another name.
COPIES = ("as_folder", "resumed", "probed")


def _try(read: Read, path: Path, ran: Path) -> str:
    """Let a file be read; says what is wrong with how it went, or nothing."""
    outcome = ""
    try:
        read(path)
        outcome = "was read without an error"
    except Exception as error:
        if not any(cls.__module__.startswith("internvl_seg") for cls in type(error).__mro__):
            outcome = f"ended in {type(error).__name__}: {error}"
        elif not any(name in str(error) for name in (path.name, *COPIES)):
            outcome = f"ended before it was read: {error}"
    return "was run" if _has_run(ran) else outcome


def _has_run(ran: Path) -> bool:
    """Whether it was run; makes it as if it had not been."""
    found = ran.exists()
    shutil.rmtree(ran) if ran.is_dir() else ran.unlink(missing_ok=True)
    return found


def test_the_hostile_files_are_hostile(world: World) -> None:
    for what, path in world.hostile.items():
        with contextlib.suppress(Exception):
            if what == "TorchScript":
                torch.jit.load(str(path))
            else:
                torch.load(path, weights_only=False)
        assert _has_run(world.ran), what


@pytest.mark.parametrize("name", WAYS_IN)
def test_nothing_in_a_file_is_run(name: str, world: World) -> None:
    chosen = world.hostile if name in EVERYTHING else CHOSEN
    found = {what: _try(WAYS_IN[name], world.hostile[what], world.ran) for what in chosen}
    assert not {what: wrong for what, wrong in found.items() if wrong}


def _with_text(world: World, text: str) -> Path:
    """A checkpoint that would be read but for its config, wherever MMEngine keeps one."""
    meta = {"cfg": text, "config": text, "seed": 3, "iter": 1, "epoch": 0, "experiment_name": "a"}
    hub = {"log_scalars": {}, "runtime_info": {"cfg": text}, "resumed_keys": {}}
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1).state_dict()
    content = {"state_dict": world.weights, "meta": meta, "message_hub": hub, "optimizer": optimizer}
    torch.save(content, world.folder / "text.pth")
    return world.folder / "text.pth"


@pytest.mark.parametrize("name", WAYS_IN)
def test_no_config_in_a_checkpoint_is_run(name: str, world: World) -> None:
    with contextlib.suppress(Exception):  # Some take such a file, some do not.
        WAYS_IN[name](_with_text(world, config_text(world.ran)))
    assert not _has_run(world.ran)


def test_the_text_is_hostile(world: World) -> None:
    with contextlib.suppress(Exception):
        Config.fromstring(config_text(world.ran), ".py")
    assert _has_run(world.ran)


def test_no_code_beside_weights_is_run(world: World) -> None:
    folder = world.folder / "remote_code"
    internvl_seg.export_encoder(_encoder(), folder, to="hf_remote_code")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("evil.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(f"import os\nos.mkdir({str(world.ran)!r})\n")
    load_encoder(folder)
    assert not _has_run(world.ran)


def test_no_metadata_of_safetensors_is_run(world: World) -> None:
    text = config_text(world.ran)
    state = {name: p.detach() for name, p in _encoder().named_parameters()}
    save_file(state, world.folder / "metadata.safetensors", {"config": text, "format": text, "meta": text})
    load_encoder(world.folder / "metadata.safetensors", num_heads=2)
    assert not _has_run(world.ran)


def test_planning_reads_no_checkpoint(world: World) -> None:
    options = {"model.backbone.init_cfg": {"type": "Pretrained", "checkpoint": str(world.hostile["os.mkdir"])}}
    plan_memory("config.py", device="cpu", device_memory=1, options=options)
    assert not _has_run(world.ran)


@pytest.mark.parametrize("what", ["os.mkdir", "os.mkdir, legacy"])
def test_no_download_runs_what_is_in_a_file(what: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(world.folder / "torch"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(world.hostile[what].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{world.hostile[what].name}"
        with contextlib.suppress(CheckpointError):
            mmengine_checkpoint.load_checkpoint(nn.Module(), url)
        server.shutdown()
    assert not _has_run(world.ran)


def test_no_inferencer_runs_the_config_in_a_checkpoint(world: World) -> None:
    text = config_text(world.ran)
    with contextlib.suppress(Exception):
        mmseg.apis.MMSegInferencer(None, str(_with_text(world, text)), device="cpu")
    assert not _has_run(world.ran)


# Every module that opens checkpoints, with a way in that goes through it; a new one needs a way in above.
OPENS = {
    "checkpoints/chat_model.py": "find_vision_encoder",
    "checkpoints/classifier.py": "load_classifier",
    "checkpoints/converting.py": "convert_checkpoint",
    "checkpoints/loading.py": "load_encoder",
    "checkpoints/reading.py": "load_encoder",
    "checkpoints/reference.py": "hash_file",
    "checkpoints/shards.py": "load_encoder of an index",
    "checkpoints/sources.py": "load_encoder of a folder",
    "demo.py": "the demo's encoder",
    "inference/model.py": "Segmenter.from_checkpoint",
    "probing/state.py": "tools/probe.py --resume",
    "segmentation/shared_encoder.py": "the file of a shared encoder",
    "segmentation/timm_weights.py": "TimmViT",
    "training/captured_step.py": "tools/train.py --replay",
    "training/checks/unread_bands.py": "the look at a frozen encoder's bands",
    "training/resuming.py": "tools/train.py --resume",
    "training/last_checkpoint.py": "tools/train.py --resume",
    "training/loading.py": "mmengine's CheckpointLoader",
    "training/runner.py": "mmengine's load_checkpoint",
}
# These read what they have just written.
READS_BACK = {"checkpoints/exporting.py", "training/saving.py"}
_OPENERS = {"open_source", "open_file", "read_pickle", "look", "load_from_local"}
_UNPICKLERS = {"torch.load", "pickle.load", "pickle.loads", "torch.jit.load", "Config.fromstring"}


def _calls(path: Path) -> set[str]:
    """What a module calls, by its dotted name there."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def test_every_module_that_opens_checkpoints_is_tried() -> None:
    root = Path(internvl_seg.__file__).parent
    calls = {path.relative_to(root).as_posix(): _calls(path) for path in root.rglob("*.py")}
    assert {path for path, names in calls.items() if names & _OPENERS} == OPENS.keys() | READS_BACK
    assert {path for path, names in calls.items() if names & _UNPICKLERS} == {"checkpoints/reading.py"}
    assert set(OPENS.values()) <= WAYS_IN.keys()
