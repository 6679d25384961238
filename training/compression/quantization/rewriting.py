"""From a trained model to one that computes as TFLite's integer kernels will.

A tensor is rounded exactly where TFLite has one in integers: the image, and what comes out of each fused operation (a
convolution with its BatchNorm and ReLU is one, an addition with its ReLU too). Maxima, zeros around a map and reshapes
keep the grid of their input; means and enlargements round to it again; a concatenation gives its grid to all it joins.
"""

from collections import Counter
from typing import NamedTuple

import keras
import numpy as np

from ....core.errors import InputError
from ....core.outputs import map_outputs
from ....layers import Answer, FakeQuantize, Head
from ...model_outputs import heads_of
from .graph import FlatGraph, Step
from .kernels import KERNELS, Affine, affine_of, pointwise, quantized_twin

SUMS = (keras.layers.Add, keras.layers.Subtract, keras.layers.Multiply)
NEW_VALUES = (
    *SUMS,
    keras.layers.Concatenate,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.ELU,
)
SAME_VALUES = (
    keras.layers.MaxPooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Dropout,
)
MEANS = (keras.layers.AveragePooling2D, keras.layers.UpSampling2D)
NOT_IN_16_BITS = (keras.layers.Concatenate, keras.layers.PReLU)
"""What the TFLite converter takes with 8-bit activations only."""
FUSED = ("relu", "relu6")
"""Activations that TFLite has within the operation before them."""
OWN = (*FUSED, "leaky_relu", "elu")
"""Those that TFLite has as one operation by itself, whose range is learned; with 8 bits `hard_silu` too."""
ANSWERS = ("softmax", "sigmoid", "linear")
PIXELS = (0.0, 255.0)
UNIT = (0.0, 1.0)
HARD_LINE = Affine(np.array(1 / 6), np.array(1 / 2))
"""`hard_sigmoid(x)` is this, cut off at 0 by a ReLU and at 1 by the end of its grid."""


class Value(NamedTuple):
    """A tensor of the new model."""

    tensor: keras.KerasTensor
    grid: FakeQuantize | None
    """What it was rounded by; None where what joins it does that."""


def quantized_model(model: keras.Model, activation_bits: int) -> keras.Model:
    """`model` written out flat, BatchNorms folded, rounded wherever TFLite will have integers; its weights are copies.

    Folding them for good, before training, is what Nagel et al. (A White Paper on Neural Network Quantization,
    arXiv:2106.08295, section 4.2) find to do as well as other treatments: what is trained is what is shipped.

    Args:
        model: A trained model of raw pixels, 0 to 255.
        activation_bits: 8 or 16; kernels have 8.

    Raises:
        InputError: It has no flat form, or a layer that TFLite has not in integers.
    """
    return _Rewriting(model, activation_bits).result()


