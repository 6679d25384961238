import keras
import numpy as np
import pytest
from support.small_net import small_net

from pocketzoo import training, zoo
from pocketzoo.training import CompressionSpec
from pocketzoo.training.compression.pipeline.stages import STAGES, check_stages

RECIPE = {"epochs": 1, "batch_size": 200}


def test_stages_run_in_order_and_leave_the_original_as_it_is(trained, digits, tmp_path):
    spec = CompressionSpec(
        clusters={"clusters": 8, "recipe": RECIPE}, sparsity={"target": 0.8, "end": 1.0, "recipe": RECIPE}
    )
    before = trained.get_weights()
    result = training.compress(trained, digits, spec, run_dir=tmp_path / "run", verbose=False)
    for now, then in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert list(result.models) == ["dense", "sparsity", "clusters"]
    assert result.models["dense"] is trained
    assert result.model is result.models["clusters"]
    assert {stage: path.name for stage, path in result.files.items()} == {
        "sparsity": "3-sparsity.keras",
        "clusters": "4-clusters.keras",
    }
    kernel = result.model.get_layer("dense1").kernel.numpy()
    assert np.mean(kernel == 0) >= 0.8 - 1e-3
    assert len(np.unique(kernel)) == 8
    with pytest.raises(zoo.InputError, match="is not empty; resume the compression"):
        training.compress(trained, digits, spec, run_dir=tmp_path / "run")
    again = training.compress(trained, digits, spec, run_dir=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.model.get_layer("dense1").kernel.numpy(), kernel)


def test_stage_that_was_killed_before_its_first_checkpoint_has_the_same_dropout(small_digits, tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    model, recipe = small_net(), {"epochs": 1, "batch_size": 60}
    sparsity = {"target": 0.5, "end": 1.0, "keep_ends": False, "recipe": recipe}
    spec = CompressionSpec(sparsity=sparsity, clusters={"recipe": recipe})
    whole = training.compress(model, small_digits, spec, run_dir=tmp_path / "whole", verbose=False)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(STAGES, "clusters", killed)
        with pytest.raises(KeyboardInterrupt):
            training.compress(model, small_digits, spec, run_dir=tmp_path / "run", verbose=False)
    keras.utils.set_random_seed(9)  # a new process has another state
    resumed = training.compress(model, small_digits, spec, run_dir=tmp_path / "run", resume=True, verbose=False)
    for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_spec_that_only_exports_trains_nothing(trained, digits, tmp_path):
    spec = CompressionSpec(export={"targets": ["gpu"]})
    result = training.compress(trained, digits, spec, run_dir=tmp_path / "run")
    assert (result.model, result.files) == (trained, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sparsity: {include: [nope*]}", "nope"),
        ("distillation: {features: [stage9]}", "unknown endpoint of lenet5 'stage9'"),
        ("sparsity: {recipe: {initializer: he_normal}}", "sparsity.recipe.initializer is 'he_normal'"),
        ("distillation: {recipe: {auxiliary: {stage1: 0.3}}}", "distillation has a loss of its own; leave auxiliary"),
        ("quantization: {recipe: {precision: mixed_bfloat16}}", "precision is 'mixed_bfloat16'"),
    ],
)
def test_model_is_checked_for_all_stages_before_the_first_runs(trained, text, message, tmp_path):
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        check_stages(CompressionSpec.load(tmp_path / "spec.yaml"), trained)


def test_directory_of_other_files_is_never_overwritten(trained, digits, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    spec = CompressionSpec(sparsity={})
    with pytest.raises(zoo.InputError, match="is not empty"):
        training.compress(trained, digits, spec, run_dir=tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
