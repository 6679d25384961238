"""A stranger's TFLite file is run in a process of its own before it is opened in this one.

LiteRT verifies the layout of a file, but not that its graph makes sense: of 372 files with an index, a shape, a type or
an option changed, 6 ended the process with a segmentation fault or an abort. ONNX Runtime ended it on none of 1,600,
half of them changed so and half in some bytes.

This file is also the program that the other process runs; it knows of nothing but LiteRT and NumPy.
"""

import os
import subprocess
import sys

SECONDS = 120
"""That one image may take; a file can ask for a loop that does not end."""
COMMAND = [sys.executable, "-P", __file__]  # -P: nothing is imported from the folder that this file is in


def check_survivable(content: bytes) -> None:
    """Raises ValueError where a TFLite file does not open, cannot run, or ends or stalls the process that runs it.

    It takes half a second and the time of one image. What it cannot see is harm that depends on the pixels.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            COMMAND,
            input=content,
            capture_output=True,
            timeout=SECONDS,
            env=os.environ | {"PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"one image takes it more than {SECONDS} s.") from error
    if done.returncode == 1:
        raise ValueError(done.stdout.decode(errors="replace"))
    if done.returncode:
        raise ValueError("it ends the process that runs it; it is damaged, or made to do so.")


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
