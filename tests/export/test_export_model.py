import hashlib
from dataclasses import replace

import keras
import numpy as np
import pytest

from pocketzoo import export, training, zoo
from pocketzoo.export.artifact.directories import artifact_files
from pocketzoo.export.artifact.metadata import InputForm, Metadata
from pocketzoo.export.artifact.report import device_rows, markdown_table
from pocketzoo.export.conversion import artifact_files as conversion
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import TFLiteFiles
from pocketzoo.export.format_selection import check_pixel_ranges
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.targets import TARGETS, checks_of
from pocketzoo.export.validation.checks.check_registry import CHECKS, missing_requirement


def test_bundle_has_every_format_of_its_targets_once(bundle, manifest):
    formats = set(FORMATS) - TARGETS["apple"].checks.keys()
    assert {record.format for record in manifest.artifacts} == formats
    assert len(manifest.artifacts) == len(formats)
    paths = [path for record in manifest.artifacts for path in artifact_files(bundle / record.file)]
    files = {str(path.relative_to(bundle)) for path in paths} | {"manifest.json", "report.md"}
    files |= {"README.md", "labels.txt"}
    files |= {file for record in manifest.artifacts for check in record.checks for file in check.files}
    assert {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} == files
    for record in manifest.artifacts:
        assert record.targets == tuple(name for name in manifest.targets if record.format in TARGETS[name].checks)


def test_readme_says_how_each_file_is_fed_and_read(bundle):
    text = (bundle / "README.md").read_text()
    assert "| 1 x 32 x 32 x 1 | int8 | NHWC: rows, columns, channels | pixel - 128 (scale 1, zero point -128) |" in text
    assert "| 1 x 1 x 32 x 32 | uint8 | NCHW: channels, rows, columns | pixel (scale 1, zero point 0) |" in text
    assert "| int8 | (value + 128) * 0.00390625 (scale 0.00390625, zero point -128) |" in text
    assert "whose images are grayscale. Files for it are made with `--rgb`: `pocketzoo export " in text
    assert "It takes the folder `lenet5_int8/`" in text
    assert "Convert it to grayscale: 0.299 red + 0.587 green + 0.114 blue." in text
    assert (bundle / "labels.txt").read_text() == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9"


def test_manifest_says_what_the_files_are(bundle, manifest):
    for record in manifest.artifacts:
        content = b"".join(path.read_bytes() for path in artifact_files(bundle / record.file))
        assert record.bytes == len(content)
        if (bundle / record.file).is_file():
            assert record.sha256 == hashlib.sha256(content).hexdigest()
        assert 0 < record.gzip_bytes < record.bytes
        artifact = export.load_artifact(bundle / record.file)
        assert record.input.model_dump().items() <= vars(artifact.input).items()
        assert record.output.model_dump().items() <= vars(artifact.output).items()


def test_manifest_says_where_it_came_from(manifest, digits, trained):
    assert manifest.passed
    assert manifest.parameters == 61_706
    assert (manifest.calibration.source, manifest.calibration.count, manifest.calibration.seed) == (
        "digits, train",
        200,
        0,
    )
    assert manifest.evaluation.source == "digits, test"
    assert (manifest.evaluation.count, manifest.evaluation.seed) == (len(digits.test), None)  # all of them
    assert manifest.evaluation.keras_accuracy == training.evaluate(trained, digits).accuracy
    assert manifest.proven_on == "evaluation images"
    assert manifest.tools["tf2onnx"]
    assert manifest.model.mean == (127.5,)


def test_figures_are_those_of_the_artifacts_outputs(bundle, manifest, digits, trained):
    images, labels = digits.test.arrays()
    keras_classes = trained.predict(images, verbose=0).argmax(axis=-1)
    for record in manifest.artifacts:
        classes = export.load_artifact(bundle / record.file).run(images).argmax(axis=-1)
        assert record.checks[0].accuracy == np.mean(classes == labels)
        assert record.checks[0].agreement == np.mean(classes == keras_classes)


