"""The graph of functional models: order, producers and consumers, reachability, and application to other values."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from pocketzoo import zoo
from pocketzoo.core.flat_graph import FlatGraph, Node, retrace
from pocketzoo.layers import CBAM, ConvNormAct

pytestmark = pytest.mark.fast


def dense(units: int, name: str) -> layers.Dense:
    return layers.Dense(units, name=name)


def shared_layer() -> keras.Model:
    image = keras.Input((4,), name="image")
    shared = dense(4, "shared")
    return keras.Model(image, dense(2, "last")(layers.Add(name="sum")([shared(image), shared(shared(image))])))


def several_inputs() -> keras.Model:
    inputs = {"second": keras.Input((3,), name="second"), "first": keras.Input((4,), name="first")}
    joined = layers.Concatenate(name="joined")([inputs["first"], dense(2, "narrow")(inputs["second"])])
    return keras.Model(inputs, dense(2, "last")(joined))


def several_outputs() -> keras.Model:
    image = keras.Input((4,), name="image")
    trunk = dense(5, "trunk")(image)
    return keras.Model(image, {"b": dense(2, "b")(trunk), "a": trunk})


def operations() -> keras.Model:
    image = keras.Input((4, 4, 6), name="image")
    left, right = ops.split(image, 2, axis=-1)
    return keras.Model(image, layers.Flatten(name="last")(ops.concatenate([right * 2.0, ops.relu(left)], axis=-1)))


def nested() -> keras.Model:
    image = keras.Input((4,), name="image")
    inner = keras.Sequential([keras.Input((4,)), dense(4, "inside"), layers.ReLU(name="relu")], name="inner")
    return zoo.flatten_model(keras.Model(image, dense(2, "last")(inner(image))))


def composite() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    return zoo.flatten_model(keras.Model(image, CBAM(4, 2, name="gate")(ConvNormAct(4, 3, name="conv")(image))))


def with_call_arguments() -> keras.Model:
    image = keras.Input((4,), name="image")
    dropped = layers.Dropout(0.5, name="dropout")(layers.BatchNormalization(name="norm")(image, training=False))
    return keras.Model(image, dense(2, "last")(dropped))


MODELS = [
    shared_layer,
    several_inputs,
    several_outputs,
    operations,
    nested,
    composite,
    with_call_arguments,
    lambda: zoo.flatten_model(zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 3))),
    lambda: zoo.flatten_model(zoo.create_model("densenet121", blocks=(2, 1), growth=4, input_shape=(32, 32, 3))),
]
NAMES = [make.__name__ for make in MODELS[:-2]] + ["resnet20", "densenet121"]


@pytest.fixture(params=MODELS, ids=NAMES)
def model(request) -> keras.Model:
    return request.param()


@pytest.fixture
def graph(model) -> FlatGraph:
    return FlatGraph(model)


def noise(graph: FlatGraph) -> dict:
    random = np.random.default_rng(0)
    return {tensor: ops.convert_to_tensor(random.uniform(-1, 1, (2, *tensor.shape[1:]))) for tensor in graph.inputs}


def node_named(graph: FlatGraph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def test_every_node_follows_those_that_compute_its_inputs(graph):
    known = set(graph.inputs)
    for node in graph.nodes:
        assert known >= set(node.inputs)
        known |= set(node.outputs)
    assert known >= set(graph.outputs)


def test_all_layers_of_the_model_are_there_and_shared_with_it(model, graph):
    applied = {id(node.operation) for node in graph.nodes}
    inputs = {layer.name for layer in model.layers if isinstance(layer, layers.InputLayer)}
    assert applied == {id(operation) for operation in model.operations if operation.name not in inputs}
    assert {node.name for node in graph.input_nodes} == inputs
    assert [weight.path for weight in graph.model.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in graph.model.layers] == [layer.name for layer in model.layers]


def test_producers_and_consumers_agree(graph):
    for node in (*graph.input_nodes, *graph.nodes):
        assert all(graph.producer(tensor) is node for tensor in node.outputs)
        for successor in graph.successors(node):
            assert node in graph.predecessors(successor)
    for node in graph.nodes:
        assert all(node in graph.consumers(tensor) for tensor in node.inputs)
        assert [graph.producer(tensor) for tensor in node.inputs] == graph.predecessors(node)
    assert [node for node in graph.output_nodes if set(node.outputs) & set(graph.outputs)] == graph.output_nodes


def test_only_consumer_is_the_one_that_nothing_else_shares(graph):
    for tensor in (tensor for node in graph.nodes for tensor in node.outputs):
        consumers = graph.consumers(tensor)
        alone = len(consumers) == 1 and not any(tensor is output for output in graph.outputs)
        assert graph.only_consumer(tensor) is (consumers[0] if alone else None)


def test_applications_add_up_to_the_nodes(graph):
    distinct = {id(node.operation): node.operation for node in graph.nodes}.values()
    assert sum(map(graph.applications, distinct)) == len(graph.nodes)
    assert graph.applications(layers.ReLU()) == 0


def test_ancestors_and_descendants_mirror_each_other(graph):
    for node in graph.nodes[:: max(1, len(graph.nodes) // 12)]:
        descendants = graph.descendants([node])
        assert node not in descendants
        assert all(node in graph.ancestors([descendant]) for descendant in descendants)
        assert set(graph.input_nodes) & graph.ancestors([node])


def test_model_run_node_by_node_equals_the_model_bit_for_bit(model, graph):
    values = noise(graph)
    expected = model(keras.tree.pack_sequence_as(model.input, list(values.values())), training=False)
    for node in graph.nodes:
        training = {"training": False} if "training" in node.kwargs else {}
        values |= zip(node.outputs, keras.tree.flatten(node.apply(values, **training)), strict=True)
    for tensor, output in zip(graph.outputs, keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(values[tensor], output)


def test_retraced_model_has_the_structure_of_the_original(model):
    again = retrace(model)
    keras.tree.assert_same_structure(again.output, model.output)
    keras.tree.assert_same_structure(again.input, model.input)
    assert not {id(tensor) for tensor in again.inputs} & {id(tensor) for tensor in model.inputs}


def test_model_can_be_retraced_for_another_size():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Conv2D(2, 3, strides=2)(image))
    assert retrace(model, keras.Input((21, 33, 3))).output_shape == (None, 10, 16, 2)


def test_shared_layer_is_applied_three_times():
    graph = FlatGraph(shared_layer())
    assert [node.name for node in graph.nodes].count("shared") == 3
    assert graph.applications(node_named(graph, "shared").operation) == 3
    (image,) = graph.input_nodes
    assert [node.name for node in graph.successors(image)] == ["shared", "shared"]


def test_inputs_and_outputs_keep_their_order():
    graph = FlatGraph(several_inputs())
    assert [node.name for node in graph.input_nodes] == [tensor.name for tensor in graph.inputs]
    graph = FlatGraph(several_outputs())
    outputs = graph.model.output
    assert {name: graph.producer(tensor).name for name, tensor in outputs.items()} == {"a": "trunk", "b": "b"}
    assert graph.only_consumer(outputs["a"]) is None
    assert graph.is_output(outputs["a"])
    assert not graph.is_output(graph.inputs[0])


def test_operations_with_several_outputs_are_nodes():
    graph = FlatGraph(operations())
    split = next(node for node in graph.nodes if not node.is_layer)
    assert len(split.outputs) == 2
    assert node_named(graph, "last").is_layer
    assert len(graph.successors(split)) == 2


def test_node_applies_another_operation_to_other_values():
    graph = FlatGraph(several_inputs())
    joined = node_named(graph, "joined")
    ones = {tensor: np.ones((1, tensor.shape[-1])) for tensor in joined.inputs}
    assert joined.apply(ones).shape == (1, 6)
    assert joined.apply(ones, lambda values: len(values)) == 2


def test_frontier_is_where_every_path_first_stops():
    graph = FlatGraph(shared_layer())

    def stops_at(*names):
        return graph.frontier(graph.input_nodes, lambda node: node.name in names, graph.successors)

    assert stops_at("last", "sum") == {node_named(graph, "sum")}
    assert {node.name for node in stops_at("shared")} == {"shared"}
    assert len(stops_at("shared")) == 2
    assert stops_at("elsewhere") == set()
    ends = graph.frontier(graph.output_nodes, lambda node: node.name == "shared", graph.predecessors)
    assert len(ends) == 2
    assert ends != stops_at("shared")


def test_frontier_is_empty_if_one_path_ends_without_a_stop():
    graph = FlatGraph(several_outputs())
    assert graph.frontier(graph.output_nodes, lambda node: node.name == "b", graph.predecessors) == set()


@settings(max_examples=25, deadline=None)
@given(parents=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3), min_size=1, max_size=6))
def test_graph_of_any_shape_has_the_edges_it_was_built_with(parents):
    """Node `k` adds up nodes that came before it; node 0 is the input."""
    tensors = [keras.Input((3,))]
    edges = [[parent % (index + 1) for parent in chosen] for index, chosen in enumerate(parents)]
    for index, chosen in enumerate(edges, start=1):
        terms = [tensors[parent] for parent in chosen]
        layer = layers.Add(name=f"node{index}") if len(terms) > 1 else layers.Identity(name=f"node{index}")
        tensors.append(layer(terms if len(terms) > 1 else terms[0]))
    graph = FlatGraph(keras.Model(tensors[0], tensors[1:]))
    assert [node.name for node in graph.output_nodes] == [f"node{index}" for index in range(1, len(tensors))]
    by_index = [*graph.input_nodes, *graph.output_nodes]
    for node, chosen in zip(by_index[1:], edges, strict=True):
        assert graph.predecessors(node) == [by_index[parent] for parent in chosen]
    reach = [set()]
    for chosen in edges:
        reach.append(set().union(*({parent} | reach[parent] for parent in chosen)))
    for node, indices in zip(by_index, reach, strict=True):
        assert graph.ancestors([node]) == {by_index[index] for index in indices}
