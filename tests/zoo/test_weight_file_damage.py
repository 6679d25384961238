"""Files of weights that no writer makes, or that refer to other files: one sentence each, and nothing else is read."""

import io
import json
import struct

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file
from support.weight_files import legacy_h5, safetensors

from pocketzoo import zoo
from pocketzoo.core import hdf5_files
from pocketzoo.zoo.pretrained.tensor_files import read_tensors
from pocketzoo.zoo.pretrained.weighted_layers import named_weights
from pocketzoo.zoo.saving import load_weights

VALUES = bytes(16)
FOUR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


def tensor(**changes):
    return {"a": FOUR | changes}


SAFETENSORS = {
    "empty": b"",
    "cut in the size": bytes(5),
    "header beyond the file": struct.pack("<Q", 10**6) + b"{}",
    "header beyond all files": b"\xff" * 8 + b"{}",
    "no JSON": safetensors(b"{", VALUES),
    "no UTF-8": safetensors(b'{"\xff": 1}', VALUES),
    "list": safetensors([]),
    "null": safetensors(None),
    "number": safetensors(5),
    "deep": safetensors(b'{"a":' * 50_000, VALUES),
    "no tensors": safetensors({}),
    "only metadata": safetensors({"__metadata__": {"a": "b"}}),
    "metadata that is no text": safetensors({"__metadata__": {"a": 1}} | tensor(), VALUES),
    "unknown type": safetensors(tensor(dtype="F99"), VALUES),
    "8-bit floats": safetensors(tensor(dtype="F8_E4M3", shape=[16]), VALUES),
    "4-bit floats": safetensors(tensor(dtype="F4", shape=[32]), VALUES),
    "complex": safetensors(tensor(dtype="C64", shape=[2]), VALUES),
    "booleans": safetensors(tensor(dtype="BOOL", shape=[16]), VALUES),
    "integers": safetensors(tensor(dtype="I32"), VALUES),
    "negative shape": safetensors(tensor(shape=[-4]), VALUES),
    "huge shape": safetensors(tensor(shape=[2**62, 4]), VALUES),
    "shape that overflows": safetensors(tensor(shape=[2**63, 2**63]), VALUES),
    "fractional shape": safetensors(tensor(shape=[4.5]), VALUES),
    "other shape than values": safetensors(tensor(shape=[3]), VALUES),
    "offsets reversed": safetensors(tensor(data_offsets=[16, 0]), VALUES),
    "offsets beyond the file": safetensors(tensor(shape=[40], data_offsets=[0, 160]), VALUES),
    "negative offsets": safetensors(tensor(data_offsets=[-16, 0]), VALUES),
    "overlap": safetensors(tensor() | {"b": FOUR}, VALUES),
    "hole": safetensors(tensor(data_offsets=[16, 32]), VALUES * 2),
    "more bytes": safetensors(tensor(), VALUES * 2),
    "fewer bytes": safetensors(tensor(), VALUES[:8]),
    "no shape": safetensors({"a": {"dtype": "F32", "data_offsets": [0, 16]}}, VALUES),
    "same name twice": safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(FOUR).encode(),) * 2), VALUES),
    "NaN": save({"a": np.float32([np.nan])}),
}


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_damaged_safetensors_file_is_refused(tmp_path, kind):
    path = tmp_path / "w.safetensors"
    path.write_bytes(SAFETENSORS[kind])
    with pytest.raises(zoo.InputError, match=r"w\.safetensors"):
        read_tensors(path)
    with pytest.raises(zoo.InputError):
        zoo.create_model("lenet5", weights=path)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_plain_floating_point_numbers_of_any_width_are_read(tmp_path, dtype):
    path, size = tmp_path / "w.safetensors", {"F64": 8, "F32": 4}.get(dtype, 2)
    path.write_bytes(safetensors(tensor(dtype=dtype, data_offsets=[0, 4 * size]), bytes(4 * size)))
    assert read_tensors(path)["a"].tolist() == [0, 0, 0, 0]
    assert read_tensors(path)["a"].dtype == np.float32


