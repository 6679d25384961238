"""Core ML packages: what is in them, and what their programs compute, which is evaluated here without Core ML."""

import re
import shutil
import sys
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pocketzoo import export, zoo
from pocketzoo.core.errors import InputError
from pocketzoo.core.output_capture import suppress_output
from pocketzoo.export.artifact.directories import graph_file
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import open_converted, open_with
from pocketzoo.export.readme.programs import program
from pocketzoo.export.readme.runnable_files import RunnableFile
from pocketzoo.export.readme.snippet_table import SNIPPETS
from pocketzoo.export.runtimes import core_ml, core_ml_operations
from pocketzoo.export.runtimes.core_ml import CLASS_PROBABILITIES, count_operations
from pocketzoo.export.runtimes.core_ml_program import open_program
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.export.validation.reference import Reference
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.skipif(find_spec("coremltools") is None, reason="coremltools is not installed")
LABELS = ("Käse 猫", 'a "b" \\ c', "tree")


def map_net():
    """RGB from -1 to 1 with every way to pad, pool, resize and convolve; a probability for each pixel."""
    keras.utils.set_random_seed(1)
    image = keras.Input((20, 24, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(image)
    skip = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.BatchNormalization()(skip))
    x = layers.Conv2D(32, 3, padding="same", groups=2, activation="relu6")(x)
    x = layers.Conv2D(8, 3, padding="same", name="large")(x)
    weights = layers.Dense(8, "hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, weights])
    up = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="gelu")(x)
    near = layers.UpSampling2D(2)(layers.AveragePooling2D(3, 2, padding="same")(skip))
    every_second = layers.MaxPooling2D(1, 2)(skip)  # its strides are larger than its windows
    x = layers.Concatenate()([up, skip, layers.UpSampling2D(2)(every_second), near])
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.LayerNormalization()(x))
    model = keras.Model(image, layers.Conv2D(3, 1, activation="softmax")(x), name="maps")
    state_contract(model, task="segmentation", labels=LABELS, pixels=(-1, 1))
    return model


def several_net():
    """An image, a vector and an index; a class and numbers."""
    keras.utils.set_random_seed(2)
    photo, about = keras.Input((8, 8, 1), name="photo"), keras.Input((4,), name="about")
    kind = keras.Input((1,), dtype="int32", name="kind")
    features = layers.Concatenate()(
        [layers.Flatten()(layers.Conv2D(2, 3)(photo)), about, layers.Flatten()(layers.Embedding(5, 4)(kind))]
    )
    outputs = {"score": layers.Dense(2)(features), "kind_of": layers.Dense(3, "softmax")(features)}
    return keras.Model({"photo": photo, "about": about, "kind": kind}, outputs, name="several")


def pixels_of(model, count=6):
    """Values for each input: raw pixels of images, and numbers."""
    random = np.random.default_rng(0)
    inputs = model.input if isinstance(model.input, dict) else {"": model.input}
    values = {
        name: random.integers(0, 256, (count, *tensor.shape[1:])).astype("uint8")
        if len(tensor.shape) == 4
        else random.integers(0, 5, (count, 1)).astype("int32")
        if tensor.dtype == "int32"
        else random.normal(size=(count, *tensor.shape[1:])).astype("float32")
        for name, tensor in inputs.items()
    }
    return values.get("", values)


@pytest.fixture(scope="module")
def bundle(trained_file, digits, tmp_path_factory):
    """A bundle of the trained LeNet-5 for `apple`."""
    out = tmp_path_factory.mktemp("apple") / "out"
    export.export_model(zoo.load_model(trained_file), out, targets="apple", evaluation=digits.test)
    return out


@pytest.fixture(scope="module", params=[map_net, several_net], ids=["maps", "several"])
def written(request, tmp_path_factory):
    """A model, and its packages in float16 and int8."""
    model, folder = request.param(), tmp_path_factory.mktemp("packages")
    formats = [FORMATS["coreml-fp16"], FORMATS["coreml-int8"]]
    return model, [path for path, _ in write_artifacts(ExportGraph.from_model(model), formats, None, folder)]


