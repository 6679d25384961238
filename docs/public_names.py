"""Griffe extension: the names in a package's `__init__.pyi` win over its submodules of the same name.

`pocketzoo.export.export_model` is a function at run time, because the package imports its public names lazily from the
stub; read statically, it is the module that defines the function.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """Points the public names of a package at what its stub imports."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called once the package and all its modules are read."""
        for package in pkg.modules.values():
            for name, target in list(_public_names(package)):  # all found before a name hides a module
                package.set_member(name, griffe.Alias(name, target, parent=package))


def _public_names(package: griffe.Module) -> Iterator[tuple[str, griffe.Object | griffe.Alias]]:
    stub = Path(str(package.filepath)).with_name("__init__.pyi")
    if not package.is_init_module or not stub.exists():
        return
    for statement in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1 and statement.module:
            for name in statement.names:
                yield name.asname or name.name, package[f"{statement.module}.{name.name}"]
