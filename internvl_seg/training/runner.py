"""MMEngine's runner with what a long run needs: safe checkpoints, exact resuming, one model over many processes."""

import atexit
import gc
import os
import time
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any, cast

import torch.distributed as dist
from mmengine.device import get_device
from mmengine.dist import broadcast, get_world_size, is_main_process
from mmengine.fileio import join_path
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, MMDistributedDataParallel
from mmengine.model.wrappers import is_model_wrapper
from mmengine.registry import VISUALIZERS
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.checkpoint import _load_checkpoint_to_model, save_checkpoint
from mmengine.utils import ManagerMeta
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoints.in_place import find_places, reading_in_place
from ..checkpoints.whole_model import load_whole, take_state
from ..data.named_steps import name_steps
from .exactness import why_inexact
from .hook_states import hook_states
from .last_checkpoint import find_last_checkpoint, naming_an_older_one
from .loading import load_from_local
from .replaced_types import name_replaced_types
from .results import versions
from .resuming import is_within_accumulation, resume_from, scheduler_states
from .run_config import run_config
from .same_run import name_images
from .saving import plain, write_checkpoint
from .sharding import WRAPPER, ScatterHook, gather, is_sharded, shard
from .some_weights import check_named, check_taken
from .stream import seed_everything
from .sync_bn import synchronise_batch_norm

