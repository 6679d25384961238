"""A small TFLite or ONNX file that asks for any time, memory or file is refused before this process runs it."""

import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pocketzoo import export, zoo
from pocketzoo.export.runtimes import probe
from pocketzoo.export.runtimes.onnx_files import check_onnx

IMAGE = [1, 4, 4, 3]
NODE, VALUE = helper.make_node, helper.make_tensor_value_info
SUM = NODE("ReduceSum", ["large"], ["sum"], keepdims=0)


def integers(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


@pytest.fixture
def write(tmp_path):
    """Write an ONNX file of these nodes, which make the tensor `sum` of the image."""

    def write_model(nodes, initializers=(), functions=()):
        output = NODE("Add", ["image", "sum"], ["output"])
        inputs, outputs = [VALUE("image", TensorProto.FLOAT, IMAGE)], [VALUE("output", TensorProto.FLOAT, None)]
        graph = helper.make_graph([*nodes, output], "graph", inputs, outputs, list(initializers))
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))
        path = tmp_path / "small.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write_model


def loop(trip_count, *inner, name="repeat"):
    """A loop whose body does nothing but what is `inner`."""
    body = helper.make_graph(
        [NODE("Identity", ["going"], ["goes"]), *inner, NODE("Identity", ["large"], ["larger"])],
        "body",
        [VALUE("i", TensorProto.INT64, []), VALUE("going", TensorProto.BOOL, [])],
        [VALUE("goes", TensorProto.BOOL, []), VALUE("larger", TensorProto.FLOAT, None)],
    )
    return NODE("Loop", [trip_count, ""], ["all"], name=name, body=body)


LARGE = NODE("Identity", ["image"], ["large"])


@pytest.mark.parametrize(
    ("count", "stated"), [(2**62, "4,611,686,018,427,387,904"), (None, "9,223,372,036,854,775,807"), (10_001, "10,001")]
)
def test_loop_with_more_iterations_than_the_limit_is_refused(write, count, stated):
    path = write([LARGE, loop("count" if count else ""), SUM], [integers("count", count)] if count else [])
    with pytest.raises(zoo.InputError, match=rf"its Loop 'repeat' has up to {stated} iterations; the limit is 10,000"):
        export.load_artifact(path)


def test_iterations_of_nested_loops_are_multiplied(write):
    nested = loop("count", loop("count", name="inner"))
    path = write([LARGE, nested, SUM], [integers("count", 1000)])
    with pytest.raises(zoo.InputError, match="its Loop 'inner' has up to 1,000,000 iterations"):
        export.load_artifact(path)


def test_loop_that_is_short_runs(write):
    artifact = export.load_artifact(write([LARGE, loop("count"), SUM], [integers("count", 3)]))
    assert artifact.invoke(np.ones(IMAGE, "float32")).shape == tuple(IMAGE)


def test_loop_in_a_function_or_a_branch_is_found(write):
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Repeat", ["large"], ["all"], [loop("count")], opset)
    with pytest.raises(zoo.InputError, match="its Loop 'repeat' has up to 9,223,372,036,854,775,807 iterations"):
        export.load_artifact(write([LARGE, NODE("Repeat", ["large"], ["x"], domain="own"), SUM], functions=[function]))
    branch = helper.make_graph([loop("")], "branch", [], [VALUE("all", TensorProto.FLOAT, None)])
    condition = helper.make_tensor("condition", TensorProto.BOOL, [], [True])
    either = NODE("If", ["condition"], ["x"], then_branch=branch, else_branch=branch)
    with pytest.raises(zoo.InputError, match="its Loop 'repeat' has up to"):
        export.load_artifact(write([LARGE, either, SUM], [condition]))


def test_loop_in_one_of_two_functions_of_a_name_is_found(write):
    opset = [helper.make_opsetid("", 17)]
    functions = [
        helper.make_function(domain, "Repeat", ["large"], ["all"], nodes, opset)
        for domain, nodes in {"own": [loop("count")], "other": [NODE("Identity", ["large"], ["all"])]}.items()
    ]
    with pytest.raises(zoo.InputError, match="its Loop 'repeat' has up to"):
        export.load_artifact(write([LARGE, NODE("Repeat", ["large"], ["x"], domain="own"), SUM], functions=functions))


def test_loop_whose_operator_is_stated_twice_is_found():
    node = loop("count").SerializeToString()
    twice = b"\x22\x03Add" + node  # the last one counts
    graph = helper.make_graph([], "graph", [], [], [integers("count", 2**62)]).SerializeToString()
    graph += b"\x0a" + bytes([len(twice) & 127 | 128, len(twice) >> 7]) + twice
    model = b"\x3a" + bytes([len(graph) & 127 | 128, len(graph) >> 7]) + graph
    with pytest.raises(zoo.InputError, match="its Loop 'repeat' has up to"):
        check_onnx(Path("small.onnx"), model)