def test_program_of_a_package_computes_what_keras_does(written):
    model, paths = written
    values = pixels_of(model)
    scaled = values.astype("float32") * np.float32(2 / 255) - 1 if model.name == "maps" else values
    expected = model.predict(scaled, verbose=0)
    for path, tolerance in zip(paths, (2e-3, 3e-2), strict=True):
        outputs = open_with(open_program, path).run(values)
        named = outputs if isinstance(outputs, dict) else {"": outputs}
        for name, rows in (expected if isinstance(expected, dict) else {"": expected}).items():
            assert named[name] == pytest.approx(rows, abs=tolerance * np.abs(rows).max())


def test_package_names_its_inputs_and_outputs_and_takes_images(written):
    model, paths = written
    for path in paths:
        spec = _spec(path)
        description, artifact = spec.description, open_converted(path)
        assert spec.specificationVersion == 7  # iOS 16
        kinds = {feature.name: feature.type.WhichOneof("Type") for feature in description.input}
        if model.name == "maps":
            image = description.input[0].type.imageType
            assert (image.width, image.height, image.colorSpace) == (24, 20, 20)  # RGB
            assert kinds == {"image": "imageType"}
            assert [feature.name for feature in description.output] == ["mask"]
            assert artifact.output.shape == (1, 20, 24, 3)
            assert artifact.input.scale == pytest.approx(2 / 255)
        else:
            assert kinds == {"photo": "imageType", "about": "multiArrayType", "kind": "multiArrayType"}
            assert list(artifact.outputs) == list(model.output)
            assert artifact.inputs["kind"].dtype == "int32"
        assert description.metadata.shortDescription.startswith(f"{model.name}: ")


def _spec(path):
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(graph_file(path).read_bytes())


def refuse_form(x, weight, bias=None, strides=(), pad_type="", pad=(), dilations=(), groups=1):
    raise core_ml.UnknownOperationError("conv of this form is not evaluated here")


def check_with(conv, written, monkeypatch):
    """The check of a package where `conv` computes convolutions."""
    model, (path, _) = written
    monkeypatch.setitem(core_ml_operations.OPERATIONS, "conv", conv)
    reference = Reference(Samples(pixels_of(model), None), "noise", None)
    return run_check("coreml-program", Subject(path, FORMATS["coreml-fp16"], open_converted(path).metadata, reference))


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        (refuse_form, "conv of this form is not evaluated here"),
        (lambda x, weight, bias=None: x, r"conv with dilations, groups, .* is not evaluated here, as in \w+"),
    ],
)
def test_form_of_an_operation_that_is_not_evaluated_skips_the_check(conv, message, written, monkeypatch):
    check = check_with(conv, written, monkeypatch)
    assert check.gates == ()
    assert re.fullmatch(message, check.skipped)


@pytest.mark.parametrize("kind", [TypeError, NotImplementedError])
def test_fault_in_the_evaluation_fails_the_check(kind, written, monkeypatch, request):
    def conv(x, weight, bias=None, strides=(), pad_type="", pad=(), dilations=(), groups=1):
        raise kind("a fault of ours")

    check = check_with(conv, written, monkeypatch)
    (written[1][0].parent / check.files[0]).unlink()
    assert (check.skipped, check.gates[0].status) == (None, "failed")
    assert "a fault of ours" in check.gates[0].reason


def test_argument_that_is_computed_where_a_constant_is_evaluated_is_named(tmp_path):
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    @Builder.program(
        [Builder.TensorSpec((4,)), Builder.TensorSpec((1,), types.int32)], opset_version=coremltools.target.iOS16
    )
    def program(x, start):
        return Builder.slice_by_index(x=x, begin=start, end=[4])

    path = tmp_path / "x.mlpackage"
    with suppress_output():
        coremltools.convert(program, skip_model_load=True, minimum_deployment_target=coremltools.target.iOS16).save(
            str(path)
        )
    with pytest.raises(core_ml.UnknownOperationError, match="slice_by_index with a computed begin is not evaluated"):
        open_program(path, graph_file(path).read_bytes())


