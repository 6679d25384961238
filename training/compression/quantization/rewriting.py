"""Rewrite a trained model so that it computes as TFLite's integer kernels will.

A tensor is rounded exactly where TFLite stores integers: the image, and the output of each fused operation (a
convolution with its BatchNorm and ReLU is one, an addition with its ReLU too). Maxima, zero padding and reshapes keep
the quantization grid of their input; means and upsampling round to it again; all inputs of a concatenation share the
grid of its output.
"""

from collections import Counter
from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np

from ....core.errors import InputError
from ....core.flat_graph import FlatGraph, Node
from ....core.layer_traits import IN_PLACE_OF_RECURRENCE, is_recurrent, traits_of
from ....core.outputs import by_name
from ....core.process_patches import allow_deep_graphs
from ....layers import Answer, FakeQuantize, Head
from ....zoo.flat import flatten_model
from ....zoo.signature import named_inputs, named_outputs, output_keys
from ...model_outputs import heads_of
from .integer_form import integer_form, integer_range
from .kernels import QUANTIZED_LAYERS, Affine, affine_of, fold_into_quantized, pointwise

FUSED = ("relu", "relu6")
"""Activations that TFLite fuses into the operation before them."""
LEARNED_RANGE = (*FUSED, "leaky_relu")
"""Activations that are one TFLite operation with a learned output range; with 8 bits, so is `hard_silu`."""
OUTPUT_ACTIVATIONS = ("softmax", "sigmoid", "linear")
Range = tuple[float, float]
PIXELS: Range = (0.0, 255.0)
UNIT = (0.0, 1.0)
HARD_LINE = Affine(np.array(1 / 6), np.array(1 / 2))
"""`hard_sigmoid(x)` is this, clipped at 0 by a ReLU and at 1 by the end of its grid."""


class Value(NamedTuple):
    """A tensor of the new model."""

    tensor: keras.KerasTensor
    grid: FakeQuantize | None
    """The quantizer that rounded it; None if the concatenation that takes it rounds it."""


