"""A folder of images as a user has them: every format and mode, mixed sizes, cameras held sideways."""

import numpy as np
import pytest
from PIL import Image, features

from pocketzoo import training, zoo

pytestmark = pytest.mark.fast

HEIGHT, WIDTH = 6, 8


def shaded(shade: int, size=(WIDTH, HEIGHT)) -> Image.Image:
    return Image.new("RGB", size, (shade, shade, shade))


def grey_alpha(shade):
    return Image.merge("LA", [Image.new("L", (9, 5), shade), Image.new("L", (9, 5), 255)])


def colours_and_alpha(shade):
    picture = shaded(shade).convert("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 255))
    return picture


def palette(shade):
    return shaded(shade).quantize(4)


def deep(shade):
    return Image.fromarray(np.full((HEIGHT, WIDTH), shade * 257, "uint16"))


WRITERS = {
    "rgb.jpg": lambda shade: shaded(shade, (40, 30)),
    "grey.jpeg": lambda shade: shaded(shade).convert("L"),
    "cmyk.jpg": lambda shade: shaded(shade).convert("CMYK"),
    "rgb.png": shaded,
    "grey.png": lambda shade: shaded(shade, (3, 50)).convert("L"),
    "grey_alpha.png": grey_alpha,
    "rgba.png": colours_and_alpha,
    "palette.png": palette,
    "sixteen_bits.png": deep,
    "rgb.bmp": shaded,
    "rgb.webp": shaded,
    "palette.gif": palette,
    "rgb.tiff": shaded,
    "sixteen_bits.tif": deep,
}


@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_and_size_in_one_folder_comes_as_the_same_pixels(channels, tmp_path):
    assert features.check("webp")
    for label, name in enumerate(("dark", "light")):
        (tmp_path / name).mkdir()
        for number, (file, write) in enumerate(WRITERS.items()):
            write(40 + 150 * label + number).save(tmp_path / name / file)
    data = training.load_data(tmp_path, image_size=(HEIGHT, WIDTH), channels=channels)
    seen = 0
    for split in (data.train, data.validation, data.test):
        images, labels = split.arrays()
        seen += len(images)
        assert images.shape[1:] == (HEIGHT, WIDTH, channels)
        middle = images[:, HEIGHT // 2, WIDTH // 2].astype(int)
        assert (np.abs(middle - 47 - 150 * labels[:, np.newaxis]) <= 10).all()
    assert seen == 2 * len(WRITERS)


def test_sideways_photos_are_turned_upright(tmp_path):
    """Each photo is light above and dark below once it is turned as its tag says."""
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    for name, shade in (("bright", 255), ("dim", 150)):
        (tmp_path / name).mkdir()
        for number in range(4):
            for orientation, transpose in turned.items():
                photo = Image.new("L", (8, 6), number)
                photo.paste(shade, (0, 0, 8, 3))
                exif = Image.Exif()
                exif[0x0112] = orientation
                stored = photo if transpose is None else photo.transpose(transpose)
                stored.save(tmp_path / name / f"{number}-{orientation}.png", exif=exif)
    data = training.load_data(tmp_path, image_size=(6, 8), channels=1)
    images, _ = data.train.arrays()
    assert (images[:, :3] >= 150).all()
    assert (images[:, 3:] <= 3).all()


@pytest.mark.parametrize("suffix", ["avif", "dds", "gif", "jp2", "jpg", "png", "ppm", "tif", "webp"])
def test_damaged_files_of_every_format_are_named_and_left_out(suffix, tmp_path):
    """Cut at places where decoders raise many classes of errors."""
    for name, shade in (("dark", 40), ("light", 190)):
        (tmp_path / name).mkdir()
        for number in range(4):
            shaded(shade + number).save(tmp_path / name / f"{number}.png")
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(whole)
    content = whole.read_bytes()
    bad = [tmp_path / "dark" / f"bad-{number}.{suffix}" for number in range(8)]
    for number, path in enumerate(bad):
        damaged = bytearray(content[: len(content) * number // 9])
        damaged[8:] = bytes(value ^ 255 for value in damaged[8:]) if number % 2 else damaged[8:]
        path.write_bytes(damaged)
    whole.unlink()
    assert set(training.survey(tmp_path).unreadable) == set(map(str, bad))
    assert set(training.load_data(tmp_path, image_size=8, on_unreadable="skip").skipped) == set(map(str, bad))
    with pytest.raises(zoo.InputError, match=rf"8 of 16 images cannot be read, first .*bad-\d\.{suffix} cannot be"):
        training.load_data(tmp_path, image_size=8)