class _Rewriting:
    def __init__(self, model: keras.Model, bits: int):
        self.name = model.name
        self.bits = bits
        self.graph = FlatGraph(model)
        self.heads: dict[int, Head | None] = {}
        map_outputs(lambda tensor, head: self.heads.update({id(tensor): head}), self.graph.output, heads_of(model))
        self.values: dict[int, Value] = {}
        """By identity of the tensor in the flat form."""
        self.fused: set[int] = set()
        """Steps that an earlier one has taken in, by identity."""
        self.copies: dict[int, keras.layers.Layer] = {}
        """By identity of the layer in the flat form."""
        self.names: Counter[str] = Counter()

    def result(self) -> keras.Model:
        image = keras.Input(self.graph.input.shape[1:], name=self.graph.input.name)
        self.round(self.graph.input, image, "image", PIXELS)
        for step in self.graph.steps:
            if id(step) not in self.fused:
                self.rewrite(step)
        outputs = map_outputs(lambda tensor: self.values[id(tensor)].tensor, self.graph.output)
        return keras.Model(image, outputs, name=self.name)

    def rewrite(self, step: Step) -> None:
        layer, end = step.layer, step.output
        if self.bits == 16 and isinstance(layer, NOT_IN_16_BITS):
            raise self.refusal(layer.name, type(layer).__name__)
        if type(layer) in KERNELS:
            self.kernel(step)
        elif affine_of(layer):
            self.affine(step)
        elif isinstance(layer, keras.layers.Activation):
            self.activation(end, self.value(step), _function(layer), layer.name)
        elif isinstance(layer, SUMS):
            self.round(*self.with_relu(end, self.copied(step)), layer.name)
        elif isinstance(layer, NEW_VALUES) or _is_operation(layer, "Mean"):
            self.round(end, self.copied(step), layer.name)
        elif isinstance(layer, SAME_VALUES) or _is_operation(layer, "Max"):
            self.values[id(end)] = Value(self.copied(step), self.value(step).grid)
        elif isinstance(layer, MEANS):
            grid = self.value(step).grid
            self.values[id(end)] = Value(grid(self.copied(step), observe=False), grid)
        else:
            raise self.refusal(layer.name, type(layer).__name__)

    def kernel(self, step: Step) -> None:
        """A convolution or a dense layer, with all that TFLite makes one operation of."""
        layer, end, affines = step.layer, step.output, []
        function = _function(layer)
        if function == "linear" and self.graph.is_applied_once(layer):
            end, affines = self.affines_after(end)
            if self.next_function(end) == "hard_sigmoid":
                end, function = self.fuse(end).output, "hard_sigmoid"
                affines.append(HARD_LINE)
        if id(layer) not in self.copies:
            self.copies[id(layer)] = quantized_twin(layer, affines)
        x = self.copies[id(layer)](self.value(step).tensor)
        if function == "linear":
            self.round(*self.with_relu(end, x), layer.name)
        elif function in FUSED:
            self.round(end, self.applied(function, f"{layer.name}_act", x), layer.name)
        elif function == "hard_sigmoid" and affines:
            self.round(end, self.applied("relu", f"{layer.name}_act", x), layer.name, UNIT)
        else:
            grid = self.grid(layer.name)
            self.activation(end, Value(grid(x), grid), function, f"{layer.name}_act")

    def affine(self, step: Step) -> None:
        """A BatchNorm or a Rescaling that no convolution before it takes in."""
        layer, affine = step.layer, affine_of(step.layer)
        trainable = layer.trainable and isinstance(layer, keras.layers.BatchNormalization)
        x = self.pointwise(affine, self.value(step).tensor, layer.name, trainable=trainable)
        limits = pixel_limits(affine) if step.inputs[0] is self.graph.input else None
        self.round(*self.with_relu(step.output, x), layer.name, limits)

    def activation(self, end: keras.KerasTensor, value: Value, function: str, name: str) -> None:
        """An activation that is an operation of its own."""
        x = value.tensor
        if self.graph.is_output(end) and function in ANSWERS:
            self.values[id(end)] = Value(self.answer(end, function, name)(x), None)
        elif function == "linear":
            self.values[id(end)] = value
        elif function in OWN or (function == "hard_silu" and self.bits == 8):
            self.round(end, self.applied(function, name, x), name)
        elif function == "tanh":
            self.round(end, self.applied(function, name, x), name, (-1.0 if self.bits == 8 else 0, self.below_one(128)))
        elif function == "sigmoid":
            self.round(end, self.applied(function, name, x), name, (0.0, self.below_one(256)))
        elif function == "hard_sigmoid":
            self.round(end, self.hard_gate(x, name), name, UNIT)
        elif function == "silu":
            gate = self.applied("sigmoid", f"{name}_gate", x)
            self.round(end, self.gated(x, gate, name, (0.0, self.below_one(256))), name)
        elif function == "hard_silu":
            self.round(end, self.gated(x, self.hard_gate(x, f"{name}_gate"), name, UNIT), name)
        else:
            raise self.refusal(name, function)

    def hard_gate(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """`hard_sigmoid`, but for its upper bound."""
        return self.applied("relu", name, self.pointwise(HARD_LINE, x, f"{name}_line", trainable=False))

    def gated(
        self, x: keras.KerasTensor, gate: keras.KerasTensor, name: str, limits: tuple[float, float]
    ) -> keras.KerasTensor:
        gate = self.grid(f"{name}_gate", limits)(gate)
        return keras.layers.Multiply(name=self.unique(name))([x, gate])

    def round(
        self, end: keras.KerasTensor, x: keras.KerasTensor, name: str, limits: tuple[float, float] | None = None
    ) -> None:
        """Makes of `x`, which is what `end` is in the flat form, a value on a grid.

        Where it is only joined to others, with no limits of its own, the joint tensor's grid is its too.
        """
        use = self.graph.only_use(end)
        if limits is None and use and isinstance(use.layer, keras.layers.Concatenate):
            self.values[id(end)] = Value(x, None)
        else:
            grid = self.grid(name, limits)
            self.values[id(end)] = Value(grid(x), grid)

    def grid(self, name: str, limits: tuple[float, float] | None = None) -> FakeQuantize:
        return FakeQuantize(bits=self.bits, limits=limits, name=self.unique(f"{name}_grid"))

    def below_one(self, steps: int) -> float:
        """The greatest number of a grid that TFLite fixes, of so many steps in 8 bits."""
        steps = steps if self.bits == 8 else 2**15
        return (steps - 1) / steps

    def affines_after(self, end: keras.KerasTensor) -> tuple[keras.KerasTensor, list[Affine]]:
        """What comes out of the BatchNorms and Rescalings that alone take the tensor, one after another; and they."""
        affines = []
        while (use := self.graph.only_use(end)) and (affine := affine_of(use.layer)):
            affines.append(affine)
            end = self.fuse(end).output
        return end, affines

    def with_relu(self, end: keras.KerasTensor, x: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """The ReLU that alone takes the tensor comes before anything is rounded."""
        function = self.next_function(end)
        if function not in FUSED:
            return end, x
        step = self.fuse(end)
        return step.output, self.applied(function, step.layer.name, x)

    def next_function(self, end: keras.KerasTensor) -> str | None:
        """The activation that alone takes the tensor."""
        use = self.graph.only_use(end)
        is_one = use and isinstance(use.layer, keras.layers.Activation | keras.layers.ReLU)
        return _function(use.layer) if is_one else None

    def fuse(self, end: keras.KerasTensor) -> Step:
        """Takes in the step that alone takes the tensor."""
        step = self.graph.only_use(end)
        self.fused.add(id(step))
        return step

    def applied(self, function: str, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Activation(function, name=self.unique(name))(x)

    def pointwise(self, affine: Affine, x: keras.KerasTensor, name: str, *, trainable: bool) -> keras.KerasTensor:
        if len(x.shape) != 4:
            raise self.refusal(name, f"on a tensor of rank {len(x.shape)}")
        return pointwise(affine, x.shape[-1], name=self.unique(name), trainable=trainable)(x)

    def answer(self, end: keras.KerasTensor, function: str, name: str) -> keras.layers.Layer:
        head = self.heads[id(end)]
        if head is None:
            return keras.layers.Activation(function, name=self.unique(name))
        return Answer(head.TASK, function, labels=head.labels, name=self.unique(head.name))

    def value(self, step: Step) -> Value:
        """Of what the step takes first."""
        return self.values[id(step.inputs[0])]

    def copied(self, step: Step) -> keras.KerasTensor:
        """What the step does, in the new model: by a copy of its layer."""
        args, kwargs = keras.tree.map_structure(
            lambda leaf: self.values[id(leaf)].tensor if isinstance(leaf, keras.KerasTensor) else leaf,
            (step.args, step.kwargs),
        )
        layer = step.layer
        if not isinstance(layer, keras.layers.Layer):  # an operation, which has no weights
            return layer(*args, **kwargs)
        first = id(layer) not in self.copies
        copy = self.copies.setdefault(id(layer), type(layer).from_config(layer.get_config()))
        output = copy(*args, **kwargs)
        if first:
            for new, old in zip(copy.variables, layer.variables, strict=True):  # with the state of a Dropout
                new.assign(old)
        return output

    def unique(self, name: str) -> str:
        self.names[name] += 1
        return name if self.names[name] == 1 else f"{name}_{self.names[name]}"

    def refusal(self, name: str, kind: str) -> InputError:
        return InputError(
            f"{self.name} cannot be trained for integers: there is no rule for {name} ({kind}) with {self.bits}-bit "
            "activations."
        )


def pixel_limits(affine: Affine) -> tuple[float, float]:
    """The range of normalised pixels, a little wider.

    With a mean of 127.5 every pixel would be midway between two integers of the range itself, as 0 is one of them, and
    which one it becomes a matter of the runtime.
    """
    ends = [1.01 * end * affine.scale + affine.offset for end in PIXELS]
    return min(0.0, np.min(ends)), max(0.0, np.max(ends))


def _function(layer: keras.layers.Layer) -> str | None:
    """Name of the layer's activation; None of a ReLU that is none of those that TFLite fuses."""
    if isinstance(layer, keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return {None: "relu", 6: "relu6"}.get(layer.max_value) if plain else None
    return layer.activation.__name__


def _is_operation(layer: keras.Operation, name: str) -> bool:
    return not isinstance(layer, keras.layers.Layer) and type(layer).__name__ == name