@pytest.fixture(scope="module")
def lenet():
    model = zoo.create_model("lenet5")
    return {name: weight.numpy() for name, weight in named_weights(model).items()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tensor_of_any_other_shape_is_refused(lenet, tmp_path, data):
    name = data.draw(st.sampled_from(sorted(lenet)))
    shape = data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=5).map(tuple))
    if shape == lenet[name].shape or "dense" in name:  # dense layers depend on the image size and start afresh
        return
    channels = data.draw(st.sampled_from([1, 3]))
    save_file(lenet | {name: np.zeros(shape, "float32")}, tmp_path / "w.safetensors")
    with pytest.raises(zoo.InputError):
        zoo.create_model("lenet5", weights=tmp_path / "w.safetensors", input_shape=(32, 32, channels))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(st.sampled_from([0, 1, 2, 84]), max_size=3).map(tuple), of=st.sampled_from(["kernel", "bias"]))
def test_head_of_any_shape_is_refused_or_replaced(lenet, tmp_path, shape, of):
    save_file(lenet | {f"head_dense/{of}": np.zeros(shape, "float32")}, tmp_path / "w.safetensors")
    try:
        zoo.create_model("lenet5", weights=tmp_path / "w.safetensors")
    except zoo.InputError:
        return
    assert of == "kernel" or shape == (10,)


def test_state_dict_of_scalars_is_refused(tmp_path):
    names = ("fc.weight", "classifier.weight", "conv1.weight")
    save_file({name: np.array(1, "float32") for name in names}, tmp_path / "w.safetensors")
    with pytest.raises(zoo.InputError, match="does not contain the weights of"):
        zoo.create_model("resnet18", weights=tmp_path / "w.safetensors")


def changed(change) -> bytes:
    """A good file of Keras 1 or 2 with one change."""
    content = io.BytesIO(legacy_h5({"conv/kernel": np.ones((2, 2), "float32"), "conv/bias": np.ones(2, "float32")}))
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def replace(make):
    def change(file):
        del file["conv/conv/kernel:0"]
        make(file["conv"], "conv/kernel:0")

    return change


def virtual(group, name):
    layout = h5py.VirtualLayout((2, 2), "float32")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (2, 2))
    group.create_virtual_dataset(name, layout)


OUTSIDE = {
    "external link": replace(lambda group, name: group.update({name: h5py.ExternalLink("secret.h5", "x")})),
    "link": replace(lambda group, name: group.update({name: h5py.SoftLink("/conv/conv/bias:0")})),
    "endless link": replace(lambda group, name: group.update({name: h5py.SoftLink(f"/conv/{name}")})),
    "external storage": replace(
        lambda group, name: group.create_dataset(name, (2, 2), "float32", external=[("secret.bin", 0, 16)])
    ),
    "virtual": replace(virtual),
    "unused external link": lambda file: file.update({"other": h5py.ExternalLink("secret.h5", "x")}),
}
H5 = {
    "compound": replace(lambda group, name: group.update({name: np.zeros(2, [("a", "f4"), ("b", "i4")])})),
    "text": replace(lambda group, name: group.update({name: "text"})),
    "bytes": replace(lambda group, name: group.update({name: np.bytes_([b"a", b"b"])})),
    "references": replace(lambda group, name: group.create_dataset(name, (2,), h5py.ref_dtype)),
    "integers": replace(lambda group, name: group.update({name: np.ones((2, 2), "int32")})),
    "complex": replace(lambda group, name: group.update({name: np.ones((2, 2), "complex64")})),
    "nothing": replace(lambda group, name: group.update({name: h5py.Empty("f4")})),
    "NaN": replace(lambda group, name: group.update({name: np.float32([[np.nan, 1], [1, 1]])})),
    "group for a tensor": replace(lambda group, name: group.create_group(name)),
    "tensor for a group": lambda file: (file.__delitem__("conv"), file.update({"conv": np.ones(2)})),
    "declared only": replace(lambda group, name: group.create_dataset(name, (2**20, 2**20), "float32")),
    "declared chunks": replace(
        lambda group, name: group.create_dataset(name, (2**20, 2**20), "float32", chunks=(64, 64), compression="gzip")
    ),
    "missing tensor": lambda file: file.__delitem__("conv/conv/kernel:0"),
    "missing layer": lambda file: file.__delitem__("conv"),
    "no layer names": lambda file: file.attrs.__delitem__("layer_names"),
    "no weight names": lambda file: file["conv"].attrs.__delitem__("weight_names"),
    "numbers for names": lambda file: file.attrs.update({"layer_names": np.arange(3)}),
    "no names": lambda file: file.attrs.update({"layer_names": h5py.Empty("S1")}),
    "names that are no text": lambda file: file.attrs.update({"layer_names": np.bytes_([b"\xff"])}),
    "repeated names": lambda file: file.attrs.update({"layer_names": np.bytes_([b"conv", b"conv"])}),
    "model_weights is a tensor": lambda file: file.update({"model_weights": np.ones(2)}),
}


