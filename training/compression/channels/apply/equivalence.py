"""Check that a rebuilt model is equivalent to the original without the removed channels."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import keras
import numpy as np

from .....core.errors import InputError
from .....core.flat_graph import FlatGraph, Node
from .....core.keras_private import all_layers, double_precision
from .....core.layer_traits import traits_of
from ..graph.channel_graph import ChannelGraph, flat_graph
from ..graph.kernel_rules import DepthwiseRule, KernelRule
from ..graph.layer_rules import apply_in_inference
from ..graph.rule_table import rule_of
from .bias_compensation import Compensation, compensate
from .rebuild import Rebuilt, assign_weights

TOLERANCE = 1e-5
"""Largest allowed difference between a rebuilt model and the masked original, as a share of the largest output."""
NOTHING = 1e-4
"""Share of the usual size of an output up to which it consists of rounding errors."""
NORMS = (keras.layers.BatchNormalization, keras.layers.GroupNormalization, keras.layers.LayerNormalization)
IMAGES = 2
OPEN_SIDE = 64
"""Height and width in pixels where the model does not fix them."""

Values = dict[keras.KerasTensor, Any]


class EquivalenceError(RuntimeError):
    """A rebuilt model is not equivalent to the original: an error in this package, never the user's."""


def check_equivalence_with_perturbed_norms(graph: ChannelGraph, keep: np.ndarray, rebuilt: Rebuilt) -> float:
    """As `check_equivalence`, with normalization in which all channels differ; afterwards all weights are restored.

    Its weights in a new model are the same in every channel, which would hide swapped channels. The mean of a map after
    instance normalization is the offset: with offsets of 0, only rounding errors would be compared.
    """
    with _perturbed_norms(graph.flat.model):
        compensation = compensate(graph, keep)
        assign_weights(rebuilt, graph, keep, compensation)
        difference = check_equivalence(graph, keep, compensation, rebuilt.model)
    assign_weights(rebuilt, graph, keep, compensate(graph, keep))
    return difference


def check_equivalence(graph: ChannelGraph, keep: np.ndarray, compensation: Compensation, rebuilt: keras.Model) -> float:
    """Return the largest difference between the masked original and `rebuilt` on noise, relative to the largest output.

    Outputs are compared before their last activation: a saturated softmax would hide differences. The original is run
    layer by layer with its own weights. Wherever a layer sees a removed channel, the channel is replaced by its
    constant, in the padding too; if the layer does not absorb that constant, by zero.

    Raises:
        EquivalenceError: The difference is above `TOLERANCE`.
        InputError: The original computes numbers that are not finite.
    """
    images, flat = _noise(graph.flat), flat_graph(rebuilt)
    masked, difference = _compare(graph, keep, compensation, flat, images, "float32")
    if not all(np.isfinite(keras.ops.convert_to_numpy(one)).all() for one in masked):
        raise InputError(
            f"{graph.model.name} computes numbers that are not finite from noise of 0 to 255, so removing channels "
            "cannot be checked; see whether its weights are finite, and scale its inputs in a first layer."
        )
    if not difference <= TOLERANCE:
        # Sums with fewer terms are rounded differently, which grows with the depth. A user's layer may take float32
        # alone; then the first difference counts.
        with suppress(Exception):
            difference = _compare(graph, keep, compensation, flat, images, "float64")[1]
    if not difference <= TOLERANCE and _are_rounding_errors(graph.flat, masked, images):
        return 0.0
    if not difference <= TOLERANCE:
        raise EquivalenceError(
            f"{graph.model.name}: the rebuilt model differs by {difference:.1e} from the original with those channels "
            f"masked; the tolerance is {TOLERANCE:.0e}."
        )
    return difference


def _compare(
    graph: ChannelGraph, keep: np.ndarray, compensation: Compensation, rebuilt: FlatGraph, images: list[Any], dtype: str
) -> tuple[list[Any], float]:
    """Return the outputs of the masked original, and their largest relative difference from those of `rebuilt`."""
    images = [image if image.dtype.is_integer else keras.ops.cast(image, dtype) for image in images]
    with _linear_outputs(graph.flat), _linear_outputs(rebuilt), _in(dtype, graph.flat), _in(dtype, rebuilt):
        values = _run_masked(graph, keep, compensation, images)
        outputs = keras.Model(rebuilt.inputs, _before_activations(rebuilt))(images, training=False)
    masked = [values[tensor] for tensor in _before_activations(graph.flat)]
    # Not `max`, which drops a NaN that is not the first of its arguments.
    difference = np.max([_difference(*pair) for pair in zip(masked, keras.tree.flatten(outputs), strict=True)])
    return masked, float(difference)


