"""Models with several inputs through the functions that train, compress and evaluate, and their exports."""

import keras
import numpy as np
import pytest
from support.several_inputs import RECIPE, SHORT, TASKS, pair_net, pair_rows, photo_net, photo_rows

from pocketzoo import export, training, zoo


@pytest.fixture(scope="module")
def photo_data():
    return training.from_arrays(*photo_rows(), labels=list("abcd"))


@pytest.fixture(scope="module")
def pair_data():
    return training.from_arrays(*pair_rows(), task=TASKS, labels={"place": list("abcd"), "amount": ["amount"]})


@pytest.fixture(scope="module")
def trained(photo_data):
    model = photo_net()
    training.fit(model, photo_data, RECIPE, verbose=False)
    return model


@pytest.fixture(scope="module")
def trained_pair(pair_data):
    model = pair_net()
    training.fit(model, pair_data, RECIPE, pixels="0..1", verbose=False)
    return model


def copy_of(model):
    copy = photo_net()
    copy.set_weights(model.get_weights())
    return copy


def test_both_inputs_are_learned_and_the_loss_is_that_of_keras(trained, photo_data):
    evaluation = training.evaluate(trained, photo_data)
    assert evaluation.accuracy > 0.9  # 0.5 without one of the inputs
    inputs, classes = photo_data.test.arrays()
    plain = copy_of(trained)
    plain.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    expected = plain.evaluate([inputs["photo"], inputs["about"]], classes, verbose=0)
    assert [evaluation.loss, evaluation.accuracy] == pytest.approx(expected, rel=1e-4)


def test_two_images_with_two_outputs_are_learned_in_the_range_of_the_model(trained_pair, pair_data):
    evaluation = training.evaluate(trained_pair, pair_data)
    inputs, targets = pair_data.test.arrays()
    places, amounts = trained_pair.predict({name: rows / 255.0 for name, rows in inputs.items()}, verbose=0)
    assert evaluation["place"].accuracy == (places.argmax(-1) == targets["place"]).mean() > 0.9
    assert evaluation["amount"].mae == pytest.approx(
        np.abs(amounts - targets["amount"].reshape(-1, 1)).mean(), rel=1e-3
    )


RARE = [pytest.param(verb, marks=pytest.mark.every_card) for verb in ("cluster", "quantize_aware", "shrink_channels")]


@pytest.mark.parametrize("verb", ["prune", *RARE])
def test_compressed_model_takes_both_inputs(trained, photo_data, verb):
    model = copy_of(trained)
    result = getattr(training, verb)(model, photo_data, SHORT, verbose=False)
    assert training.evaluate(result.model, photo_data).accuracy > 0.9
    assert [tensor.name for tensor in result.model.inputs] == ["photo", "about"]


@pytest.mark.parametrize("criterion", ["taylor", pytest.param("activation", marks=pytest.mark.every_card)])
def test_channels_are_removed_by_their_effect_on_the_data(trained, photo_data, criterion):
    small = training.prune_channels(
        trained, photo_data, budget="params:0.7", criterion=criterion, round_to=1, recipe=SHORT, verbose=False
    )
    assert small.after.parameters <= 0.7 * small.before.parameters
    assert training.evaluate(small.model, photo_data).accuracy > 0.9


def test_two_images_are_quantized_and_exported_without_calibration(trained_pair, pair_data, tmp_path):
    quantized = training.quantize_aware(trained_pair, pair_data, SHORT, verbose=False).model
    assert list(quantized.input) == ["before", "after"]
    own = training.evaluate(quantized, pair_data)
    assert own["place"].accuracy > 0.9
    loose = {"accuracy_drop": 0.1, "agreement": 0.9, "mae_rise": 0.1}
    export.export_model(
        quantized, tmp_path / "out", targets=["mobile-cpu"], evaluation=pair_data.test, thresholds=loose
    )
    artifact = export.load_artifact(tmp_path / "out" / "pair_net-uint8.tflite")
    assert list(artifact.input) == ["before", "after"]
    found = training.evaluate(artifact, pair_data)
    for name in TASKS:
        assert found[name].loss == pytest.approx(own[name].loss, rel=0.05, abs=1e-3)


