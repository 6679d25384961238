"""The ranges of the tensors of a TFLite file, as images show them."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter

from .file import packed, unpacked


def with_ranges(content: bytes, images: np.ndarray) -> bytes:
    """The file with the least and the largest value that each tensor of floats has for these images.

    TensorFlow's own calibrator reads what an operation takes after it has run, when an addition with a ReLU has written
    its sum there: one branch of a residual block gets a range up to 2.5 times too large. Here all tensors are outputs,
    which keep what was written; and XNNPACK computes them, five times as fast.

    Args:
        content: A TFLite file of floats of one graph.
        images: `(count, height, width, channels)`.
    """
    model = unpacked(content)
    graph = model.subgraphs[0]
    made = [index for operator in graph.operators for index in operator.outputs]
    floats = [index for index in made if graph.tensors[index].type == tflite.TensorType.FLOAT32]
    answers, graph.outputs = graph.outputs, np.array(floats, "int32")
    interpreter = Interpreter(model_content=packed(model))
    graph.outputs = answers
    interpreter.allocate_tensors()
    (image,) = graph.inputs
    tensors = [image, *floats]
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for pixels in images:
        interpreter.set_tensor(image, np.float32(pixels)[None])
        interpreter.invoke()
        for place, index in enumerate(tensors):
            values = interpreter.get_tensor(index)
            low[place] = np.minimum(low[place], values.min())  # which, unlike min, tells NaN
            high[place] = np.maximum(high[place], values.max())
    for index, *ends in zip(tensors, low, high, strict=True):
        ranges = tflite.QuantizationParametersT()
        ranges.min, ranges.max = ([float(end)] for end in ends)
        graph.tensors[index].quantization = ranges
    return packed(model)
