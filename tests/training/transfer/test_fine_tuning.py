import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.fitting import session
from pocketzoo.training.fitting.callbacks import Recorder
from pocketzoo.training.transfer import tuning_phase
from pocketzoo.training.transfer.stages import stages_of

BRIEF = training.FineTuneRecipe(epochs=2, head_epochs=2, batch_size=40, augmentation="none")
MODES = ("feature_extraction", "linear_probe", "fine_tune", "gradual")


def narrow_resnet(**arguments) -> keras.Model:
    """Stands for a pretrained net: what these tests hold does not depend on what it knows."""
    keras.utils.set_random_seed(0)
    return zoo.create_model("resnet20", widths=(4, 8, 8), input_shape=(16, 16, 1), **arguments)


def lenet(**arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), **arguments)


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: np.array(weight) for weight in model.weights}


def moved_stages(model: keras.Model, before: dict[str, np.ndarray]) -> list[str]:
    def moved(layer):
        return any(np.any(np.array(weight) != before[weight.path]) for weight in layer.weights)

    return [stage.name for stage in stages_of(model) if any(map(moved, stage.layers))]


def assert_equal(first: keras.Model, second: keras.Model) -> None:
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("mode", "batch_norm", "augmentation", "moved"),
    [
        ("feature_extraction", "train", "none", ["heads"]),
        ("feature_extraction", "train", "light", ["heads"]),
        ("linear_probe", "train", "none", ["heads"]),
        ("fine_tune", "train", "light", ["stage3", "heads"]),
        ("gradual", "frozen", "none", ["stage2", "stage3", "heads"]),
    ],
)
def test_frozen_weights_and_statistics_do_not_move_by_one_bit(small_digits, mode, batch_norm, augmentation, moved):
    model = narrow_resnet()
    before = values(model)
    recipe = BRIEF.changed(mode=mode, batch_norm=batch_norm, augmentation=augmentation)
    unfrozen = None if moved == ["heads"] else moved[0]
    training.fine_tune(model, small_digits, recipe.changed(unfreeze_from=unfrozen), verbose=False)
    assert moved_stages(model, before) == moved


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_batch_norm_moves_only_where_it_is_to_train(small_digits, batch_norm):
    model = narrow_resnet()
    before = values(model)
    training.fine_tune(model, small_digits, BRIEF.changed(head_epochs=0, batch_norm=batch_norm), verbose=False)
    assert moved_stages(model, before) == ["stem", "stage1", "stage2", "stage3", "heads"]
    norms = [name for name in before if "norm" in name]
    moved = [name for name, value in values(model).items() if name in norms and np.any(value != before[name])]
    assert moved == (norms if batch_norm == "train" else [])


def test_cached_features_give_the_numbers_of_features_computed_anew(small_digits, monkeypatch):
    recipe = BRIEF.changed(mode="feature_extraction", head_epochs=4)
    cached = training.fine_tune(narrow_resnet(dropout=0.3), small_digits, recipe, verbose=False)
    monkeypatch.setattr(tuning_phase, "LARGEST_CACHE", 0)
    monkeypatch.setattr(tuning_phase, "cached_features", None)
    anew = training.fine_tune(narrow_resnet(dropout=0.3), small_digits, recipe, verbose=False)
    for first, second in zip(cached.history, anew.history, strict=True):
        assert first == pytest.approx(second, rel=1e-5)
    for first, second in zip(cached.model.get_weights(), anew.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


BY_STAGES = BRIEF.changed(mode="gradual", epochs=4, unfreeze_from="stage2", l2_sp=0.01, augmentation="light")
"""Epochs 1 and 2 are the head's, 3 and 4 also the neck's, 5 and 6 also those of stage 2."""


@pytest.fixture(scope="module")
def uninterrupted(small_digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    return training.fine_tune(lenet(dropout=0.5), small_digits, BY_STAGES, run_dir=run, verbose=False)


class StoppedHereError(Exception):
    pass


@pytest.mark.parametrize("stopped_after", [1, 2, 3, 4])
def test_interrupted_run_goes_on_in_its_phase_to_the_very_same_weights(
    small_digits, uninterrupted, tmp_path, monkeypatch, stopped_after
):
    keep = Recorder.on_epoch_end

    def stop(self, epoch, logs=None):
        keep(self, epoch, logs)
        if len(self._history) == stopped_after:
            raise StoppedHereError

    def run(**options):
        model = lenet(dropout=0.5)
        return training.fine_tune(model, small_digits, BY_STAGES, run_dir=tmp_path, verbose=False, **options)

    monkeypatch.setattr(Recorder, "on_epoch_end", stop)
    with pytest.raises(StoppedHereError):
        run()
    monkeypatch.setattr(Recorder, "on_epoch_end", keep)
    resumed = run(resume=True)
    assert resumed.history == uninterrupted.history
    assert resumed.metrics == uninterrupted.metrics
    assert_equal(resumed.model, uninterrupted.model)
    names = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path, uninterrupted.run_dir)]
    assert names[0] == names[1]


