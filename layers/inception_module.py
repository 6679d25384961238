"""Branches side by side that are concatenated, as the Inception papers draw them.

Szegedy et al.: Going Deeper with Convolutions (arXiv:1409.4842), figure 2; Rethinking the Inception Architecture
(arXiv:1512.00567), figures 5 to 7 and 10; Inception-v4, Inception-ResNet (arXiv:1602.07261), figures 3 to 19.

A module is data: a list of branches, each a list of steps, each a dict that `conv`, `max_pool`, `average_pool` or
`split` makes. `[[conv(64, 1)], [conv(48, 1), conv(64, 5)], [average_pool(3), conv(32, 1)]]` has three branches.
"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct
from .norm_and_activation import Norm, act_layer
from .pooling import ZeroPaddedAveragePool2D

Step = dict[str, Any]
"""`kind`, one of `KINDS`, and the arguments of its layer: plain data that goes through JSON unchanged."""
Branches = list[list[Step]]

POOLINGS = {"max_pool": keras.layers.MaxPooling2D, "average_pool": keras.layers.AveragePooling2D}
KINDS = ("conv", *POOLINGS, "split")


def conv(filters: int, kernel_size: int | tuple[int, int], *, strides: int = 1, padding: str | int = "same") -> Step:
    """A step that convolves, normalises and activates; the kernel is square or (height, width)."""
    kernel_size = kernel_size if isinstance(kernel_size, int) else list(kernel_size)
    return {"kind": "conv", "filters": filters, "kernel_size": kernel_size, "strides": strides, "padding": padding}


def max_pool(pool_size: int, *, strides: int = 1, padding: str = "same") -> Step:
    """A step that takes the greatest of every window."""
    return {"kind": "max_pool", "pool_size": pool_size, "strides": strides, "padding": padding}


def average_pool(pool_size: int, *, strides: int = 1, padding: str | int = "same") -> Step:
    """A step that takes the mean of every window.

    With `"same"`, what stands around the map does not count; a number of zeros on each side does, as in PyTorch.
    """
    return {"kind": "average_pool", "pool_size": pool_size, "strides": strides, "padding": padding}


def split(*branches: list[Step]) -> Step:
    """A step that is a module itself: further branches, concatenated."""
    return {"kind": "split", "branches": list(branches)}


def times(width: float, filters: int) -> int:
    """A number of filters times `width`, rounded, but 1 at least."""
    if not 0 < width * filters < math.inf:
        raise ValueError(f"{filters} filters times {width} are no width; it takes a factor above 0.")
    return max(1, round(width * filters))


def scaled(branches: Sequence[Sequence[Step]], width: float) -> Branches:
    """The same branches with every convolution's filters times `width`."""

    def scale(step: Step) -> Step:
        if step["kind"] == "split":
            return step | {"branches": scaled(step["branches"], width)}
        return step | {"filters": times(width, step["filters"])} if step["kind"] == "conv" else step

    return [[scale(step) for step in branch] for branch in branches]