def test_weights_of_int8_packages_are_integers(written):
    sizes = [sum(file.stat().st_size for file in (path / "Data").rglob("weight.bin")) for path in written[1]]
    kinds = [count_operations(graph_file(path).read_bytes()) for path in written[1]]
    assert "constexpr_affine_dequantize" not in kinds[0]
    if written[0].name == "several":
        return  # its kernels are too small, and stay in float16
    assert sizes[1] < sizes[0]
    assert kinds[1]["constexpr_affine_dequantize"] >= 1


def test_classifier_has_its_labels_and_passes_every_check_but_core_ml(bundle):
    manifest = export.Manifest.load(bundle / "manifest.json")
    assert [record.format for record in manifest.artifacts] == ["coreml-fp16", "coreml-int8"]
    for record in manifest.artifacts:
        description = _spec(bundle / record.file).description
        assert [feature.name for feature in description.output] == ["classLabel", CLASS_PROBABILITIES]
        assert description.input[0].type.imageType.colorSpace == 10  # grayscale
        program_check, half, runtime = record.checks
        assert (program_check.status, half.status) == ("passed", "passed")
        assert program_check.agreement == 1
        assert ("images" in program_check.facts) is False
        if sys.platform == "darwin":
            assert runtime.status == "passed"
        else:
            assert runtime.skipped.startswith("Core ML is not installed: it is a part of macOS; export on a Mac")
        assert record.operators["conv"] == 2
        assert record.output.shape == (1, 10)
    assert manifest.tools["coremltools"] == version("coremltools")


def test_damaged_weights_fail_the_check(bundle, digits, trained_file, tmp_path):
    copy = shutil.copytree(bundle / "lenet5-fp16.mlpackage", tmp_path / "lenet5-fp16.mlpackage")
    weights = copy / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    content = bytearray(weights.read_bytes())
    content[60_000:90_000] = bytes(30_000)
    weights.write_bytes(content)
    images = digits.test.images.take(np.arange(20))
    outputs = zoo.load_model(trained_file).predict(images.astype("float32"), verbose=0)
    reference = Reference(Samples(images, None), "evaluation images", outputs)
    subject = Subject(copy, FORMATS["coreml-fp16"], export.load_artifact(copy).metadata, reference)
    check = run_check("coreml-program", subject)
    assert "relative difference" in {gate.name for gate in check.gates if gate.status == "failed"}
    assert not export.load_artifact(copy).certificate.holds(copy)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_package_is_described_but_not_run_without_core_ml(bundle, digits):
    path = bundle / "lenet5-fp16.mlpackage"
    artifact = export.load_artifact(path)
    assert artifact.certificate.holds(path)
    assert artifact.metadata.making.tools["coremltools"] == version("coremltools")
    with pytest.raises(InputError, match="cannot be run: Core ML runs on Macs only"):
        export.predict(artifact, digits.test.images.take(np.arange(1)))


