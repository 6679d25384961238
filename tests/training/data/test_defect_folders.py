"""Good images and images with defects in folders, tables and the built-in data set."""

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.tasks.anomaly_metrics import kinds_of
from pocketzoo.training.data import digit_defects


def write_image(path, *, seed, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), "uint8")
    Image.fromarray(pixels).save(path)


def write_mask(path, *, size=(12, 10), value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((size[1], size[0]), "uint8")
    mask[2:5, 3:9] = value
    Image.fromarray(mask).save(path)


@pytest.fixture
def bottles(tmp_path):
    """As MVTec AD: 20 good images to train on, 3 good ones and two kinds of defects to test."""
    folder = tmp_path / "bottle"
    for number in range(20):
        write_image(folder / f"train/good/{number:03}.png", seed=number)
    for kind_number, kind in enumerate(("good", "crack", "stain")):
        for number in range(3):
            write_image(folder / f"test/{kind}/{number:03}.png", seed=100 + 10 * kind_number + number)
            if kind != "good":
                write_mask(folder / f"ground_truth/{kind}/{number:03}_mask.png")
    return folder


def test_folder_of_mvtec_is_recognized(bottles):
    data = training.load_data(bottles, image_size=(10, 12))
    assert (data.task, data.labels) == ("anomaly", ("good", "crack", "stain"))
    assert data.interpretation.endswith("defects elsewhere (crack, stain), with masks.")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, 9]
    assert not data.train.arrays()[1].any()
    masks = data.test.arrays()[1]
    assert sorted(kinds_of(masks)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    expected = np.zeros((10, 12), int)
    expected[2:5, 3:9] = 1
    np.testing.assert_array_equal(masks[kinds_of(masks) == 1][0], expected)


def test_defects_without_masks_have_no_place(bottles):
    for mask in (bottles / "ground_truth").rglob("*.png"):
        mask.unlink()
    for kind in ("crack", "stain"):
        (bottles / "ground_truth" / kind).rmdir()
    (bottles / "ground_truth").rmdir()
    targets = training.load_data(bottles, image_size=8).test.arrays()[1]
    assert sorted(np.unique(targets)) == [-2, -1, 0]
    assert (np.ptp(targets, axis=(1, 2)) == 0).all()


def test_masks_survive_shards(bottles, tmp_path):
    data = training.load_data(bottles, image_size=8)
    training.write_shards(data, tmp_path / "shards")
    again = training.load_data(tmp_path / "shards", image_size=8)
    assert (again.task, again.labels) == (data.task, data.labels)
    kinds = [np.sort(kinds_of(each.test.arrays()[1])) for each in (data, again)]
    np.testing.assert_array_equal(*kinds)


def test_train_folder_with_defects_is_refused(bottles):
    write_image(bottles / "train/crack/000.png", seed=500)
    with pytest.raises(zoo.InputError, match=r"train has the folder 'crack' beside 'good'; detectors learn from good"):
        training.load_data(bottles)


def test_folder_without_good_images_is_refused(bottles):
    for image in (bottles / "train/good").iterdir():
        image.unlink()
    with pytest.raises(zoo.InputError, match=r"train/good has no images"):
        training.load_data(bottles)
    (bottles / "train/good").rmdir()
    with pytest.raises(zoo.InputError, match=r"has no train/good, the folder of good images to learn from"):
        training.load_data(bottles, layout="defects")


def test_mask_of_another_size_is_refused(bottles):
    write_mask(bottles / "ground_truth/crack/001_mask.png", size=(10, 12))
    with pytest.raises(zoo.InputError, match=r"001_mask.png has 10x12 pixels, but its image has 12x10"):
        training.load_data(bottles)
    write_mask(bottles / "ground_truth/crack/001_mask.png", size=(1, 1))
    with pytest.raises(zoo.InputError, match=r"001_mask.png has 1x1 pixels, which tell no place"):
        training.load_data(bottles)


def test_black_mask_of_a_defect_is_refused(bottles):
    write_mask(bottles / "ground_truth/stain/002_mask.png", value=0)
    with pytest.raises(zoo.InputError, match=r"stain/002_mask.png is black, but it is the mask of an image with a def"):
        training.load_data(bottles)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("good/000_mask.png", r"good/000_mask.png is the mask of a good image, which has no defect"),
        ("crack/009_mask.png", r"crack/009_mask.png is the mask of no image"),
    ],
)
def test_mask_of_no_defect_is_refused(bottles, mask, message):
    write_mask(bottles / "ground_truth" / mask)
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(bottles)


def test_defect_without_its_mask_is_refused(bottles):
    (bottles / "ground_truth/crack/000_mask.png").unlink()
    with pytest.raises(zoo.InputError, match=r"crack/000.png has no mask in .*crack; it takes 000_mask.png there"):
        training.load_data(bottles)


def write_table(folder, kinds):
    lines = ["image,defect,split"]
    for number, (kind, split) in enumerate(kinds):
        write_image(folder / f"{number}.png", seed=number)
        lines.append(f"{number}.png,{kind},{split}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


def test_table_names_kinds_of_defects(tmp_path):
    kinds = [("good", "train")] * 8 + [("good", "val"), ("scratch", "val"), ("good", "test"), ("dent", "test")]
    data = training.load_data(write_table(tmp_path, kinds), image_size=6)
    assert (data.task, data.labels) == ("anomaly", ("good", "dent", "scratch"))
    assert data.test.labels.shape == (2, 6, 6)
    assert data.test.labels[:, 0, 0].tolist() == [0, -1]
    training.write_shards(data, tmp_path / "shards")
    assert training.load_data(tmp_path / "shards", image_size=6).test.labels[np.arange(2)][:, 0, 0].tolist() == [0, -1]


def test_table_without_good_images_is_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="column 'defect' has no 'good', for images without defects"):
        training.load_data(write_table(tmp_path, [("dent", "train")] * 3))


def test_digits_with_defects_are_in_test_and_validation_alone(monkeypatch):
    monkeypatch.setattr(digit_defects, "GOOD", {"train": 20, "validation": 6, "test": 9})
    monkeypatch.setattr(digit_defects, "OF_EACH_DEFECT", {"train": 0, "validation": 2, "test": 3})
    data = training.load_data("digit-defects")
    assert (data.task, data.labels, data.image_shape) == ("anomaly", ("good", "scratch", "blob", "gap"), (32, 32, 1))
    assert not data.train.labels.any()
    assert np.bincount(kinds_of(data.validation.labels)).tolist() == [6, 2, 2, 2]
    shares = (data.test.labels > 0).mean(axis=(1, 2))[kinds_of(data.test.labels) > 0]
    assert shares.min() >= digit_defects.VISIBLE
    assert shares.max() < 0.2
    assert training.load_data("digit-defects").fingerprint() == data.fingerprint()
    with pytest.raises(zoo.InputError, match="digit-defects take 32 pixels a side or more, not 16x16"):
        training.load_data("digit-defects", image_size=16)
