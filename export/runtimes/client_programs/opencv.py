"""OpenCV DNN, for ONNX and TFLite."""

from collections.abc import Callable

import cv2
import numpy as np


def version() -> str:
    """Of OpenCV."""
    return cv2.__version__


def open_model(model: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Open a file; OpenCV takes and returns maps with the channels first, those of TFLite files, too."""
    cv2.setNumThreads(1)
    net = cv2.dnn.readNet(model)
    names = net.getUnconnectedOutLayersNames()
    is_tflite = model.endswith(".tflite")

    def predict(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, tensor in tensors.items():
            net.setInput(*((tensor.transpose(0, 3, 1, 2),) if is_tflite else (tensor, name)))
        outputs = dict(zip(names, net.forward(names), strict=True))
        if not is_tflite:
            return outputs
        return {name: map_.transpose(0, 2, 3, 1) if map_.ndim == 4 else map_ for name, map_ in outputs.items()}

    return predict
