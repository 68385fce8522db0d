"""What a config's ``probe`` may say, and that everything it says is read."""

import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import internvl_seg
from internvl_seg.probing.settings import FewShot, HeadGrid, ProbeSettings, Repeat, StoreSettings
from internvl_seg.training import ConfigError

from ..error_table import DocumentedError

PACKAGE = Path(internvl_seg.__file__).parent / "probing"


@pytest.mark.parametrize("kind", [ProbeSettings, HeadGrid, FewShot, Repeat, StoreSettings])
def test_every_field_is_read_somewhere(kind: type) -> None:
    read = {
        node.attr
        for path in PACKAGE.glob("*.py")
        if path.name != "settings.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert {one.name for one in fields(kind)} - read == set()


def test_a_config_without_probe(documented_error: DocumentedError) -> None:
    with documented_error("a config without probe", ConfigError):
        ProbeSettings.read(None)


def test_a_field_that_is_not_known(documented_error: DocumentedError) -> None:
    with documented_error("a field of probe that is not known", ConfigError):
        ProbeSettings.read({"view": 3})


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ({"heads": [{"kind": "fcn"}]}, r"probe\.heads\[\]\.kind='fcn'"),
        ({"heads": [{}, {"lrs": [1]}]}, r"probe\.heads\[1\]\.lrs is not known"),
        ({"heads": [{"lr": 0.1}]}, r"probe\.heads\[\]\.lr=0\.1: give a list"),
        ({"heads": [{"kind": "mlp", "solver": "lbfgs"}]}, "'lbfgs' is for linear heads"),
        ({"heads": []}, "at least one entry"),
        ({"views": 0}, r"probe\.views=0 must be at least 1"),
        ({"schedule": "step"}, r"probe\.schedule='step'"),
        ({"precision": "float16"}, r"probe\.precision='float16' is not known; choose one of float32, bfloat16"),
        ({"store": {"dtype": "int4"}}, r"probe\.store\.dtype='int4'"),
        ({"few_shot": {"fractions": [2]}}, r"probe\.few_shot\.fractions holds 2"),
    ],
)
def test_values_that_are_not_allowed(probe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProbeSettings.read(probe)