def test_core_ml_gets_pictures_and_its_dictionary_is_read_by_label(bundle, digits, monkeypatch):
    """With a stand-in for Core ML, which has no test on a Mac."""
    seen = []

    class Model:
        def __init__(self, path):
            seen.append(path)

        def predict(self, features):
            seen.append(features["image"])
            return {"classLabel": "3", CLASS_PROBABILITIES: {str(9 - label): label / 45 for label in range(10)}}

    monkeypatch.setattr(core_ml, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr("coremltools.models.MLModel", Model)
    path = bundle / "lenet5-int8.mlpackage"
    image = digits.test.images.take(np.arange(1))
    prediction = export.predict(export.load_artifact(path), image)
    assert seen[0] == str(path)
    assert (seen[1].mode, seen[1].size) == ("L", (32, 32))
    assert np.array_equal(np.asarray(seen[1]), image[0, ..., 0])
    assert prediction.probabilities[0] == pytest.approx(np.arange(9, -1, -1) / 45)


def test_values_beyond_float16_fail_the_check(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((4, 4, 3), name="image")
    hidden = layers.Dense(4, kernel_initializer="ones")(layers.Flatten()(layers.Rescaling(300.0)(image)))
    model = keras.Model(image, layers.Dense(2)(layers.Rescaling(1e-6)(hidden)), name="large")
    state_contract(model, task="raw")
    ((path, fmt),) = write_artifacts(ExportGraph.from_model(model), [FORMATS["coreml-fp16"]], None, tmp_path)
    images = pixels_of(model)
    outputs = model.predict(images.astype("float32"), verbose=0)
    metadata = open_converted(path).metadata
    subject = Subject(path, fmt, metadata, Reference(Samples(images, None), "noise", outputs, "raw"))
    assert run_check("coreml-float16", subject).status == "failed"


def test_export_is_refused_with_the_command_before_anything_is_computed(monkeypatch, tmp_path):
    monkeypatch.setattr("pocketzoo.export.targets.find_spec", lambda name: None)
    message = "coreml-fp16 needs coremltools, which is not installed: pip install 'pocketzoo[apple]'"
    with pytest.raises(InputError, match=re.escape(message)):
        export.export_model(zoo.create_model("lenet5"), tmp_path / "out", targets=["gpu", "apple"])
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_packages_are_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle / "lenet5-fp16.mlpackage", tmp_path / "x.mlpackage")
    spec = _spec(copy)
    graph_file(copy).write_bytes(graph_file(copy).read_bytes()[:-50])
    with pytest.raises(InputError, match=r"cannot be opened as a model"):
        export.load_artifact(copy)
    del spec.description.metadata.userDefined["pocketzoo"]
    graph_file(copy).write_bytes(spec.SerializeToString())
    with pytest.raises(InputError, match=r"another tool made it"):
        export.load_artifact(copy)
    (tmp_path / "y.mlpackage").write_bytes(b"x")
    with pytest.raises(InputError, match=r"y\.mlpackage"):
        export.load_artifact(tmp_path / "y.mlpackage")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_specification_is_refused_or_read(bundle, draw):
    path = bundle / "lenet5-int8.mlpackage"
    content = bytearray(graph_file(path).read_bytes())
    end = content.index(b"classLabel_probs") + 200
    for place in draw.draw(st.lists(st.integers(0, end), min_size=1, max_size=4)):
        content[place] = draw.draw(st.integers(0, 255))
    try:
        artifact = open_with(lambda path, _: core_ml.open_core_ml(path, bytes(content)), path)
    except InputError:
        return
    assert len(artifact.inputs) == len(artifact.outputs) == 1


def test_name_that_core_ml_would_change_is_refused(tmp_path):
    photo, more = keras.Input((4, 4, 3), name="my photo"), keras.Input((3,), name="more")
    model = keras.Model([photo, more], layers.Concatenate()([layers.GlobalAveragePooling2D()(photo), more]), name="net")
    with pytest.raises(InputError, match=r"net has the input or output 'my photo', and Core ML takes letters"):
        list(write_artifacts(ExportGraph.from_model(model), [FORMATS["coreml-fp16"]], None, tmp_path))


def test_swift_program_and_readme_are_for_images(bundle, written):
    text = (bundle / "README.md").read_text(encoding="utf-8")
    assert "| lenet5-fp16.mlpackage | image | 32 x 32 | image | - | a CVPixelBuffer or CGImage |" in text
    if sys.platform != "darwin":
        assert "were evaluated one by one, not by Core ML. It did not run." in text
    assert 'forResource: "lenet5-fp16", withExtension: "mlmodelc"' in text
    assert "as! [VNClassificationObservation]" in text
    if written[0].name == "maps":
        file = RunnableFile.from_artifact(open_converted(written[1][0]))
        swift = program(SNIPPETS["swift-coreml"], file)
        assert "multiArrayValue!  // 1 x 20 x 24 x 3" in swift
        assert "private func show" in swift
        assert not re.search(r"\{\{|@(if|else|end|include)\b", swift)
        assert all(swift.count(left) == swift.count(right) for left, right in ("()", "[]", "{}"))
