"""Pictures made of images: metrics, head, losses, data, and the way from data to a validated export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import export, layers, training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks.similarity import PEAKS, peak_of, psnr, structural_similarity
from pocketzoo.training.engine.losses import make_loss
from pocketzoo.training.recipe.loss import SSIM, Charbonnier

TASK = get_task("image_to_image")


def noisy(images, amount=20, seed=0):
    noise = np.random.default_rng(seed).normal(0, amount, images.shape)
    return (images + noise).clip(0, 255).round().astype("uint8")


def photos(count, side=24, seed=0):
    """Smooth random pictures of three colors."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), "uint8")
    return np.stack([np.asarray(Image.fromarray(each).resize((side, side), Image.BICUBIC)) for each in coarse])


# ---- Metrics


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(11, 20),
    width=st.integers(11, 20),
    channels=st.integers(1, 4),
    peak=st.sampled_from(PEAKS),
    seed=st.integers(0, 99),
)
def test_similarity_and_signal_to_noise_ratio_are_those_of_tensorflow(height, width, channels, peak, seed):
    random = np.random.default_rng(seed)
    target = random.random((height, width, channels)) * peak
    output = target + random.normal(0, 0.1 * peak, target.shape)
    expected = tf.image.ssim(*(tf.constant(each, tf.float64) for each in (target, output)), max_val=peak)
    found = structural_similarity(target, output)[PEAKS.index(peak)]
    assert found == pytest.approx(float(expected), abs=1e-5)
    decibels = tf.image.psnr(*(tf.constant(each, tf.float64) for each in (target, output)), max_val=peak)
    assert psnr(np.mean((output - target) ** 2), peak) == pytest.approx(float(decibels), abs=1e-4)


@pytest.mark.parametrize(
    ("low", "high", "whole", "peak"),
    [
        (0, 1, True, 1),
        (0, 0.5, False, 1),
        (0, 2, True, 255),
        (3, 255, True, 255),
        (0, 300, True, 65535),
        (0, 9.5, False, 9.5),
        (-1, 1, True, 2),
        (5, 70000, True, 69995),
        (-3, -3, True, 1),
    ],
)
def test_peak_is_that_of_usual_pictures_or_the_range(low, high, whole, peak):
    assert peak_of(low, high, whole=whole) == peak


def test_similarity_of_targets_below_zero_is_not_measured():
    accumulator = TASK.accumulator(("a",))
    accumulator.add(np.full((2, 12, 12, 1), -3.0), np.zeros((2, 12, 12, 1)))
    assert accumulator.evaluation().ssim is None


# ---- Head and losses


