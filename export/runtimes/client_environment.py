"""The environment of clients whose packages conflict with TensorFlow's requirements, such as MediaPipe."""

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .subprocesses import run_command

VARIABLE = "POCKETZOO_CLIENTS"
"""Environment variable with the folder of the environment, where it is not `clients` in that of this Python."""

SECONDS = 600
"""Time limit of a client: what takes longer hangs."""


def client_folder() -> Path:
    """Return the folder of the environment, which need not exist."""
    return Path(os.environ.get(VARIABLE) or Path(sys.prefix, "clients"))


def install_command(package: str, *, without_requirements: str = "") -> str:
    """Return the command that creates the environment with a package, and perhaps one without its requirements."""
    install = f"{_python_of(client_folder())} -m pip install"
    more = f" && {install} --no-deps {without_requirements}" if without_requirements else ""
    return f"python -m venv {client_folder()} && {install} {package}{more}"


def client_python(module: str) -> Path | None:
    """Return the Python that can import a module: this one, else that of the environment; None if neither can."""
    if find_spec(module) is not None:
        return Path(sys.executable)
    python = _python_of(client_folder())
    return python if _has_module(python, module) else None


def run_client(
    module: str, program: Path, *arguments: str | Path, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program that imports nothing but a client's module and NumPy; it may exit with any code.

    Args:
        module: Name of the client's module, which messages use, too.
        program: A Python file.
        arguments: Its arguments.
        folder: Its working directory; that of this process if None.

    Raises:
        RuntimeError: The module is not installed, or the program did not finish in time.
    """
    python = client_python(module)
    if python is None:
        raise RuntimeError(f"{module} is not installed: {install_command(module)}")
    # -I: nothing is imported from the current folder or that of the program, which has modules with names of packages.
    return run_command(module, [python, "-I", program, *arguments], folder, seconds=SECONDS)


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@cache
def _has_module(python: Path, module: str) -> bool:
    code = f"from importlib.util import find_spec; raise SystemExit(find_spec({module!r}) is None)"
    return python.exists() and subprocess.run([python, "-I", "-c", code], check=False).returncode == 0