@pytest.fixture
def secret(tmp_path, monkeypatch):
    """The user's own files, beside the one that refers to them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.zeros((2, 2), "float32")


@pytest.mark.parametrize("kind", OUTSIDE)
def test_weights_in_another_file_are_never_read(tmp_path, secret, kind):
    path = tmp_path / "w.h5"
    path.write_bytes(changed(OUTSIDE[kind]))
    with pytest.raises(zoo.InputError, match=r"is a link to .* not followed|lie in another file, which is not read"):
        read_tensors(path)
    with pytest.raises(zoo.InputError, match=r"is a link to .* not followed|lie in another file, which is not read"):
        zoo.load_model(path)


@pytest.mark.parametrize("kind", H5)
def test_damaged_h5_file_is_refused(tmp_path, kind):
    path = tmp_path / "w.h5"
    path.write_bytes(changed(H5[kind]))
    with pytest.raises(zoo.InputError, match=r"w\.h5"):
        read_tensors(path)


def test_empty_attributes_are_read(tmp_path):
    (tmp_path / "w.h5").write_bytes(
        changed(lambda file: file.attrs.update({"none": h5py.Empty("f4"), "no_names": np.zeros((0,), "S1")}))
    )
    assert set(read_tensors(tmp_path / "w.h5")) == {"conv/kernel", "conv/bias"}


def test_groups_that_contain_themselves_are_read_once(tmp_path):
    (tmp_path / "w.h5").write_bytes(
        changed(lambda file: file["conv"].update({"again": file["conv"], "root": file["/"]}))
    )
    assert set(read_tensors(tmp_path / "w.h5")) == {"conv/kernel", "conv/bias"}


@pytest.fixture(scope="module")
def dense():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    return model


@pytest.mark.parametrize("kind", [*OUTSIDE, "compound", "text", "references", "declared only", "group for a tensor"])
def test_damaged_weights_file_of_keras_3_is_refused(dense, tmp_path, secret, kind):
    path = tmp_path / "w.weights.h5"
    dense.save_weights(path)
    with h5py.File(path, "r+") as file:
        kernel, bias = file["layers/dense/vars/0"], file["layers/dense/vars/1"]
        group = file.create_group("conv")
        group["conv/kernel:0"], group["conv/bias:0"] = kernel, bias
        (OUTSIDE | H5)[kind](file)
        if "conv/conv/kernel:0" in file and kind not in OUTSIDE:
            del file["layers/dense/vars/0"]
            file.move("conv/conv/kernel:0", "layers/dense/vars/0")
    with pytest.raises(zoo.InputError, match=r"w\.weights\.h5"):
        load_weights(dense, path)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("while True: pass", "reading it does not end"),
        ("import os; os.abort()", "ends the process that reads it .SIGABRT."),
        ("import sys; sys.exit(3)", "asks for more memory than it can fill"),
    ],
)
def test_file_that_hangs_or_ends_its_reader_is_refused(tmp_path, monkeypatch, program, message):
    limits = "from resource import *; setrlimit(RLIMIT_CPU, (1, 2)); setrlimit(RLIMIT_CORE, (0, 0))"
    (tmp_path / "probe.py").write_text(f"{limits}\n{program}")
    monkeypatch.setattr(hdf5_files, "PROBE", tmp_path / "probe.py")
    (tmp_path / "w.h5").write_bytes(changed(lambda file: None))
    with pytest.raises(zoo.InputError, match=message):
        read_tensors(tmp_path / "w.h5")
