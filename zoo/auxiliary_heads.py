"""Auxiliary heads: further heads of a model's task, on features inside the model, for deep supervision.

Szegedy et al.: Going Deeper with Convolutions (arXiv:1409.4842), section 5; Lee et al.: Deeply-Supervised Nets
(arXiv:1409.5185).
"""

from collections.abc import Iterable

import keras

from ..core.errors import InputError, unknown
from ..core.flat_graph import FlatGraph, Node
from ..layers.dimensions import spatial_dimensions
from ..tasks.registry import get_task, task_names
from ..tasks.task import HeadConfig
from .contract import contract_of
from .endpoints import endpoint_layers
from .flat import without_optimizer
from .heads import HeadPlan
from .output_contract import OutputContract
from .signature import image_among
from .strides import measure_grids


def attach_auxiliary_heads(model: keras.Model, endpoints: Iterable[str]) -> keras.Model:
    """Return the layers of `model` with a head of its task at each endpoint; maps are scaled to the size of the image.

    Args:
        model: A functional model.
        endpoints: Names of endpoints on its card, or of its layers.

    Returns:
        A model from the same inputs to two outputs: that of `model`, and a dict by endpoint of those of the heads, in
        the form of the task.

    Raises:
        InputError: As in `check_auxiliary_heads`, or a head cannot be on an endpoint.
    """
    output, graph = check_auxiliary_heads(model, endpoints), FlatGraph(without_optimizer(model))
    layers, image, heads = endpoint_layers(model), image_among(graph.inputs), dict[str, keras.KerasTensor]()
    for name in endpoints:
        (features,) = _nodes(graph)[layers.get(name, name)].outputs
        heads[name] = _head_output(f"auxiliary_{name}", output, features, image, model.name)
        if len(heads[name].shape) != len(graph.outputs[0].shape):
            raise InputError(
                f"auxiliary: the features at {name} of {model.name} are {tuple(features.shape[1:])}, neither a map nor "
                "a vector."
            )
        if image is not None and output.task.covers_image:
            grids = measure_grids(image, {"": graph.outputs[0], name: features})
            if not all(grid.covers for grid in grids.values()):
                raise InputError(
                    f"auxiliary: the convolutions of {model.name} are not padded, so a map at {name} shows another "
                    "part of the image than its output; leave auxiliary out."
                )
    return keras.Model(graph.model_input, (graph.outputs[0], heads), name=model.name)


def check_auxiliary_heads(model: keras.Model, endpoints: Iterable[str]) -> OutputContract:
    """Return what the output of a model means that has auxiliary heads at these endpoints.

    Raises:
        InputError: The model has several outputs or a task without auxiliary heads, or there is no such endpoint, or no
            layer is trained before it, or none but the head has weights after it.
    """
    output = contract_of(model).outputs
    if not isinstance(output, OutputContract):
        raise InputError(
            f"auxiliary: {model.name} has the outputs {', '.join(output)}; auxiliary heads are for models with one."
        )
    if not output.task.has_auxiliary_heads:
        tasks = ", ".join(name for name in task_names() if get_task(name).has_auxiliary_heads)
        raise InputError(f"auxiliary: {model.name} is {output.task.titled}; auxiliary heads are for {tasks}.")
    graph, layers = FlatGraph(without_optimizer(model)), endpoint_layers(model)
    nodes = _nodes(graph)
    wrong = [name for name in endpoints if not _has_layers_around(graph, nodes.get(layers.get(name, name)))]
    if wrong:
        allowed = [name for name in layers or nodes if _has_layers_around(graph, nodes[layers.get(name, name)])]
        if layers.get(wrong[0], wrong[0]) not in nodes:
            raise unknown(f"endpoint of {model.name} in auxiliary", wrong[0], allowed)
        raise InputError(
            f"auxiliary: a head at {wrong[0]} of {model.name} would train nothing, or the same as its own head; there "
            f"are {', '.join(allowed) or 'no other endpoints'}."
        )
    return output


def _nodes(graph: FlatGraph) -> dict[str, Node]:
    """Return where layers with one output are applied for the last time, by name."""
    return {node.name: node for node in graph.nodes if node.is_layer and len(node.outputs) == 1}


def _has_layers_around(graph: FlatGraph, node: Node | None) -> bool:
    """Whether layers are trained up to a node, and others than the one that predicts have weights after it."""
    if node is None:
        return False
    before = any(other.operation.trainable_weights for other in {node, *graph.ancestors([node])} if other.is_layer)
    after = {id(other.operation) for other in graph.descendants([node]) if other.is_layer and other.operation.weights}
    return before and len(after) > 1


def _head_output(
    name: str, output: OutputContract, features: keras.KerasTensor, image: keras.KerasTensor | None, model_name: str
) -> keras.KerasTensor:
    try:
        with spatial_dimensions(2 if image is None else len(image.shape) - 2):
            return HeadPlan(output.task, HeadConfig(output.size or 1)).outputs(name, features, image)
    except ValueError as error:
        raise InputError(f"auxiliary: {model_name}: {error}") from error
