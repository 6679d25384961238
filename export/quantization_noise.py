"""What integers do to every tensor of a TFLite graph."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from .layer_names import layers_of
from .runtimes.litert import tensor_info
from .tensors import TensorInfo

IMAGES = 4
"""Enough for a ratio of sums over whole maps."""
WORST = 10
"""So many layers are named."""


def noisiest_layers(floats: bytes, integers: bytes, images: np.ndarray) -> dict[str, float]:
    """The layers whose answers suffer most from integers: signal-to-noise ratio in decibels, the worst first.

    The ratio is that of the sums of squares, of the values in floats and of what integers make of them, with all that
    went wrong on the way there: where it falls from one layer to the next, something is lost.

    Args:
        floats: A TFLite file.
        integers: What was made of it.
        images: Float32 `(count, height, width, channels)`; the first few are run.
    """
    before, after = _Tapped(floats), _Tapped(integers)
    names = [name for name in after.tensors if name in before.tensors]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for image in images[:IMAGES]:
        expected, found = before.run(image), after.run(image)
        for name in names:
            signal[name] += float(np.sum(np.square(expected[name], dtype="float64")))
            noise[name] += float(np.sum(np.square(expected[name] - found[name], dtype="float64")))
    ratios: dict[str, float] = {}
    for name in names:
        if signal[name] and noise[name]:
            layer = " + ".join(layers_of(name)) or "answer"
            ratios[layer] = min(ratios.get(layer, np.inf), float(10 * np.log10(signal[name] / noise[name])))
    return dict(sorted(ratios.items(), key=lambda item: item[1])[:WORST])


def computed_tensors(content: bytes) -> list[str]:
    """The names of what the operations of a TFLite file give."""
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    operators = map(graph.Operators, range(graph.OperatorsLength()))
    return [graph.Tensors(index).Name().decode() for operator in operators for index in operator.OutputsAsNumpy()]


class _Tapped:
    """A TFLite graph all of whose tensors can be read."""

    def __init__(self, content: bytes):
        self.interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self.interpreter.allocate_tensors()
        self.image = self.interpreter.get_input_details()[0]
        computed = computed_tensors(content)
        self.tensors: dict[str, tuple[int, TensorInfo]] = {
            details["name"]: (details["index"], tensor_info(details))
            for details in self.interpreter.get_tensor_details()
            if details["name"] in computed
        }

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What stands in every tensor, by its name."""
        pixels = tensor_info(self.image).from_real(np.float32(image)[None])
        self.interpreter.set_tensor(self.image["index"], pixels)
        self.interpreter.invoke()
        return {name: info.to_real(self.interpreter.get_tensor(index)) for name, (index, info) in self.tensors.items()}