def test_student_learns_from_a_teacher_with_the_same_inputs(trained, photo_data):
    student = photo_net("student")
    training.distill(student, trained, photo_data, RECIPE, verbose=False)
    assert training.evaluate(student, photo_data).accuracy > 0.9


@pytest.mark.parametrize("mode", ["feature_extraction", pytest.param("fine_tune", marks=pytest.mark.every_card)])
def test_new_head_is_trained_on_features_of_all_inputs(trained, photo_data, mode):
    model = zoo.replace_head(trained, "classification", labels=list("abcd"))
    recipe = training.FineTuneRecipe(
        mode=mode, epochs=1, head_epochs=8, batch_size=16, augmentation="none", head_lr=1e-2
    )
    training.fine_tune(model, photo_data, recipe, verbose=False)
    assert training.evaluate(model, photo_data).accuracy > 0.9
    again = zoo.replace_head(model, "classification", labels=list("abcde"))
    assert [tensor.name for tensor in again.inputs] == ["photo", "about"]


@pytest.mark.every_card
def test_all_that_looks_at_a_run_takes_several_inputs(photo_data, pair_data, tmp_path):
    recipe = SHORT.changed(monitor=True, precision="auto", folds=2)
    result = training.cross_validate(photo_net, photo_data, recipe, verbose=False)
    assert len(result.folds) == 2
    model = photo_net()
    metrics = training.fit(model, photo_data, recipe.changed(folds=None), verbose=False).metrics
    assert metrics["gradient_norm"] > 0
    assert training.find_learning_rate(model, photo_data, SHORT).suggestion > 0
    assert training.sensitivity(model, photo_data, levels=[0.5]).dense["loss"] > 0
    pair = pair_net()
    training.fit(pair, pair_data, recipe.changed(folds=None), pixels="0..1", verbose=False)
    training.write_report(pair, pair_data, tmp_path)
    assert (tmp_path / "place" / "worst.png").exists()


def test_split_calibrates_and_evaluates_an_export(trained, photo_data, tmp_path):
    manifest = export.export_model(
        trained,
        tmp_path / "out",
        targets=["mobile-cpu", "gpu"],
        calibration=photo_data.train,
        evaluation=photo_data.test,
        thresholds={"accuracy_drop": 0.1, "agreement": 0.8},
    )
    inputs, _ = photo_data.test.arrays()
    expected = export.predict(trained, inputs).probabilities
    for record in manifest.artifacts:
        artifact = export.load_artifact(tmp_path / "out" / record.file)
        assert list(artifact.input) == ["photo", "about"]
        np.testing.assert_allclose(export.predict(artifact, inputs).probabilities, expected, atol=0.2)
        assert training.evaluate(artifact, photo_data).accuracy > 0.9
    fp32 = export.load_artifact(next((tmp_path / "out").glob("*fp32.tflite")))
    ours = training.evaluate(trained, photo_data.test).to_dict()
    assert training.evaluate(fp32, photo_data.test).to_dict()["loss"] == pytest.approx(ours["loss"], rel=1e-4)
    with pytest.raises(zoo.InputError, match="takes the inputs photo, about; the data has images alone"):
        training.evaluate(fp32, training.ImageSplit(photo_data.test.images, photo_data.test.labels))


@pytest.mark.every_card
def test_artifact_with_several_inputs_and_outputs_is_evaluated(trained_pair, pair_data, tmp_path):
    export.export_model(trained_pair, tmp_path / "out", targets=["gpu"], evaluation=pair_data.test)
    artifact = export.load_artifact(tmp_path / "out" / "pair_net-fp32.onnx")
    found, wanted = training.evaluate(artifact, pair_data), training.evaluate(trained_pair, pair_data)
    for name in TASKS:
        assert found[name].loss == pytest.approx(wanted[name].loss, rel=1e-3)
