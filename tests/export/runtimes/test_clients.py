"""Our files in clients other than their own runtimes, and the faults of clients that are known.

A fault that is mended fails a test here: take it out, and out of docs/clients.md by `python docs/make_clients.py`.
"""

import json
import re
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from support.client_programs import NODE_MODULES

from pocketzoo import zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact, open_with
from pocketzoo.export.runtimes import client_environment
from pocketzoo.export.runtimes.clients import run_in_client
from pocketzoo.export.runtimes.onnx_runtime import open_onnx
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import missing_requirement, run_check
from pocketzoo.export.validation.reference import Reference
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.clients
MEASURED = Path(__file__).parents[3] / "docs" / "clients" / "lenet5.json"
FORMAT_NAMES = ("tflite-fp32", "tflite-int8-float", "onnx-fp32", "onnx-fp16", "onnx-int8")


@pytest.fixture(scope="module")
def subjects(digits, tmp_path_factory):
    """The trained LeNet-5 in several formats, with 100 images, by name of the format."""
    model = zoo.create_model("lenet5", weights="digits")
    images, labels = digits.test.arrays()
    samples = Samples(images[:100], labels[:100])
    reference = Reference(samples, "evaluation images", model.predict(samples.images, verbose=0))
    graph = ExportGraph.from_model(model)
    written = write_artifacts(
        graph, [FORMATS[name] for name in FORMAT_NAMES], samples, tmp_path_factory.mktemp("clients")
    )
    return {fmt.name: Subject(path, fmt, graph.metadata, reference) for path, fmt in written}


@pytest.fixture
def node_modules(monkeypatch):
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", str(NODE_MODULES))


RIGHT = [
    ("opencv", "onnx-fp32", 1e-6),
    ("opencv", "onnx-fp16", 2e-3),
    ("mnn", "onnx-fp32", 1e-5),
    ("mnn", "tflite-fp32", 1e-5),
    ("ncnn", "onnx-fp32", 1e-2),
    ("tract", "onnx-fp32", 1e-6),
    ("tract", "onnx-int8", 0.1),
    ("onnxruntime-node", "onnx-fp32", 1e-6),
    ("onnxruntime-node", "onnx-int8", 0.1),
    ("ort-format", "onnx-fp32", 1e-6),
    ("ort-format", "onnx-int8", 0.1),
]
WRONG = [("mnn", "tflite-int8-float")]
"""Silently: the outputs are those of no such net."""
REFUSED = [
    ("opencv", "tflite-fp32", "Unsupported operator type TANH"),
    ("opencv", "onnx-int8", "argTensor"),
    ("mnn", "onnx-int8", "its converter is ended by SIGABRT"),
    ("ncnn", "onnx-fp16", "ncnn does not load what pnnx wrote"),
    ("tract", "onnx-fp16", "Gemm .*expected 1,120,F16 got 1,120,F32"),
]


def checked(name, subject):
    if missing_requirement(name):
        pytest.skip(missing_requirement(name))
    return run_check(name, subject)


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize(("name", "kind", "tolerance"), RIGHT)
def test_client_computes_what_keras_computes(name, kind, tolerance, subjects):
    check = checked(name, subjects[kind])
    gates = {gate.name: gate for gate in check.gates}
    assert check.status == "passed", check.gates
    assert gates["relative difference"].figure <= tolerance
    assert check.version[0].isdigit()
    assert check.median_ms > 0
    assert all((subjects[kind].path.parent / file).stat().st_size > 500 for file in check.files)


@pytest.mark.parametrize(("name", "kind"), WRONG)
def test_client_that_computes_something_else_fails(name, kind, subjects):
    check = checked(name, subjects[kind])
    gates = {gate.name: gate.figure for gate in check.gates}
    assert check.status == "failed"
    assert gates["agreement"] < 0.5, "the fault is mended"
    assert gates["relative difference"] > 0.9


@pytest.mark.parametrize(("name", "kind", "message"), REFUSED)
def test_client_that_refuses_a_file_fails_with_its_message(name, kind, message, subjects):
    (gate,) = checked(name, subjects[kind]).gates
    assert (gate.name, gate.status) == ("ran", "failed"), "the fault is mended"
    assert re.search(message, gate.reason)


def test_page_on_clients_says_the_same():
    results = json.loads(MEASURED.read_text(encoding="utf-8"))["results"]
    tested = {"right": RIGHT, "wrong": WRONG, "refused": REFUSED}
    outcomes = {(name, kind): outcome for outcome, cases in tested.items() for name, kind, *_ in cases}
    assert {case: results[case[0]][case[1]]["outcome"] for case in outcomes} == outcomes


