"""Inception modules: parallel branches that are concatenated.

Szegedy et al.: Going Deeper with Convolutions (arXiv:1409.4842), figure 2; Rethinking the Inception Architecture
(arXiv:1512.00567), figures 5 to 7 and 10; Inception-v4, Inception-ResNet (arXiv:1602.07261), figures 3 to 19.

A module is data: a list of branches, each a list of steps, each a dict that `conv`, `max_pool`, `average_pool` or
`split` returns. `[[conv(64, 1)], [conv(48, 1), conv(64, 5)], [average_pool(3), conv(32, 1)]]` has three branches.
"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct
from .norm_and_activation import Norm, activation_layer
from .pooling import ZeroPaddedAveragePool2D

Step = dict[str, Any]
"""`kind`, one of `STEP_KINDS`, and the arguments of its layer: plain data that JSON preserves."""
Branches = list[list[Step]]

POOLINGS = {"max_pool": keras.layers.MaxPooling2D, "average_pool": keras.layers.AveragePooling2D}
STEP_KINDS = ("conv", *POOLINGS, "split")


def conv(filters: int, kernel_size: int | tuple[int, int], *, strides: int = 1, padding: str | int = "same") -> Step:
    """Return a step with a convolution, normalization and activation; the kernel is square or (height, width)."""
    kernel = kernel_size if isinstance(kernel_size, int) else list(kernel_size)
    return {"kind": "conv", "filters": filters, "kernel_size": kernel, "strides": strides, "padding": padding}


def max_pool(pool_size: int, *, strides: int = 1, padding: str = "same") -> Step:
    """Return a max pooling step."""
    return {"kind": "max_pool", "pool_size": pool_size, "strides": strides, "padding": padding}


def average_pool(pool_size: int, *, strides: int = 1, padding: str | int = "same") -> Step:
    """Return an average pooling step.

    With `padding="same"` the padding is not counted in the mean. With a number of zeros on each side it is, as in
    PyTorch.
    """
    return {"kind": "average_pool", "pool_size": pool_size, "strides": strides, "padding": padding}


def split(*branches: list[Step]) -> Step:
    """Return a step that is itself a module: parallel branches, concatenated."""
    return {"kind": "split", "branches": list(branches)}


def scale_filters(filters: int, width: float) -> int:
    """Return `filters` multiplied by `width`, rounded, and at least 1.

    Raises:
        ValueError: `width` is not a finite number above 0.
    """
    if not 0 < width * filters < math.inf:
        raise ValueError(f"{filters} filters times {width} is not a width; the multiplier must be above 0.")
    return max(1, round(width * filters))


def scale_branches(branches: Sequence[Sequence[Step]], width: float) -> Branches:
    """Return the same branches with the filters of every convolution multiplied by `width`."""

    def scale(step: Step) -> Step:
        if step["kind"] == "split":
            return step | {"branches": scale_branches(step["branches"], width)}
        return step | {"filters": scale_filters(step["filters"], width)} if step["kind"] == "conv" else step

    return [[scale(step) for step in branch] for branch in branches]


class BranchedLayer(CompositeLayer):
    """Base of the layers below: the branches in `self.branches` and their concatenation."""

    branches: Branches
    norm: Norm
    activation: str | None

    def make_branches(self) -> None:
        """Create the sublayers: step 2 of branch 1 is `<name>_branch1_conv2`, or `<name>_branch1_pool2`."""
        if not self.branches:
            raise ValueError(f"{self.name}: branches is empty; give at least one list of steps.")
        # One flat list, so that saving does not depend on how Keras walks nested ones.
        self.parts = [
            self._part(step, f"branch{branch}", position)
            for branch, steps in enumerate(self.branches, start=1)
            for position, step in enumerate(steps, start=1)
        ]
        self.join = self.sublayer(keras.layers.Concatenate, "join")

    def _part(self, step: Step, branch: str, position: int) -> keras.Layer:
        arguments = dict(step)
        kind = arguments.pop("kind", None)
        unit: dict[str, Any] = {"norm": self.norm, "activation": self.activation}
        if kind == "conv":
            return self.sublayer(ConvNormAct, f"{branch}_conv{position}", **arguments, **unit)
        if kind == "average_pool" and isinstance(arguments["padding"], int):
            return self.sublayer(ZeroPaddedAveragePool2D, f"{branch}_pool{position}", **arguments)
        if kind in POOLINGS:
            return self.sublayer(POOLINGS[kind], f"{branch}_pool{position}", **arguments)
        if kind == "split":
            return self.sublayer(InceptionModule, f"{branch}_split{position}", **arguments, **unit)
        allowed = ", ".join(map(repr, STEP_KINDS))
        raise ValueError(f"{self.name}: step {position} of {branch} is of kind {kind!r}; allowed are {allowed}.")

    def chains(self) -> list[list[keras.Layer]]:
        """Return the sublayers of each branch in order."""
        parts = iter(self.parts)
        return [list(islice(parts, len(steps))) for steps in self.branches]

    def width_parts(self) -> dict[str, Any]:
        """Return the convolutions of the branches, step by step."""
        return {"branches": [[_width_of(part) for part in chain] for chain in self.chains()]}

    def build_branches(self, input_shape: Shape) -> Shape:
        """Build the branches, whose outputs must have the same height and width; return the concatenated shape."""
        shapes = [build_chain(chain, input_shape) for chain in self.chains()]
        if len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(f"{self.name}: the branches output {shapes}; their heights and widths must be equal.")
        self.join.build(shapes)
        return self.concatenated_shape(input_shape)

    def call_branches(self, inputs: keras.KerasTensor, training: bool | None) -> keras.KerasTensor:
        """Return the concatenated outputs of the branches."""
        return self.join([call_chain(chain, inputs, training) for chain in self.chains()])

    def concatenated_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', sum of the branches' channels)`."""
        return self.join.compute_output_shape([chain_output_shape(chain, input_shape) for chain in self.chains()])


