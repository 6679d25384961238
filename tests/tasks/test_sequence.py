"""Texts read from images: decoding, metrics, loss, data, and the way from data to a validated export."""

import itertools
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import export, layers, training, zoo
from pocketzoo.tasks import encode_texts, get_task
from pocketzoo.tasks.ctc import beam_search, columns_needed, greedy, log_likelihood
from pocketzoo.tasks.edit_distance import edit_distance
from pocketzoo.tasks.evaluation import EPSILON
from pocketzoo.tasks.sequence import _correct
from pocketzoo.training.compression.quantization.rewriting import quantized_model
from pocketzoo.training.data import digit_strings
from pocketzoo.training.data.digits import real_digits
from pocketzoo.training.engine.losses import make_loss
from pocketzoo.training.recipe.loss import CTC

TASK = get_task("sequence")


def random_outputs(columns, symbols, seed, count=None):
    """Probabilities, some of them almost certain."""
    logits = np.random.default_rng(seed).normal(
        0, 3, (columns, symbols) if count is None else (count, columns, symbols)
    )
    powers = np.exp(logits)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype("float32")


# ---- Decoding and metrics


def read(path, blank):
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    return tuple(symbol for symbol in merged if symbol != blank)


def all_texts(outputs):
    """The probability of every text, from all paths."""
    texts = {}
    for path in itertools.product(range(outputs.shape[1]), repeat=len(outputs)):
        text = read(path, outputs.shape[1] - 1)
        texts[text] = texts.get(text, 0.0) + float(
            np.prod([column[symbol] for column, symbol in zip(outputs, path, strict=True)])
        )
    return texts


small = given(columns=st.integers(1, 5), symbols=st.integers(2, 4), seed=st.integers(0, 999))


@settings(max_examples=20, deadline=None)
@small
def test_probability_of_a_text_is_that_of_all_paths_that_read_as_it(columns, symbols, seed):
    outputs = random_outputs(columns, symbols, seed)
    for text, probability in all_texts(outputs).items():
        floor = columns * np.log(EPSILON)
        assert log_likelihood(outputs, text) == pytest.approx(max(np.log(probability), floor), abs=1e-5)
    assert log_likelihood(outputs, (0,) * (columns + 1)) == pytest.approx(columns * np.log(EPSILON))


@settings(max_examples=20, deadline=None)
@small
def test_wide_beam_finds_the_most_probable_texts(columns, symbols, seed):
    outputs = random_outputs(columns, symbols, seed)
    texts = all_texts(outputs)
    found = beam_search(outputs, 1000)
    assert found[0][1] == pytest.approx(max(texts.values()), rel=1e-4)
    assert all(probability == pytest.approx(texts[text], rel=1e-4, abs=1e-9) for text, probability in found)
    assert [text for text, _ in found] == [text for text, _ in sorted(found, key=lambda each: -each[1])]
    assert len(beam_search(outputs, 1)) == 1


@settings(max_examples=20, deadline=None)
@given(columns=st.integers(1, 9), symbols=st.integers(2, 4), longest=st.integers(1, 5), seed=st.integers(0, 999))
def test_most_probable_path_is_read_alike_in_training_and_after(columns, symbols, longest, seed):
    outputs = random_outputs(columns, symbols, seed, count=6)
    texts = [read(output.argmax(axis=-1), symbols - 1) for output in outputs]
    assert [greedy(output) for output in outputs] == texts
    random = np.random.default_rng(seed)
    rows = [
        text if text and row % 2 else tuple(random.integers(0, symbols - 1, longest)) for row, text in enumerate(texts)
    ]
    targets = np.full((6, max(map(len, rows))), -1)
    for target, row in zip(targets, rows, strict=True):
        target[: len(row)] = row
    correct = [float(tuple(row) == text) for row, text in zip(rows, texts, strict=True)]
    assert keras.ops.convert_to_numpy(_correct(targets, outputs)).tolist() == correct
    accumulator = TASK.accumulator((*map(str, range(symbols - 1)), "blank"))
    accumulator.add(targets, outputs)
    assert accumulator.scores.tolist() == correct


def test_beam_finds_a_text_that_the_most_probable_path_does_not_read():
    """Hannun's case: many paths of one text outweigh the best single path."""
    outputs = np.array([[0.4, 0.6], [0.4, 0.6]], "float32")
    assert greedy(outputs) == ()
    assert beam_search(outputs, 10)[0][0] == (0,)


words = st.lists(st.integers(0, 2), max_size=6)


@given(target=words, found=words)
def test_edit_distance_is_the_fewest_edits(target, found):
    edits, right = edit_distance(target, found)
    assert edits == edit_distance(found, target)[0]
    assert abs(len(target) - len(found)) <= edits <= max(len(target), len(found))
    assert (edits == 0) == (target == found)
    assert len(target) - right.sum() <= edits
    if target and found:
        rest = [edit_distance(target[1:], found[1:])[0] + (target[0] != found[0])]
        rest += [edit_distance(target[1:], found)[0] + 1, edit_distance(target, found[1:])[0] + 1]
        assert edits == min(rest)


