"""ONNX Runtime in Node.js."""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .client_environment import SECONDS
from .clients import PROGRAMS, ClientRun, failure
from .subprocesses import run_command

PACKAGE = "onnxruntime-node"
INSTALL = f"apt install nodejs npm && npm install {PACKAGE}, in this folder or that of POCKETZOO_NODE_MODULES"


def find_package() -> Path | None:
    """The folder `node_modules` named by `POCKETZOO_NODE_MODULES`, or in the current directory; None where it lacks the
    package, or there is no Node.js."""
    folder = Path(os.environ.get("POCKETZOO_NODE_MODULES", "node_modules")).absolute()
    return folder if shutil.which("node") and (folder / PACKAGE).exists() else None


def run_in_node(path: Path, name: str, tensors: np.ndarray) -> ClientRun:
    """Run an ONNX file with one input and one output, image by image.

    Args:
        path: The file.
        name: Name of its input.
        tensors: Float32 or uint8, one row for each image.

    Raises:
        RuntimeError: The package is not installed, or the program fails or hangs.
    """
    packages = find_package()
    if packages is None:
        raise RuntimeError(f"{PACKAGE} is not installed: {INSTALL}")
    with TemporaryDirectory() as folder:
        tensors.tofile(Path(folder, "inputs.bin"))
        form = {"name": name, "type": tensors.dtype.name, "shape": [1, *tensors.shape[1:]], "count": len(tensors)}
        Path(folder, "inputs.json").write_text(json.dumps(form), encoding="utf-8")
        command: list[str | Path] = ["node", PROGRAMS / "onnxruntime_node.mjs", packages, path.absolute(), folder]
        done = run_command("Node.js", command, seconds=SECONDS)
        if done.returncode:
            raise RuntimeError(failure(done))
        facts = json.loads(Path(folder, "facts.json").read_text(encoding="utf-8"))
        outputs = np.fromfile(Path(folder, "outputs.bin"), "<f4").reshape(len(tensors), *facts["shape"][1:])
    return ClientRun({facts["name"]: outputs}, float(np.median(facts["milliseconds"])), facts["version"])