def test_gates_have_the_thresholds_of_their_format(manifest):
    for record in manifest.artifacts:
        bars = {gate.name: gate.requirement for _, gate in record.located_gates}
        assert all(gate.status == "passed" for _, gate in record.located_gates)
        if record.format.endswith("int8"):
            assert (bars["agreement"], bars["accuracy drop"]) == (">= 0.98", "<= 0.01")
        if record.format.endswith("fp32"):
            assert (bars["relative difference"], bars["agreement"]) == ("<= 0.0001", ">= 0.999")


def test_checks_are_skipped_where_something_is_missing_and_nowhere_else(manifest):
    for record in manifest.artifacts:
        names = checks_of(FORMATS[record.format], manifest.targets)
        for name, check in zip(names, record.checks, strict=True):
            can_run = missing_requirement(name) is None and name != "mediapipe"  # which takes no grayscale images
            assert (check.skipped is None) == can_run, (name, check.skipped)


def test_report_has_a_line_for_every_artifact_and_gate(bundle, manifest):
    report = (bundle / "report.md").read_text()
    for record in manifest.artifacts:
        devices = [row for row in device_rows(manifest) if row[0] == record.file]
        rows = 1 + len(record.noise_db) + len(record.checks) + len(record.located_gates) + len(devices)
        assert report.count(f"| {record.file} |") == rows


def test_report_shows_deviations_and_escapes_text_in_tables(bundle, manifest):
    report = (bundle / "report.md").read_text()
    check = manifest.artifacts[0].checks[0]
    assert f"| {check.psnr_db:.1f} | {check.flip_rate:.2%} |" in report
    assert markdown_table(["a"], [["two\nlines | one bar"]])[-1] == "| two lines \\| one bar |"


def test_export_changes_no_weights_or_batch_norm_statistics(randomize_batch_norm, tmp_path, pixels):
    model = randomize_batch_norm(zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 3)))
    before = model.get_weights()
    form, calibration = ExportGraph.from_model(model), Samples(pixels(12, 16, 16, 3), None)
    assert len(list(write_artifacts(form, list(FORMATS.values()), calibration, tmp_path))) == len(FORMATS)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_checks_that_cannot_run_are_skipped_with_a_reason(trained, tmp_path):
    manifest = export.export_model(trained, tmp_path / "out", targets=["mobile"])
    assert manifest.proven_on == "noise"
    assert manifest.evaluation is manifest.calibration is None
    assert list(manifest.skipped) == ["tflite-uint8"]
    dynamic = next(record for record in manifest.artifacts if record.format == "tflite-dynamic")
    skipped = {gate.name: gate.reason for _, gate in dynamic.located_gates if gate.status == "skipped"}
    assert skipped == {
        "agreement": "no real images were given",
        "accuracy drop": "no labeled evaluation images were given",
    }


def test_calibration_excludes_evaluation_images(trained, digits, tmp_path):
    images, labels = digits.train.arrays()
    manifest = export.export_model(
        trained,
        tmp_path / "out",
        targets=["edge"],
        calibration=(images[:150], labels[:150]),
        evaluation=(images[50:300].astype("float32"), labels[50:300, None]),
    )
    assert (manifest.calibration.source, manifest.calibration.count, manifest.calibration.seed) == ("array", 50, None)
    with pytest.raises(zoo.InputError, match="all calibration images are evaluation images too"):
        export.export_model(trained, tmp_path / "no", targets="edge", calibration=digits.test, evaluation=digits.test)


