import json

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.engine import precision
from pocketzoo.training.engine.job import resolve_precision


def net(**overrides) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", **overrides)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", str(tmp_path))
    return tmp_path / "precision"


def test_fastest_precision_is_measured_once_and_reported(cache, monkeypatch, capsys):
    model, recipe = net(), training.Recipe(precision="auto", batch_size=4)
    before = model.get_weights()
    chosen = resolve_precision(recipe, model, verbose=True).precision
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    assert {"float32", "mixed_bfloat16"} <= kept["seconds"].keys()
    assert all(seconds > 0 for seconds in kept["seconds"].values())
    assert (kept["model"], kept["image"], kept["batch_size"]) == ("lenet5", [32, 32, 1], 4)
    assert f"Precision auto: {chosen} for lenet5, a step of 4 images takes float32" in capsys.readouterr().err

    def measured_again(*_):
        raise AssertionError

    monkeypatch.setattr(precision, "_measure_step_times", measured_again)
    assert precision.fastest_precision(model, 4) == chosen
    with pytest.raises(AssertionError):
        precision.fastest_precision(model, 5)


def test_step_times_are_of_a_model_with_the_same_arguments(cache, monkeypatch):
    measured = []
    monkeypatch.setattr(precision, "_measure_step_times", lambda model, _: measured.append(model) or {"float32": 1.0})
    narrow = {"widths": (2, 4, 8, 16), "stem_width": 4, "input_shape": (64, 64, 3)}
    for arguments in ({}, {}, {"output_stride": 16}):
        precision.fastest_precision(zoo.create_model("resnet18", **narrow, **arguments), 4, verbose=False)
    assert [model.get_layer("stage4_block1").first_dilation_rate for model in measured] == [None, 1]


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.5, "mixed_bfloat16"), (0.98, "float32"), (2.0, "float32")])
def test_another_precision_is_chosen_only_if_clearly_faster(bfloat16, chosen, cache, monkeypatch):
    monkeypatch.setattr(precision, "_measure_step_times", lambda *_: {"float32": 1.0, "mixed_bfloat16": bfloat16})
    assert precision.fastest_precision(net(), 4) == chosen


def test_damaged_cache_file_is_named(cache):
    model = net()
    precision.fastest_precision(model, 2)
    (file,) = cache.iterdir()
    file.write_text("{")
    with pytest.raises(zoo.InputError, match=f"{file.name} cannot be read: .*Remove it to measure again"):
        precision.fastest_precision(model, 2)
