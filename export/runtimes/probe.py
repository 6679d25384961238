"""A trial run of untrusted TFLite files in a subprocess, before they are opened in this process.

LiteRT verifies the layout of a file, but not whether its graph makes sense: of 372 files with a changed index, shape,
type or option, 6 crashed the process with a segmentation fault or an abort. ONNX Runtime crashed on none of 1,600
files, half of them changed in this way and half in some bytes.

This file is also the program of the subprocess; it imports nothing but LiteRT and NumPy.
"""

import os
import subprocess
import sys

MAX_SECONDS = 120
"""Time limit for one image: a file can contain an endless loop."""
COMMAND = [sys.executable, "-P", __file__]  # -P: nothing is imported from the folder of this file


def check_survivable(content: bytes) -> None:
    """Raise ValueError where a TFLite file does not open, cannot run, or crashes or blocks its process.

    It takes half a second plus the time of one image. Harm that depends on the pixels cannot be detected.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            COMMAND,
            input=content,
            capture_output=True,
            timeout=MAX_SECONDS,
            env=os.environ | {"PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"one image takes more than {MAX_SECONDS} s.") from error
    if done.returncode == 1:
        raise ValueError(done.stdout.decode(errors="replace"))
    if done.returncode:
        raise ValueError("it crashes the process that runs it; it is damaged or malicious.")


def _run(content: bytes) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()


if __name__ == "__main__":
    try:
        _run(sys.stdin.buffer.read())
    except Exception as error:
        print(error, end="")
        sys.exit(1)