def test_wrong_artifact_fails_validation_and_leaves_no_bundle(trained, digits, tmp_path, monkeypatch):
    """A converter that writes a wrong bias must be detected."""

    class WithAnotherBias(TFLiteFiles):
        def content(self, format_name):
            broken = keras.models.clone_model(trained)
            broken.set_weights(trained.get_weights())
            bias = broken.trainable_weights[-1]
            bias.assign(bias.numpy() + np.linspace(-0.3, 0.3, 10))
            self.graph = ExportGraph.from_model(broken)
            return super().content(format_name)

    monkeypatch.setattr(conversion, "TFLiteFiles", WithAnotherBias)
    with pytest.raises(
        export.ProofError, match=r"lenet5-fp32\.tflite in LiteRT: relative difference is 0\.\d+, must be <= 0\.0001"
    ):
        export.export_model(trained, tmp_path / "out", targets=["mobile"], evaluation=digits.test)
    assert not (tmp_path / "out").exists()
    assert not export.Manifest.load(tmp_path / "out.failed" / "manifest.json").passed


def test_model_changed_by_its_export_fails(trained, tmp_path, monkeypatch):
    whole = TFLiteFiles.content

    def changing(files, format_name):
        bias = trained.weights[-1]
        bias.assign(bias.numpy() + 1e-6)
        return whole(files, format_name)

    monkeypatch.setattr(TFLiteFiles, "content", changing)
    with pytest.raises(export.ProofError, match=r"lenet5-fp16\.tflite: model untouched is 0, must be >= 1"):
        export.export_model(trained, tmp_path / "out", targets=["mobile-gpu"])


def test_artifact_too_small_for_its_weights_fails(trained, digits, tmp_path, monkeypatch):
    """A converter can drop weights without an error."""
    monkeypatch.setattr(ExportGraph, "kernel_weights", 100_000)
    with pytest.raises(export.ProofError, match=r"lenet5-fp32\.onnx: bytes is \d+, must be >= 400000"):
        export.export_model(trained, tmp_path / "out", targets=["openvino"], evaluation=digits.test)