# Names of hooks that MMEngine registers unless they are None.
_DEFAULTS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")


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

    # Whether a checkpoint that is loaded has to have all weights, as one that is tested.
    needs_all_weights = False

    def __init__(self, *args: Any, cfg: Any = None, **kwargs: Any) -> None:
        # MMEngine takes no randomness without a seed.
        kwargs["randomness"] = {"seed": None, **(kwargs.get("randomness") or {})}
        super().__init__(*args, cfg=run_config(cfg), **kwargs)

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader[Any]:
        """Build a loader whose errors name the file and the step of the pipeline."""
        loader = cast(DataLoader[Any], Runner.build_dataloader(dataloader, seed, diff_rank_seed))
        name_steps(loader.dataset)
        return loader

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up processes; MMEngine's own way to start several insists on an accelerator."""
        if self.distributed and get_device() == "cpu" and not dist.is_initialized():
            dist.init_process_group("gloo")
        super().setup_env(env_cfg)
        if self.distributed:
            atexit.register(leave_group)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, under a name of this run alone.

        MMEngine names a run by the second it begins in, and gives two of the same name one logger and one message hub:
        the second's log would go into the first's folder.
        """
        if not hasattr(self, "logger"):
            self._experiment_name: str = _free_name(MMLogger, self._experiment_name)
        return super().build_logger(*args, **kwargs)

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Build the visualizer; a second run of the process gets one of its own, though the config's name is taken."""
        if not hasattr(self, "visualizer") and isinstance(visualizer, dict) and "name" in visualizer:
            kind = visualizer.get("type")
            if isinstance(kind, str):
                with VISUALIZERS.switch_scope_and_registry(None) as registry:
                    kind = registry.get(kind)
            if isinstance(kind, ManagerMeta):
                visualizer = {**visualizer, "name": _free_name(kind, visualizer["name"])}
        return super().build_visualizer(visualizer)

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
        """Register the config's hooks, and what spreads a checkpoint over a sharded model."""
        super().register_hooks(*args, **kwargs)
        if is_sharded(self.model):
            self.register_hook(ScatterHook())

    def build_train_loop(self, loop: Any) -> Any:
        """Build the loop; MMEngine's own, given by its class or by ``by_epoch`` alone, is replaced by ours.

        Ours are registered under their names, which a config of classes goes around.
        """
        if isinstance(loop, dict) and "by_epoch" in loop and "type" not in loop:
            loop = dict(loop)
            loop["type"] = "EpochBasedTrainLoop" if loop.pop("by_epoch") else "IterBasedTrainLoop"
        return super().build_train_loop(_with_ours(loop))

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """Register a hook; MMEngine's own, given by its class, is replaced by ours."""
        super().register_hook(_with_ours(hook), priority)

    def register_default_hooks(self, hooks: Any = None) -> None:
        """Register the default hooks; MMEngine leaves out those that are None, but only of the names that it knows."""
        given = dict(hooks or {})
        super().register_default_hooks({n: hook for n, hook in given.items() if hook is not None or n in _DEFAULTS})

    def load_or_resume(self) -> None:
        """Load the checkpoint that the config names, or go on from the last one in the work folder.

        As MMEngine's, ``resume=True`` with a ``load_from`` resumes from that very file;
        :func:`internvl_seg.training.train` puts the work folder's last checkpoint there.
        """
        if isinstance(self._train_loop, BaseLoop) and (reasons := why_inexact(self)):
            self.logger.warning(f"A run resumed from checkpoints of this one is not exact: {'; '.join(reasons)}.")
        if self._resume and self._load_from is None and not self._has_loaded:
            last = find_last_checkpoint(self.work_dir, self.cfg.get("default_hooks", {}).get("checkpoint"))
            self._resume: bool = last is not None
            self._load_from: str | None = os.fspath(last) if last else None
        super().load_or_resume()

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
            strict: Whether all names have to fit. With ``needs_all_weights`` they have to.
            revise_keys: Patterns in names, and what to put in their place.

        Raises:
            CheckpointError: It is to be tested, and is another model's; or it holds no weights of this one, or such as
                are NaN or infinite.
        """
        checkpoint = load_from_local(filename, map_location)
        self.take_weights(checkpoint, filename, strict, revise_keys)
        return checkpoint

    def take_weights(
        self,
        checkpoint: dict[str, Any],
        filename: str,
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> None:
        """Load the weights of a checkpoint that was read.

        Raises:
            CheckpointError: They are no weights of this model, or NaN or infinite.
        """
        check_named(checkpoint, filename)  # It is looked at before hooks take it for a checkpoint.
        # Before hooks exchange tensors in it, as one that averages weights does.
        places = find_places(Path(filename).expanduser(), checkpoint)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        # Not its wrappers: of several processes, or of test-time augmentation.
        model = self.model
        while hasattr(model, "module"):
            model = model.module
        if self.needs_all_weights and not is_sharded(self.model):
            load_whole(model, checkpoint, places, filename, self.cfg.filename)
        else:
            state = take_state(model, checkpoint, filename, self.cfg.filename, whole=self.needs_all_weights)
            with reading_in_place(places):
                _load_checkpoint_to_model(model, {"state_dict": state}, strict, revise_keys=revise_keys)
            check_taken(model, state, filename, revise_keys)
        self._has_loaded: bool = True
        self.logger.info(f"Load checkpoint from {filename}")

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "cpu",
    ) -> None:
        """Go on from a checkpoint, as data: nothing of it is run. It stays mapped, and each device takes its part.

        Args:
            filename: The checkpoint.
            resume_optimizer: Whether to go on with the optimizer's state.
            resume_param_scheduler: Whether to go on with the schedulers' state.
            map_location: Without a meaning; it is MMEngine's.

        Raises:
            OtherRunError: Its weights or its classes are of another model than this one, or this run ends earlier.
            NotResumableError: It lacks what a resumed run needs, or a field of it is damaged.
            NonFiniteWeightsError: Weights or moments in it are NaN or infinite.
            CheckpointError: Another subclass says why it could not be read.
        """
        hook = self.cfg.get("default_hooks", {}).get("checkpoint")
        with naming_an_older_one(filename, self.work_dir, hook):
            resume_from(self, load_from_local(filename), filename, resume_optimizer, resume_param_scheduler)
        self._has_loaded = True
        self.logger.info(f"resumed epoch: {self.epoch}, iter: {self.iter}")

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
        """Write a checkpoint, as MMEngine's but straight to the disk, and whole or not at all.

        Args:
            out_dir: Folder.
            filename: Name of the file; it gets it when it is whole and on the disk.
            file_client_args: None; or of MMEngine's client of another place, to which MMEngine writes.
            save_optimizer: Whether to save the optimizer.
            save_param_scheduler: Whether to save the schedulers.
            meta: With the ``iter`` and ``epoch`` that are done.
            by_epoch: Whether the run counts epochs.
            backend_args: The same of its backends.

        Raises:
            CheckpointNotWrittenError: It holds what cannot be read back, or the disk is full.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint = {"state_dict": gather(model.state_dict())}
        if save_optimizer:
            checkpoint["optimizer"] = gather(self.optim_wrapper.state_dict())
        if not is_main_process():
            return
        done = {"epoch": self.epoch + by_epoch, "iter": self.iter + (not by_epoch)} | (meta or {})
        facts = {"cfg": self.cfg.pretty_text, "seed": self.seed, "experiment_name": self.experiment_name}
        dataset = self.train_dataloader.dataset
        of_data = {
            "dataset_meta": getattr(dataset, "metainfo", None),
            "samples": len(dataset) if isinstance(dataset, Sized) else None,
            "images": name_images(dataset),
        }
        made = {"time": time.strftime("%Y%m%d_%H%M%S"), "versions": versions(), "world_size": self.world_size}
        checkpoint |= {"meta": done | facts | of_data | made, "message_hub": self.message_hub.state_dict()}
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = scheduler_states(self.param_schedulers)
        if save_optimizer:
            checkpoint["hooks"] = hook_states(self)
            if is_within_accumulation(self.optim_wrapper):
                self.logger.warning(f"{filename} falls between accumulated gradients: resumed from, it is not exact.")
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        if file_client_args is None and backend_args is None:
            write_checkpoint(Path(out_dir, filename), plain(checkpoint))
        else:  # A copy elsewhere, which no run is resumed from.
            place = join_path(out_dir, filename, backend_args=backend_args)
            save_checkpoint(plain(checkpoint), place, file_client_args, backend_args)


def _free_name(kind: Any, name: str) -> str:
    """The name, with a number behind it if an object of the kind has it already."""
    free, number = name, 1
    while kind.check_instance_created(free):
        number += 1
        free = f"{name}_{number}"
    return free


def _with_ours(config: Any) -> Any:
    """The config of a loop or a hook, with our class in the place of MMEngine's that it is registered for."""
    if isinstance(config, dict):
        config = {**config}
        name_replaced_types([config])
    return config