class BranchedLayer(CompositeLayer):
    """What the layers below share: branches of `self.branches` and their concatenation."""

    def make_branches(self) -> None:
        """Makes the parts: step 2 of branch 1 is called `<name>_branch1_conv2`, a pooling `<name>_branch1_pool2`."""
        if not self.branches:
            raise ValueError(f"{self.name}: branches is empty; give one list of steps or more.")
        # One flat list: saving then does not hang on how Keras walks nested ones.
        self.parts = [
            self._part(step, f"branch{branch}", place)
            for branch, steps in enumerate(self.branches, start=1)
            for place, step in enumerate(steps, start=1)
        ]
        self.join = self.sublayer(keras.layers.Concatenate, "join")

    def _part(self, step: Step, branch: str, place: int) -> keras.layers.Layer:
        arguments = dict(step)
        kind = arguments.pop("kind", None)
        unit = {"norm": self.norm, "activation": self.activation}
        if kind == "conv":
            return self.sublayer(ConvNormAct, f"{branch}_conv{place}", **arguments, **unit)
        if kind == "average_pool" and isinstance(arguments["padding"], int):
            return self.sublayer(ZeroPaddedAveragePool2D, f"{branch}_pool{place}", **arguments)
        if kind in POOLINGS:
            return self.sublayer(POOLINGS[kind], f"{branch}_pool{place}", **arguments)
        if kind == "split":
            return self.sublayer(InceptionModule, f"{branch}_split{place}", **arguments, **unit)
        allowed = ", ".join(map(repr, KINDS))
        raise ValueError(f"{self.name}: step {place} of {branch} is of kind {kind!r}; allowed are {allowed}.")

    def chains(self) -> list[list[keras.layers.Layer]]:
        """The parts of each branch in order."""
        parts = iter(self.parts)
        return [list(islice(parts, len(steps))) for steps in self.branches]

    def width_parts(self) -> dict[str, Any]:
        """The convolutions of the branches, step by step."""
        return {"branches": [[_width_of(part) for part in chain] for chain in self.chains()]}

    def build_branches(self, input_shape: Shape) -> Shape:
        """Builds the branches, which must end in maps of one height and width, and returns their joint shape."""
        shapes = [build_chain(chain, input_shape) for chain in self.chains()]
        if len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(f"{self.name}: the branches end in {shapes}; their heights and widths must be the same.")
        self.join.build(shapes)
        return self.joint_shape(input_shape)

    def call_branches(self, inputs: Any, training: bool | None) -> Any:
        """The concatenated outputs of the branches."""
        return self.join([call_chain(chain, inputs, training) for chain in self.chains()])

    def joint_shape(self, input_shape: Shape) -> Shape:
        """`(batch, height', width', sum of the branches' channels)`."""
        return self.join.compute_output_shape([chain_output_shape(chain, input_shape) for chain in self.chains()])


def _width_of(part: keras.layers.Layer) -> dict[str, Any]:
    """The width in a step: the filters of a convolution, the branches of a split, none of a pooling."""
    if isinstance(part, ConvNormAct):
        return {"filters": part}
    return part.width_parts() if isinstance(part, InceptionModule) else {}


@keras.saving.register_keras_serializable("pocketzoo")
class InceptionModule(BranchedLayer):
    """Branches side by side, concatenated: the module of every version of Inception.

    Args:
        branches: Each a list of steps, which `conv`, `max_pool`, `average_pool` and `split` make; one without steps
            hands the input on. All must end in maps of the same height and width.
        norm: After each convolution; as in `ConvNormAct`.
        activation: After each normalisation.

    Input `(batch, height, width, channels)`, output `(batch, height', width', sum of the branches' channels)`.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[Step]],
        *,
        norm: Norm = "batch",
        activation: str | None = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.branches = [list(branch) for branch in branches]
        self.norm = norm
        self.activation = activation
        self.make_branches()

    def build(self, input_shape):
        """Builds the branches."""
        self.build_branches(input_shape)

    def call(self, inputs, training=None):
        """The concatenated outputs of the branches."""
        return self.call_branches(inputs, training)

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', sum of the branches' channels)`."""
        return self.joint_shape(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class InceptionResidual(BranchedLayer):
    """An Inception-ResNet block: `act(x + scale * conv1x1(concatenated branches))`.

    Szegedy, Ioffe, Vanhoucke, Alemi (arXiv:1602.07261), figures 16, 17 and 19, and 20 for the scale. The 1x1
    convolution has a bias and neither a normalisation nor an activation.

    Args:
        branches: As in `InceptionModule`; they must keep height and width.
        filters: Channels of the input and the output.
        scale: Times the branches' sum is added: small ones keep very wide nets from dying (section 3.3).
        norm: Of the branches; as in `ConvNormAct`.
        activation: Of the branches.
        output_activation: After the addition, or None.

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
        **kwargs,
    ):
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
        self.act = act_layer(self, "act", output_activation)

    def width_parts(self) -> dict[str, Any]:
        """The convolutions of the branches and the last one."""
        return {"filters": self.expand, **super().width_parts()}

    def build(self, input_shape):
        """Builds the parts; what the branches give must fit the input."""
        residual = build_chain([self.expand, self.rescale], self.build_branches(input_shape))
        if residual != tuple(input_shape):
            raise ValueError(f"{self.name}: the branches give {residual}, which cannot be added to {input_shape}.")
        self.add.build([residual, residual])
        if self.act is not None:
            self.act.build(residual)

    def call(self, inputs, training=None):
        """Adds the scaled branches to the input."""
        residual = call_chain([self.expand, self.rescale], self.call_branches(inputs, training), training)
        total = self.add([inputs, residual])
        return total if self.act is None else self.act(total)

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return tuple(input_shape)
