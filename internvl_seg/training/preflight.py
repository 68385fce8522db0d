"""The preflight of the data before a training or a test, and of a config beside its data."""

import os
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config

from ..data.preflight import Command, check_before_training
from .checks import check_config, check_form, check_test, scale_schedule
from .config import ConfigError, is_segmentation


def check_data_of_training(
    config: Config, given: Mapping[str, Any], options: Mapping[str, Any] | None, allow: Collection[str]
) -> None:
    """Look at the data that a training reads.

    Args:
        config: The config.
        given: Arguments of the command, for the commands that are advised; those that are None or False are left out.
        options: What was put over the config's file.
        allow: Findings that are as they should be.

    Raises:
        DatasetError: They would stop or ruin it.
    """
    words = ("python", "tools/train.py", str(config.filename), *_words(given))
    check_before_training(config, options=options, allow=allow, command=Command(words, options or {}))


def check_data_of_test(
    config: Config,
    checkpoint: str | os.PathLike[str],
    given: Mapping[str, Any],
    options: Mapping[str, Any] | None,
    allow: Collection[str],
) -> None:
    """Look at the data that a test reads.

    Args:
        config: The config.
        checkpoint: The checkpoint, for the commands that are advised.
        given: Arguments of the command, as of :func:`check_data_of_training`.
        options: What was put over the config's file.
        allow: Findings that are as they should be.

    Raises:
        DatasetError: They would stop or ruin it.
    """
    words = ("python", "tools/test.py", str(config.filename), os.fspath(checkpoint), *_words(given))
    check_before_training(
        config,
        options=options,
        splits=("test",),
        allow=allow,
        command=Command(words, options or {}),
        harm="The test would fail or its scores mean nothing",
    )


def check_config_of_data(config: Config, options: Mapping[str, Any] | None) -> str:
    """What the checks say that a training begins with, or a test where nothing is trained; warnings are printed.

    Args:
        config: The config.
        options: What was put over the config's file.

    Returns:
        The errors; '' if there are none.
    """
    if not is_segmentation(config):
        return ""
    try:
        if config.get("train_dataloader") is not None:
            check_form(config, "train", options or ())
            scale_schedule(config)
            check_config(config)
        else:
            check_form(config, "test", options or ())
            check_test(config)
    except ConfigError as error:
        return str(error)
    return ""


def _words(given: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in given.items():
        found += [name] if value is True else [name, os.fspath(value)] if value else []
    return found
