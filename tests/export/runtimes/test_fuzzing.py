"""Damaged and malicious files are refused with a message."""

import io
import json
import subprocess
import sys
import zipfile

import keras
import pytest
from ai_edge_litert import schema_py_generated as tflite

from pocketzoo import export, zoo
from pocketzoo.export.tflite_schema.flatbuffer import pack_model, unpack_model


def test_file_that_crashes_litert_does_not_crash_this_process(bundle, tmp_path):
    content = (bundle / "lenet5-int8.tflite").read_bytes()
    model = unpack_model(content)
    codes = [code.builtinCode for code in model.operatorCodes]
    reshape = next(op for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == tflite.BuiltinOperator.RESHAPE)
    reshape.inputs = [reshape.inputs[0], -1]  # to a shape that is not there
    path = tmp_path / "deadly.tflite"
    path.write_bytes(pack_model(model) + content[content.index(b"PK\x03\x04") :])
    bare = "import sys; from ai_edge_litert.interpreter import Interpreter as I; I(sys.argv[1]).allocate_tensors()"
    assert subprocess.run([sys.executable, "-c", bare, path], capture_output=True).returncode < 0
    with pytest.raises(zoo.InputError, match=r"deadly\.tflite cannot be opened as a model: it crashes the process"):
        export.load_artifact(path)


def test_graph_that_fails_when_it_runs_says_so(bundle, digits, tmp_path):
    import onnx

    model = onnx.load(bundle / "lenet5-fp32.onnx")
    reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
    shape = next(tensor for tensor in model.graph.initializer if tensor.name == reshape.input[1])
    shape.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(shape) + 7, shape.name))
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(zoo.InputError, match=r"broken\.onnx cannot be (run|opened)"):
        export.predict(export.load_artifact(tmp_path / "broken.onnx"), digits.test.images.take([0]))


def layer(class_name, package="keras.layers", **config):
    return {"module": package, "class_name": class_name, "config": {"name": "x", **config}, "registered_name": None}


HOSTILE = {
    "a Lambda layer": layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wAAAA=="}}),
    "a function of the standard library": {"module": "os", "class_name": "function", "config": "system"},
    "a class of the standard library": layer("Popen", "subprocess", args="touch harm"),
    "a download": {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    "a saved graph of TensorFlow": layer("TFSMLayer", filepath="harm", call_endpoint="serve"),
    "a pickle of PyTorch": layer("TorchModuleWrapper", module={"buffer": "gAWVAAAA"}),
    "a module of the current folder": layer("Harm", "keras_hub.harm"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_saved_model_that_asks_for_code_is_refused(what, tmp_path, monkeypatch):
    """A layer's config is replaced by one that names something else; nothing of it runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "keras_hub").mkdir()
    (tmp_path / "keras_hub" / "__init__.py").write_text("")
    (tmp_path / "keras_hub" / "harm.py").write_text("open('harm', 'w')\nclass Harm: pass\n")
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.ReLU(name="x"), keras.layers.Flatten()])
    path = zoo.save_model(model, tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] = HOSTILE[what]
    parts["config.json"] = json.dumps(config).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    path.write_bytes(file.getvalue())
    with pytest.raises(zoo.InputError, match=r"cannot be read as a \.keras model|which is not known here"):
        zoo.load_model(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1, 2]", b'{"schema_version": 1}', b"[" * 100_000])
def test_file_that_is_not_a_manifest_is_refused(content, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=r"manifest\.json is not a bundle's manifest"):
        export.Manifest.load(path)
    with pytest.raises(zoo.InputError, match="there is no such file"):
        export.Manifest.load(tmp_path / "none.json")
