"""What a config alone does not tell: names of weights, how many batches there are, and what is done already."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model.wrappers import is_model_wrapper

from .batch_norm import of_one_value
from .check import report
from .contradiction import Contradiction, option
from .custom_keys import check_matches
from .initializers import check_layers
from .schedule import Run, check_schedules

_ENDLESS = ("InfiniteSampler", "StreamSampler")
# A learning rate that a schedule has brought down to zero, but for rounding.
_NOTHING = 1e-15


class RunHook(Hook):
    """Compare a training's config with its model and with the size of the training set before anything is computed.

    Raises:
        ConfigError: They contradict each other.
    """

    def before_train(self, runner: Any) -> None:
        """Compare them."""
        loader = runner.train_dataloader
        found = [*_check_done(runner), *check_schedules(runner.cfg, len(loader))]
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        found += [*check_matches(runner.cfg, model), *check_layers(runner.cfg, model)]
        found += _check_batches("train", loader)
        if runner.val_loop is not None:
            found += _check_batches("val", runner.val_dataloader)
        batches: Any = loader.batch_sampler
        endless = type(getattr(batches, "sampler", None)).__name__ in _ENDLESS
        size = getattr(batches, "batch_size", None)
        if (
            size
            and not endless
            and not batches.drop_last
            and len(batches.sampler) % size == 1
            and get_world_size() == 1
        ):
            where = of_one_value(runner.cfg)
            if where:
                found.append(
                    Contradiction(
                        "train_dataloader.drop_last",
                        f"= False leaves a last batch of 1 of {len(batches.sampler)} images, but {where}: statistics "
                        "of one value do not exist.",
                        f"Set {option('train_dataloader.drop_last', True)}.",
                    )
                )
        report(runner.cfg, found, quiet=not is_main_process())

    def before_test(self, runner: Any) -> None:
        """Look whether there is anything to test on."""
        report(runner.cfg, list(_check_batches("test", runner.test_dataloader)), quiet=not is_main_process())


def _check_batches(loop: str, loader: Any) -> Iterator[Contradiction]:
    """Find a loader without a batch; an endless sampler fills one from any image."""
    sampler: Any = getattr(loader.batch_sampler, "sampler", None)
    key, images = f"{loop}_dataloader", len(loader.dataset)
    if images == 0:
        yield Contradiction(f"{key}.dataset", "holds no image.", "Look at its data_root and data_prefix.")
    elif len(loader) == 0 and type(sampler).__name__ not in _ENDLESS:
        of_process = f", of which this process has {len(sampler)}," if get_world_size() > 1 else ""
        yield Contradiction(
            f"{key}.drop_last",
            f"= True, but {images} images{of_process} are no whole batch of {loader.batch_sampler.batch_size}: there "
            "would be none.",
            f"Set {option(f'{key}.drop_last', False)}, or {option(f'{key}.batch_size', len(sampler))} or less.",
        )


def _check_done(runner: Any) -> Iterator[Contradiction]:
    """Find a resumed run that is as long already as it is to be, or longer."""
    run = Run.of(runner.cfg)
    if run is None:
        return
    loop = runner.train_loop
    done, length = (runner.epoch, loop.max_epochs) if not run.by_iterations else (runner.iter, loop.max_iters)
    unit = "epochs" if not run.by_iterations else "iterations"
    anew = "begin a run of its own in another --work-dir with these weights, --cfg-options load_from=CHECKPOINT"
    if done == length:
        # A schedule that is scaled to the run would be another one from the first iteration on.
        mend = f"To train longer, {anew}." if runner.cfg.get("auto_scale_schedule") else "To go on, raise it."
        yield Contradiction(run.key, f"= {run.length}, and {done} {unit} are done: the run is at its end.", mend, False)
    elif done > length:
        yield Contradiction(
            run.key,
            f"= {run.length}, but {done} {unit} are done already.",
            "Raise it to go on, or begin anew in another work folder.",
        )
    elif done and all(rate < _NOTHING for rates in runner.optim_wrapper.get_lr().values() for rate in rates):
        yield Contradiction(
            "param_scheduler",
            f"is at its end: after the {done} {unit} that are done the learning rate is 0. Unless one raises it, "
            "no weight is trained any more, though statistics of BatchNorm change.",
            f"To train on, {anew}.",
            False,
        )