def test_run_killed_between_best_model_and_checkpoint_starts_its_phase_from_the_checkpoint(
    small_digits, tmp_path, monkeypatch
):
    from pocketzoo.training.fitting.run_directory import RunDirectory

    whole = training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "whole", verbose=False)
    assert whole.metrics["best_epoch"] > BRIEF.head_epochs  # the phase does find better weights than it started from
    save = RunDirectory.save_checkpoint

    def die(self, model, network, history, **options):
        if len(history) == 3:
            zoo.save_model(model, self.path / "best.keras")
            raise KeyboardInterrupt
        save(self, model, network, history, **options)

    monkeypatch.setattr(RunDirectory, "save_checkpoint", die)
    with pytest.raises(KeyboardInterrupt):
        training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    monkeypatch.setattr(RunDirectory, "save_checkpoint", save)
    again = training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert_equal(again.model, whole.model)


@pytest.mark.parametrize("mode", MODES)
def test_run_directory_holds_the_whole_run_and_a_plain_model(small_digits, tmp_path, mode):
    run = tmp_path / "run"
    model = narrow_resnet()
    model.get_layer("stage3_block2").trainable = False  # somebody's own choice, which stays
    given = [(layer.name, layer.trainable) for layer in model._flatten_layers() if layer.weights]
    recipe = BRIEF.changed(mode=mode, unfreeze_from="stage3")
    result = training.fine_tune(model, small_digits, recipe, run_dir=run, verbose=False)
    assert json.loads((run / "metrics.json").read_text()) == result.metrics
    assert (run / "log.csv").read_text().count("\n") == 1 + len(result.history)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert training.FineTuneRecipe.load(run / "recipe.yaml") == recipe
    assert sum(phase["epochs"] for phase in result.metrics["phases"]) == len(result.history)
    losses = [epoch["val_loss"] for epoch in result.history]
    assert result.metrics["best_epoch"] == int(np.argmin(losses)) + 1
    assert training.evaluate(model, small_digits.validation).loss == pytest.approx(min(losses), rel=1e-4)
    best = zoo.load_model(run / "best.keras")
    assert_equal(best, model)
    assert not best.compiled
    for tuned in (model, best):
        assert [(layer.name, layer.trainable) for layer in tuned._flatten_layers() if layer.weights] == given
        norms = [layer for layer in tuned._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        assert {norm.momentum for norm in norms} == {0.9}
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("mode", MODES)
def test_finished_run_resumed_gives_its_result_again(small_digits, tmp_path, mode):
    recipe = BRIEF.changed(mode=mode, epochs=3)
    first = training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    with pytest.raises(zoo.InputError, match="is not empty; resume the run"):
        training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    again = training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, resume=True, verbose=False)
    assert again.history == first.history
    assert again.metrics == first.metrics
    assert_equal(again.model, first.model)


def test_resume_from_other_pretrained_weights_is_refused(small_digits, tmp_path):
    recipe = BRIEF.changed(mode="feature_extraction")
    training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    other = lenet()
    other.get_layer("dense1").kernel.assign_add(other.get_layer("dense1").kernel)
    with pytest.raises(zoo.InputError, match="belongs to another run: the model's weights are others"):
        training.fine_tune(other, small_digits, recipe, run_dir=tmp_path, resume=True, verbose=False)


def test_patience_ends_a_phase_and_the_next_one_starts_from_the_best_so_far(small_digits):
    recipe = BRIEF.changed(epochs=8, head_epochs=8, early_stopping=1, head_lr=10.0, optimizer={"lr": 1e-4})
    result = training.fine_tune(lenet(), small_digits, recipe.changed(schedule={"warmup_epochs": 0}), verbose=False)
    head, whole = (phase["epochs"] for phase in result.metrics["phases"])
    losses = [epoch["val_loss"] for epoch in result.history]
    assert head < 8
    assert whole >= 1
    assert losses[head - 1] > min(losses[:head])
    assert losses[head] < losses[head - 1]


