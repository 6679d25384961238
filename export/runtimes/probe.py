"""A trial run of untrusted TFLite and ONNX files in a subprocess, before they are opened in this process.

LiteRT verifies the layout of a file, but not whether its graph makes sense: of 372 files with a changed index, shape,
type or option, 6 crashed the process with a segmentation fault or an abort. ONNX Runtime crashed on none of 1,600
files, half of them changed in this way and half in some bytes; but an operator of either can take any memory and time.

This file is also the program of the subprocess; it imports nothing but a runtime and NumPy.
"""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...core.limits import Limit

OUT_OF_MEMORY = 3
"""Exit code of the subprocess."""
NO_MEMORY = ("bfc_arena", "bad allocation", "Failed to allocate memory")
"""Parts of the messages of ONNX Runtime."""
OPEN_SIDE = 64
"""Pixels of an image whose size an ONNX file leaves open."""
COMMAND = [sys.executable, "-P", __file__]  # -P: nothing is imported from the folder of this file


def check_survivable(content: bytes, suffix: str, folder: str = "", *, limit: "Limit | None" = None) -> None:
    """Raise an error where a file does not open, cannot run, or crashes, blocks or fills its process.

    It takes half a second plus the time of one image. Harm that depends on the pixels cannot be detected.

    Args:
        content: The file.
        suffix: `.tflite` or `.onnx`.
        folder: Where an ONNX file has data in other files.
        limit: Of its seconds; `MODEL_SECONDS` if None.

    Raises:
        ValueError: It does not open or cannot run, or it crashes the process.
        InputError: It takes more time or memory than a limit.
    """
    from ...core.limits import MODEL_MEMORY, MODEL_SECONDS

    limit = limit or MODEL_SECONDS
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [*COMMAND, suffix, str(MODEL_MEMORY.value), folder],
            input=content,
            capture_output=True,
            timeout=limit.value,
            env=os.environ | {"PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise limit.refusal(f"one image takes more than {limit.value:,} seconds") from error
    if done.returncode == OUT_OF_MEMORY:
        raise MODEL_MEMORY.refusal(f"one image takes more than {MODEL_MEMORY.value:,} bytes of memory")
    if done.returncode == 1:
        raise ValueError(done.stdout.decode(errors="replace"))
    if done.returncode:
        raise ValueError("it crashes the process that runs it; it is damaged or malicious.")


def _run(content: bytes, suffix: str, folder: str) -> None:
    if suffix == ".tflite":
        _run_tflite(content)
        return
    try:
        _run_onnx(content, folder)
    except MemoryError:
        raise
    except Exception as error:  # opened again in the process that asks, which says what is wrong
        if any(part in str(error) for part in NO_MEMORY):
            raise MemoryError from error


def _run_tflite(content: bytes) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()


def _run_onnx(content: bytes, folder: str) -> None:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    dtypes = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
    feeds = {}
    for tensor in session.get_inputs():
        sides = [side if isinstance(side, int) else OPEN_SIDE if axis else 1 for axis, side in enumerate(tensor.shape)]
        if tensor.type == "tensor(string)":
            feeds[tensor.name] = np.full(sides, "", object)
        else:
            feeds[tensor.name] = np.zeros(sides, dtypes.get(tensor.type, tensor.type[len("tensor(") : -1]))
    session.run(None, feeds)


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


if __name__ == "__main__":
    kind, memory, data_folder = sys.argv[1:]
    try:
        _limit_memory(int(memory))
        _run(sys.stdin.buffer.read(), kind, data_folder)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:
        print(error, end="")
        sys.exit(1)
