"""Functions of the user in an augmentation: what they get, what they may return, and how a recipe names them."""

import sys

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.contact_sheet import contents
from pocketzoo.training.data.pipeline import training_batches
from pocketzoo.training.recipe.augmentation import Flip, Function

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.random((24, 8, 8, 3)).astype("float32")
CLASSES = np.arange(24) % 3


@pytest.fixture(scope="module")
def unit():
    """Images of 0..1."""
    return training.from_arrays(PIXELS, CLASSES, pixel_range=(0, 1))


@pytest.fixture(scope="module")
def net(unit):
    layers = [keras.Input(unit.image_shape), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    return keras.Sequential(layers, name="net")


def darken(image, target, rng):
    return image * np.float32(rng.uniform(0.2, 0.5)), target


def batches(data, augmentation, *, batch_size=4, **start):
    recipe = training.Recipe(epochs=3, batch_size=batch_size, augmentation=augmentation, seed=5)
    return [(images.numpy(), targets) for images, targets in training_batches(data.train, recipe, **start)]


def test_function_gets_pixels_in_the_range_of_the_data_and_changes_them(unit):
    seen = []

    def watch(image, target, rng):
        assert (image.dtype, image.shape) == (np.float32, (8, 8, 3))
        seen.append((image.copy(), int(target)))
        image[:] = 0.5
        return image, target

    images = np.concatenate([images for images, _ in batches(unit, watch)])
    np.testing.assert_allclose(images, 127.5, atol=1e-3)
    known = {round(float(image.sum()), 2): target for image, target in zip(PIXELS, CLASSES, strict=True)}
    assert len(seen) == 3 * len(unit.train)
    assert all(known[round(float(image.sum()), 2)] == target for image, target in seen)


def test_stream_continues_as_if_it_had_not_stopped_and_whatever_the_batches(unit):
    augmentation = [Flip(), darken, "color"]
    whole = np.concatenate([images for images, _ in batches(unit, augmentation)])
    per_epoch = len(batches(unit, augmentation)) // 3
    rest = np.concatenate([images for images, _ in batches(unit, augmentation, first_epoch=1, first_step=1)])
    start = len(unit.train) + 4
    assert per_epoch == 4
    assert np.array_equal(rest, whole[start:])
    larger = np.concatenate([images for images, _ in batches(unit, [darken], batch_size=8)])
    assert np.array_equal(larger, np.concatenate([images for images, _ in batches(unit, [darken])]))
    assert len(np.unique(whole[:, 0, 0, 0])) > len(unit.train)


def test_mask_is_moved_by_the_function_that_moves_its_image():
    masks = RANDOM.integers(0, 3, (24, 8, 8))
    masks[:, :2] = 255
    images = np.repeat(masks[..., None], 3, axis=-1).astype("uint8")
    data = training.from_arrays(images, masks, task="segmentation", labels=list("abc"), ignore=255)

    def turn(image, mask, rng):
        turns = rng.integers(4)
        return np.rot90(image, turns), np.rot90(mask, turns)

    for shown, masks in batches(data, [turn]):
        assert np.array_equal(np.where(masks == -1, 255, masks), shown[..., 0])


def test_targets_of_several_outputs_are_a_dict_and_shares_where_images_are_mixed():
    targets = {"kind": CLASSES, "box": RANDOM.random((24, 2)).astype("float32")}
    tasks = {"kind": "classification", "box": "regression"}
    data = training.from_arrays(
        PIXELS, targets, labels={"kind": list("abc"), "box": ["x", "y"]}, task=tasks, pixel_range=(0, 1)
    )

    def mirror(image, target, rng):
        return image[:, ::-1], target | {"box": target["box"] * np.float32([-1, 1])}

    boxes = np.concatenate([targets["box"] for _, targets in batches(data, [mirror])])
    assert (boxes[:, 0] < 0).all()
    assert (boxes[:, 1] > 0).all()

    def all_of_the_last(image, target, rng):
        return image, np.float32([0, 0, 1])

    mixed = training.from_arrays(PIXELS, CLASSES, pixel_range=(0, 1))
    shares = np.concatenate([targets for _, targets in batches(mixed, [all_of_the_last, "mixup"])])
    assert (shares == [0, 0, 1]).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda image, target, rng: image, r"returned an array of shape \(8, 8, 3\); it takes \(image, target, rng\)"),
        (lambda image, target: (image, target), "failed with TypeError: .*takes 2 positional arguments"),
        (
            lambda image, target, rng: (image[1:], target),
            r"of float32 and the shape \(7, 8, 3\); it returns float32 of",
        ),
        (lambda image, target, rng: ((image * 255).astype("uint8"), target), "returned an image of uint8"),
        (lambda image, target, rng: (image * np.nan, target), "values that are NaN or infinite"),
        (
            lambda image, target, rng: (image * 255, target),
            r"pixels from .* to 2\d\d\.\d+; clip them to 0\.\.1, the range",
        ),
        (lambda image, target, rng: (image, target + 0.5), "a target of float64 and the shape"),
        (lambda image, target, rng: (image, 3), "returned the class 3; classes go from 0 to 2"),
        (lambda image, target, rng: (image, -1), "returned the class -1; classes go from 0 to 2"),
        (lambda image, target, rng: (image, [target]), r"a target of int32 and the shape \(1,\)"),
        (
            lambda image, target, rng: (image * RANDOM.random(dtype="float32"), target),
            "must draw its random numbers from rng",
        ),
    ],
)
def test_function_that_returns_something_else_is_refused_before_training(function, message, unit, net):
    with pytest.raises(zoo.InputError, match=rf"the augmentation function \S*test_user_functions:<lambda> .*{message}"):
        training.fit(net, unit, training.Recipe(epochs=1, batch_size=4, augmentation=[function]), verbose=False)


