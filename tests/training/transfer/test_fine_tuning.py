from dataclasses import replace

import keras
import numpy as np
import pytest
from support.transfer import BRIEF, assert_equal, lenet, moved_stages, narrow_resnet, values

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.engine import epoch_loop
from pocketzoo.training.transfer import fine_tuning_phase


@pytest.mark.parametrize(
    ("mode", "batch_norm", "augmentation", "moved"),
    [
        ("feature_extraction", "train", "none", ["heads"]),
        pytest.param("feature_extraction", "train", "light", ["heads"], marks=pytest.mark.every_card),
        ("linear_probe", "train", "none", ["heads"]),
        pytest.param("fine_tune", "train", "light", ["stage3", "heads"], marks=pytest.mark.every_card),
        ("gradual", "frozen", "none", ["stage2", "stage3", "heads"]),
    ],
)
def test_frozen_weights_and_statistics_do_not_change_by_one_bit(small_digits, mode, batch_norm, augmentation, moved):
    model = narrow_resnet()
    before = values(model)
    recipe = BRIEF.changed(mode=mode, batch_norm=batch_norm, augmentation=augmentation)
    unfrozen = None if moved == ["heads"] else moved[0]
    training.fine_tune(model, small_digits, recipe.changed(unfreeze_from=unfrozen), verbose=False)
    assert moved_stages(model, before) == moved


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_batch_norm_changes_only_if_it_is_to_be_trained(small_digits, batch_norm):
    model = narrow_resnet()
    before = values(model)
    training.fine_tune(model, small_digits, BRIEF.changed(head_epochs=0, batch_norm=batch_norm), verbose=False)
    assert moved_stages(model, before) == ["stem", "stage1", "stage2", "stage3", "heads"]
    norms = [name for name in before if "norm" in name]
    moved = [name for name, value in values(model).items() if name in norms and np.any(value != before[name])]
    assert moved == (norms if batch_norm == "train" else [])


def test_cached_features_give_the_same_run_as_recomputed_features(small_digits, monkeypatch):
    recipe = BRIEF.changed(mode="feature_extraction", head_epochs=4)
    cached = training.fine_tune(narrow_resnet(blocks=1, dropout=0.3), small_digits, recipe, verbose=False)
    monkeypatch.setattr(fine_tuning_phase, "LARGEST_CACHE", 0)
    monkeypatch.setattr(fine_tuning_phase, "cached_features", None)
    recomputed = training.fine_tune(narrow_resnet(blocks=1, dropout=0.3), small_digits, recipe, verbose=False)
    for first, second in zip(cached.history, recomputed.history, strict=True):
        assert first == pytest.approx(second, rel=1e-5)
    for first, second in zip(cached.model.get_weights(), recomputed.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


def test_patience_ends_a_phase_and_the_next_one_starts_from_the_best_so_far(small_digits):
    recipe = BRIEF.changed(epochs=8, head_epochs=8, early_stopping=1, head_lr=10.0, optimizer={"lr": 1e-4})
    result = training.fine_tune(lenet(), small_digits, recipe.changed(schedule={"warmup_epochs": 0}), verbose=False)
    head, whole = (phase["epochs"] for phase in result.metrics["phases"])
    losses = [epoch["val_loss"] for epoch in result.history]
    assert head < 8
    assert whole >= 1
    assert losses[head - 1] > min(losses[:head])
    assert losses[head] < losses[head - 1]


def test_learning_rates_decay_stage_by_stage_toward_the_image(small_digits):
    recipe = BRIEF.changed(epochs=1, head_epochs=1, optimizer={"lr": 0.01}, layer_decay=0.5, unfreeze_from="stage2")
    result = training.fine_tune(lenet(), small_digits, recipe, verbose=False)
    head, tuned = ([stage["learning_rate"] for stage in phase["stages"]] for phase in result.metrics["phases"])
    assert head == [None, None, None, BRIEF.head_lr]
    assert tuned == [None, pytest.approx(0.0025), pytest.approx(0.005), 0.01]


@pytest.mark.parametrize("optimizer", ["adamw", "nesterov"])
def test_each_parameter_group_is_updated_at_its_own_rate(optimizer):
    from pocketzoo.training.engine.optimizers import ParameterGroup, make_optimizer

    weights = [keras.Variable(np.full((2, 2), 3.0), name=name) for name in ("fast", "slow", "spared")]
    recipe = training.Recipe(optimizer={"name": optimizer, "weight_decay": 0.1}, schedule={"warmup_epochs": 0})
    groups = [ParameterGroup(0.1, [weights[0], weights[2]]), ParameterGroup(0.01, [weights[1]])]
    optimizer = make_optimizer(recipe, 10, groups, undecayed=[weights[2]])
    optimizer.apply([np.zeros((2, 2), "float32")] * 3, weights)  # so that nothing but the decay moves them
    changes = [3.0 - weight.numpy()[0, 0] for weight in weights]
    assert changes == pytest.approx([3 * 0.1 * 0.1, 3 * 0.1 * 0.01, 0.0], abs=1e-6)
    optimizer.apply([np.ones((2, 2), "float32")] * 3, weights)
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


def test_l2_sp_adds_the_squared_distance_in_training_only():
    from pocketzoo.training.transfer.l2_sp import L2SP

    weight = keras.Variable(np.array([[1.0, 2.0]]))
    layer = L2SP(0.5, [(weight, np.array([[0.0, 4.0]], "float32"))])
    inputs = np.ones((1, 3), "float32")
    assert layer(inputs, training=False).numpy().tolist() == inputs.tolist()
    assert layer.losses == []
    layer(inputs, training=True)
    assert [float(loss) for loss in layer.losses] == [0.25 * (1 + 4)]
    assert layer.weights == []


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.every_card), 10])
def test_linear_probe_has_the_probabilities_of_logistic_regression(small_digits, classes):
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


def test_fine_tuned_model_can_be_saved_and_loaded(small_digits, tmp_path):
    recipe = BRIEF.changed(epochs=1, head_epochs=1, l2_sp=0.1)
    model = training.fine_tune(lenet(), small_digits, recipe, verbose=False).model
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "adapted.keras"))
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in lenet().layers]
    assert loaded.get_layer("head").labels == list("0123456789")


def test_same_recipe_gives_the_same_weights_and_a_report_of_every_phase_if_verbose(small_digits, capsys):
    silent = training.fine_tune(lenet(dropout=0.5), small_digits, BRIEF, verbose=False).model
    assert capsys.readouterr().err == ""
    reported = training.fine_tune(lenet(dropout=0.5), small_digits, BRIEF).model
    printed = capsys.readouterr()
    assert printed.out == ""
    for fact in ("lenet5, head", "lenet5, fine-tuning", "learning rate", "stage2", "epoch 2/2"):
        assert fact in printed.err
    assert_equal(silent, reported)


def test_every_phase_has_its_own_order_of_images(small_digits, monkeypatch):
    seen = []
    batches = epoch_loop.training_batches

    def note(split, recipe, *, first_epoch, first_step):
        seen.append((first_epoch, recipe.epochs))
        return batches(split, recipe, first_epoch=first_epoch, first_step=first_step)

    monkeypatch.setattr(epoch_loop, "training_batches", note)
    training.fine_tune(lenet(), small_digits, BRIEF.changed(epochs=3), verbose=False)
    assert seen == [(0, 2), (2, 5)]
