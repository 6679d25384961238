"""Measures the latency of one artifact on two threads: `python benchmarks/artifact_times.py FILE`.

Prints the milliseconds of each run as JSON: 50 runs, or for slow artifacts as many as fit in a second, but at least
five. The file may come from any tool; open sizes are set to 1, and further inputs to ones (Keras' ONNX file of
EfficientNet has two inputs for constants of its normalization). Only the runtime is imported, so that a process starts
within a second.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, THREADS = 3, 2
MIN_RUNS, MAX_RUNS, SECONDS = 5, 50, 1.0
"""Number of runs, and time for those after the first `MIN_RUNS`."""


def tflite_call(path: Path) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    (entry,), output = interpreter.get_input_details(), interpreter.get_output_details()[0]["index"]
    scale, zero_point = entry["quantization"]
    image = pixels(entry["shape"])
    if np.issubdtype(entry["dtype"], np.integer):
        limits = np.iinfo(entry["dtype"])
        image = np.clip(np.round(image / scale + zero_point), limits.min, limits.max)
    image = image.astype(entry["dtype"])

    def call() -> object:
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return call


def onnx_call(path: Path) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry, *constants = session.get_inputs()
    image = pixels([side if isinstance(side, int) else 1 for side in entry.shape])
    inputs = {entry.name: image.astype("uint8" if entry.type == "tensor(uint8)" else "float32")}
    inputs |= {constant.name: np.ones(constant.shape, "float32") for constant in constants}
    return lambda: session.run(None, inputs)


def pixels(shape: list[int]) -> np.ndarray:
    """Random pixels, 0..255."""
    return np.random.default_rng(0).uniform(0, 255, shape)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    path = Path(sys.argv[1])
    call = tflite_call(path) if path.suffix == ".tflite" else onnx_call(path)
    first = min(milliseconds(call) for _ in range(WARM_UP))
    runs = max(MIN_RUNS, min(MAX_RUNS, int(1000 * SECONDS / first)))
    print(json.dumps([milliseconds(call) for _ in range(runs)]))


if __name__ == "__main__":
    main()