def outputs_of(texts, labels, columns=12):
    """Certain outputs that read as the texts."""
    paths = np.full((len(texts), columns), len(labels) - 1)
    for path, target in zip(paths, encode_texts(texts, labels[:-1])[1], strict=True):
        symbols = target[target >= 0]
        path[: 2 * len(symbols) : 2] = symbols
    return np.eye(len(labels), dtype="float32")[paths]


def test_error_rates_count_characters_and_words():
    labels, targets = encode_texts(["ab ab", "ba", "aa"])
    accumulator = TASK.accumulator(labels)
    accumulator.add(targets, outputs_of(["ab bb", "b", "aa"], labels))
    evaluation = accumulator.evaluation()
    assert labels == ("a", "b", "space", "blank")
    assert evaluation.sequence_accuracy == pytest.approx(1 / 3)
    assert evaluation.character_error_rate == pytest.approx(2 / 9)
    assert evaluation.word_error_rate == pytest.approx(2 / 4)
    assert evaluation.per_character["a"] == {"recall": 3 / 5, "support": 5.0}
    assert evaluation.per_character["space"] == {"recall": 1.0, "support": 1.0}


@settings(max_examples=10, deadline=None)
@given(columns=st.integers(6, 9), seed=st.integers(0, 99))
def test_loss_is_minus_the_logarithm_of_the_probability(columns, seed):
    outputs = random_outputs(columns, 4, seed, count=3)
    targets = np.array([[0, 1, 1], [2, -1, -1], [0, 0, -1]], "int32")
    expected = [-log_likelihood(output, target[target >= 0]) for output, target in zip(outputs, targets, strict=True)]
    loss = make_loss(CTC(), TASK.class_indices)
    assert float(loss(targets, outputs)) == pytest.approx(np.mean(expected), rel=1e-4)
    weights = np.array([1.0, 0.0, 2.0], "float32")
    assert float(loss(targets, outputs, weights)) == pytest.approx(np.dot(expected, weights) / 3, rel=1e-4)


# ---- Targets


def write_table(folder, texts, *, labels=None):
    pixels = np.random.default_rng(0).integers(0, 256, (len(texts), 32, 64), "uint8")
    for row, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{row}.png")
    lines = ["image,text", *(f'{row}.png,"{text}"' for row, text in enumerate(texts))]
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    if labels is not None:
        (folder / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    return folder / "table.csv"


TEXTS = [f"{row}é {row % 3}" for row in range(12)]


@pytest.mark.parametrize("labels", [None, ["space", *"9876543210é", "Z"]])
def test_texts_of_a_table_and_of_shards_are_the_same(tmp_path, labels):
    data = training.load_data(write_table(tmp_path, TEXTS, labels=labels), image_size=(32, 64))
    characters = sorted(["space", *"0123456789é"]) if labels is None else labels
    assert (data.task, data.labels) == ("sequence", (*characters, "blank"))
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=(32, 64))
    found = {
        TASK.target_text(target, data.labels)
        for part in (data.train, data.test, data.validation)
        for target in part.labels
    }
    assert found == set(TEXTS)
    assert again.labels == data.labels
    for one, other in zip(data.train.arrays(), again.train.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_survey_counts_the_characters_of_texts(tmp_path):
    data = training.load_data(write_table(tmp_path, TEXTS), image_size=(32, 64))
    assert training.survey(data).labels == {"characters": {"smallest": 4.0, "mean": 50 / 12, "largest": 5.0}}


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("", None, r"table\.csv, line 4, column 'text': it is empty"),
        ("1X", [*"0123456789é", "space"], r"table\.csv, line 4, .*'1X' has the character 'X'; allowed are 0 1 2"),
        ("1\t2", None, r"table\.csv, line 4, .* has the character '\\t'; white space is ' ' alone"),
        ("1", ["ab", *"0123456789é"], r"labels\.txt has 'ab'; it takes one character on each line, or the word space"),
    ],
)
def test_texts_that_cannot_be_read_are_refused(tmp_path, text, labels, message):
    table = write_table(tmp_path, [*TEXTS[:2], text, *TEXTS[3:]], labels=labels)
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(table, image_size=(32, 64))


