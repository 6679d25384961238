"""The programs of Core ML packages: what is in them, and what they compute, which is evaluated here without Core ML."""

import re
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import layers

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
from pocketzoo.export.runtimes.core_ml import count_operations
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


@pytest.mark.parametrize("limits", [(0.5, 1), (-1, -0.5), (0, 1)])
def test_pixels_of_any_range_come_from_the_bytes_of_an_image(limits, tmp_path):
    """No byte stands for 0 where 0 is beyond the range."""
    keras.utils.set_random_seed(0)
    low, high = limits
    image = keras.Input((4, 4, 3), name="image")
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(image)), name="ranges")
    state_contract(model, task="raw", pixels=limits)
    ((path, _),) = write_artifacts(ExportGraph.from_model(model), [FORMATS["coreml-fp16"]], None, tmp_path)
    images = pixels_of(model)
    values = np.float32(low) + images * np.float32((high - low) / 255)
    artifact = open_with(open_program, path)
    for given in (images, values):
        assert artifact.run(given) == pytest.approx(model.predict(values, verbose=0), abs=2e-3)


def test_parts_of_maps_and_convolutions_of_other_ranks_are_evaluated(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 9, 3), name="image")
    x = layers.Cropping2D(((1, 1), (2, 0)))(layers.Conv2D(4, 1)(layers.Rescaling(1 / 127.5, -1)(image)))
    x = layers.Lambda(lambda x: keras.ops.concatenate(keras.ops.split(x, 2, axis=-1)[::-1], axis=-1))(x)
    x = layers.Lambda(lambda x: keras.ops.flip(x[:, 1::2, :-1], axis=2))(x)
    rows = layers.Conv1D(4, 3, dilation_rate=2, padding="same")(layers.Reshape((9, 8))(x))
    boxes = layers.Conv3D(2, (3, 2, 1), strides=(1, 2, 1), padding="same")(layers.Reshape((3, 6, 4, 1))(x))
    joined = layers.Concatenate()([layers.Flatten()(rows), layers.Flatten()(boxes)])
    model = keras.Model(image, layers.Dense(3, "log_softmax")(joined), name="parts")
    state_contract(model, task="raw", pixels="0..255")
    ((path, _),) = write_artifacts(ExportGraph.from_model(model), [FORMATS["coreml-fp16"]], None, tmp_path)
    images = pixels_of(model)
    expected = model.predict(images.astype("float32"), verbose=0)
    assert open_with(open_program, path).run(images) == pytest.approx(expected, abs=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            layers.Lambda(lambda x: keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "symmetric"), name="border"),
            "border of net computes MirrorPad with mode SYMMETRIC, which Core ML does not have; replace the layer",
        ),
        (
            layers.Resizing(5, 7, interpolation="nearest", name="shrink"),
            "shrink of net computes ResizeNearestNeighbor to a smaller size, which Core ML does not have; replace",
        ),
    ],
)
def test_operation_that_coremltools_would_replace_is_refused(layer, message, tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    outputs = layers.Dense(2)(layers.Flatten()(layer(layers.Rescaling(1 / 255)(image))))
    graph = ExportGraph.from_model(keras.Model(image, outputs, name="net"))
    with pytest.raises(InputError, match=message):
        list(write_artifacts(graph, [FORMATS["coreml-fp16"]], None, tmp_path))


def test_swift_program_is_for_images(written):
    model, (path, _) = written
    if model.name != "maps":
        return
    file = RunnableFile.from_artifact(open_converted(path))
    swift = program(SNIPPETS["swift-coreml"], file)
    assert "multiArrayValue!  // 1 x 20 x 24 x 3" in swift
    assert "private func show" in swift
    assert not re.search(r"\{\{|@(if|else|end|include)\b", swift)
    assert all(swift.count(left) == swift.count(right) for left, right in ("()", "[]", "{}"))


def _spec(path):
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(graph_file(path).read_bytes())