@pytest.mark.parametrize("scale", [2, 3])
def test_head_is_a_subpixel_convolution(scale):
    """A 3x3 convolution to scale**2 times the channels, then depth to space."""
    head = layers.ImageHead(2, scale=scale, value_range=(-1, 1))
    features = np.random.default_rng(0).normal(size=(1, 5, 6, 4)).astype("float32")
    head(features)
    kernel = np.random.default_rng(1).normal(size=head.conv.kernel.shape).astype("float32")
    head.conv.kernel.assign(kernel)
    parts = kernel.reshape(3, scale, 3, scale, 2, 4)[::-1, :, ::-1]  # tap and position of the output pixel, both axes
    convolution = parts.transpose(0, 2, 5, 1, 3, 4).reshape(3, 3, 4, -1)
    expected = tf.nn.depth_to_space(tf.nn.conv2d(features, convolution, 1, "SAME"), scale)
    np.testing.assert_allclose(head(features), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_head_on_the_image_begins_as_linear_interpolation(scale):
    model = zoo.create_model("edsr_lite", scale=scale, blocks=1, width=4, input_shape=(9, 10, 3))
    kernel = model.get_layer("head").conv.kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    if scale > 1:
        values[..., :4] = 0
    else:
        values[..., :4, :] = 0
    kernel.assign(values)
    image = photos(1, 10)[:, :9].astype("float32")
    expected = tf.image.resize(image, (9 * scale, 10 * scale), "bilinear")
    inner = np.s_[:, scale:-scale, scale:-scale]
    np.testing.assert_allclose(
        model.predict(image, verbose=0)[inner], expected[inner], atol=2
    )  # its other weights begin small, but not at 0


def test_features_smaller_than_the_image_are_refused():
    with pytest.raises(zoo.InputError, match="takes features of the size of the image"):
        zoo.create_model("resnet20", head="image_to_image", classes=3)


@pytest.mark.parametrize("scale", [0, 9, 1.5, True])
def test_scale_out_of_range_is_refused(scale):
    with pytest.raises(zoo.InputError, match=r"scale is .*; it takes a whole number from 1 to 8"):
        zoo.create_model("edsr_lite", scale=scale)


def test_losses_are_those_of_shares_of_the_range():
    targets = photos(2, 16).astype("float32")
    outputs = noisy(targets).astype("float32")
    error = (outputs - targets) / 255
    charbonnier = make_loss(Charbonnier(epsilon=0.01), False, unit=255.0)(targets, outputs)
    assert float(charbonnier) == pytest.approx(np.sqrt(error**2 + 1e-4).mean(), rel=1e-5)
    similarity = np.mean([structural_similarity(*pair)[1] for pair in zip(targets, outputs, strict=True)])
    assert float(make_loss(SSIM(), False, unit=255.0)(targets, outputs)) == pytest.approx(1 - similarity, abs=1e-4)
    small = make_loss(SSIM(), False, unit=255.0)(targets[:, :5, :5], outputs[:, :5, :5])
    assert 0 < float(small) < 1


# ---- Data


def write_pairs(folder, *, scale=1, images="images", targets="targets", count=12):
    for name in (images, targets):
        (folder / name).mkdir()
    for row, picture in enumerate(photos(count, 16 * scale)):
        Image.fromarray(picture).save(folder / targets / f"{row}.png")
        small = Image.fromarray(picture).resize((16, 16), Image.BOX)
        small.save(folder / images / f"{row}.png")


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("names", [("images", "targets"), ("noisy", "clean"), ("LR", "HR"), ("input", "output")])
def test_folders_of_pairs_are_read_where_the_layout_is_stated(tmp_path, scale, names):
    write_pairs(tmp_path, scale=scale, images=names[0], targets=names[1])
    data = training.load_data(tmp_path, layout="pairs", image_size=16)
    assert (data.task, data.labels) == ("image_to_image", ("red", "green", "blue"))
    assert f"read as an image-to-image: images in {names[0]} with targets in {names[1]}" in data.interpretation
    images, targets = data.train.arrays()
    assert targets.shape == (len(images), 16 * scale, 16 * scale, 3)
    boxes = targets.reshape(len(images), 16, scale, 16, scale, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(boxes, images, atol=1.01)  # Pillow rounds twice


def test_pictures_of_a_table_and_of_shards_are_the_same(tmp_path):
    write_pairs(tmp_path, scale=2)
    rows = [f"images/{row}.png,targets/{row}.png" for row in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["image,target", *rows]))
    data = training.load_data(tmp_path / "table.csv", image_size=16)
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=16)
    for one, other in zip(data.train.arrays(), again.train.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.train.labels.shape == data.train.labels.shape == (len(data.train), 32, 32, 3)


@pytest.mark.parametrize(
    ("size", "mode", "message"),
    [
        ((20, 16), "RGB", r"3\.png has 20x16 pixels, but its image has 16x16; the picture takes the same number or a"),
        ((32, 32), "RGB", "has 1 times the pixels of its image along each side, and .*3.png has 2 times"),
        ((16, 16), "L", "has 3 channels and .*3.png has 1; all pictures take the same"),
    ],
)
def test_pictures_that_do_not_belong_together_are_refused(tmp_path, size, mode, message):
    write_pairs(tmp_path)
    Image.new(mode, size).save(tmp_path / "targets" / "3.png")
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(tmp_path, layout="pairs", image_size=16)


def test_arrays_whose_sides_are_no_multiple_are_refused():
    with pytest.raises(zoo.InputError, match=r"targets of the shape .* do not go with images"):
        training.from_arrays(photos(9, 16), photos(9, 24), task="image_to_image")


def test_transformations_of_colors_are_refused():
    pictures = photos(12, 16)
    data = training.from_arrays(noisy(pictures), pictures, task="image_to_image")
    model = zoo.create_model("edsr_lite", blocks=1, width=4, input_shape=(16, 16, 3))
    with pytest.raises(zoo.InputError, match="color would change the colors of the images but not those of their"):
        training.fit(model, data, training.Recipe(augmentation="standard", epochs=1, batch_size=4), verbose=False)


# ---- From data to an export


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """A net that was trained for a moment, its data and its bundle."""
    keras.utils.set_random_seed(0)
    pictures = photos(60)
    data = training.from_arrays(noisy(pictures), pictures, task="image_to_image")
    model = zoo.create_model("edsr_lite", blocks=1, width=8, input_shape=data.image_shape, labels=data.labels)
    loss = [{"name": "mae"}, {"name": "ssim", "weight": 0.1}]
    training.fit(model, data, training.Recipe(epochs=15, batch_size=8, loss=loss, optimizer="adam"), verbose=False)
    bundle = tmp_path_factory.mktemp("denoiser") / "bundle"
    manifest = export.export_model(
        model, bundle, targets=["mobile-cpu", "gpu"], calibration=data.train, evaluation=data.test
    )
    return model, data, bundle, manifest


def test_training_brings_outputs_nearer_to_the_targets(denoiser):
    model, data, *_ = denoiser
    images, targets = data.test.arrays()
    before = psnr(((images.astype("float32") - targets) ** 2).mean(axis=(1, 2, 3)), 255.0).mean()
    assert training.evaluate(model, data.test).psnr > before + 1


def test_every_artifact_loses_little_of_the_ratio(denoiser):
    for record in denoiser[3].artifacts:
        gates = {gate.name: gate for check in record.checks for gate in check.gates}
        if "int8" in record.format:
            assert gates["PSNR drop"].status == "passed"
            assert gates["PSNR drop"].bar == 0.5
        assert gates["relative difference"].status == "passed"


def test_pictures_keep_their_size_and_have_no_seams(denoiser, tmp_path):
    """A constant picture of another size than the input."""
    Image.new("RGB", (70, 31), (200, 100, 50)).save(tmp_path / "flat.png")
    artifact = export.load_artifact(next(denoiser[2].glob("*-fp32.tflite")))
    prediction = export.predict(artifact, tmp_path / "flat.png")
    made = np.asarray(TASK.picture(prediction.probabilities[0]))
    assert made.shape == (31, 70, 3)
    assert np.abs(made[8:-8, 8:-8].astype(int) - (200, 100, 50)).max() <= 12
    names, means = zip(*prediction.rows()[0], strict=True)
    assert names == ("red", "green", "blue")
    np.testing.assert_allclose(means, made.mean(axis=(0, 1)), atol=1)


def test_report_has_a_sheet_of_pictures(denoiser, tmp_path):
    model, data, *_ = denoiser
    training.write_report(model, data.test, tmp_path / "report")
    assert Image.open(tmp_path / "report" / "worst.png").size[0] > 300


def test_readme_says_what_the_picture_is(denoiser):
    assert "a picture: the values of its channels at each pixel" in (denoiser[2] / "README.md").read_text()


@pytest.mark.parametrize("views", ["flip", "shift"])
def test_views_of_an_enlarging_model_are_moved_back_by_its_own_pixels(views):
    """A net that repeats pixels answers each view alike, but for the edges that a shift fills."""
    pictures = photos(4, 32)

    class Repeat(keras.Model):
        def call(self, inputs):
            return keras.ops.repeat(keras.ops.repeat(inputs, 3, axis=1), 3, axis=2)

    image = keras.Input((32, 32, 3))
    model = keras.Model(image, Repeat()(image))
    from pocketzoo.training.augmentation.test_time import VIEWS

    plain = model.predict(pictures, verbose=0)
    for view in VIEWS[views]:
        restored = view.restore(model.predict(view.transform(pictures), verbose=0), height=32)
        np.testing.assert_allclose(restored[:, 3:-3, 3:-3], plain[:, 3:-3, 3:-3])
