"""Files from other tools: what they state is used, what they omit is requested, and nothing is misread."""

import numpy as np
import onnx
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import foreign_files as files

from pocketzoo import export, training, zoo
from pocketzoo.export.artifact.contract import Statements, resolve
from pocketzoo.export.artifact.file_facts import FileFacts
from pocketzoo.export.artifact.tensors import TensorInfo, infer_layout
from pocketzoo.export.runtimes.onnx_facts import onnx_facts
from pocketzoo.export.tflite_schema.flatbuffer import pack_model, unpack_model

SIDE = files.SIDE
NAMES = ["cat", "dog", "fox"]
IMAGES = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3)).astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def softmax_net():
    return files.classifier()


@pytest.fixture(scope="module")
def expected(softmax_net):
    """Probabilities of a model that takes 0..1."""
    return softmax_net.predict(IMAGES / np.float32(255), verbose=0)


@pytest.fixture(scope="module")
def float_file(folder, softmax_net):
    return files.convert_to_tflite(softmax_net, folder / "soft.tflite")


@pytest.fixture(scope="module")
def logits_file(folder):
    return files.convert_to_onnx(files.classifier(activation=None), folder / "logits.onnx")


@pytest.fixture(scope="module")
def ocr(folder):
    return files.text_reader(folder / "ocr.onnx")


def test_float_pixels_are_asked_for_and_taken_as_stated(float_file, expected, capsys):
    artifact = export.load_artifact(float_file)
    with pytest.raises(zoo.InputError, match=r"soft\.tflite does not say what its pixels are; state .*--pixels 0\.\.1"):
        export.predict(artifact, IMAGES)
    prediction = export.predict(artifact, IMAGES, pixels="0..1", labels=NAMES)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    assert (prediction.task, prediction.labels) == ("classification", tuple(NAMES))
    assert "the output is a classification, as it comes from a softmax" in capsys.readouterr().err
    floats = export.predict(artifact, IMAGES / np.float32(255))  # values that the model takes need no range
    np.testing.assert_allclose(floats.probabilities, expected, atol=1e-5)
    stated = export.load_artifact(float_file, pixels=(-1, 1))
    other = export.predict(stated, IMAGES)
    np.testing.assert_allclose(
        other.probabilities, export.predict(artifact, IMAGES / 127.5 - 1).probabilities, atol=1e-5
    )


def test_names_are_those_of_the_signature(float_file):
    artifact = export.load_artifact(float_file)
    assert (artifact.input.name, artifact.output.name) == ("photo", "output_0")


@pytest.mark.parametrize(
    ("low", "high", "known"), [(0, 1, (0, 1)), (-1, 1, (-1, 1)), (0, 255, (0, 255)), (-2.1, 2.6, None)]
)
def test_range_of_a_quantized_input_is_that_of_its_bytes(softmax_net, folder, low, high, known):
    path = files.convert_to_tflite(softmax_net, folder / "uint8.tflite", low=low, high=high)
    artifact = export.load_artifact(path)
    assert artifact.input.dtype == "uint8"
    if known is None:  # normalized by channel: no range of bytes would be right
        with pytest.raises(zoo.InputError, match="does not say what its pixels are"):
            export.predict(artifact, IMAGES)
        return
    assert artifact.pixel_range == known
    given = low + IMAGES.astype("float32") * ((high - low) / 255)
    prediction = export.predict(artifact, IMAGES)
    np.testing.assert_allclose(prediction.probabilities, softmax_net.predict(given, verbose=0), atol=0.03)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "stated", "said"),
    [
        (0, 1, "int8", (0, 255), None),
        (0, 255, "uint8", (0, 1), None),
        (-1, 1, "uint8", (0, 255), None),
        (0, 1, "uint8", (-1, 1), None),
        (-2.1, 2.6, "uint8", (-2, 2.5), ()),
        (0, 0.9, "uint8", (0, 1), ("pixels from 0 to 1 are clipped to 0..0.9, which is what its uint8 input holds",)),
        (-1, 1, "uint8", (-1, 1), ()),  # its bytes end half a step before
        (-1, 1, "int16", (-1, 1), ()),
    ],
)
def test_stated_range_that_integers_cannot_hold_is_refused_or_remarked(low, high, dtype, stated, said):
    scale = (high - low) / (np.iinfo(dtype).max - np.iinfo(dtype).min)
    image = TensorInfo("photo", (1, 8, 8, 3), dtype, scale, round(np.iinfo(dtype).min - low / scale))
    facts = FileFacts("", "", {}, {}, 0)
    if said is not None:
        contract = resolve("net", {"": image}, {}, facts, Statements(pixels=stated))
        assert contract.ranges == {"": stated}
        assert contract.inferred[1:] == said  # after the layout
        return
    with pytest.raises(zoo.InputError, match=f"stated to go from .*, but the {dtype} input holds values from"):
        resolve("net", {"": image}, {}, facts, Statements(pixels=stated))


