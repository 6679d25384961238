"""Arguments that fine-tuning rejects, and its error messages."""

import pytest
from support.transfer import BRIEF, lenet, moved_stages, values, with_tasks

from pocketzoo import training, zoo
from pocketzoo.training.transfer.model_stages import stages_before, stages_of


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"unfreeze_from": "stage9"}, {}, "unknown stage of lenet5 'stage9': did you mean stage"),
        ({"mode": "gradual", "epochs": 2}, {}, "epochs is 2, but 3 stages of lenet5 are unfrozen one by one"),
        ({"optimizer": {"accumulate": 7}}, {}, "accumulate is 7, but 2 epochs of 3 batches have 6"),
        ({}, {"classes": 3}, r"has 3 classes, but digits has 10; .*zoo.replace_head\(model"),
        ({}, {"labels": list("9876543210")}, r"has the classes \['9', .*labels=data.labels"),
        ({"mode": "feature_extraction"}, {"head": "embedding"}, "nothing is left to train"),
    ],
)
def test_incompatible_fine_tuning_names_what_is_allowed(small_digits, changes, arguments, message):
    model = lenet(**arguments)
    before = values(model)
    with pytest.raises(zoo.InputError, match=message):
        training.fine_tune(model, small_digits, BRIEF.changed(**changes), verbose=False)
    assert moved_stages(model, before) == []


@pytest.mark.parametrize("tasks", ["multi_label", {"digit": "classification", "value": "regression"}])
def test_linear_probe_requires_a_classification(small_digits, tasks):
    data = with_tasks(small_digits, tasks)
    model = lenet(head=tasks, labels=data.labels)
    kinds = " and ".join(tasks.values()) if isinstance(tasks, dict) else tasks
    with pytest.raises(zoo.InputError, match=f"a classification by a dense layer; lenet5 has {kinds}"):
        training.fine_tune(model, data, BRIEF.changed(mode="linear_probe"), verbose=False)


def test_gradual_unfreezing_without_backbone_stages_is_rejected(small_digits):
    """A decoder is trained from the beginning, with the head."""
    from pocketzoo.training.transfer.fine_tuning import _plan

    model = zoo.create_model("unet_mobilenet_v2", input_shape=(32, 32, 1), classes=2)
    stages = stages_of(model)
    backbone = [stage for stage in stages if stage.in_backbone]
    frozen = stages_before(stages, "decoder1", model.name)
    with pytest.raises(zoo.InputError, match="'decoder1'; no stage of the backbone comes after that"):
        list(
            _plan(model.name, backbone, frozen, BRIEF.changed(mode="gradual", unfreeze_from="decoder1"), has_head=True)
        )


def test_completely_frozen_model_is_rejected(small_digits):
    model = lenet()
    model.trainable = False
    with pytest.raises(zoo.InputError, match="lenet5: nothing is left to train"):
        training.fine_tune(model, small_digits, BRIEF, verbose=False)


def test_full_disk_for_features_is_an_input_error(small_digits, monkeypatch, tmp_path):
    from pocketzoo.training.transfer import frozen_trunk

    def full(batches, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frozen_trunk, "write_feature_maps", full)
    with pytest.raises(zoo.InputError, match=r"features cannot be kept in .*run: No space left on device"):
        training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    remaining = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert remaining == ["environment.json", "pocketzoo-run.json", "recipe.yaml"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "feature_extraction", "head_epochs": 0}, "head_epochs is 0, but feature_extraction trains nothing"),
        ({"mode": "finetune"}, "mode: unknown value 'finetune': did you mean fine_tune"),
        ({"layer_decay": 1.5}, "layer_decay: .* less than or equal to 1"),
        ({"head_epoch": 3}, "head_epoch: unknown field 'head_epoch': did you mean head_epochs"),
    ],
)
def test_invalid_recipe_names_the_field(fields, message):
    with pytest.raises(zoo.InputError, match=message):
        training.FineTuneRecipe(**fields)


def test_fine_tune_recipe_round_trips_through_its_file(tmp_path):
    recipe = training.FineTuneRecipe(mode="gradual", unfreeze_from="stage2", l2_sp=0.1)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert training.FineTuneRecipe.load(tmp_path / "recipe.yaml") == recipe
