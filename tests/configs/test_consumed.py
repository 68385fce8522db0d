"""No dead options: whatever a config can say, something reads."""

import ast
import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import mmengine.registry
import mmpretrain.registry
import mmseg.registry
from mmengine.registry import Registry
from mmengine.runner import Runner

import internvl_seg

from . import CONFIGS, FOLDER, read

PACKAGE = Path(internvl_seg.__file__).parent
SOURCES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
NODES = [node for tree in SOURCES.values() for node in ast.walk(tree)]
# What a config can name, in MMEngine's registries, MMSegmentation's and MMPretrain's.
MODULES = (mmengine.registry, mmseg.registry, mmpretrain.registry)
REGISTRIES = [r for module in MODULES for r in vars(module).values() if isinstance(r, Registry)]
# Attributes that a base class of the libraries reads.
READ_BY_BASES = {"init_cfg", "_loss_name"}
# What MMEngine reads as soon as it parses a config.
READ_WHEN_PARSED = {"custom_imports"}


def attributes_read() -> set[str]:
    """Names x of every ``something.x`` that the package reads."""
    return {n.attr for n in NODES if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}


def registered() -> list[type]:
    """Every class of the package that a config can name."""
    classes = {c for registry in REGISTRIES for c in registry.module_dict.values() if inspect.isclass(c)}
    return sorted((c for c in classes if c.__module__.startswith("internvl_seg.")), key=lambda c: c.__qualname__)


def definition(cls: type) -> ast.ClassDef:
    tree = SOURCES[Path(inspect.getfile(cls))]
    (found,) = (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
    return found


def unread(node: ast.ClassDef, read: set[str]) -> tuple[list[str], int]:
    """Arguments of a class's constructor that nothing uses, and how many it has."""
    constructors = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    dead, count = [], 0
    for function in constructors:
        arguments = [a.arg for a in (*function.args.args, *function.args.kwonlyargs) if a.arg != "self"]
        loads = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        dead += [f"{node.name}({name}=)" for name in arguments if name not in loads]
        for statement in ast.walk(function):
            # self.x = argument, of which nothing reads .x
            if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Name):
                continue
            for target in statement.targets:
                kept = isinstance(target, ast.Attribute) and statement.value.id in arguments
                if kept and target.attr not in read | READ_BY_BASES:
                    dead.append(f"{node.name}.{target.attr}")
        count += len(arguments)
    return dead, count


def test_every_argument_of_our_modules_is_read() -> None:
    read, dead, fields = attributes_read(), [], 0
    classes = registered()
    for cls in classes:
        found, count = unread(definition(cls), read)
        dead += found
        fields += count
    print(f"{fields} arguments of {len(classes)} registered classes are read")
    names = {c.__name__ for c in classes}
    assert {"InternViTBackbone", "FeaturePyramid", "LinearHead", "SegmentationMetric"} <= names
    assert {"ImageFolder", "ImageNetAccuracy", "ImageNetVariant", "InternViTClsHead", "RemoveBorder"} <= names
    assert fields >= 15
    assert dead == []


def test_every_field_of_our_dataclasses_is_read() -> None:
    read, fields = attributes_read(), []
    docstrings = {id(n.value) for n in NODES if isinstance(n, ast.Expr)}
    texts = [n.value for n in NODES if isinstance(n, ast.Constant) and id(n) not in docstrings]
    # Release's fields are read by name, from a list of them in a string.
    words = {word for text in texts if isinstance(text, str) for word in text.split()}
    for node in NODES:
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            fields += [(node.name, n.target.id) for n in node.body if isinstance(n, ast.AnnAssign)]
    print(f"{len(fields)} fields of dataclasses are read")
    assert len(fields) >= 20
    assert [f"{owner}.{name}" for owner, name in fields if name not in read | words] == []


def test_an_unread_argument_is_found() -> None:
    source = "class A:\n    def __init__(self, used, kept, dead):\n        self.kept = kept\n        print(used)\n"
    (node,) = ast.parse(source).body
    assert unread(node, read=set()) == (["A(dead=)", "A.kept"], 3)
    assert unread(node, read={"kept"})[0] == ["A(dead=)"]


def keys_read() -> set[str]:
    """Top-level keys that MMEngine's runner or the package reads: as an argument, with get, [] or as an attribute."""
    keys = set(inspect.signature(Runner.__init__).parameters)
    keys |= set(re.findall(r"cfg\.get\(\s*['\"](\w+)", inspect.getsource(inspect.getmodule(Runner))))
    for node in NODES:
        if isinstance(node, ast.Attribute) and is_config(node.value):
            keys.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("config.get"):
            keys |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
    return keys | READ_WHEN_PARSED


def is_config(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "config"


@functools.cache
def variables_read(path: Path) -> set[str]:
    """Names that a config or a file of its ``_base_`` sets and then uses itself, ``{{_base_.name}}`` among them."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    used |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "_base_"}
    values = [n.value for n in nodes if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_base_"]
    names = [c.value for v in values for c in ast.walk(v) if isinstance(c, ast.Constant)]
    return used.union(*(variables_read((path.parent / name).resolve()) for name in names))


def test_every_key_of_every_config_is_read(record_property: Callable[[str, object], None]) -> None:
    known, keys, dead = keys_read(), 0, []
    for name in CONFIGS:
        config = read(name)
        keys += len(config)
        dead += [f"{name}: {key}" for key in config if key not in known | variables_read(FOLDER / name)]
    record_property("configs", len(CONFIGS))
    record_property("keys", keys)
    print(f"{keys} keys of {len(CONFIGS)} configs are read")
    assert dead == []


def test_an_unread_key_is_found(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("kept = 1\nscale = 2\n")
    path = tmp_path / "config.py"
    path.write_text(
        '_base_ = "./base.py"\ndead = 1  # dead\nused = 2\ntext = "dead"\ntwice = [used, {{_base_.scale}}]\n'
    )
    assert {"used", "scale"} <= variables_read(path)
    assert not {"dead", "kept", "text", "twice"} & (variables_read(path) | keys_read())