def test_output_without_an_activation_is_numbers_until_its_task_is_stated(logits_file, capsys):
    artifact = export.load_artifact(logits_file, pixels="0..1")
    raw = export.predict(artifact, IMAGES)
    assert (raw.task, raw.labels, raw.probabilities.shape) == ("raw", (), (5, 3))
    assert "the output is shown as numbers: state its task: --task classification" in capsys.readouterr().err
    classes = export.predict(artifact, IMAGES, task="classification", labels=NAMES)
    softmax = np.exp(raw.probabilities) / np.exp(raw.probabilities).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classes.probabilities, softmax, atol=1e-6)
    values = export.predict(artifact, IMAGES, task="regression")
    np.testing.assert_array_equal(values.probabilities, raw.probabilities)


def test_values_that_are_no_probabilities_are_refused_as_such(logits_file):
    with pytest.raises(zoo.InputError, match=r"has values from .*, which are no probabilities; state --from-logits"):
        export.predict(
            export.load_artifact(logits_file, pixels="0..1", task="classification", from_logits=False), IMAGES
        )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"labels": ["a", "b"]}, "the output has 3 values, but there are 2 labels"),
        ({"task": "segmentation"}, r"the output of a segmentation is \(1, height, width, outputs\); its task is raw"),
        ({"task": "box"}, "unknown task 'box'"),
        ({"from_logits": True}, "comes from a softmax, so it is no logits"),
        ({"task": "embedding", "labels": NAMES}, "is of task embedding, whose values have no names; leave out labels"),
        ({"labels": ["a", "b", "c\0"]}, "labels are texts in Unicode without NUL and surrogates"),
        ({"pixels": "1..0"}, "pixels is '1..0'"),
        ({"pixels": {"image": "0..1"}}, "pixels names 'image', but the file has the images 'photo'"),
        ({"task": {"scores": "raw"}}, "task names 'scores', but the file has the outputs 'output_0'"),
    ],
)
def test_statements_that_do_not_fit_are_refused(float_file, statement, message):
    with pytest.raises(zoo.InputError, match=message):
        export.load_artifact(float_file, **statement)


def test_labels_without_a_task_are_refused(logits_file):
    with pytest.raises(zoo.InputError, match="has labels stated, but no task; state its task: --task classification,"):
        export.load_artifact(logits_file, labels=NAMES)


def test_detector_keeps_the_objects_of_each_image_together(folder):
    artifact = export.load_artifact(files.detector(folder / "detector.onnx"), pixels="0..1")
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("uint8")
    images[0] = 0  # every score is 0.5, of which none is above the threshold
    predictions = export.predict(artifact, images)
    assert {name: each.task for name, each in predictions.items()} == dict.fromkeys(
        ("boxes", "scores", "selected"), "raw"
    )
    assert predictions["boxes"].probabilities.shape == (6, 16, 4)
    found = predictions["selected"].probabilities
    assert {rows.dtype.name for rows in found} == {"int64"}
    assert (len(found), found[0].shape) == (6, (0, 3))
    for row, image in enumerate(images):
        alone = export.predict(artifact, image)["selected"].probabilities
        np.testing.assert_array_equal(alone[0], found[row])


def test_characters_at_each_step_are_no_classes(ocr):
    artifact = export.load_artifact(ocr, pixels=(0, 255))
    prediction = export.predict(artifact, np.zeros((2, 32, 48, 1), "uint8"))
    assert (prediction.task, prediction.probabilities.shape) == ("raw", (2, 12, 10))
    with pytest.raises(zoo.InputError, match=r"has shape anyxanyx10, but the output of a classification is \(1, outp"):
        artifact.state(task="classification")
    assert export.benchmark(artifact, runs=2).runs == 2


@pytest.mark.parametrize(("axis", "task"), [(1, "segmentation"), (-3, "segmentation"), (-1, "raw")])
def test_map_of_classes_has_a_softmax_over_its_channels(folder, axis, task):
    artifact = export.load_artifact(files.segmenter(folder / "maps.onnx", axis=axis), pixels="0..1")
    prediction = export.predict(artifact, IMAGES)
    assert (prediction.task, artifact.output.layout) == (task, "NCHW")
    assert prediction.probabilities.shape == (5, SIDE, SIDE, 3)
    if task == "segmentation":
        assert prediction.masks.shape == (5, SIDE, SIDE)


def test_several_inputs_texts_and_float16_run(folder):
    artifact = export.load_artifact(files.several_inputs(folder / "several.onnx"))
    assert export.benchmark(artifact, runs=2).runs == 2
    photo = np.random.default_rng(0).uniform(0, 1, (2, 4, 4, 3)).astype("float32")
    predictions = export.predict(artifact, {"photo": photo, "index": np.array([[0, 1], [2, 0]])})
    assert predictions["chosen"].probabilities.tolist() == [["cat", "dog"], ["\u732b", "cat"]]
    np.testing.assert_allclose(predictions["double"].probabilities, 2 * photo, atol=2e-3)
    with pytest.raises(zoo.InputError, match=r"'index' in images has type float64; .* takes whole numbers"):
        export.predict(artifact, {"photo": photo, "index": np.zeros((2, 2))})
    with pytest.raises(zoo.InputError, match="does not say what its pixels of 'photo' are"):
        export.predict(artifact, {"photo": photo.astype("uint8"), "index": np.zeros((2, 2), int)})