def test_file_rejected_by_its_runtime_is_a_conversion_error(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pocketzoo.export.conversion.tflite.tflite_files.TFLiteFiles.content", lambda *_: b"    TFL3" + bytes(100)
    )
    message = r"lenet5 as tflite-fp16 could not be made: .*lenet5-fp16\.tflite was written but cannot be opened: "
    with pytest.raises(export.ConversionError, match=message):
        export.export_model(trained, tmp_path / "out", targets=["mobile-gpu"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.failed.log"]


@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
def test_runtime_that_raises_fails_its_artifact_and_leaves_a_log(kind, trained, tmp_path, monkeypatch):
    def raising(subject):
        raise kind("EP Error: no kernel image\nis available")

    monkeypatch.setitem(CHECKS, name := "onnxruntime-tensorrt", replace(CHECKS[name], run=raising))
    message = r"lenet5-fp16\.onnx in onnxruntime-tensorrt: ran is 0, must be >= 1 \(EP Error: no kernel image\)"
    with pytest.raises(export.ProofError, match=message):
        export.export_model(trained, tmp_path / "out", targets=["gpu"])
    assert "is available" in (tmp_path / "out.failed" / "lenet5-fp16-onnxruntime-tensorrt.log").read_text()


def test_thresholds_and_steps_are_reported(trained, digits, tmp_path):
    steps, images = [], digits.train.images.take(np.arange(60))
    manifest = export.export_model(
        trained,
        tmp_path / "out",
        targets=["int16x8"],
        calibration=images[:8],
        evaluation=images[8:],
        thresholds={"agreement": 0.9, "accuracy drop": 0.03},
        progress=steps.append,
    )
    assert steps == ["Converting to tflite-int16x8", "Validating lenet5-int16x8.tflite: litert"]
    gates = {gate.name: gate for _, gate in manifest.artifacts[0].located_gates}
    assert (gates["agreement"].bar, gates["agreement"].default_bar) == (0.9, 0.98)
    assert gates["relative difference"].default_bar is None
    assert export.Manifest.load(tmp_path / "out" / "manifest.json") == manifest
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| >= 0.9 (set; 0.98 by default) |" in report
    assert "| passed with user-set thresholds" in report
    with pytest.raises(zoo.InputError, match="unknown threshold for a classification 'agree'"):
        export.export_model(trained, tmp_path / "no", bars={"agree": 1})  # the former name
    with pytest.raises(zoo.InputError, match="thresholds and bars are two names of one argument"):
        export.export_model(trained, tmp_path / "no", thresholds={"agreement": 1}, bars={"agreement": 1})


@pytest.mark.parametrize(
    ("pixels", "fits"), [("10..20", False), ("-20..-10", False), ("0.001..1", True), ("-1..0", True)]
)
def test_bytes_must_represent_0(pixels, fits):
    form = InputForm(shape=(8, 8, 3), pixel_range=tuple(map(float, pixels.split(".."))))
    metadata = Metadata.model_construct(inputs={"image": form})
    check_pixel_ranges([FORMATS["tflite-fp32"]], metadata)
    if fits:
        check_pixel_ranges([FORMATS["tflite-int8"]], metadata)
    else:
        with pytest.raises(zoo.InputError, match="but the integers of tflite-int8 must represent 0"):
            check_pixel_ranges([FORMATS["tflite-int8"]], metadata)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": ["phone"]}, "unknown target 'phone': there are mobile, edge, server, clients, mobile-cpu"),
        ({"targets": ["mobil"]}, "did you mean mobile"),
        ({"targets": []}, "no targets"),
        (
            {"targets": ["edge"]},
            "edge-mcu has nothing but tflite-int8, and it takes calibration: training images",
        ),
        ({"targets": ["edge"], "calibration": np.zeros((4, 8, 8, 1))}, r"the model takes \(count, 32, 32, 1\)"),
        ({"evaluation": np.zeros((0, 32, 32, 1))}, "evaluation has shape"),
        ({"evaluation": np.full((2, 32, 32, 1), 300.0)}, "values from 300.0 to 300.0; pixels go from 0 to 255"),
        ({"evaluation": (np.zeros((2, 32, 32, 1)), [1])}, r"2 images, but labels of shape \(1,\)"),
        (
            {"evaluation": (np.zeros((2, 32, 32, 1)), [1, 10])},
            "labels of evaluation have the class 10; classes go from 0 to 9",
        ),
        ({"evaluation": (np.zeros((2, 32, 32, 1)), ["0", "1"])}, "a classification of 10 takes whole numbers"),
        ({"evaluation": np.zeros((2, 32, 32, 1))}, "only one distinct image; outputs that do not vary prove nothing"),
        ({"evaluation": "digits"}, "it takes images"),
        ({"calibration": np.full((1, 32, 32, 1), 9.0)}, "lenet5 has the same output for each of 1 calibration images"),
        ({"batch": 2}, "batch is 2; export_model requires 1, 'N' or None"),
        ({"evaluation": [np.zeros((8, 8, 1)), np.zeros((9, 8, 1))]}, "evaluation has images of several shapes"),
        ({"input_size": 32}, r"input_size is 32; export_model requires \(a whole number, a whole number\)"),
        ({"input_size": (0, 32)}, r"input_size is \(0, 32\); it takes"),
    ],
)
def test_invalid_arguments_are_explained_and_nothing_is_written(trained, tmp_path, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        export.export_model(trained, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_model_without_image_input_is_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="model is 'lenet5'; export_model requires a keras"):
        export.export_model("lenet5", tmp_path / "out")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(zoo.InputError, match="expected is one batch"):
        export.export_model(model, tmp_path / "out")


def test_model_in_reduced_precision_is_exported_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = zoo.create_model("lenet5")
    finally:
        keras.config.set_dtype_policy("float32")
    manifest = export.export_model(model, tmp_path / "out", targets="mobile")
    assert manifest.passed
    assert model.layers[2].compute_dtype == "float16"


def test_model_of_open_size_is_refused(tmp_path):
    model = zoo.create_model("resnet20", input_shape=(None, None, 3))
    with pytest.raises(zoo.InputError, match="create it with a fixed input_shape"):
        export.export_model(model, tmp_path / "out")
