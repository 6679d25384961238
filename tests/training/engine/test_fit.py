import json
import resource
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from pocketzoo import layers, training, zoo

AT_ONCE = {"warmup_epochs": 0}
BRIEF = training.Recipe(epochs=2, batch_size=40)
ALWAYS = ["environment.json", "pocketzoo-run.json", "recipe.yaml"]
"""What a run writes before it trains."""


def lenet(seed: int = 0, **arguments) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model("lenet5", **arguments)


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.get_weights()]


@pytest.fixture(scope="module")
def finished(few_digits, tmp_path_factory):
    """A finished run; tests that write to its directory take `run`."""
    run = tmp_path_factory.mktemp("finished") / "run"
    return training.fit(lenet(), few_digits, BRIEF, run_dir=run, verbose=False)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the directory of a finished run."""
    return shutil.copytree(finished.run_dir, tmp_path / "run")


def test_training_learns_and_adopts_the_labels_of_the_data(digits):
    model = lenet()
    result = training.fit(model, digits, training.Recipe(epochs=4), verbose=False)
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2
    assert training.evaluate(model, digits).accuracy > 0.9
    assert model.get_layer("head").labels == list("0123456789")


def test_model_ends_with_the_weights_of_the_best_epoch(few_digits):
    model = lenet()
    # So high a rate that later epochs are worse.
    schedule = {"name": "constant", "warmup_epochs": 0}
    recipe = training.Recipe(epochs=5, optimizer={"lr": 0.05}, schedule=schedule)
    result = training.fit(model, few_digits, recipe, verbose=False)
    losses = [epoch["val_loss"] for epoch in result.history]
    assert result.metrics["best_epoch"] == int(np.argmin(losses)) + 1
    assert not model.compiled  # as before
    assert training.evaluate(model, few_digits.validation).loss == pytest.approx(min(losses), rel=1e-4)


def test_early_stopping_waits_for_the_patience(few_digits):
    recipe = training.Recipe(epochs=30, optimizer={"lr": 0.3}, schedule=AT_ONCE, early_stopping=2)
    result = training.fit(lenet(), few_digits, recipe, verbose=False)
    assert len(result.history) == result.metrics["best_epoch"] + 2 < 30


def test_same_recipe_gives_the_same_weights(few_digits, finished):
    again = training.fit(lenet(), few_digits, BRIEF, verbose=False).model
    assert all(np.array_equal(a, b) for a, b in zip(weights(finished.model), weights(again), strict=True))


def test_run_directory_has_recipe_log_metrics_curves_and_best_model(finished):
    result, run = finished, finished.run_dir
    assert training.Recipe.load(run / "recipe.yaml") == BRIEF
    log = (run / "log.csv").read_text().splitlines()
    assert log[0].split(",") == ["epoch", *result.history[0]]
    assert "learning_rate" in result.history[0]
    assert len(log) == 1 + BRIEF.epochs
    assert json.loads((run / "metrics.json").read_text()) == result.metrics
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    best = zoo.load_model(run / "best.keras")
    assert all(np.array_equal(a, b) for a, b in zip(weights(best), weights(result.model), strict=True))
    assert not [path for path in run.rglob("*") if "tmp" in path.name or "partial" in path.name]


@pytest.mark.parametrize("optimizer", ["adamw", "nesterov"])
def test_weight_decay_excludes_normalization_and_biases(optimizer):
    from pocketzoo.training.engine.compilation import compile_for_training

    model = zoo.create_model("resnet20")
    network = compile_for_training(model, training.Recipe(optimizer=optimizer), steps=3)
    spared = [v for v in model.trainable_variables if not network.optimizer._use_weight_decay(v)]
    assert spared
    assert all(len(v.shape) <= 1 for v in spared)
    assert len(spared) == sum(len(v.shape) <= 1 for v in model.trainable_variables)


def test_resuming_a_finished_run_returns_its_result(few_digits, finished, run):
    again = training.fit(lenet(seed=1), few_digits, BRIEF, run_dir=run, resume=True, verbose=False)
    assert again.history == finished.history
    assert all(np.array_equal(a, b) for a, b in zip(weights(finished.model), weights(again.model), strict=True))


def test_existing_run_is_only_replaced_with_overwrite(few_digits, run):
    with pytest.raises(zoo.InputError, match="is not empty; resume the run, overwrite it"):
        training.fit(lenet(), few_digits, BRIEF, run_dir=run, verbose=False)
    other = BRIEF.changed(batch_size=41)
    with pytest.raises(zoo.InputError, match="belongs to another run: batch_size was 40, is 41"):
        training.fit(lenet(), few_digits, other, run_dir=run, resume=True, verbose=False)
    training.fit(lenet(), few_digits, other, run_dir=run, overwrite=True, verbose=False)
    assert training.Recipe.load(run / "recipe.yaml") == other


def test_run_that_failed_before_its_first_checkpoint_can_be_started_with_another_recipe(few_digits, tmp_path):
    hopeless = training.Recipe(epochs=1, optimizer={"name": "nesterov", "lr": 1e38}, schedule=AT_ONCE)
    with pytest.raises(zoo.InputError, match=r"try a lower optimizer\.lr"):
        training.fit(lenet(), few_digits, hopeless, run_dir=tmp_path / "run", verbose=False)
    training.fit(lenet(), few_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)


def test_directory_without_a_run_is_never_overwritten(few_digits, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(zoo.InputError, match="is not empty"):
        training.fit(lenet(), few_digits, BRIEF, run_dir=tmp_path, overwrite=True, verbose=False)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_other_files_in_a_run_directory_are_not_touched(few_digits, run):
    (run / ".git").mkdir()
    (run / "notes.txt").write_text("precious")
    training.fit(lenet(), few_digits, BRIEF, run_dir=run, resume=True, verbose=False)
    with pytest.raises(zoo.InputError, match="is not empty"):
        training.fit(lenet(), few_digits, BRIEF, run_dir=run, overwrite=True, verbose=False)
    assert (run / ".git").is_dir()
    assert (run / "notes.txt").read_text() == "precious"


def test_run_directory_that_cannot_be_created_is_named(few_digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(zoo.InputError, match="file/run cannot be written: Not a directory"):
        training.fit(lenet(), few_digits, BRIEF, run_dir=tmp_path / "file" / "run", verbose=False)


def test_resume_requires_a_run_directory(few_digits):
    with pytest.raises(zoo.InputError, match="resume requires run_dir"):
        training.fit(lenet(), few_digits, BRIEF, resume=True)


def test_nan_loss_stops_the_run_and_names_the_step(few_digits, tmp_path):
    run = tmp_path / "run"
    # AdamW cannot blow up by itself; a decay of more than 1 a step turns every kernel over, ever larger.
    diverging = training.Recipe(
        epochs=30,
        batch_size=40,
        optimizer={"name": "nesterov", "lr": 1e4, "weight_decay": 1e4},
        schedule=AT_ONCE,
    )
    with pytest.raises(zoo.InputError, match=r"the loss became nan in epoch \d+, step \d+; try a lower optimizer.lr"):
        training.fit(lenet(), few_digits, diverging, run_dir=run, verbose=False)
    assert not (run / "metrics.json").exists()


def test_epoch_with_nan_validation_loss_is_not_saved(few_digits, tmp_path):
    run = tmp_path / "run"
    one_step = training.Recipe(epochs=2, batch_size=120, optimizer={"name": "nesterov", "lr": 1e38}, schedule=AT_ONCE)
    with pytest.raises(zoo.InputError, match=r"epoch 1 .*Last good checkpoint: none yet"):
        training.fit(lenet(), few_digits, one_step, run_dir=run, verbose=False)
    assert sorted(path.name for path in run.iterdir()) == ALWAYS


def test_resume_with_different_data_is_rejected(few_digits, digits, run):
    other = replace(few_digits, train=digits.validation)
    with pytest.raises(zoo.InputError, match="belongs to another run: the images or their labels are different"):
        training.fit(lenet(), other, BRIEF, run_dir=run, resume=True, verbose=False)


class StoppedHereError(Exception):
    pass


def test_random_states_are_restored_when_resumed(few_digits, tmp_path, monkeypatch):
    from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder

    def net() -> keras.Model:
        keras.utils.set_random_seed(0)
        image = keras.Input((32, 32, 1))
        return keras.Model(image, layers.ClassificationHead(10, dropout=0.5)(keras.layers.Flatten()(image)), name="net")

    recipe = BRIEF.changed(epochs=4)
    whole = training.fit(net(), few_digits, recipe, verbose=False)
    keep = RunRecorder.on_epoch_end

    def stop_after_two(self, epoch, logs=None):
        keep(self, epoch, logs)
        if epoch == 1:
            raise StoppedHereError

    monkeypatch.setattr(RunRecorder, "on_epoch_end", stop_after_two)
    with pytest.raises(StoppedHereError):
        training.fit(net(), few_digits, recipe, run_dir=tmp_path / "run", verbose=False)
    monkeypatch.setattr(RunRecorder, "on_epoch_end", keep)
    resumed = training.fit(net(), few_digits, recipe, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert resumed.history == whole.history
    assert all(np.array_equal(a, b) for a, b in zip(weights(whole.model), weights(resumed.model), strict=True))


def test_best_model_is_saved_without_its_optimizer(run):
    assert not zoo.load_model(run / "best.keras").compiled


@pytest.fixture
def small_files_only():
    """Limits the size of the files that this process writes: the same error out of the same call as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_is_an_input_error_and_leaves_no_partial_files(few_digits, tmp_path, small_files_only):
    run = tmp_path / "run"
    message = r"epoch 1 cannot be saved in .*run: .*\. Last good checkpoint: none yet\."
    with pytest.raises(zoo.InputError, match=message):
        training.fit(lenet(), few_digits, BRIEF, run_dir=run, verbose=False)
    assert sorted(path.name for path in run.iterdir()) == ALWAYS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 3}, "has 3 classes, but digits has 10"),
        ({"labels": list("9876543210")}, r"has the classes \['9', .*, but digits has \['0'"),
        ({"input_shape": (32, 32, 3)}, r"takes images of \(32, 32, 3\)"),
        ({"input_shape": (28, 28, 1)}, r"takes images of \(28, 28, 1\)"),
    ],
)
def test_incompatible_model_and_data_are_rejected(few_digits, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        training.fit(lenet(**arguments), few_digits, BRIEF)


@pytest.mark.parametrize("verb", ["fit", "prune", "cluster", "distill", "quantize_aware", "find_learning_rate"])
def test_completely_frozen_model_is_rejected(few_digits, verb):
    model = lenet()
    model.trainable = False
    arguments = [lenet(1)] if verb == "distill" else []
    with pytest.raises(zoo.InputError, match="lenet5: nothing is left to train; all layers are frozen"):
        getattr(training, verb)(model, *arguments, few_digits)


def test_accumulating_more_batches_than_the_run_has_is_rejected(few_digits):
    """120 images in batches of 40: a run of two epochs has six."""
    before = lenet()
    training.fit(before, few_digits, BRIEF.changed(optimizer={"accumulate": 6}), verbose=False)
    assert any(np.any(a != b) for a, b in zip(weights(before), weights(lenet()), strict=True))
    with pytest.raises(zoo.InputError, match=r"accumulate is 7, but 2 epochs of 3 batches have 6 only.* takes 1 to 6"):
        training.fit(lenet(), few_digits, BRIEF.changed(optimizer={"accumulate": 7}), verbose=False)


def test_run_extended_to_more_epochs_is_that_of_more_epochs(few_digits, tmp_path):
    recipe = training.Recipe(epochs=2, batch_size=40, schedule={"name": "constant", "warmup_epochs": 0})
    longer = recipe.changed(epochs=3)
    whole = training.fit(lenet(), few_digits, longer, verbose=False)
    training.fit(lenet(), few_digits, recipe, run_dir=tmp_path, verbose=False)
    extended = training.fit(lenet(), few_digits, longer, run_dir=tmp_path, extend=True, verbose=False)
    assert extended.history == whole.history
    assert all(np.array_equal(a, b) for a, b in zip(weights(extended.model), weights(whole.model), strict=True))
    assert training.Recipe.load(tmp_path / "recipe.yaml") == longer
    assert training.fit(lenet(), few_digits, longer, run_dir=tmp_path, resume=True, verbose=False).history == (
        whole.history
    )
    with pytest.raises(zoo.InputError, match=r"has a run of 3 epochs \(epochs\), which 2 do not extend"):
        training.fit(lenet(), few_digits, recipe, run_dir=tmp_path, extend=True, verbose=False)
    changed = longer.changed(epochs=4, batch_size=30)
    with pytest.raises(zoo.InputError, match="batch_size was 40, is 30"):
        training.fit(lenet(), few_digits, changed, run_dir=tmp_path, extend=True, verbose=False)
    assert training.Recipe.load(tmp_path / "recipe.yaml") == longer


def test_extension_requires_a_run_directory(few_digits):
    with pytest.raises(zoo.InputError, match="extend requires run_dir"):
        training.fit(lenet(), few_digits, BRIEF, extend=True)
