from dataclasses import dataclass

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter
from support.cards import first_of_its_kind, narrow_model

from pocketzoo import export, training, zoo
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.layers import Answer, FakeQuantize
from pocketzoo.training.compression.quantization.quantize_aware import FreezeRanges, groups_by_size
from pocketzoo.training.compression.quantization.rewriting import quantized_model
from pocketzoo.training.engine.optimizers import ParameterGroup, make_optimizer

BRIEF = training.Recipe(epochs=3, batch_size=40, optimizer={"lr": 1e-4})


def ranges(model):
    grids = [layer for layer in model.layers if isinstance(layer, FakeQuantize)]
    return [(float(grid.minimum), float(grid.maximum)) for grid in grids]


@dataclass
class Finished:
    """A run of `BRIEF`, and the model it started from."""

    result: training.RunResult
    original: keras.Model
    before: list[np.ndarray]
    ranges: list[list[tuple[float, float]]]
    """After each epoch."""


@pytest.fixture(scope="module")
def finished(few_digits, trained_file, tmp_path_factory):
    """Tests must not change it."""
    model, seen = zoo.load_model(trained_file), []
    before = [weight.numpy() for weight in model.weights]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FreezeRanges, "on_epoch_end", lambda self, epoch, logs=None: seen.append(ranges(self.model)))
        folder = tmp_path_factory.mktemp("quantized") / "run"
        result = training.quantize_aware(model, few_digits, BRIEF, run_dir=folder, verbose=False)
    return Finished(result, model, before, seen)


@pytest.fixture
def run(finished):
    return finished.result


def test_result_is_a_plain_model_in_one_file_with_the_labels(run, trained, pixels):
    assert all(type(layer).__module__.split(".")[0] in ("keras", "pocketzoo") for layer in run.model.layers)
    assert isinstance(run.model.layers[-1], Answer)
    assert run.model.layers[-1].labels == trained.layers[-1].labels
    reloaded = zoo.load_model(run.run_dir / "best.keras")
    images = pixels(4, 32, 32, 1)
    np.testing.assert_array_equal(reloaded(images, training=False), run.model(images, training=False))


def test_original_is_not_changed(finished):
    for weight, old in zip(finished.original.weights, finished.before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_ranges_are_frozen_at_the_end_of_the_run(finished):
    first, second, last = finished.ranges
    assert first != second
    assert second == last


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(run, few_digits, trained_file, tmp_path):
    def stop(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FreezeRanges, "on_epoch_begin", stop)
        model = zoo.load_model(trained_file)
        with pytest.raises(KeyboardInterrupt):
            training.quantize_aware(model, few_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    again = training.quantize_aware(
        zoo.load_model(trained_file), few_digits, BRIEF, run_dir=tmp_path / "run", resume=True, verbose=False
    )
    assert again.history == run.history
    for weight, expected in zip(again.model.weights, run.model.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_zeros_and_clusters_of_the_model_reach_the_file(few_digits, trained, tmp_path):
    kernel = trained.get_layer("dense1").kernel
    values = kernel.numpy()
    sparse = np.where(np.abs(values) < np.quantile(np.abs(values), 0.7), 0, np.sign(values) * 0.05).astype("float32")
    sparse[0, 0] = 0.1
    kernel.assign(sparse)
    result = training.quantize_aware(trained, few_digits, BRIEF.changed(epochs=2), verbose=False)
    layer = result.model.get_layer("dense1")
    trained_on = layer.kernel.numpy()
    np.testing.assert_array_equal(trained_on == 0, sparse == 0)
    assert not np.array_equal(trained_on, sparse)
    # In a folded kernel, clusters are per output channel.
    assert max(len(np.unique(column)) for column in trained_on.T) <= 4
    export.export_model(result.model, tmp_path / "bundle", targets=["edge"], evaluation=few_digits.test)
    integers = [t for t in integer_tensors(tmp_path / "bundle" / "lenet5-int8.tflite") if t.shape == sparse.T.shape]
    assert np.mean(integers[0] == 0) >= np.mean(sparse == 0)


def integer_tensors(path):
    """The int8 constants of a TFLite file."""
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(path.read_bytes(), 0))
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type == tflite.TensorType.INT8 and data is not None:
            yield np.frombuffer(bytes(data), "int8").reshape(tensor.shape)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"activation_bits": 4}, "activation_bits is 4; allowed are 8 and 16"),
        ({"recipe": BRIEF.changed(initializer="he_normal")}, "initializer is 'he_normal'"),
        ({"recipe": BRIEF.changed(precision="mixed_bfloat16")}, "precision is 'mixed_bfloat16'"),
    ],
)
def test_invalid_argument_is_refused(few_digits, trained, change, error):
    with pytest.raises(zoo.InputError, match=error):
        training.quantize_aware(trained, few_digits, **change)


