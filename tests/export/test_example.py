"""The image of the user's that a bundle shows."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.small_net import small_net

from pocketzoo import export
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.metadata import Metadata
from pocketzoo.export.example import Example
from pocketzoo.zoo.image_files import read_image


@pytest.fixture
def photo(tmp_path):
    """Of another size, with a tag of the place where it was taken."""
    tags = Image.Exif()
    tags.get_ifd(0x8825)[29] = "2026:12:01"
    tags[0x010E] = "my garden"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "my cat.jpg", exif=tags)
    return tmp_path / "my cat.jpg"


def metadata_of(shape, **more):
    facts = {"model": "net", "labels": ("a", "b"), "pixel_range": (0, 255), "mean": None, "scale": None}
    return Metadata(**facts | {"image_shape": shape, "weights_sha256": ""} | more)


def test_bundle_shows_the_example_with_what_each_file_gives(photo, tmp_path):
    net, out = small_net(), tmp_path / "bundle"
    images = np.random.default_rng(1).integers(0, 256, (16, *net.input_shape[1:]), "uint8")
    manifest = export.export_model(net, out, targets=["mobile-gpu", "openvino"], evaluation=images, example=photo)
    text = (out / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Example")[2].partition("## Measured")[0]
    assert "`my cat.png` is an image of the kind that the model is for." in section
    rows = re.findall(r"^\| (\S+) \| (.*): ([\d.]+)% \|$", section, re.MULTILINE)
    assert [file for file, _, _ in rows] == [record.file for record in manifest.artifacts]
    for file, label, percent in rows:
        prediction = export.predict(export.load_artifact(out / file), photo)
        (best, share), *_ = prediction.top(1)[0]
        assert (label, float(percent)) == (best, pytest.approx(100 * share, abs=0.1))


def test_no_image_is_in_a_bundle_without_one(bundle):
    assert not [path for path in Path(bundle).rglob("*") if path.suffix in (".png", ".jpg", ".npy")]
    assert "## Example" not in (bundle / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shape", [(8, 6, 3), (8, 6, 1), (None, None, 3)])
def test_example_is_the_image_in_the_size_of_the_model_without_its_metadata(shape, photo, tmp_path):
    example = Example.from_file(photo, metadata_of(shape))
    example.save(tmp_path)
    height, width, channels = shape
    expected = read_image(photo, height=height, width=width, channels=channels)
    with Image.open(tmp_path / "my cat.png") as saved:
        assert (saved.mode, dict(saved.getexif()), saved.info) == ({1: "L", 3: "RGB"}[channels], {}, {})
        np.testing.assert_array_equal(np.asarray(saved).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["a\n#include.png", "c`x`.png", "Käse.png", "$(id).png"])
def test_name_with_a_meaning_elsewhere_is_not_that_of_the_example(name, photo):
    assert Example.from_file(photo.rename(photo.with_name(name)), metadata_of((8, 6, 3))).file == "example.png"


@pytest.mark.parametrize(("metadata", "message"), [
    (metadata_of((8, 6, 4)), "does not take one grayscale or RGB image"),
    (metadata_of((8, 6, 3), task="embedding", labels=()), "outputs of net .embedding. have no names"),
])  # fmt: skip
def test_example_that_a_model_cannot_take_is_refused(metadata, message, photo):
    with pytest.raises(InputError, match=message):
        Example.from_file(photo, metadata)