def test_learning_rates_fall_from_stage_to_stage_towards_the_image(small_digits):
    recipe = BRIEF.changed(optimizer={"lr": 0.01}, layer_decay=0.5, unfreeze_from="stage2")
    result = training.fine_tune(lenet(), small_digits, recipe, verbose=False)
    head, tuned = ([stage["learning_rate"] for stage in phase["stages"]] for phase in result.metrics["phases"])
    assert head == [None, None, None, BRIEF.head_lr]
    assert tuned == [None, pytest.approx(0.0025), pytest.approx(0.005), 0.01]


@pytest.mark.parametrize("optimizer", ["adamw", "nesterov"])
def test_each_group_of_weights_is_changed_at_its_own_rate(optimizer):
    from pocketzoo.training.fitting.optimizers import RateGroup, make_optimizer

    weights = [keras.Variable(np.full((2, 2), 3.0), name=name) for name in ("fast", "slow", "spared")]
    recipe = training.Recipe(optimizer={"name": optimizer, "weight_decay": 0.1}, schedule={"warmup_epochs": 0})
    groups = [RateGroup(0.1, [weights[0], weights[2]]), RateGroup(0.01, [weights[1]])]
    made = make_optimizer(recipe, 10, groups, undecayed=[weights[2]])
    made.apply([np.zeros((2, 2), "float32")] * 3, weights)  # so that nothing but the decay moves them
    changes = [3.0 - weight.numpy()[0, 0] for weight in weights]
    assert changes == pytest.approx([3 * 0.1 * 0.1, 3 * 0.1 * 0.01, 0.0], abs=1e-6)
    made.apply([np.ones((2, 2), "float32")] * 3, weights)
    fast, slow = weights[2].numpy()[0, 0], weights[1].numpy()[0, 0]
    assert 3.0 - fast > 5 * (3.0 - changes[1] - slow) > 0


def test_l2_sp_keeps_the_backbone_near_its_pretrained_weights(small_digits):
    def distance(strength: float) -> float:
        model = lenet()
        before = values(model)
        recipe = BRIEF.changed(epochs=4, l2_sp=strength, optimizer={"lr": 5e-3})
        result = training.fine_tune(model, small_digits, recipe, verbose=False)
        assert result.metrics["best_epoch"] > BRIEF.head_epochs
        best = result.history[result.metrics["best_epoch"] - 1]["val_loss"]
        assert training.evaluate(model, small_digits.validation).loss == pytest.approx(best, rel=1e-4)  # no penalty
        return sum(
            float(np.sum((value - before[name]) ** 2))
            for name, value in values(model).items()
            if "kernel" in name and not name.startswith("head")
        )

    assert distance(1.0) < 0.3 * distance(0.0)


def test_l2_sp_is_the_squared_distance_in_training_and_nothing_else():
    from pocketzoo.training.transfer.l2_sp import L2SP

    weight = keras.Variable(np.array([[1.0, 2.0]]))
    layer = L2SP(0.5, [(weight, np.array([[0.0, 4.0]], "float32"))])
    inputs = np.ones((1, 3), "float32")
    assert layer(inputs, training=False).numpy().tolist() == inputs.tolist()
    assert layer.losses == []
    layer(inputs, training=True)
    assert [float(loss) for loss in layer.losses] == [0.25 * (1 + 4)]
    assert layer.weights == []


@pytest.mark.parametrize("classes", [2, 10])
def test_linear_probe_answers_what_logistic_regression_answers(small_digits, classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def of_classes(split):
        images, labels = split.arrays()
        return training.ImageSplit(ArrayImages(images[labels < classes]), labels[labels < classes])

    splits = {name: of_classes(getattr(small_digits, name)) for name in ("train", "validation", "test")}
    data = replace(small_digits, labels=small_digits.labels[:classes], **splits)
    model = narrow_resnet(labels=data.labels)
    result = training.fine_tune(model, data, BRIEF.changed(mode="linear_probe", batch_size=20), verbose=False)
    strengths = [epoch["l2"] for epoch in result.history]
    assert 0 < result.metrics["best_epoch"] - 1 < len(strengths) - 1  # the best is not at the end of the range

    images, labels = data.train.arrays()
    features = keras.Sequential([zoo.feature_extractor(model, "stage3"), keras.layers.Lambda(lambda x: x["stage3"])])
    features.add(keras.layers.GlobalAveragePooling2D())
    strength = result.metrics["l2"]
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / (strength * len(labels)), max_iter=10_000, tol=1e-8)
    )
    classifier.fit(features.predict(images, verbose=0), labels)
    test, _ = data.test.arrays()
    expected = classifier.predict_proba(features.predict(test, verbose=0))
    np.testing.assert_allclose(model.predict(test, verbose=0), expected, atol=5e-3)
    fitted = classifier.score(features.predict(images, verbose=0), labels)
    assert result.metrics["accuracy"] == pytest.approx(fitted, abs=0.02)