def quantized_model(
    model: keras.Model, activation_bits: int, *, pixels: Range | dict[str, Range] = PIXELS
) -> keras.Model:
    """Return the flat form of `model` with BatchNorms folded and fake quantization wherever TFLite will have integers.

    Several outputs are in a dict, since the last layers have other names. The weights are copies. Nagel et al. (A White
    Paper on Neural Network Quantization, arXiv:2106.08295, section 4.2) find that folding BatchNorms before training
    does as well as other methods; so what is trained is what is shipped.

    Args:
        model: A trained model.
        activation_bits: 8 or 16; kernels have 8.
        pixels: Smallest and largest number in the images that the model takes, by name for several inputs. Ranges of
            inputs that are no images are learned.

    Raises:
        InputError: The model has no flat form, or a layer without an integer kernel in TFLite.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # lower precision would not resolve the steps of the integers
    try:
        return _Rewriting(model, activation_bits, pixels).result()
    finally:
        keras.config.set_dtype_policy(policy)


OTHERS = "layers such as Conv2D, Dense, BatchNormalization, ReLU or Add"
"""What integers are trained for, in messages."""


def _last(axis: Any, tensor: keras.KerasTensor) -> bool:
    """Return whether an axis is the last one of a tensor."""
    return axis in (-1, len(tensor.shape) - 1)


class _Rewriting:
    def __init__(self, model: keras.Model, bits: int, pixels: Range | dict[str, Range]):
        self.name = model.name
        self.bits = bits
        self.pixels = pixels
        self.graph = FlatGraph(integer_form(flatten_model(model)))
        self.inputs = {tensor: name for name, tensor in named_inputs(self.graph.model).items()}
        outputs = named_outputs(self.graph.model).values()
        self.outputs = dict(zip(output_keys(model), outputs, strict=True))
        self.heads: dict[keras.KerasTensor, Head | None]
        self.heads = dict(zip(outputs, by_name(heads_of(model)).values(), strict=True))
        self.values: dict[keras.KerasTensor, Value] = {}
        """By tensor of the flat form."""
        self.fused: set[Node] = set()
        """Nodes that are part of an earlier fused operation."""
        self.copies: dict[int, keras.layers.Layer] = {}
        """By `id` of the layer of the flat form."""
        self.names: Counter[str] = Counter()
        self.ranges: dict[keras.KerasTensor, Range] = {}
        """Ranges of the tensors that consist of the pixels of an image."""

    def result(self) -> keras.Model:
        inputs = {tensor: keras.Input(tensor.shape[1:], name=name) for tensor, name in self.inputs.items()}
        for tensor, name in self.inputs.items():
            if "float" not in tensor.dtype:
                raise self.refusal(name, f"an input of {tensor.dtype}")
            is_image = len(tensor.shape) == 4
            if is_image:
                low, high = self.pixels.get(name, PIXELS) if isinstance(self.pixels, dict) else self.pixels
                self.ranges[tensor] = min(low, 0.0), max(high, 0.0)
            self.round(tensor, inputs[tensor], "image" if is_image else name, self.ranges.get(tensor))
        for node in self.graph.nodes:
            if node not in self.fused:
                self.rewrite(node)
        outputs = {name: self.values[tensor].tensor for name, tensor in self.outputs.items()}
        entries = keras.tree.map_structure(inputs.__getitem__, self.graph.model.input)
        allow_deep_graphs()  # three layers for each of the model's
        return keras.Model(entries, outputs.get("", outputs), name=self.name)

    def rewrite(self, node: Node) -> None:
        layer, end, traits = node.operation, node.output, traits_of(node.operation)
        kind = integer_range(layer)
        if self.bits == 16 and not traits.int16:
            raise self.refusal(layer.name, type(layer).__name__)
        if getattr(layer, "data_format", None) == "channels_first" and traits.channels not in ("padding", "cropping"):
            raise self.refusal(layer.name, f"{type(layer).__name__} of channels_first")
        if type(layer) in QUANTIZED_LAYERS:
            self.kernel(node)
        elif affine := affine_of(layer):
            self.affine(node, affine)
        elif isinstance(layer, keras.layers.Activation):
            self.activation(node, end, self.value(node), _function(layer), layer.name)
        elif isinstance(layer, keras.layers.Softmax) and layer.axis in (-1, len(end.shape) - 1):
            self.activation(node, end, self.value(node), "softmax", layer.name)
        elif isinstance(layer, keras.layers.UnitNormalization) and _last(layer.axis, end):
            self.round(end, self.copied(node), layer.name, (-1.0, self.below_one(128)))  # as TFLite fixes it
        elif isinstance(layer, keras.layers.BatchNormalization):
            raise self.refusal(layer.name, f"BatchNormalization of axis {layer.axis}")
        elif kind == "own":
            x = self.copied(node)
            end, x = self.with_relu(end, x) if traits.fuses_relu else (end, x)
            self.round(end, x, layer.name)
        elif kind:
            x, grid = self.copied(node), self.value(node).grid
            self.values[end] = Value(x if kind == "input" else grid(x, observe=False), grid)
            if node.inputs[0] in self.ranges:
                self.ranges[end] = self.ranges[node.inputs[0]]
        else:
            instead = IN_PLACE_OF_RECURRENCE if is_recurrent(layer) else OTHERS
            raise self.refusal(layer.name, type(layer).__name__, instead)

    def kernel(self, node: Node) -> None:
        """Rewrite a convolution or dense layer with all that TFLite fuses into the same operation."""
        layer, end = node.operation, node.output
        affines: list[Affine] = []
        function = _function(layer)
        if function == "linear" and self.graph.applications(layer) == 1:
            end, affines = self.affines_after(end)
            if self.next_function(end) == "hard_sigmoid":
                end, function = self.fuse(end).output, "hard_sigmoid"
                affines.append(HARD_LINE)
        if id(layer) not in self.copies:
            self.copies[id(layer)] = fold_into_quantized(layer, affines)
        x = self.copies[id(layer)](self.value(node).tensor)
        if function == "linear":
            self.round(*self.with_relu(end, x), layer.name)
        elif function in FUSED:
            self.round(end, self.applied(function, f"{layer.name}_act", x), layer.name)
        elif function == "hard_sigmoid" and affines:
            self.round(end, self.applied("relu", f"{layer.name}_act", x), layer.name, UNIT)
        else:
            grid = self.grid(layer.name)
            self.activation(node, end, Value(grid(x), grid), function, f"{layer.name}_act")

    def affine(self, node: Node, affine: Affine) -> None:
        """Rewrite a BatchNorm or Rescaling that cannot be folded into a convolution before it."""
        layer = node.operation
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        about = {"trainable": layer.trainable and is_norm, "gamma": layer.gamma if is_norm and layer.scale else 1.0}
        x = self.pointwise(affine, self.value(node).tensor, layer.name, **about)
        pixels = self.ranges.get(node.inputs[0])
        limits = pixel_limits(affine, pixels) if pixels else None
        self.round(*self.with_relu(node.output, x), layer.name, limits)

    def activation(self, node: Node, end: keras.KerasTensor, value: Value, function: str, name: str) -> None:
        """Rewrite an activation of `node`, up to the tensor `end`, that is an operation of its own."""
        x = value.tensor
        if function in OUTPUT_ACTIVATIONS and self.is_only_reshaped(end):
            self.values[end] = Value(self.output_layer(end, function, name)(x), None)
        elif function == "linear":
            self.values[end] = value
        elif function in LEARNED_RANGE or (function == "hard_silu" and self.bits == 8):
            self.round(end, self.applied(function, name, x), name)
        elif function == "tanh":
            self.round(end, self.applied(function, name, x), name, (-1.0 if self.bits == 8 else 0, self.below_one(128)))
        elif function in ("sigmoid", "softmax"):
            self.round(end, self.applied(function, name, x), name, (0.0, self.below_one(256)))
        elif function == "hard_sigmoid":
            self.round(end, self.hard_gate(x, name), name, UNIT)
        elif function == "silu":
            gate = self.applied("sigmoid", f"{name}_gate", x)
            self.round(end, self.gated(x, gate, name, (0.0, self.below_one(256))), name)
        elif function == "hard_silu":
            self.round(end, self.gated(x, self.hard_gate(x, f"{name}_gate"), name, UNIT), name)
        else:
            raise self.refusal(node.name, function)

    def is_only_reshaped(self, end: keras.KerasTensor) -> bool:
        """Whether the tensor is an output of the model, or becomes one without another rounding."""
        use = self.graph.only_consumer(end)
        while use and isinstance(use.operation, keras.layers.Flatten | keras.layers.Reshape):
            end, use = use.output, self.graph.only_consumer(use.output)
        return self.graph.is_output(end)

    def hard_gate(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Return `hard_sigmoid(x)` without its upper bound."""
        return self.applied("relu", name, self.pointwise(HARD_LINE, x, f"{name}_line", trainable=False))

    def gated(
        self, x: keras.KerasTensor, gate: keras.KerasTensor, name: str, limits: tuple[float, float]
    ) -> keras.KerasTensor:
        gate = self.grid(f"{name}_gate", limits)(gate)
        return keras.layers.Multiply(name=self.unique(name))([x, gate])

    def round(
        self, end: keras.KerasTensor, x: keras.KerasTensor, name: str, limits: tuple[float, float] | None = None
    ) -> None:
        """Quantize `x`, which corresponds to `end` in the flat form.

        If its only consumer is a concatenation and it has no limits of its own, it shares the grid of the result.
        """
        use = self.graph.only_consumer(end)
        if limits is None and use and isinstance(use.operation, keras.layers.Concatenate):
            self.values[end] = Value(x, None)
        else:
            grid = self.grid(name, limits)
            self.values[end] = Value(grid(x), grid)

    def grid(self, name: str, limits: tuple[float, float] | None = None) -> FakeQuantize:
        return FakeQuantize(bits=self.bits, limits=limits, name=self.unique(f"{name}_grid"))

    def below_one(self, steps: int) -> float:
        """Return the largest value of a grid that TFLite fixes; `steps` is its number of steps with 8 bits."""
        steps = steps if self.bits == 8 else 2**15
        return (steps - 1) / steps

    def affines_after(self, end: keras.KerasTensor) -> tuple[keras.KerasTensor, list[Affine]]:
        """Fuse the chain of BatchNorms and Rescalings that are sole consumers; return its output, and the chain."""
        affines = []
        while (use := self.graph.only_consumer(end)) and (affine := affine_of(use.operation)):
            affines.append(affine)
            end = self.fuse(end).output
        return end, affines

    def with_relu(self, end: keras.KerasTensor, x: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Apply the ReLU that is the sole consumer of the tensor, if any, before anything is rounded."""
        function = self.next_function(end)
        if function not in FUSED:
            return end, x
        node = self.fuse(end)
        return node.output, self.applied(function, node.name, x)

    def next_function(self, end: keras.KerasTensor) -> str | None:
        """Return the name of the activation that is the sole consumer of the tensor."""
        use = self.graph.only_consumer(end)
        if use is None or not isinstance(use.operation, keras.layers.Activation | keras.layers.ReLU):
            return None
        return _function(use.operation)

    def fuse(self, end: keras.KerasTensor) -> Node:
        """Mark the sole consumer of the tensor as part of the current operation, and return it."""
        (node,) = self.graph.consumers(end)
        self.fused.add(node)
        return node

    def applied(self, function: str, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Activation(function, name=self.unique(name))(x)

    def pointwise(self, affine: Affine, x: keras.KerasTensor, name: str, **arguments: Any) -> keras.KerasTensor:
        layer = pointwise(affine, x.shape[-1], name=self.unique(name), **arguments)
        if len(x.shape) == 4:
            return layer(x)
        shape = [-1 if side is None else side for side in x.shape[1:]]
        x = keras.layers.Reshape((prod(shape[:-1]), 1, shape[-1]), name=self.unique(f"{name}_map"))(x)
        return keras.layers.Reshape(shape, name=self.unique(f"{name}_rows"))(layer(x))

    def output_layer(self, end: keras.KerasTensor, function: str, name: str) -> keras.layers.Layer:
        head = self.heads.get(end)
        if head is None:
            return keras.layers.Activation(function, name=self.unique(name))
        return Answer(head.TASK, function, labels=head.labels, name=self.unique(head.name))

    def value(self, node: Node) -> Value:
        """Return the new value of the node's first input."""
        return self.values[node.inputs[0]]

    def copied(self, node: Node) -> keras.KerasTensor:
        """Apply the node in the new model, with a copy of its layer."""
        tensors = {tensor: self.values[tensor].tensor for tensor in node.inputs}
        if not node.is_layer:
            return node.apply(tensors)
        layer = node.operation
        first = id(layer) not in self.copies
        copy = self.copies.setdefault(id(layer), type(layer).from_config(layer.get_config() | {"dtype": "float32"}))
        output = node.apply(tensors, copy)
        if first:
            for new, old in zip(copy.variables, layer.variables, strict=True):  # also the state of a Dropout
                new.assign(old)
        return output

    def unique(self, name: str) -> str:
        self.names[name] += 1
        return name if self.names[name] == 1 else f"{name}_{self.names[name]}"

    def refusal(self, name: str, kind: str, instead: str = OTHERS) -> InputError:
        remedy = "use activation_bits=8 if it has one there, " if self.bits == 16 else ""
        return InputError(
            f"{self.name} cannot be trained for integers: there is no rule for {name} ({kind}) with {self.bits}-bit "
            f"activations; {remedy}replace it by {instead}, or export the model with calibration images instead, "
            "without training."
        )


def pixel_limits(affine: Affine, pixels: Range = PIXELS) -> Range:
    """Return the range of normalized pixels, slightly widened.

    With a mean of 127.5 and the exact range, in which 0 is an integer, every pixel would be midway between two
    integers, and runtimes round such ties differently.
    """
    ends = [1.01 * end * affine.scale + affine.offset for end in pixels]
    return min(0.0, float(np.min(ends))), max(0.0, float(np.max(ends)))


def _function(layer: keras.layers.Layer) -> str | None:
    """Return the name of the layer's activation, or its class; None for a ReLU that TFLite does not fuse."""
    if isinstance(layer, keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return {None: "relu", 6: "relu6"}.get(layer.max_value) if plain else None
    return getattr(layer.activation, "__name__", type(layer.activation).__name__)