def test_function_that_fails_at_a_later_image_stops_the_run_in_one_sentence(unit, net):
    calls = []

    def fail_later(image, target, rng):
        calls.append(target)
        return image / (len(calls) < 9), target

    recipe = training.Recipe(epochs=1, batch_size=4, augmentation=fail_later)
    with pytest.raises(zoo.InputError, match=r"fail_later (failed with|returned an image with values that are NaN)"):
        training.fit(net, unit, recipe, verbose=False)
    calls.clear()
    with pytest.raises(zoo.InputError, match="fail_later"):
        training.find_learning_rate(net, unit, recipe)


def test_run_records_the_name_and_is_resumed_with_the_same_function_only(unit, net, tmp_path):
    def other(image, target, rng):
        return image, target

    recipe = training.Recipe(epochs=1, batch_size=8, augmentation=["flip", darken])
    training.fit(net, unit, recipe, run_dir=tmp_path / "run", verbose=False)
    named = f"{__name__}:darken"
    assert f"function: {named}" in (tmp_path / "run" / "recipe.yaml").read_text()
    changed = recipe.changed(augmentation=["flip", other])
    with pytest.raises(zoo.InputError, match="belongs to another run: augmentation was "):
        training.fit(net, unit, changed, run_dir=tmp_path / "run", resume=True, verbose=False)
    longer = recipe.changed(epochs=2)
    result = training.fit(net, unit, longer, run_dir=tmp_path / "run", extend=True, verbose=False)
    assert len(result.history) == 2


CODE = (
    "from pathlib import Path\nPath('ran').touch()\n\n\ndef half(image, target, rng):\n    return image / 2, target\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "augmentation: [flip, my_code:half]",
        "augmentation: my_code.half",
        "augmentation: [{name: function, function: my_code:half}]",
    ],
)
def test_code_that_a_file_names_runs_only_if_it_is_allowed(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_code", raising=False)
    (tmp_path / "my_code.py").write_text(CODE)
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(zoo.InputError, match=r"half' is code of your own, .*allow_code=True\), or --allow-code"):
        training.Recipe.load("recipe.yaml")
    assert not (tmp_path / "ran").exists()
    recipe = training.Recipe.load("recipe.yaml", allow_code=True)
    assert (tmp_path / "ran").exists()
    assert recipe.augmentation[-1].function(np.ones(2), 1, None)[0].tolist() == [0.5, 0.5]
    (tmp_path / "written.yaml").write_text(recipe.to_yaml())
    assert training.Recipe.load("written.yaml", allow_code=True) == recipe
    with pytest.raises(zoo.InputError, match=r"augmentation.*is code of your own"):
        training.Recipe(augmentation=["my_code:half"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("no_such_module:f", "No module named 'no_such_module'"), ("json:f", "module 'json' has no attribute 'f'")],
)
def test_name_that_cannot_be_imported_is_named(name, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"augmentation: [{name}]")
    with pytest.raises(
        zoo.InputError, match=f"the function '{name}' of the augmentation cannot be imported: {message}"
    ):
        training.Recipe.load(tmp_path / "recipe.yaml", allow_code=True)


def test_spec_of_a_compression_names_functions_in_its_recipes(tmp_path):
    (tmp_path / "spec.yaml").write_text("sparsity: {recipe: {augmentation: ['os.path:join']}}")
    with pytest.raises(zoo.InputError, match=r"sparsity\.recipe.augmentation.*is code of your own"):
        training.CompressionSpec.load(tmp_path / "spec.yaml")
    spec = training.CompressionSpec.load(tmp_path / "spec.yaml", allow_code=True)
    assert isinstance(spec.sparsity.recipe.augmentation[0], Function)


def test_contact_sheet_shows_what_the_function_does(unit, tmp_path):
    recipe = training.Recipe(augmentation=lambda image, target, rng: (np.zeros_like(image), target))
    training.write_contact_sheet(unit, tmp_path / "sheet.png", augmentation=recipe.augmentation)
    assert (tmp_path / "sheet.png").stat().st_size
    sheet = contents(unit, recipe.augmentation, 0)
    assert (sheet.images[:, 1:] == 0).all()
    assert sheet.images[:, 0].any()


def test_linear_probe_does_not_ignore_a_function():
    backbone = zoo.replace_head(
        zoo.create_model("lenet5", input_shape=(16, 16, 3)), "classification", labels=list("abc")
    )
    large = training.from_arrays(PIXELS.repeat(2, 1).repeat(2, 2), CLASSES, labels=list("abc"), pixel_range=(0, 1))
    recipe = training.FineTuneRecipe(mode="linear_probe", augmentation=darken)
    with pytest.raises(zoo.InputError, match=r"linear_probe.*does not support functions in augmentation"):
        training.fine_tune(backbone, large, recipe, verbose=False)
