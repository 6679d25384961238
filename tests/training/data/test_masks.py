import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.training.data.file_targets import FileTargets
from pocketzoo.training.data.files import Paths

pytestmark = pytest.mark.fast

COUNT = 12


def square(row: int, height=8, width=12) -> np.ndarray:
    """A mask of class 0 with a square of class 1 or 2 that is in another place in each row."""
    mask = np.zeros((height, width), "uint8")
    mask[row % 5 : row % 5 + 3, row % 7 : row % 7 + 4] = 1 + row % 2
    return mask


@pytest.fixture
def table(tmp_path):
    """Images that are light where their mask has a class, and the table of both."""
    for row in range(COUNT):
        Image.fromarray(square(row) * 100 + row).save(tmp_path / f"{row}.png")
        Image.fromarray(square(row)).save(tmp_path / f"{row}-mask.png")
    lines = [f"{row}.png,{row}-mask.png" for row in range(COUNT)]
    (tmp_path / "table.csv").write_text("\n".join(["image,mask", *lines]))
    return tmp_path / "table.csv"


def masks_in(path):
    return FileTargets(Paths([path]), get_task("segmentation"), 8, 12, 3)[np.array([0])]


def test_masks_lie_on_their_images(table):
    data = training.load_data(table, image_size=(8, 12), channels=1)
    assert (data.task, data.labels) == ("segmentation", ("0", "1", "2"))
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 1, 2)
    images, masks = data.train.arrays()
    assert masks.dtype == np.int32
    np.testing.assert_array_equal(masks, images[..., 0] // 100)


def test_masks_are_resized_with_their_images_and_get_no_class_between_two(table):
    data = training.load_data(table, image_size=(16, 24), channels=1)
    images, masks = data.test.arrays()
    assert masks.shape == (2, 16, 24)
    for image, mask in zip(images[..., 0], masks, strict=True):
        row = int(image[-1, 0])
        np.testing.assert_array_equal(mask, square(row).repeat(2, axis=0).repeat(2, axis=1))


def test_file_of_labels_names_the_classes_also_those_in_no_mask(table):
    (table.parent / "labels.txt").write_text("ground\ncat\n\n dog \nhorse\n")
    assert training.load_data(table, image_size=8).labels == ("ground", "cat", "dog", "horse")


def test_masks_are_an_output_beside_others(table):
    lines = [f"{row}.png,{row}-mask.png,{row}" for row in range(COUNT)]
    table.write_text("\n".join(["image,area.mask,area2.number", *lines]))
    (table.parent / "area.labels.txt").write_text("ground\ncat\ndog")
    data = training.load_data(table, image_size=(8, 12), channels=1)
    assert data.task == {"area": "segmentation", "area2": "regression"}
    assert data.labels == {"area": ("ground", "cat", "dog"), "area2": ("number",)}
    images, targets = data.train.arrays()
    np.testing.assert_array_equal(targets["area"], images[..., 0] // 100)
    np.testing.assert_array_equal(targets["area2"][:, 0], images[:, 7, 11, 0])


@pytest.mark.parametrize("mode", ["P", "I;16", "I"])
def test_masks_are_indices_in_every_mode_that_holds_one_number(mode, tmp_path):
    indices = square(3)
    if mode == "P":
        mask = Image.fromarray(indices)
        mask.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])  # to "P"; the colours are for people
    else:
        mask = Image.fromarray(indices.astype({"I;16": "uint16", "I": "int32"}[mode]))
    mask.save(tmp_path / "mask.tiff")
    assert Image.open(tmp_path / "mask.tiff").mode == mode
    np.testing.assert_array_equal(masks_in(tmp_path / "mask.tiff"), [indices])


def test_black_and_white_masks_have_two_classes(tmp_path):
    Image.fromarray(square(2) > 0).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(masks_in(tmp_path / "mask.png"), [square(2) > 0])


def test_mask_of_a_photo_that_is_turned_is_drawn_on_the_turned_photo(table):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = table.parent / "3.png"
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    data = training.load_data(table, image_size=(8, 12), channels=1)
    for split in (data.train, data.validation, data.test):
        images, masks = split.arrays()
        np.testing.assert_array_equal(masks, images[..., 0] // 100)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 11), "uint8"), r"4-mask\.png has 11x8 pixels, but its image has 12x8"),
        (np.full((8, 12), 3, "uint8"), r"4-mask\.png has the value 3; class indices go from 0 to 2"),
        (np.zeros((8, 12, 3), "uint8"), r"4-mask\.png has colors \(RGB\); a mask has one number a pixel"),
    ],
)
def test_mask_that_is_none_of_its_image_is_named_or_left_out(mask, message, table):
    (table.parent / "labels.txt").write_text("ground\ncat\ndog")
    Image.fromarray(mask).save(table.parent / "4-mask.png")
    with pytest.raises(zoo.InputError, match=f"1 of 12 images cannot be read, first .*{message}"):
        training.load_data(table)
    data = training.load_data(table, image_size=8, on_unreadable="skip")
    assert [path.rsplit("/", 1)[1] for path in data.skipped] == ["4.png"]


def test_damaged_and_missing_masks_are_named_and_counted(table):
    (table.parent / "4-mask.png").write_bytes(b"damaged")
    (table.parent / "7-mask.png").unlink()
    with pytest.raises(zoo.InputError, match=r"2 of 12 images cannot be read, first .*4-mask\.png cannot be read as"):
        training.load_data(table)


def test_masks_in_black_and_white_bytes_are_not_taken_for_256_classes(table):
    for row in range(COUNT):
        Image.fromarray((square(row) > 0).astype("uint8") * 255).save(table.parent / f"{row}-mask.png")
    with pytest.raises(zoo.InputError, match=r"the masks have the values 0, 255; they are .* Save 255 as 1 where"):
        training.load_data(table)
    assert list(training.survey(table).labels) == ["0", "255"]
    (table.parent / "labels.txt").write_text("ground\nroad\n")
    with pytest.raises(zoo.InputError, match="has the value 255; class indices go from 0 to 1; save 255 as 1 if"):
        training.load_data(table)


@pytest.mark.parametrize("text", ["", "ground", "ground\nground"])
def test_file_of_labels_that_names_no_two_classes_is_refused(text, table):
    (table.parent / "labels.txt").write_text(text)
    with pytest.raises(zoo.InputError, match=r"labels\.txt has .*; it takes 2 or more different names, one a line"):
        training.load_data(table)


@pytest.mark.parametrize(
    ("values", "ignore", "message"),
    [
        ((0, 255), None, "values 0, 255, .* divide the masks by 255, .* state ignore=255"),
        ((0, 1, 255), None, "state ignore=255"),
        ((0, 255), 255, "have one class, .*0.*, besides 255, which is ignored"),
    ],
)
def test_masks_of_0_and_255_are_not_taken_for_256_classes_or_for_one(values, ignore, message):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    masks = generator.choice(np.array(values, "uint8"), (20, 8, 8))
    with pytest.raises(zoo.InputError, match=message):
        training.from_arrays(images, masks, task="segmentation", ignore=ignore)