@pytest.mark.parametrize("last", ["f0", "f20"])
def test_functions_that_call_each_other_without_an_end_are_refused(write, last):
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    names = [f"f{n}" for n in range(20)]

    def twice(name, called):
        nodes = [NODE(called, ["x"], ["y"], domain="own"), NODE(called, ["y"], ["z"], domain="own")]
        return helper.make_function("own", name, ["x"], ["z"], nodes, opsets)

    functions = [twice(name, called) for name, called in zip(names, [*names[1:], last], strict=True)]
    path = write([LARGE, NODE("f0", ["image"], ["x"], domain="own"), SUM], functions=functions)
    with pytest.raises(zoo.InputError, match=r"its graph, .*, has [\d,]+ parts; the limit is 20,000"):
        export.load_artifact(path)


@pytest.mark.parametrize(
    ("nodes", "initializers"),
    [
        ([NODE("Expand", ["image", "shape"], ["large"]), SUM], [integers("shape", 10**9, 4, 4, 3)]),
        ([NODE("ConstantOfShape", ["shape"], ["large"]), SUM], [integers("shape", 2**60)]),
    ],
)
def test_tensor_larger_than_the_memory_limit_is_refused(write, nodes, initializers):
    with pytest.raises(zoo.InputError, match=r"more than 8,589,934,592 bytes of memory; the limit is .*MODEL_MEM"):
        export.load_artifact(write(nodes, initializers))


def test_model_that_takes_longer_than_the_limit_is_refused(write, monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_LOOP_SECONDS", "1")
    monkeypatch.setenv("POCKETZOO_LIMIT_LOOP_ITERATIONS", str(2**62))
    with pytest.raises(zoo.InputError, match="one image takes more than 1 seconds; the limit is 1 "):
        export.load_artifact(write([LARGE, loop("count"), SUM], [integers("count", 2**40)]))


def test_tflite_file_with_a_loop_has_less_time(tmp_path, monkeypatch):
    image = keras.Input((8, 8, 1))
    looped = keras.layers.Lambda(lambda x: keras.ops.fori_loop(0, 3, lambda _, y: y * 0.9, x))(image)
    net = keras.Model(image, keras.layers.GlobalAveragePooling2D()(looped))
    path = tmp_path / "loop.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(net).convert())
    assert export.load_artifact(path).invoke(np.full((1, 8, 8, 1), 100, "float32")) == pytest.approx(72.9)
    monkeypatch.setenv("POCKETZOO_LIMIT_LOOP_SECONDS", "1")
    monkeypatch.setattr(probe, "COMMAND", [sys.executable, "-c", "import time; time.sleep(9)"])
    with pytest.raises(zoo.InputError, match="one image takes more than 1 seconds; the limit is 1 "):
        export.load_artifact(path)


@pytest.fixture
def with_data_in(write):
    """Write a model whose only weights lie in another file."""

    def write_model(location):
        weights = TensorProto(name="large", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        weights.external_data.add(key="location", value=location)
        return write([SUM], [weights])

    return write_model


def test_data_beside_an_onnx_file_is_read_wherever_the_command_runs(with_data_in, tmp_path, monkeypatch):
    np.full(4, 2, "float32").tofile(tmp_path / "weights.bin")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    artifact = export.load_artifact(with_data_in("weights.bin"))
    np.testing.assert_array_equal(artifact.invoke(np.ones(IMAGE, "float32")), np.full(IMAGE, 9))


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("{outside}", "which is not in its own folder"),
        ("../outside.bin", "which is not in its own folder"),
        ("sub/../../outside.bin", "which is not in its own folder"),
        ("", "which is not in its own folder"),
        ("link", "a link to outside of its own folder"),
        ("linked/outside.bin", "a link to outside of its own folder"),
        ("pipe", "it is a pipe, not a regular file"),
        ("sparse", "has 1,099,511,627,776 bytes; the limit is 2,147,483,648"),
        ("none", "there is no such file"),
        ("a\0b", "which is not in its own folder"),
    ],
)
def test_data_of_an_onnx_file_that_lies_elsewhere_is_refused(with_data_in, tmp_path, location, message):
    outside = tmp_path.parent / "outside.bin"
    np.ones(4, "float32").tofile(outside)
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "linked").symlink_to(tmp_path.parent)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**40)
    with pytest.raises(zoo.InputError, match=message):
        export.load_artifact(with_data_in(location.format(outside=outside)))


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=60), cut=st.integers(0, 300), at=st.integers(0, 300))
@example(content=b"\x08\x008\x00", cut=0, at=0)
def test_any_bytes_are_inspected_or_refused_in_words(content, cut, at, tmp_path_factory):
    model = helper.make_model(
        helper.make_graph([LARGE, loop("count"), SUM], "graph", [VALUE("image", 1, IMAGE)], [], [integers("count", 3)])
    ).SerializeToString()
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    for changed in (content, model[:cut], model[:at] + content + model[at:]):
        try:
            check_onnx(path, changed)
        except zoo.InputError as error:
            assert str(error)  # noqa: PT017 (it is not always raised)
