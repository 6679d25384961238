import shutil

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo

pytestmark = pytest.mark.fast


def write_classes(root, names, images=6, first=0):
    """Class folders of small images, each a shade of its own."""
    for label, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(first, first + images):
            Image.fromarray(np.full((5, 7, 3), 80 * label + number, "uint8")).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "photos", ("ant", "bee", "cow"))


@pytest.fixture
def split_folder(tmp_path):
    """Ten train, four validation and five test images a class."""
    root = tmp_path / "split"
    for name, images, first in (("train", 10, 0), ("val", 4, 20), ("test", 5, 40)):
        write_classes(root / name, ("ant", "bee"), images, first)
    return root


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


def shades(split):
    return set(split.arrays()[0][:, 0, 0, 0].tolist())


def test_folder_has_a_class_for_each_sub_folder(folder):
    data = training.load_data(folder, image_size=(10, 12))
    assert data.labels == ("ant", "bee", "cow")
    assert data.task == "classification"
    assert data.image_shape == (10, 12, 3)
    images, labels = data.train.arrays()
    assert images.shape[1:] == (10, 12, 3)
    np.testing.assert_array_equal(images[:, 0, 0, 0] // 80, labels)


def test_unreadable_images_stop_or_are_left_out_and_counted(folder):
    (folder / "ant" / "0.png").write_bytes(b"no image")
    (folder / "bee" / "1.png").write_bytes((folder / "bee" / "1.png").read_bytes()[:40])
    with pytest.raises(zoo.InputError, match=r"2 of 18 images cannot be read, first .*0\.png"):
        training.load_data(folder)
    data = training.load_data(folder, on_unreadable="skip")
    assert [path.rsplit("/", 2)[-2:] for path in map(str, data.skipped)] == [["ant", "0.png"], ["bee", "1.png"]]
    assert sum(sizes(data)) == 16


def test_hidden_files_and_folders_are_passed_over(folder):
    (folder / "ant" / "._0.png").write_bytes(b"what macOS leaves")
    (folder / "bee" / ".ipynb_checkpoints").mkdir()
    Image.new("L", (4, 4)).save(folder / "bee" / ".ipynb_checkpoints" / "0.png")
    (folder / "cow" / "folder.png").mkdir()
    assert sum(sizes(training.load_data(folder))) == 18


def test_folder_that_cannot_be_used_says_why(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(zoo.InputError, match="has 0 class folders"):
        training.load_data(tmp_path / "empty")
    (tmp_path / "empty" / "only").mkdir()
    with pytest.raises(zoo.InputError, match="has 1 class folders"):
        training.load_data(tmp_path / "empty")
    (folder / "dog").mkdir()
    with pytest.raises(zoo.InputError, match="dog has no images"):
        training.load_data(folder)
    Image.new("L", (4, 4)).save(folder / "dog" / "1.png")
    with pytest.raises(zoo.InputError, match="'dog' has 1 different readable images; every class takes 3 or more"):
        training.load_data(folder)


def test_fewer_images_than_classes_are_refused(tmp_path):
    root = write_classes(tmp_path / "photos", ("ant", "bee", "cow"), images=1)
    with pytest.raises(zoo.InputError, match="'ant' has 1 different readable images"):
        training.load_data(root)


def test_class_of_nothing_but_damaged_images_is_refused(folder):
    for path in (folder / "bee").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(zoo.InputError, match="'bee' has 0 different readable images"):
        training.load_data(folder, on_unreadable="skip")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation"])
def test_own_split_is_kept_whatever_validation_is_called(name, split_folder):
    (split_folder / "val").rename(split_folder / name)
    data = training.load_data(split_folder, image_size=4)
    assert data.labels == ("ant", "bee")
    assert sizes(data) == (20, 8, 10)
    for split, first, images in ((data.train, 0, 10), (data.validation, 20, 4), (data.test, 40, 5)):
        assert shades(split) == {80 * label + first + number for label in (0, 1) for number in range(images)}


@pytest.mark.parametrize(
    ("missing", "expected"), [("val", (18, 2, 10)), ("test", (16, 8, 4)), ("val test", (14, 2, 4))]
)
def test_missing_splits_are_taken_from_train_by_class(missing, expected, split_folder):
    for name in missing.split():
        shutil.rmtree(split_folder / name)
    data = training.load_data(split_folder, image_size=4)
    assert sizes(data) == expected
    for split in (data.train, data.validation, data.test):
        counts = np.bincount(split.labels)
        assert counts[0] == counts[1]


def test_classes_that_differ_between_the_splits_are_named(split_folder):
    shutil.rmtree(split_folder / "test" / "bee")
    write_classes(split_folder / "test", ("cow", "dog"))
    with pytest.raises(zoo.InputError, match="class 'cow' has 0 different readable images in train"):
        training.load_data(split_folder)
    write_classes(split_folder / "train", ("cow", "dog"), first=60)
    with pytest.raises(zoo.InputError, match="validation has no readable image of cow, dog"):
        training.load_data(split_folder)
    write_classes(split_folder / "val", ("cow", "dog"), first=70)
    with pytest.raises(zoo.InputError, match="test has no readable image of bee"):
        training.load_data(split_folder)


def test_same_image_in_two_splits_is_refused_with_a_pair_and_the_count(split_folder):
    shutil.copy(split_folder / "train" / "ant" / "3.png", split_folder / "test" / "ant" / "copy.png")
    shutil.copy(split_folder / "train" / "bee" / "4.png", split_folder / "val" / "bee" / "again.png")
    with pytest.raises(zoo.InputError, match=r"2 images are also in another split, such as .*bee/4\.png \(train\)"):
        training.load_data(split_folder)


def test_same_image_in_two_classes_never_trains_and_tests(tmp_path):
    root = write_classes(tmp_path / "photos", ("ant", "bee"), images=40)
    for path in (root / "ant").iterdir():
        shutil.copy(path, root / "bee" / f"ant{path.name}")
    message = r"80 images have a copy in another class, such as .*ant/0\.png \(ant\) has the same pixels as .*\(bee\)"
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(root)
    with pytest.raises(zoo.InputError, match="class 'ant' has 0 different readable images"):
        training.load_data(root, on_unreadable="skip")


def test_class_may_be_called_like_a_split(tmp_path):
    data = training.load_data(write_classes(tmp_path / "traffic", ("bus", "train")))
    assert data.labels == ("bus", "train")
    data = training.load_data(write_classes(tmp_path / "exams", ("essay", "talk", "test")))
    assert data.labels == ("essay", "talk", "test")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["val/ant", "test/ant"], "has no train folder beside test, val"),
        (["train/ant", "test/ant", "extra"], "has extra beside the folders of the splits"),
        (["train/ant", "val/ant", "valid/ant"], "two folders for one split, train, val, valid"),
        (["train/ant", "test/ant"], r"test has 1 class folders"),
    ],
)
def test_folders_of_splits_that_cannot_be_used_say_why(folders, message, tmp_path):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(tmp_path)
