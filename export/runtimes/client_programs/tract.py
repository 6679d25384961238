"""tract, an inference engine in Rust, for ONNX."""

from collections.abc import Callable

import numpy as np
import tract


def version() -> str:
    """Of tract."""
    return tract.version()


def open_model(model: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Open an ONNX file with fixed sizes."""
    try:
        net = tract.onnx().load(model).into_model()
        names = [net.output_name(index) for index in range(net.output_count())]
        runnable = net.into_runnable()
    except tract.TractError as error:
        raise RuntimeError(" ".join(str(error).partition("Stack backtrace")[0].split())) from None

    def predict(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = runnable.run(list(tensors.values()))
        return {name: output.to_numpy() for name, output in zip(names, outputs, strict=True)}

    return predict