def targets(digits: training.ImageData, task: str) -> tuple[object, object]:
    """Labels of the outputs and a function from class indices to targets."""
    return {
        "classification": (digits.labels, lambda index: index),
        "multi_label": (("odd", "large"), lambda index: np.stack([index % 2, index > 4], 1).astype("float32")),
        "regression": (("value",), lambda index: index[:, None].astype("float32") / 10),
    }[task]


def with_tasks(digits: training.ImageData, tasks: str | dict[str, str]) -> training.ImageData:
    """The digits with other things to tell of them than which they are."""

    def asked(function):
        return {name: function(task) for name, task in tasks.items()} if isinstance(tasks, dict) else function(tasks)

    def split(part):
        return training.ImageSplit(part.images, asked(lambda task: targets(digits, task)[1](part.labels)))

    parts = {name: split(getattr(digits, name)) for name in ("train", "validation", "test")}
    return replace(digits, task=tasks, labels=asked(lambda task: targets(digits, task)[0]), **parts)


@pytest.mark.parametrize(
    "tasks", ["multi_label", "regression", {"digit": "classification", "kind": "multi_label", "value": "regression"}]
)
@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_heads_of_every_kind_are_adapted(small_digits, tasks, augmentation):
    data = with_tasks(small_digits, tasks)
    model = lenet(head=tasks, labels=data.labels)
    before = values(model)
    recipe = BRIEF.changed(epochs=4, head_epochs=4, unfreeze_from="neck", augmentation=augmentation, l2_sp=1e-3)
    result = training.fine_tune(model, data, recipe, verbose=False)
    assert moved_stages(model, before) == ["neck", "heads"]
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]


def test_segmentation_trains_the_decoder_with_the_head_on_a_frozen_encoder(small_digits):
    def of_ink(split):
        images, _ = split.arrays()
        images = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
        return training.ImageSplit(ArrayImages(images), (images[..., 0] > 100).astype("int32"))

    parts = {name: of_ink(getattr(small_digits, name)) for name in ("train", "validation", "test")}
    data = replace(small_digits, task="segmentation", labels=("paper", "ink"), **parts)
    keras.utils.set_random_seed(0)
    model = zoo.create_model(
        "unet_vgg16",
        backbone_arguments={"widths": (4, 4, 8, 8, 8)},
        widths=(8, 8, 8, 8, 4),
        input_shape=(32, 32, 1),
        labels=data.labels,
    )
    before = values(model)
    recipe = BRIEF.changed(mode="feature_extraction", head_epochs=6)
    result = training.fine_tune(model, data, recipe, verbose=False)
    assert moved_stages(model, before) == [*(f"decoder{step}" for step in range(1, 6)), "heads"]
    assert any(np.any(value != before[name]) for name, value in values(model).items() if "moving_mean" in name)
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]


def test_what_trains_is_printed_for_every_phase_unless_silent(small_digits, capsys):
    training.fine_tune(lenet(), small_digits, BRIEF)
    printed = capsys.readouterr()
    assert printed.out == ""
    for fact in ("lenet5, head", "lenet5, fine-tuning", "learning rate", "stage2", "epoch 2/2"):
        assert fact in printed.err
    training.fine_tune(lenet(), small_digits, BRIEF, verbose=False)
    assert capsys.readouterr().err == ""


def test_adapted_model_is_saved_and_loaded_like_any_other(small_digits, tmp_path):
    model = training.fine_tune(lenet(), small_digits, BRIEF.changed(l2_sp=0.1), verbose=False).model
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "adapted.keras"))
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in lenet().layers]
    assert loaded.get_layer("head").labels == list("0123456789")


