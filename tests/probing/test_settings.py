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
        ({"heads": [{"kind": "fcn"}]}, r"probe\.heads\[0\]\.kind='fcn'"),
        ({"heads": [{}, {"lrs": [1]}]}, r"probe\.heads\[1\]\.lrs is not known"),
        ({"heads": [{"lr": 0.1}]}, r"probe\.heads\[0\]\.lr=0\.1: give a list"),
        ({"heads": [{"kind": "mlp", "solver": "lbfgs"}]}, "'lbfgs' is for linear heads"),
        ({"heads": []}, r"probe\.heads=\[\]: give a list of at least one"),
        ({"views": 0}, r"probe\.views=0 must be at least 1"),
        ({"schedule": "step"}, r"probe\.schedule='step'"),
        ({"precision": "float16"}, r"probe\.precision='float16' is not known; choose one of float32, bfloat16"),
        ({"store": {"dtype": "int4"}}, r"probe\.store\.dtype='int4'"),
        ({"few_shot": {"fractions": [2]}}, r"probe\.few_shot\.fractions\[0\]=2 must be above 0 and at most 1"),
        (3, "probe=3: give a dict"),
        ({"few_shot": 5}, "probe.few_shot=5: give a dict"),
        ({"few_shot": {"fractions": 0.5}}, r"probe\.few_shot\.fractions=0\.5: give a list"),
        ({"few_shot": {"per_class": [1.5]}}, r"per_class\[0\]=1\.5 is not a whole number"),
        ({"few_shot": {"draws": 0}}, r"draws=0 must be at least 1"),
        ({"views": None, "view": None}, r"probe\.view is not known"),
        ({"views": "2"}, r"probe\.views='2' is not a whole number"),
        ({"batch_size": True}, r"probe\.batch_size=True is not a whole number"),
        ({"iterations": 1e3}, r"probe\.iterations=1000\.0 is not a whole number"),
        ({"warmup": 1000}, r"probe\.warmup=1000 is not below probe\.iterations=1000"),
        ({"temperature": 0}, r"probe\.temperature=0 must be above 0"),
        ({"lbfgs_tolerance": float("inf")}, r"probe\.lbfgs_tolerance=inf is not a finite number"),
        ({"pictures": -1}, r"probe\.pictures=-1 must be at least 0"),
        ({"seeds": [0, 0]}, r"probe\.seeds=\[0, 0\] holds 0 twice"),
        ({"seeds": [-1]}, r"probe\.seeds\[0\]=-1 must be at least 0"),
        ({"seeds": 3}, r"probe\.seeds=3: give a list"),
        ({"blocks": 3}, r"probe\.blocks=3: give a list"),
        ({"blocks": []}, r"probe\.blocks=\[\]: give a list of at least one"),
        ({"blocks": ["a"]}, r"probe\.blocks\[0\]='a' is neither"),
        ({"blocks": [[1, 1]]}, r"probe\.blocks\[0\]=\[1, 1\] holds 1 twice"),
        ({"blocks": [[1, True]]}, r"probe\.blocks\[0\]\[1\]=True is not the number of a block"),
        ({"encoders": ["a"]}, r"probe\.encoders=\['a'\]: give a dict"),
        ({"encoders": {"../a": {}}}, r"probe\.encoders has an encoder named '\.\./a'"),
        ({"encoders": {"a": "vit"}}, r"probe\.encoders\.a='vit': give a dict"),
        ({"repeat": {"best": -1}}, r"probe\.repeat\.best=-1 must be at least 0"),
        ({"repeat": {"seeds": []}}, r"probe\.repeat\.seeds=\[\]: give a list of at least one"),
        ({"store": {"folder": " "}}, r"probe\.store\.folder=' ' is not a text"),
        ({"store": {"workers": -1}}, r"probe\.store\.workers=-1 must be at least 0"),
        ({"heads": {"lr": [1]}}, r"probe\.heads=\{'lr': \[1\]\}: give a list of dicts"),
        ({"heads": [{}, {"lr": [0]}]}, r"probe\.heads\[1\]\.lr\[0\]=0 must be above 0"),
        ({"heads": [{"lr": [float("nan")]}]}, r"probe\.heads\[0\]\.lr\[0\]=nan is not a finite number"),
        ({"heads": [{"lr": ["1e-3"]}]}, r"probe\.heads\[0\]\.lr\[0\]='1e-3' is not a finite number. Leave the quotes"),
        ({"heads": [{"lr": [1e-3, 1e-3]}]}, r"holds 0\.001 twice"),
        ({"heads": [{"weight_decay": [-0.1]}]}, r"weight_decay\[0\]=-0\.1 must be at least 0"),
        ({"heads": [{"kind": "ridge"}]}, r"probe\.heads\[0\]\.weight_decay\[0\]=0\.0 must be above 0"),
        ({"heads": [{"batch_norm": [1]}]}, r"batch_norm\[0\]=1 is neither True nor False"),
        ({"heads": [{"channels": 0}]}, r"channels=0 must be at least 1"),
        ({"heads": [{"neighbours": [0]}]}, r"neighbours\[0\]=0 must be at least 1"),
        ({"heads": [{"solver": "closed_form"}]}, r"probe\.heads\[0\]\.solver='closed_form' is that of ridge and knn"),
    ],
)
def test_values_that_are_not_allowed(probe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProbeSettings.read(probe)


def test_none_takes_away_what_is_inherited() -> None:
    names = [one.name for one in fields(ProbeSettings)]
    assert ProbeSettings.read(dict.fromkeys(names)) == ProbeSettings()
    inherited = {"heads": [{"lr": None, "blocks": None}], "store": {"dtype": None}, "few_shot": {"fractions": None}}
    assert ProbeSettings.read(inherited) == ProbeSettings()