def test_file_without_inputs_and_with_a_list_as_output_opens(folder):
    nodes = [files.NODE("Identity", ["words"], ["x"]), files.NODE("SplitToSequence", ["x"], ["y"])]
    output = onnx.helper.make_tensor_sequence_value_info("y", onnx.TensorProto.STRING, None)
    path = files.write_onnx(folder / "none.onnx", nodes, [], [output], {"words": np.array(["a", "b"], object)})
    artifact = export.load_artifact(path)
    assert (artifact.inputs, artifact.output.dtype) == ({}, "seq(tensor(string))")
    assert export.benchmark(artifact, runs=2).runs == 2
    with pytest.raises(zoo.InputError, match="takes no inputs, so there is nothing to predict"):
        export.predict(artifact, IMAGES)


def test_tflite_with_texts_scalars_and_outputs_of_one_name_opens(folder):
    signature = [tf.TensorSpec([3], tf.string), tf.TensorSpec([], tf.int32)]
    function = tf.function(lambda words, row: (tf.gather(words, row), tf.constant([3.0])), input_signature=signature)
    path = folder / "words.tflite"
    model = unpack_model(tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert())
    for index in model.subgraphs[0].outputs:
        model.subgraphs[0].tensors[index].name = b"out"
    path.write_bytes(pack_model(model))
    artifact = export.load_artifact(path)
    assert export.benchmark(artifact, runs=2).runs == 2
    words = np.array([["a", "b", "\u732b"]])
    outputs = export.predict(artifact, {"words": words, "row": np.array([2])})
    assert list(outputs) == ["out", "out_2"]
    assert outputs["out"].probabilities.tolist() == ["\u732b"]


def test_several_images_at_once_are_refused_for_predictions_but_not_for_figures(folder):
    value = [files.VALUE("x", files.PIXELS, [8, 3, 4, 4]), files.VALUE("y", files.PIXELS, [8, 3, 4, 4])]
    path = files.write_onnx(folder / "eight.onnx", [files.NODE("Relu", ["x"], ["y"])], value[:1], value[1:])
    artifact = export.load_artifact(path)
    assert export.benchmark(artifact, runs=2).runs == 2
    with pytest.raises(zoo.InputError, match="takes 8 images at once"):
        export.predict(artifact, np.zeros((8, 3, 4, 4), "float32"))


def test_another_tools_file_is_evaluated_as_the_model_that_it_was(folder, logits_file):
    random = np.random.default_rng(0)
    images, classes = random.integers(0, 256, (40, SIDE, SIDE, 3)).astype("uint8"), random.integers(0, 3, 40)
    data = training.from_arrays(images, classes, labels=NAMES)
    net = files.classifier(activation=None)
    want = training.evaluate(net, data, task="classification", pixels="0..1", from_logits=True)
    artifact = export.load_artifact(logits_file)
    with pytest.raises(zoo.InputError, match="does not say what its pixels are"):
        training.evaluate(artifact, data)
    got = training.evaluate(artifact, data, pixels="0..1")
    assert got.accuracy == want.accuracy
    assert got.loss == pytest.approx(want.loss, rel=1e-4)  # of probabilities, not of logits
    four = training.from_arrays(images, random.integers(0, 4, 40), labels=[*NAMES, "owl"])
    with pytest.raises(zoo.InputError, match="the output has 3 values, but the data has 4 labels"):
        training.evaluate(artifact, four, pixels="0..1")
    with pytest.raises(zoo.InputError, match=r"has the classes \('dog', 'cat', 'fox'\); the data has \('cat'"):
        training.evaluate(artifact, data, pixels="0..1", labels=["dog", "cat", "fox"])


@settings(max_examples=200)
@given(at=st.integers(0, 2000), value=st.binary(min_size=1, max_size=6), cut=st.integers(0, 2000))
def test_facts_of_any_bytes_are_read_or_refused_in_words(ocr, at, value, cut):
    content = ocr.read_bytes()
    for changed in (
        content[:at] + value + content[at + len(value) :],
        content[:cut],
        content[:at] + value + content[at:],
    ):
        try:
            assert onnx_facts(changed).weights >= 0
        except zoo.InputError as error:
            assert str(error)  # noqa: PT017 (it is not always raised)


@given(st.lists(st.sampled_from([None, 1, 2, 3, 4, 7, 16]), min_size=4, max_size=4))
def test_layout_is_that_of_the_only_axis_that_can_be_channels(shape):
    layout = infer_layout(shape)
    last, first = shape[3] in (1, 3, 4), shape[1] in (1, 3, 4)
    if last and first:
        assert layout == ("NCHW" if shape[2] == shape[3] != shape[1] else "NHWC")
    else:
        assert layout == ("NHWC" if last else "NCHW" if first else None)


def test_raw_predictions_are_no_rows(ocr):
    prediction = export.predict(export.load_artifact(ocr), np.zeros((1, 32, 48, 1), "float32"))
    with pytest.raises(zoo.InputError, match="raw outputs have no labels to show"):
        prediction.rows()
