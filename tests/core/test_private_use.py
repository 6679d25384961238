"""Private names of other packages, and patches of the process, stay in the modules of `core` that are made for them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[2]
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("core", "layers", "tasks", "zoo", "training", "export", "cli")
    for path in sorted(ROOT.joinpath(folder).rglob("*.py"))
}
PRIVATE_MODULE = re.compile(
    r"(keras\.src|tensorflow\.python|tensorflow\.lite\.python|tensorflow_model_optimization|tf2onnx\.(?!convert\b)"
    r"|onnxruntime\.(transformers|tools|capi|quantization\.[a-z]))[\w.]*$"
)
OF_PYTHON = {"_exit", "_replace", "_asdict", "_fields"}
"""Names with an underscore that Python documents."""


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def defined_names(tree: ast.AST) -> set[str]:
    """Functions, classes, variables and attributes that a module defines."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            names.add(node.attr)
    return names


OURS = set().union(*map(defined_names, TREES.values()), OF_PYTHON)


def private_uses(tree: ast.AST) -> Iterator[str]:
    """Modules, attributes and dotted strings that name something private of another package."""
    own = defined_names(tree) | OF_PYTHON
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant):
            names = [node.value] if isinstance(node.value, str) else []
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
            is_ours = node.attr in (OURS if is_self(node.value) else own)
            if re.match("_[a-z]", node.attr) and not is_ours:
                yield ast.unparse(node)
        else:
            continue
        yield from filter(PRIVATE_MODULE.match, names)


def process_patches(tree: ast.AST) -> Iterator[str]:
    """Statements that change what the whole process shares: attributes of modules, environment and descriptors."""
    modules = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import) and "unittest.mock" in ast.unparse(node):
            yield ast.unparse(node)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                base = target.value if isinstance(target, ast.Attribute | ast.Subscript) else target
                of_module = isinstance(target, ast.Attribute) and isinstance(base, ast.Name) and base.id in modules
                if of_module or ast.unparse(base) == "os.environ":
                    yield ast.unparse(target)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if re.fullmatch(r"os\.(environ\.(setdefault|update|pop)|putenv|unsetenv|dup2|umask|chdir)", called):
                yield ast.unparse(node)


def test_private_names_of_other_packages_are_used_in_core_alone():
    uses = {path: set(private_uses(tree)) for path, tree in TREES.items() if not path.endswith("_private.py")}
    assert {path: names for path, names in uses.items() if names} == {}


def test_process_is_patched_in_core_alone():
    """The command line sets up its own process; a library may not."""
    ours = ("core/process_patches.py", "core/output_capture.py")
    patches = {path: set(process_patches(tree)) for path, tree in TREES.items() if path not in ours}
    assert {path: found for path, found in patches.items() if found and not path.startswith("cli/")} == {}
