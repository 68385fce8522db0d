"""No dead options: whatever a config can say, something reads."""

import ast
import inspect
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
)
from mmengine.runner import Runner
from mmseg.registry import DATASETS as MMSEG_DATASETS
from mmseg.registry import MODELS as MMSEG_MODELS

import internvl_seg

from . import CONFIGS, FOLDER

PACKAGE = Path(internvl_seg.__file__).parent
SOURCES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
REGISTRIES = (
    MODELS, MMSEG_MODELS, DATASETS, MMSEG_DATASETS, HOOKS, LOOPS, METRICS, DATA_SAMPLERS, OPTIM_WRAPPERS,
    OPTIM_WRAPPER_CONSTRUCTORS,
)  # fmt: skip
# Attributes that a base class of the libraries reads.
READ_BY_BASES = {"init_cfg"}
# What MMEngine reads as soon as it parses a config.
READ_WHEN_PARSED = {"custom_imports"}


def attributes_read() -> set[str]:
    """Names x of every ``something.x`` that the package reads."""
    nodes = (node for tree in SOURCES.values() for node in ast.walk(tree))
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}


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
    assert {"InternViTBackbone", "FeaturePyramid", "LinearHead", "SegmentationMetric"} <= {c.__name__ for c in classes}
    assert fields >= 15
    assert dead == []


def test_every_field_of_our_dataclasses_is_read() -> None:
    read, dead, fields = attributes_read(), [], 0
    strings = {n.value for t in SOURCES.values() for n in ast.walk(t) if isinstance(n, ast.Constant)}
    words = {word for text in strings if isinstance(text, str) for word in text.split()}
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
                names = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]
                fields += len(names)
                # Release's are read by name, from a list of them in a string.
                dead += [f"{node.name}.{name}" for name in names if name not in read | words]
    print(f"{fields} fields of dataclasses are read")
    assert fields >= 20
    assert dead == []


def test_an_unread_argument_is_found() -> None:
    source = "class A:\n    def __init__(self, used, kept, dead):\n        self.kept = kept\n        print(used)\n"
    (node,) = ast.parse(source).body
    assert unread(node, read=set()) == (["A(dead=)", "A.kept"], 3)
    assert unread(node, read={"kept"})[0] == ["A(dead=)"]


def test_every_key_of_every_config_is_read() -> None:
    # Keys that the runner or the commands read, as an argument, with get, or as an attribute.
    runner = set(inspect.signature(Runner.__init__).parameters) | set(
        re.findall(r"cfg\.get\(\s*['\"](\w+)", inspect.getsource(inspect.getmodule(Runner)))
    )
    ours = {n.args[0].value for t in SOURCES.values() for n in ast.walk(t)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "get"
            and n.args and isinstance(n.args[0], ast.Constant)}  # fmt: skip
    attributes = attributes_read()
    keys, dead = 0, []
    for name in CONFIGS:
        path = FOLDER / name
        text = "".join(base.read_text() for base in bases(path))
        for key in Config.fromfile(path):
            keys += 1
            # A variable that the file itself uses: written once to be set and again to be read.
            is_variable = len(re.findall(rf"\b{key}\b(?! ?=[^=])", text)) > 0
            if key not in runner | ours | attributes | READ_WHEN_PARSED and not is_variable:
                dead.append(f"{name}: {key}")
    print(f"{keys} keys of {len(CONFIGS)} configs are read")
    assert dead == []


def bases(path: Path) -> list[Path]:
    """A config and the files that it inherits from."""
    tree = ast.parse(path.read_text())
    values = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "_base_"]
    names = [c.value for v in values for c in ast.walk(v) if isinstance(c, ast.Constant)]
    return [path, *(file for name in names for file in bases(path.parent / name))]