def test_quantized_model_is_neither_quantized_nor_pruned_nor_clustered(run, few_digits):
    for verb in (training.quantize_aware, training.prune, training.cluster):
        with pytest.raises(zoo.InputError, match="already quantized"):
            verb(run.model, few_digits)


@pytest.mark.parametrize("name", ["adam", "sgd", "lion", "rmsprop"])
def test_step_of_a_folded_kernel_is_that_of_the_kernel_before(name):
    """Where pixels are not scaled, a BatchNorm divides the kernel by several hundred, and steps would replace it."""
    image = keras.Input((6, 6, 3))
    conv, norm = keras.layers.Conv2D(4, 3, use_bias=False, name="conv"), keras.layers.BatchNormalization()
    model = keras.Model(image, norm(conv(image)))
    norm.moving_variance.assign(np.full(4, 400.0**2))
    quantized = quantized_model(model, 8)
    optimizer = {"name": name, "lr": 1e-3, "weight_decay": 0.0}
    recipe = training.Recipe(optimizer=optimizer, schedule={"warmup_epochs": 0})
    folded = quantized.get_layer("conv").kernel
    gradient = np.random.default_rng(0).uniform(10, 20, folded.shape).astype("float32")
    before, steps = [folded.numpy(), conv.kernel.numpy()], []
    for groups, kernel, slope in (
        (groups_by_size(quantized, recipe), folded, gradient),
        ([ParameterGroup(1e-3, [conv.kernel])], conv.kernel, gradient / 400),
    ):
        optimizer = make_optimizer(recipe, 1, groups)
        optimizer.apply([slope], [kernel])
        steps.append(kernel.numpy())
    folded_step, step = (after - start for after, start in zip(steps, before, strict=True))
    assert np.abs(step).min() > 0
    np.testing.assert_allclose(folded_step * 400, step, rtol=1e-3)


def test_layer_without_integer_kernel_is_named():
    image = keras.Input((8, 8, 2))
    model = keras.Model(image, keras.layers.GroupNormalization(1, name="odd")(image))
    with pytest.raises(zoo.InputError, match=r"no rule for odd \(GroupNormalization\) with 8-bit"):
        quantized_model(model, 8)


@pytest.mark.parametrize("bits", [8, 16])
def test_bundle_of_a_quantized_model_needs_no_calibration_and_is_as_accurate(digits, trained, tmp_path, bits):
    model = quantized_model(trained, bits)
    splits = [split.arrays() for split in (digits.train, digits.validation, digits.test)]
    images, labels = (np.concatenate(parts) for parts in zip(*splits, strict=True))  # 1797, to tell 0.2 points
    model(images[:200].astype("float32"), training=True)
    formats = {"edge": "tflite-int8", "server": "onnx-int8"} if bits == 8 else {"int16x8": "tflite-int16x8"}
    manifest = export.export_model(model, tmp_path / "out", targets=list(formats), evaluation=(images, labels))
    assert [artifact.format for artifact in manifest.artifacts] == list(formats.values())
    assert manifest.calibration is None
    assert set(manifest.skipped) == ({"onnx-fp32", "onnx-int8-tensorrt"} if bits == 8 else set())
    for artifact in manifest.artifacts:
        assert artifact.checks[0].accuracy == pytest.approx(manifest.evaluation.keras_accuracy, abs=0.002)


def test_quantized_model_exports_to_integers_only(run, tmp_path):
    with pytest.raises(zoo.InputError, match="trained for integers"):
        export.export_model(run.model, tmp_path / "out", targets=["gpu"])


def model_types():
    """Every type of model; all but a small one are marked `every_card`, as each takes seconds to convert."""
    return [
        pytest.param(name, marks=[] if name == "mobilenet_v2_035" else pytest.mark.every_card)
        for name in zoo.list_models()
        if first_of_its_kind(name)
    ]


@pytest.mark.parametrize("name", model_types())
def test_every_type_of_model_converts_to_integers_throughout(name, pixels):
    model = quantized_model(narrow_model(name, classes=4), 8)
    model(pixels(2, *model.input_shape[1:]), training=True)
    content = to_tflite(ExportGraph.from_model(model), "tflite-int8", None)  # which raises where floats are left
    interpreter = Interpreter(model_content=content)
    assert interpreter.get_output_details()[0]["dtype"] is np.int8
