"""MMEngine's runner with what a long run needs: safe checkpoints, exact resuming, one model over many processes."""

import atexit
import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.dist import broadcast, get_world_size, is_main_process
from mmengine.model import BaseModule, MMDistributedDataParallel
from mmengine.model.wrappers import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint_to_model
from torch import nn

from ..checkpoints.in_place import find_places, reading_in_place
from ..checkpoints.reading import read_pickle
from ..checkpoints.whole_model import load_whole
from .checkpoint_hook import TEMPORARY, find_last_checkpoint
from .non_finite_hook import NonFiniteStepHook
from .results import versions
from .sharding import WRAPPER, ScatterHook, gather, is_sharded, shard
from .stream import seed_everything
from .sync_bn import synchronise_batch_norm


@CheckpointLoader.register_scheme(prefixes="", force=True)
def read_checkpoint(filename: str, map_location: Any = None) -> Any:
    """Read a local checkpoint for MMEngine without running code in it, where MMEngine falls back to doing so.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: A subclass says what is wrong with it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {filename!r}.")
    return read_pickle(path, map_location or "cpu")


def _initialise(module: nn.Module) -> None:
    """Initialise a part of a model, the same in all processes."""
    if isinstance(module, BaseModule):
        module.init_weights()
    for tensor in module.state_dict().values():
        broadcast(tensor)


def leave_group() -> None:
    """Leave the group of processes and stop the threads that talk to the others; to be called when all is done.

    A thread that still runs when the interpreter ends aborts the process now and then, though its run succeeded.
    """
    gc.collect()  # A model that is wrapped for several processes holds the group, and is in cycles.
    if dist.is_initialized():
        dist.destroy_process_group()
        time.sleep(0.1)  # PyTorch keeps the group of a sharded model; its threads let go of their last tensors here.


class ResumableRunner(Runner):
    """MMEngine's runner, on one process or many, with checkpoints that are whole and hold whole tensors."""

    # Whether a checkpoint that is loaded has to have all weights.
    _needs_all = False

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up processes; MMEngine's own way to start several insists on an accelerator."""
        if self.distributed and get_device() == "cpu" and not dist.is_initialized():
            dist.init_process_group("gloo")
        super().setup_env(env_cfg)
        if self.distributed:
            atexit.register(leave_group)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Put the model on its device and, with several processes, synchronise every BatchNorm and wrap or shard it.

        ``model_wrapper_cfg=dict(type='FullyShard')`` shards, for training and test alike; on one process it says
        nothing.
        """
        sharded = (model_wrapper_cfg or {}).get("type") == WRAPPER
        if self.distributed:
            model = synchronise_batch_norm(model, get_device())
        if self.distributed and sharded:
            # While all is whole; an encoder that is in a file is read right into its shards later.
            seed_everything(self.seed)
            for child in model.children():
                if child is not model.backbone or child.init_cfg is None:
                    _initialise(child)
            return shard(model, get_world_size())
        if self.distributed and get_device() == "cpu" and model_wrapper_cfg is None:
            find_unused = self.cfg.get("find_unused_parameters", False)
            wrapped = MMDistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=find_unused)
        else:
            wrapped = super().wrap_model(None if sharded else model_wrapper_cfg, model)
        return cast(nn.Module, wrapped)

    def _init_model_weights(self) -> None:
        """Initialise the model; MMEngine then sends every tensor to all processes, which have shards of their own."""
        seed_everything(self.seed)  # So that a sharded model, whose heads have been initialised, has the same weights.
        if is_sharded(self.model):
            cast(Any, self.model).init_weights()
        else:
            super()._init_model_weights()

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Register the config's hooks, the guard of every step, and what spreads a checkpoint over a sharded model."""
        super().register_hooks(*args, **kwargs)
        if not any(isinstance(hook, NonFiniteStepHook) for hook in self.hooks):
            self.register_hook(NonFiniteStepHook())
        if is_sharded(self.model):
            self.register_hook(ScatterHook())

    def load_or_resume(self) -> None:
        """Load the checkpoint that the config names, or go on from the last one in the work folder."""
        if self._resume and self._load_from is None and not self._has_loaded:
            last = find_last_checkpoint(Path(self.work_dir))
            self._resume: bool = last is not None
            self._load_from: str | None = str(last) if last else None
        super().load_or_resume()

    def test(self) -> dict[str, float]:
        """Test the model, all of whose weights have to be in the checkpoint."""
        self._needs_all = True
        metrics: dict[str, float] = super().test()
        return metrics

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> Any:
        """Load a checkpoint; MMEngine's own way leaves out in silence what does not fit, which suits a training only.

        Args:
            filename: The checkpoint.
            map_location: As in ``torch.load``.
            strict: Whether all names have to fit. In a test they have to.
            revise_keys: Patterns in names, and what to put in their place.

        Raises:
            CheckpointError: It is to be tested, and is another model's.
        """
        checkpoint = read_checkpoint(filename, map_location)
        # Before hooks exchange tensors in it, as one that averages weights does.
        places = find_places(Path(filename).expanduser(), checkpoint)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        # Not its wrappers: of several processes, or of test-time augmentation.
        model = self.model
        while hasattr(model, "module"):
            model = model.module
        if self._needs_all and not is_sharded(self.model):
            load_whole(model, checkpoint, places, filename, self.cfg.filename)
        else:
            with reading_in_place(places):
                _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        self._has_loaded: bool = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint; it stays on the CPU, mapped, and each device takes its part."""
        super().resume(filename, *args, **kwargs | {"map_location": "cpu"})

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint, as MMEngine's but to a local folder, straight to the disk, and whole or not at all.

        Args:
            out_dir: Folder.
            filename: Name of the file; it gets it when it is whole and on the disk.
            file_client_args: None.
            save_optimizer: Whether to save the optimizer.
            save_param_scheduler: Whether to save the schedulers.
            meta: With the ``iter`` and ``epoch`` that are done.
            by_epoch: Whether the run counts epochs.
            backend_args: None.

        Raises:
            ValueError: Another place than a local folder is asked for.
        """
        if file_client_args is not None or backend_args is not None:
            raise ValueError("CheckpointHook writes to local folders: leave file_client_args and backend_args out.")
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint = {"state_dict": gather(model.state_dict())}
        if save_optimizer:
            checkpoint["optimizer"] = gather(self.optim_wrapper.state_dict())
        if not is_main_process():
            return
        done = {"epoch": self.epoch + by_epoch, "iter": self.iter + (not by_epoch)} | (meta or {})
        facts = {"cfg": self.cfg.pretty_text, "seed": self.seed, "experiment_name": self.experiment_name}
        dataset_meta = getattr(self.train_dataloader.dataset, "metainfo", None)
        made = {"time": time.strftime("%Y%m%d_%H%M%S"), "versions": versions(), "dataset_meta": dataset_meta}
        checkpoint |= {"meta": done | facts | made, "message_hub": gather(self.message_hub.state_dict())}
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = [scheduler.state_dict() for scheduler in self.param_schedulers]
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        temporary = Path(out_dir, TEMPORARY.format(filename))
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(Path(out_dir, filename))
