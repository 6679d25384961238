"""Images of many bands in .npy files: in folders, beside masks, in surveys, and in files that predict from them."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import export, training, zoo
from pocketzoo.core.encoded_images import read_values


def picture(seed, dtype="uint16", shape=(9, 8, 5)):
    """A picture whose bands have means of their own, which tell its class."""
    values = np.random.default_rng(seed).integers(0, 300, shape) + 200 * np.arange(shape[-1]) + 1500 * (seed % 2)
    return values.astype(dtype)


def class_folders(folder, count=20):
    for seed in range(count):
        part = folder / ("field" if seed % 2 else "lake")
        part.mkdir(parents=True, exist_ok=True)
        np.save(part / f"{seed}.npy", picture(seed))
    return folder


def test_folder_of_arrays_keeps_bands_and_bits(tmp_path):
    data = training.load_data(class_folders(tmp_path), image_size=(9, 8), pixel_range=(0, 4095))
    assert (data.labels, data.image_shape, data.dtype, data.pixel_range) == (
        ("field", "lake"),
        (9, 8, 5),
        "uint16",
        (0, 4095),
    )
    found = [image.tobytes() for image in data.train.arrays()[0]]
    assert {*found} <= {picture(seed).tobytes() for seed in range(20)}
    headers = training.survey_headers(tmp_path)
    assert (headers.formats, headers.modes, headers.sizes["median"]) == ({"NPY": 20}, {"uint16": 20}, (9, 8))
    assert len(training.survey(tmp_path).mean) == 5


def test_arrays_have_masks_beside_them(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for seed in range(12):
        np.save(tmp_path / "images" / f"{seed}.npy", picture(seed))
        mask = (picture(seed)[..., 0] > picture(seed)[..., 0].mean()).astype("uint8")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{seed}.png")
    data = training.load_data(tmp_path, image_size=(9, 8), pixel_range=(0, 4095))
    assert (data.task, data.image_shape) == ("segmentation", (9, 8, 5))
    assert data.train.labels[np.arange(2)].shape == (2, 9, 8)


def test_net_for_bands_is_normalized_by_band_and_exported(tmp_path):
    data = training.load_data(class_folders(tmp_path / "photos"), image_size=(9, 8), pixel_range=(0, 4095))
    model = zoo.create_model("resnet20", blocks=1, widths=(4, 4, 8), input_shape=data.image_shape, labels=data.labels)
    training.adapt_normalization(model, data)
    means = data.train.arrays()[0].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(model.get_layer("pixels").mean, means, rtol=1e-4)
    export.export_model(model, tmp_path / "bundle", targets=["tract"], evaluation=data.test)
    artifact = export.load_artifact(tmp_path / "bundle" / "resnet20-fp32.onnx")
    file = next((tmp_path / "photos" / "lake").iterdir())
    expected = model(np.load(file)[None].astype("float32"))
    np.testing.assert_allclose(export.predict(artifact, file).probabilities, expected, atol=1e-4)


@given(st.sampled_from(["u1", "<u2", ">u2", "<i4", "<f4", ">f8", "<i8"]), st.integers(0, 2), st.data())
def test_arrays_of_any_numbers_are_read_and_damaged_ones_refused(dtype, bands, data):
    shape = (3, 4, bands) if bands else (3, 4)
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    file = io.BytesIO()
    np.save(file, values)
    whole = file.getvalue()
    found = read_values(whole, "a.npy")
    np.testing.assert_array_equal(found, values.reshape(3, 4, bands or 1))
    assert found.dtype.isnative
    position = data.draw(st.integers(6, len(whole) - 1))
    changed = whole[:position] + bytes([data.draw(st.integers(0, 255))]) + whole[position + 1 :]
    for damaged in (changed, whole[: data.draw(st.integers(6, len(whole) - 1))]):
        try:
            found = read_values(damaged, "a.npy")
        except zoo.InputError:
            continue
        assert found.nbytes <= 8 * len(whole)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2, 2, 2)), np.array([[{}]]), np.zeros((2, 2), bool)])
def test_arrays_that_are_no_images_are_refused(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    with pytest.raises(
        zoo.InputError, match=r"a.npy cannot be read as an image: it .*(images are numbers|Python objects)"
    ):
        read_values(file.getvalue(), "a.npy")