def _width_of(part: keras.Layer) -> dict[str, Any]:
    """Return the widths in a step: the filters of a convolution, the branches of a split, none for a pooling."""
    if isinstance(part, ConvNormAct):
        return {"filters": part}
    return part.width_parts() if isinstance(part, InceptionModule) else {}


@keras.saving.register_keras_serializable("pocketzoo")
class InceptionModule(BranchedLayer):
    """Parallel branches, concatenated: the module of every version of Inception.

    Args:
        branches: Each a list of steps, which `conv`, `max_pool`, `average_pool` and `split` return; an empty branch
            passes the input on. All outputs must have the same height and width.
        norm: Normalization after each convolution, as in `ConvNormAct`.
        activation: Activation after each normalization.

    Input `(batch, height, width, channels)`, output `(batch, height', width', sum of the branches' channels)`.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[Step]],
        *,
        norm: Norm = "batch",
        activation: str | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.branches = [list(branch) for branch in branches]
        self.norm = norm
        self.activation = activation
        self.make_branches()

    def build(self, input_shape: Shape) -> None:
        """Build the branches."""
        self.build_branches(input_shape)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the concatenated outputs of the branches."""
        return self.call_branches(inputs, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', sum of the branches' channels)`."""
        return self.concatenated_shape(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class InceptionResidual(BranchedLayer):
    """An Inception-ResNet block: `act(x + scale * conv1x1(concatenated branches))`.

    Szegedy, Ioffe, Vanhoucke, Alemi (arXiv:1602.07261), figures 16, 17 and 19, and 20 for the scale. The 1x1
    convolution has a bias and neither a normalization nor an activation.

    Args:
        branches: As in `InceptionModule`; they must preserve height and width.
        filters: Channels of the input and the output.
        scale: Factor of the residual; a small one keeps very wide networks stable in training (section 3.3).
        norm: Normalization in the branches, as in `ConvNormAct`.
        activation: Activation in the branches.
        output_activation: Activation after the addition, or None.

    Input and output `(batch, height, width, filters)`.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[Step]],
        filters: int,
        *,
        scale: float = 1.0,
        norm: Norm = "batch",
        activation: str | None = "relu",
        output_activation: str | None = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.branches = [list(branch) for branch in branches]
        self.filters = filters
        self.scale = scale
        self.norm = norm
        self.activation = activation
        self.output_activation = output_activation
        self.make_branches()
        self.expand = self.sublayer(ConvNormAct, "expand", filters, 1, norm=None, activation=None)
        self.rescale = self.sublayer(keras.layers.Rescaling, "scale", scale)
        self.add = self.sublayer(keras.layers.Add, "add")
        self.act = activation_layer(self, "act", output_activation)

    def width_parts(self) -> dict[str, Any]:
        """Return the convolutions of the branches and the last 1x1 convolution."""
        return {"filters": self.expand, **super().width_parts()}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers.

        Raises:
            ValueError: The residual has another shape than the input.
        """
        residual = build_chain([self.expand, self.rescale], self.build_branches(input_shape))
        if residual != tuple(input_shape):
            raise ValueError(f"{self.name}: the branches output {residual}, which cannot be added to {input_shape}.")
        self.add.build([residual, residual])
        if self.act is not None:
            self.act.build(residual)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Add the scaled residual to the input."""
        residual = call_chain([self.expand, self.rescale], self.call_branches(inputs, training), training)
        total = self.add([inputs, residual])
        return total if self.act is None else self.act(total)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)