def _are_rounding_errors(flat: FlatGraph, outputs: list[Any], images: list[Any]) -> bool:
    """Whether outputs are far smaller than with other weights of the normalization, so that there is nothing in them.

    Then `check_equivalence_with_perturbed_norms` alone can show a difference.
    """
    with _perturbed_norms(flat.model):
        others = keras.Model(flat.inputs, _before_activations(flat))(images, training=False)
    sizes = [
        [np.abs(keras.ops.convert_to_numpy(one)).max() for one in pair]
        for pair in zip(outputs, keras.tree.flatten(others), strict=True)
    ]
    return all(own < NOTHING * other for own, other in sizes)


@contextmanager
def _perturbed_norms(flat: keras.Model) -> Iterator[None]:
    """Change all weights of the normalization by up to a fifth until the block ends."""
    random = np.random.default_rng(0)
    norms = [layer for layer in flat.layers if isinstance(layer, NORMS)]
    before = [(weight, keras.ops.convert_to_numpy(weight)) for norm in norms for weight in norm.weights]
    try:
        for norm in norms:
            for weight in norm.weights:
                size = np.abs(keras.ops.convert_to_numpy(weight))
                if weight is norm.beta:
                    size = np.maximum(size, 0.1 if isinstance(norm, keras.layers.BatchNormalization) else 1.0)
                elif weight is getattr(norm, "moving_mean", None):
                    size = np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance))
                weight.assign_add(random.uniform(-0.2, 0.2, weight.shape) * size)
        yield
    finally:
        for weight, value in before:
            weight.assign(value)


def _before_activations(flat: FlatGraph) -> list[keras.KerasTensor]:
    """Return the outputs, or the inputs of the activation layers that compute them."""
    activations = keras.layers.Activation | keras.layers.Softmax
    pairs = zip(flat.outputs, flat.output_nodes, strict=True)
    return [node.inputs[0] if isinstance(node.operation, activations) else output for output, node in pairs]


@contextmanager
def _linear_outputs(flat: FlatGraph) -> Iterator[None]:
    """Until the block ends, layers with a kernel that compute an output have no activation of their own."""
    layers = [node.operation for node in flat.output_nodes if traits_of(node.operation).kernels]
    before = [(layer, layer.activation) for layer in layers]
    try:
        for layer in layers:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, activation in before:
            layer.activation = activation


@contextmanager
def _in(dtype: str, flat: FlatGraph) -> Iterator[None]:
    """Until the block ends, layers that compute in a float type compute in `dtype`, with the weights that they have."""
    policy = double_precision() if dtype == "float64" else keras.DTypePolicy(dtype)
    layers = [layer for layer in all_layers(flat.model) if keras.backend.is_float_dtype(layer.compute_dtype)]
    before = [(layer, layer.dtype_policy) for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def _noise(flat: FlatGraph) -> list[Any]:
    """Return random pixels for images; for other inputs numbers from 0 to 1, whole ones 0, which every table has."""
    random = np.random.default_rng(0)

    def values(tensor: keras.KerasTensor) -> Any:
        shape = [IMAGES, *(OPEN_SIDE if side is None else side for side in tensor.shape[1:])]
        numbers = random.uniform(0, 255 if len(shape) == 4 else 1, shape)
        return keras.ops.convert_to_tensor(numbers.astype(tensor.dtype))

    return [values(tensor) for tensor in flat.inputs]


def _run_masked(graph: ChannelGraph, keep: np.ndarray, compensation: Compensation, images: list[Any]) -> Values:
    """Return the value of every tensor of the original."""
    values: Values = dict(zip(graph.flat.inputs, images, strict=True))
    for node in graph.flat.nodes:
        output = _apply_masked(graph, keep, compensation, node, values)
        values |= zip(node.outputs, keras.tree.flatten(output), strict=True)
    return values


def _apply_masked(graph: ChannelGraph, keep: np.ndarray, compensation: Compensation, node: Node, values: Values) -> Any:
    """Apply one layer to its inputs with the removed channels at their constants."""
    rule = rule_of(node)
    mixes = isinstance(rule, KernelRule) and not isinstance(rule, DepthwiseRule)
    pads = mixes and rule.pads(node.operation)
    absorbs = node in compensation.absorbed
    masked = {tensor: values[tensor] for tensor in node.inputs}
    for tensor in node.inputs:
        kept = graph.kept(graph.labels[tensor], keep)
        if kept.all():
            continue
        # In the padding of the layer there would be zeros: what it sees of the constants is added below.
        constants = compensation.constants[tensor]
        constants = constants if not mixes or (absorbs and not pads) else np.zeros(len(kept), "float32")
        masked[tensor] = keras.ops.where(kept, values[tensor], constants)
    output = apply_in_inference(node, masked)
    if absorbs and pads:
        (tensor,) = node.inputs
        removed = np.where(graph.kept(graph.labels[tensor], keep), 0, compensation.constants[tensor])
        output = output + rule.response(node.operation, removed)
    return output


def _difference(one: Any, other: Any) -> float:
    one, other = (keras.ops.convert_to_numpy(outputs).astype("float64") for outputs in (one, other))
    return float(np.abs(one - other).max() / max(np.abs(one).max(), np.finfo("float64").tiny))