def test_probabilities_are_not_rounded_to_integers(subjects):
    """In tract, a softmax that was rounded is something else; and they are floats for all others."""
    graph = onnx.load(subjects["onnx-int8"].path).graph
    assert [node.op_type for node in graph.node if graph.output[0].name in node.output] == ["Softmax"]


def test_padded_channels_reach_ncnn(tmp_path, pixels):
    """The Pad of a shortcut, which ncnn's converter takes only if it states its mode."""
    keras.utils.set_random_seed(0)
    model, images = zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 3)), pixels(4, 16, 16, 3)
    graph = ExportGraph.from_model(model)
    ((path, fmt),) = write_artifacts(graph, [FORMATS["onnx-fp32"]], None, tmp_path)
    reference = Reference(Samples(images, None), "noise", model.predict(images, verbose=0))
    assert checked("ncnn", Subject(path, fmt, graph.metadata, reference)).status == "passed"


def test_softmax_of_a_map_in_tflite_takes_the_wrong_axis_in_opencv(tmp_path, pixels):
    keras.utils.set_random_seed(0)
    image, images = keras.Input((8, 8, 3)), pixels(4, 8, 8, 3)
    maps = keras.layers.Conv2D(3, 1, activation="softmax")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, maps, name="net")
    state_contract(model, task="segmentation", labels=["a", "b", "c"])
    graph = ExportGraph.from_model(model)
    reference = Reference(Samples(images, None), "noise", model.predict(images, verbose=0), "segmentation")
    formats = [FORMATS["tflite-fp32"], FORMATS["onnx-fp32"]]
    written = write_artifacts(graph, formats, None, tmp_path)
    found = {fmt.name: checked("opencv", Subject(path, fmt, graph.metadata, reference)).status for path, fmt in written}
    assert found == {"tflite-fp32": "failed", "onnx-fp32": "passed"}


def test_file_in_ort_format_keeps_the_metadata(subjects):
    subject = subjects["onnx-fp32"]
    (file,) = run_check("ort-format", subject).files
    artifact = open_with(open_onnx, subject.path.with_name(file))
    assert artifact.metadata == load_artifact(subject.path).metadata
    assert artifact.input == load_artifact(subject.path).input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("os.abort()", "the process is ended by SIGABRT"),
        ("raise ValueError('no such operator')", "ValueError: no such operator"),
        ("time.sleep(60)", "numpy did not finish within 1 s"),
    ],
)
def test_client_that_crashes_or_hangs_is_an_error_that_says_so(line, message, tmp_path, monkeypatch):
    monkeypatch.setattr(client_environment, "SECONDS", 1)
    program = tmp_path / "client.py"
    program.write_text(f"import os\nimport time\n\n\ndef open_model(model):\n    {line}\n")
    with pytest.raises(RuntimeError, match=message):
        run_in_client("numpy", str(program), tmp_path / "net.onnx", {"image": np.zeros((1, 2))})


@pytest.mark.usefixtures("node_modules")
def test_open_batch_is_skipped(tmp_path, digits):
    images = digits.test.arrays()[0][:4]
    graph = ExportGraph.from_model(zoo.create_model("lenet5", weights="digits"), open_batch=True)
    ((path, fmt),) = write_artifacts(graph, [FORMATS["onnx-fp32"]], None, tmp_path)
    subject = Subject(path, fmt, graph.metadata, Reference(Samples(images, None), "noise", np.zeros((4, 10))))
    assert "lenet5 leaves its size or batch open" in checked("onnxruntime-node", subject).skipped


def test_missing_client_is_skipped_with_the_install_command(subjects, monkeypatch):
    monkeypatch.setattr(client_environment, "find_spec", lambda module: None)
    monkeypatch.setattr(client_environment, "_has_module", lambda python, module: False)
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", "nowhere")
    reasons = [run_check(name, subjects["onnx-fp32"]).skipped for name in ("tract", "onnxruntime-node", "ncnn")]
    assert re.search("tract is not installed: python -m venv .*pip install tract", reasons[0])
    assert re.search("onnxruntime-node is not installed: .*npm install onnxruntime-node", reasons[1])
    assert re.search("ncnn with pnnx is not installed: .*pip install ncnn && .*pip install --no-deps pnnx", reasons[2])