def test_same_recipe_gives_the_same_weights(small_digits):
    first, second = (training.fine_tune(lenet(dropout=0.5), small_digits, BRIEF, verbose=False).model for _ in range(2))
    assert_equal(first, second)


def test_phases_see_the_images_in_different_orders(small_digits, monkeypatch):
    seen = []
    batches = session.training_batches

    def note(split, recipe, *, first_epoch, first_step):
        seen.append((first_epoch, recipe.epochs))
        return batches(split, recipe, first_epoch=first_epoch, first_step=first_step)

    monkeypatch.setattr(session, "training_batches", note)
    training.fine_tune(lenet(), small_digits, BRIEF.changed(epochs=3), verbose=False)
    assert seen == [(0, 2), (2, 5)]


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"unfreeze_from": "stage9"}, {}, "unknown stage of lenet5 'stage9': did you mean stage"),
        ({"mode": "gradual", "epochs": 2}, {}, "epochs is 2, but 3 stages of lenet5 are unfrozen one by one"),
        ({}, {"classes": 3}, r"answers 3 classes, but digits has 10; .*zoo.replace_head\(model"),
        ({}, {"labels": list("9876543210")}, r"answers \['9', .*labels=data.labels"),
        ({}, {"head": "embedding"}, "embedding"),
    ],
)
def test_what_cannot_be_fine_tuned_says_what_is_allowed(small_digits, changes, arguments, message):
    model = lenet(**arguments)
    before = values(model)
    with pytest.raises(zoo.InputError, match=message):
        training.fine_tune(model, small_digits, BRIEF.changed(**changes), verbose=False)
    assert moved_stages(model, before) == []


@pytest.mark.parametrize("tasks", ["multi_label", {"digit": "classification", "value": "regression"}])
def test_linear_probe_of_anything_but_a_classification_is_refused(small_digits, tasks):
    data = with_tasks(small_digits, tasks)
    model = lenet(head=tasks, labels=data.labels)
    kinds = " and ".join(tasks.values()) if isinstance(tasks, dict) else tasks
    with pytest.raises(zoo.InputError, match=f"a classification by a dense layer; lenet5 has {kinds}"):
        training.fine_tune(model, data, BRIEF.changed(mode="linear_probe"), verbose=False)


def test_gradual_unfreezing_of_no_stage_is_refused(small_digits):
    """A decoder is trained from the beginning, with the head."""
    from pocketzoo.training.transfer.fine_tuning import _plan

    model = zoo.create_model("unet_mobilenet_v2", input_shape=(32, 32, 1), classes=2)
    backbone = [stage for stage in stages_of(model) if stage.in_backbone]
    with pytest.raises(zoo.InputError, match="'decoder1'; no stage of the backbone comes after that"):
        list(_plan(model, backbone, BRIEF.changed(mode="gradual", unfreeze_from="decoder1")))


def test_model_of_which_all_is_frozen_is_refused(small_digits):
    model = lenet()
    model.trainable = False
    with pytest.raises(zoo.InputError, match="lenet5: nothing is left to train"):
        training.fine_tune(model, small_digits, BRIEF, verbose=False)


def test_features_that_find_no_room_stop_with_a_sentence(small_digits, monkeypatch, tmp_path):
    from pocketzoo.training.transfer import frozen_trunk

    def full(batches, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frozen_trunk, "write_feature_maps", full)
    with pytest.raises(zoo.InputError, match=r"features cannot be kept in .*run: No space left on device"):
        training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == ["environment.json", "pocketzoo-run.json", "recipe.yaml"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "feature_extraction", "head_epochs": 0}, "head_epochs is 0, but feature_extraction trains nothing"),
        ({"mode": "finetune"}, "mode: unknown value 'finetune': did you mean fine_tune"),
        ({"layer_decay": 1.5}, "layer_decay: .* less than or equal to 1"),
        ({"head_epoch": 3}, "head_epoch: unknown field 'head_epoch': did you mean head_epochs"),
    ],
)
def test_impossible_recipes_name_the_field(fields, message):
    with pytest.raises(zoo.InputError, match=message):
        training.FineTuneRecipe(**fields)


def test_recipe_goes_through_its_file(tmp_path):
    recipe = training.FineTuneRecipe(mode="gradual", unfreeze_from="stage2", l2_sp=0.1)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert training.FineTuneRecipe.load(tmp_path / "recipe.yaml") == recipe
