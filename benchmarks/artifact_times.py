"""Times one artifact in a process of its own, on two threads: `python benchmarks/artifact_times.py FILE`.

Prints the milliseconds of each run as JSON: fifty, or of slow ones as many as a second holds, five at the least. Any
maker's file does; open sides of its image are 1, and further inputs are fed ones (Keras' ONNX of EfficientNet asks for
two constants of its normalisation). Nothing is imported but the runtime, so that a process is ready within a second.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, THREADS = 3, 2
FEWEST, MOST, SECONDS = 5, 50, 1.0
"""Runs, and for how long after the fewest."""


def tflite_call(path: Path) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    (entry,), answer = interpreter.get_input_details(), interpreter.get_output_details()[0]["index"]
    scale, zero_point = entry["quantization"]
    image = pixels(entry["shape"])
    if np.issubdtype(entry["dtype"], np.integer):
        limits = np.iinfo(entry["dtype"])
        image = np.clip(np.round(image / scale + zero_point), limits.min, limits.max)
    image = image.astype(entry["dtype"])

    def call() -> object:
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return call


def onnx_call(path: Path) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry, *constants = session.get_inputs()
    image = pixels([side if isinstance(side, int) else 1 for side in entry.shape])
    fed = {entry.name: image.astype("uint8" if entry.type == "tensor(uint8)" else "float32")}
    fed |= {constant.name: np.ones(constant.shape, "float32") for constant in constants}
    return lambda: session.run(None, fed)


def pixels(shape: list[int]) -> np.ndarray:
    """Noise, 0..255."""
    return np.random.default_rng(0).uniform(0, 255, shape)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    path = Path(sys.argv[1])
    call = tflite_call(path) if path.suffix == ".tflite" else onnx_call(path)
    first = min(milliseconds(call) for _ in range(WARM_UP))
    runs = max(FEWEST, min(MOST, int(1000 * SECONDS / first)))
    print(json.dumps([milliseconds(call) for _ in range(runs)]))


if __name__ == "__main__":
    main()