def test_composed_and_decomposed_characters_are_the_same():
    labels, targets = encode_texts(["e\u0301", "\u00e9"])
    assert labels == ("\u00e9", "blank")
    np.testing.assert_array_equal(targets, [[0], [0]])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[0, 1], [-1, -1]], r"the targets have in row 1 \[-1, -1\]; a text has a character or more"),
        ([[0, -1, 1], [0, 0, 0]], r"the targets have in row 0 \[0, -1, 1\]"),
        ([[0, -2]], "the targets have the index -2; characters go from 0 to 1, and -1 is the end"),
        ([[0, 2]], "the targets have the index 2; characters"),
        (np.zeros((2, 0), int), "a text has a character or more"),
    ],
)
def test_targets_that_are_no_texts_are_refused(targets, message):
    with pytest.raises(zoo.InputError, match=message):
        TASK.check_targets(np.array(targets), "the targets", num_outputs=3)


def dataset(texts, width=64, labels=None):
    images = np.random.default_rng(0).integers(0, 256, (len(texts), 32, width, 1), "uint8")
    labels, targets = encode_texts(texts, labels)
    return training.from_arrays(images, targets, labels=labels, task="sequence")


@given(text=st.lists(st.integers(0, 2), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_columns_needed_are_those_of_the_shortest_path(text):
    columns = columns_needed(text)
    even = np.full((columns, 4), 0.25)
    assert log_likelihood(even, text) > columns * np.log(EPSILON)
    if columns > 1:
        assert log_likelihood(even[1:], text) == pytest.approx((columns - 1) * np.log(EPSILON))


def small_model(data, **arguments):
    return zoo.create_model("crnn_micro", labels=data.labels, input_shape=data.image_shape, **arguments)


@pytest.mark.parametrize(("longest", "fits"), [("0" * 8, True), ("0" * 8 + "1", False), ("01" * 8, False)])
def test_texts_longer_than_the_map_is_wide_are_refused(longest, fits):
    """15 columns: eight equal characters take seven blanks between them."""
    data = dataset([str(row) for row in range(10)] + [longest] * 10)
    model = small_model(data)
    assert model.output_shape == (None, 15, 11)
    if fits:
        training.evaluate(model, data)
        return
    message = rf"crnn_micro cannot be right about image \d+: it has a text of {len(longest)} characters.* have 15; take"
    with pytest.raises(zoo.InputError, match=message):
        training.fit(model, data, training.Recipe(epochs=1, batch_size=4, augmentation="none"), verbose=False)
    with pytest.raises(zoo.InputError, match=message):
        training.evaluate(model, data)


def test_mirrored_texts_are_refused():
    data = dataset([str(row) for row in range(20)])
    with pytest.raises(zoo.InputError, match=r"flip would mirror the images, but their targets .* left to right"):
        training.fit(
            small_model(data), data, training.Recipe(augmentation="standard", epochs=1, batch_size=4), verbose=False
        )
    with pytest.raises(zoo.InputError, match="test_time_augmentation averages outputs over views"):
        training.evaluate(small_model(data), data, test_time_augmentation="flip")


def test_labels_without_a_blank_are_refused():
    with pytest.raises(zoo.InputError, match=r"the last label is '9'; the labels of a sequence are .* last, 'blank'"):
        zoo.create_model("crnn_micro", labels=list("0123456789"))


# ---- Models


@pytest.mark.parametrize("recurrence", ["lstm", "gru", "conv"])
@pytest.mark.parametrize("shape", [(32, 40, 1), (48, 40, 3)])
def test_columns_are_a_quarter_of_the_width_less_one(recurrence, shape):
    narrow = {"widths": (2,) * 7, "units": 3, "recurrence": recurrence}
    model = zoo.create_model("crnn", input_shape=shape, classes=4, **narrow)
    assert model.output_shape == (None, 9, 4)
    assert isinstance(model.get_layer("head"), layers.SequenceHead)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"recurrence": "rnn"}, "recurrence is 'rnn'; allowed are"), ({"widths": (4, 4)}, "of seven convolutions")],
)
def test_arguments_of_the_model_are_checked(arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("crnn", **arguments)


def test_map_of_one_row_takes_no_head_for_every_pixel():
    model = zoo.create_model("crnn", widths=(2,) * 7, units=3)
    with pytest.raises(zoo.InputError, match="crnn: its features are no map of the whole image that grows with it"):
        zoo.replace_head(model, "segmentation", classes=3)
    assert zoo.replace_head(model, "classification", classes=3).output_shape == (None, 3)


def test_training_for_integers_names_the_convolutional_variant():
    model = zoo.create_model("crnn", widths=(2,) * 7, units=3)
    message = r"no rule for recurrent1 \(Bidirectional\) .* replace it by convolutions .*recurrence='conv'"
    with pytest.raises(zoo.InputError, match=message):
        quantized_model(model, 8)
    assert quantized_model(zoo.create_model("crnn", widths=(2,) * 7, units=3, recurrence="conv"), 8).output_shape[
        1:
    ] == (24, 37)


def test_any_backbone_is_read_column_by_column():
    data = dataset(["12", "3"] * 10, labels="0123456789")
    model = zoo.create_model("resnet20", head="sequence", labels=data.labels, input_shape=data.image_shape)
    assert model.output_shape == (None, 16, 11)
    features = model.get_layer("head").input
    assert features.shape[1:3] == (8, 16)


# ---- From data to an export


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A net that was trained for a moment on a few strings, its data and its bundle."""
    random = np.random.default_rng(0)
    digits, labels = real_digits()
    texts, images = [], []
    for _ in range(90):
        rows = random.integers(len(digits), size=random.integers(1, 4))
        image = np.zeros((32, 64), "uint8")
        for place, row in enumerate(rows):
            image[6:26, 1 + 21 * place : 21 + 21 * place] = np.asarray(Image.fromarray(digits[row]).resize((20, 20)))
        texts.append("".join("ab"[labels[row] % 2] for row in rows))
        images.append(image)
    names, targets = encode_texts(texts)
    data = training.from_arrays(np.stack(images)[..., None], targets, labels=names, task="sequence")
    keras.utils.set_random_seed(0)
    model = small_model(data, widths=(4, 6, 8, 8, 8, 8, 8), units=8, recurrence="lstm")
    recipe = training.Recipe(epochs=2, batch_size=8, optimizer={"name": "adam", "lr": 0.01}, augmentation="none")
    result = training.fit(model, data, recipe, verbose=False)
    bundle = tmp_path_factory.mktemp("reader") / "bundle"
    manifest = export.export_model(
        model, bundle, targets=["mobile-cpu"], calibration=data.train, evaluation=data.test, thresholds=LOOSE
    )
    return model, data, bundle, manifest, result


LOOSE = {"sequence_accuracy_drop": 1.0, "agreement": 0.0, "relative_difference": 1.0}
"""The net is hardly trained: what its texts are is chance."""


def test_training_reports_the_sequence_accuracy(reader):
    assert {"val_loss", "val_sequence_accuracy"} <= reader[4].history[-1].keys()
    assert reader[4].history[-1]["loss"] < reader[4].history[0]["loss"]


def test_every_artifact_reads_the_same_texts(reader):
    names = set()
    for record in reader[3].artifacts:
        for check in record.checks:
            gates = {gate.name: gate for gate in check.gates}
            names |= gates.keys()
            assert "failed" not in {gate.status for gate in check.gates}
    assert {"sequence accuracy drop", "agreement"} <= names


def test_artifact_is_evaluated_and_predicts_texts(reader, tmp_path):
    model, data, bundle, *_ = reader
    artifact = export.load_artifact(next(bundle.glob("*-fp32.tflite")))
    assert training.evaluate(artifact, data).loss == pytest.approx(training.evaluate(model, data).loss, rel=1e-3)
    images, _ = data.test.arrays()
    prediction = export.predict(artifact, images[:3])
    for rows, output in zip(prediction.rows(3), prediction.probabilities, strict=True):
        assert rows[0] == pytest.approx(TASK.predictions(output, data.labels, 1)[0])
        assert set("".join(text for text, _ in rows)) <= {"a", "b"}
        assert 0 < rows[0][1] <= 1
    assert "keep one of equal neighbors" in (bundle / "README.md").read_text()


def test_report_has_the_worst_texts(reader, tmp_path):
    model, data, *_ = reader
    training.write_report(model, data.test, tmp_path)
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    assert 0 <= facts["sequence_accuracy"] <= 1
    assert Image.open(tmp_path / "worst.png").size[0] > 300


def test_recurrent_kernels_are_pruned(reader):
    model, data, *_ = reader
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    recipe = training.Recipe(epochs=1, batch_size=8, augmentation="none")
    result = training.prune(
        copy, data, recipe, sparsity=training.Sparsity(target=0.5, include=("recurrent*",)), verbose=False
    )
    assert result.metrics["sparsity"] == pytest.approx(0.5, abs=0.02)
    cell = copy.get_layer("recurrent1").forward_layer.cell
    for kernel in (cell.kernel, cell.recurrent_kernel):
        assert np.mean(kernel.numpy() == 0) == pytest.approx(0.5, abs=0.05)


def test_digit_strings_are_of_one_to_eight_digits(monkeypatch):
    monkeypatch.setattr(digit_strings, "STRINGS", {"train": 100, "validation": 20, "test": 50})
    data = training.load_data("digit-strings", image_size=(16, 64))
    assert data.image_shape == (16, 64, 1)
    lengths = (data.train.labels >= 0).sum(axis=1)
    assert (lengths.min(), lengths.max(), data.labels) == (1, 8, (*"0123456789", "blank"))
    assert len({image.tobytes() for image in data.test.images.take(np.arange(50))}) == 50
    with pytest.raises(zoo.InputError, match="digit-strings take a height of 16 pixels or more and a width of 4 times"):
        training.load_data("digit-strings", image_size=64)
