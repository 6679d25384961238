import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.training.data.contact_sheet import IMAGES, VERSIONS, contents
from pocketzoo.training.data.listing import Target
from pocketzoo.training.data.partition import contradictions


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, "uint8")).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """Ten cats and five dogs in shades of their own, one of them large and one small."""
    root = tmp_path / "photos"
    for number in range(10):
        save(root / "cat" / f"{number}.png", np.full((20, 30, 3), 10 * number))
    for number in range(5):
        save(root / "dog" / f"{number}.png", np.full((20, 30, 3), 100 + 10 * number))
    save(root / "dog" / "4.png", np.full((200, 100, 3), 250))
    save(root / "dog" / "3.png", np.full((8, 9, 3), 240))
    return root


def test_images_are_counted_by_split_and_class_as_training_shares_them_out(photos):
    found, data = training.survey(photos), training.load_data(photos)
    assert found.images == {name: len(getattr(data, name)) for name in ("train", "validation", "test")}
    assert found.task == "classification"
    for index, label in enumerate(data.labels):
        assert found.labels[label] == {
            name: int((getattr(data, name).labels == index).sum()) for name in ("train", "validation", "test")
        }
    assert found.imbalance == found.labels["cat"]["train"] / found.labels["dog"]["train"]
    assert (found.duplicates, found.unreadable) == ((), {})


def test_sizes_are_those_of_the_files(photos):
    assert training.survey(photos).sizes == {"smallest": (8, 9), "median": (20, 30), "largest": (200, 100)}


def test_mean_and_deviation_are_those_of_the_train_pixels(photos):
    found = training.survey(photos)
    pixels, _ = training.load_data(photos).train.arrays()
    assert found.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    assert found.deviation == pytest.approx(pixels.std(axis=(0, 1, 2)))


def test_duplicates_are_named_within_and_across_splits(photos):
    root = photos.parent / "split"
    for split in ("train", "test"):
        shutil.copytree(photos, root / split)
    shutil.rmtree(root / "test" / "cat")
    save(root / "test" / "cat" / "other.png", np.full((20, 30, 3), 5))
    shutil.copy(root / "train" / "cat" / "0.png", root / "train" / "cat" / "copy.png")
    found = training.survey(root)
    assert len(found.duplicates) == 6
    within = {f"train: {root}/train/cat/0.png", f"train: {root}/train/cat/copy.png"}
    assert within in map(set, found.duplicates)
    assert len(found.leaked) == 5
    assert {f"train: {root}/train/dog/0.png", f"test: {root}/test/dog/0.png"} in map(set, found.leaked)
    with pytest.raises(zoo.InputError, match="5 images are also in another split"):
        training.load_data(root)


def test_unreadable_files_are_named_and_the_others_counted(photos):
    (photos / "cat" / "0.png").write_bytes(b"no picture")
    found = training.survey(photos)
    ((name, reason),) = found.unreadable.items()
    assert name == str(photos / "cat" / "0.png")
    assert "cannot be read as an image" in reason
    assert sum(found.images.values()) == 14
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(zoo.InputError, match="none of 15 images can be read"):
        training.survey(photos)


def test_class_that_training_would_refuse_is_shown(photos):
    shutil.rmtree(photos / "dog")
    save(photos / "dog" / "only.png", np.zeros((5, 5, 3)))
    found = training.survey(photos)
    assert sum(found.labels["dog"].values()) == 1
    with pytest.raises(zoo.InputError, match="class 'dog' has 1"):
        training.load_data(photos)


def test_table_of_several_outputs_is_counted_by_output(tmp_path):
    lines = ["image,kind.label,tags.labels,road.mask,size.cm"]
    for number in range(8):
        save(tmp_path / f"{number}.png", np.full((4, 4, 3), number))
        save(tmp_path / f"{number}-mask.png", np.eye(4))
        lines.append(f"{number}.png,{'ab'[number % 2]},{'x;y' if number else ''},{number}-mask.png,{number}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    found = training.survey(tmp_path / "table.csv")
    assert found.task == {
        "kind": "classification",
        "tags": "multi_label",
        "road": "segmentation",
        "size": "regression",
    }
    assert sum(found.labels["kind"]["a"].values()) == 4
    assert sum(found.labels["tags"]["x"].values()) == 7
    assert {name: sum(counts.values()) for name, counts in found.labels["road"].items()} == {"0": 8 * 12, "1": 8 * 4}
    assert found.labels["size"] == {"cm": {"smallest": 0, "mean": 3.5, "largest": 7}}
    assert found.imbalance["road"] == 3
    assert found.imbalance["size"] is None


@pytest.mark.parametrize("source", ["digits", pytest.param("digit-scenes:all", marks=pytest.mark.every_card)])
def test_datasets_that_are_no_files_are_surveyed_too(source):
    found, data = training.survey(source), training.load_data(source)
    assert sum(found.images.values()) == sum(map(len, (data.train, data.validation, data.test)))
    assert set(found.sizes.values()) == {data.image_shape[:2]}
    pixels, targets = data.train.arrays()
    assert found.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    if source == "digits":
        assert [counts["train"] for counts in found.labels.values()] == np.bincount(targets).tolist()
    else:
        places = [counts["train"] for counts in found.labels["segmentation"].values()]
        assert places == np.bincount(targets["segmentation"].ravel()).tolist()


def test_survey_is_plain_json(photos):
    facts = training.survey(photos).to_dict()
    assert json.loads(json.dumps(facts, allow_nan=False))["images"] == facts["images"]


def test_contact_sheet_shows_images_beside_what_augmentation_makes_of_them(digits):
    sheet, again, other = (contents(digits, "strong", seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(sheet.images, again.images)
    assert (sheet.images != other.images).any(axis=(1, 2, 3, 4)).all()
    assert sheet.images.shape == (IMAGES, 1 + VERSIONS, 32, 32, 1)
    images, classes = digits.train.arrays()
    for original, caption in zip(sheet.images[:, 0], sheet.captions, strict=True):
        same = (images == original).all(axis=(1, 2, 3))  # as it is
        assert caption in {digits.labels[each] for each in classes[same]}
    cells = sheet.images.reshape(-1, 32, 32)
    assert len({cell.tobytes() for cell in cells}) == len(cells)


def test_contact_sheet_shows_mixed_images_and_bare_ones(digits, tmp_path):
    mixup = training.Recipe(augmentation=[{"name": "mixup"}]).augmentation
    assert contents(digits, mixup, 0).images.shape[:2] == (IMAGES, 1 + VERSIONS)
    assert contents(digits, "none", 0).images.shape[:2] == (IMAGES, 1)
    training.write_contact_sheet(digits, tmp_path / "bare.png", augmentation="none")
    width, height = Image.open(tmp_path / "bare.png").size
    assert width < height  # a column of images, with their labels


def test_contact_sheet_has_masks_that_move_with_their_images(tmp_path):
    scenes = training.load_data("digit-scenes", image_size=32)
    sheet = contents(scenes, "light", 0)
    assert sheet.masks.shape == sheet.images.shape[:4]
    _, targets = scenes.train.arrays()
    assert all((targets == mask).all(axis=(1, 2)).any() for mask in sheet.masks[:, 0])
    assert (sheet.masks[:, 1:] != sheet.masks[:, :1]).any(axis=(2, 3)).any(axis=1).all()
    assert (sheet.captions, sheet.labels) == (("",) * IMAGES, scenes.labels)
    training.write_contact_sheet(scenes, tmp_path / "masks.png")
    colors = np.asarray(Image.open(tmp_path / "masks.png").convert("RGB"))
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) > 100


def test_contact_sheet_has_pictures_beside_their_images_and_points_on_them():
    images = np.random.default_rng(0).integers(0, 100, (30, 8, 8, 1)).astype("uint8")
    enlarged = 255 - images.repeat(2, axis=1).repeat(2, axis=2)
    pairs = training.from_arrays(images, enlarged.astype("float32"), task="image_to_image")
    sheet = contents(pairs, "none", 0)
    assert sheet.images.shape == (IMAGES, 1, 16, 32, 3)
    np.testing.assert_array_equal(sheet.images[..., 16:, :], 255 - sheet.images[..., :16, :])
    places = np.random.default_rng(0).random((30, 1, 2)).astype("float32")
    points = training.from_arrays(images, places, labels=["nose"], task="keypoints")
    for row in contents(points, ["flip"], 0).images.astype(int):
        yellow = [(cell[..., 0] > 200) & (cell[..., 2] < 50) for cell in row]
        assert all(each.any() for each in yellow)
        columns = [np.flatnonzero(each.any(axis=0)).mean() for each in yellow]
        assert len({round(column, 1) for column in columns}) <= 2  # where it was, or mirrored


def test_contact_sheet_names_labels_and_values():
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).astype("uint8")
    several = np.tile(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], "uint8"), (10, 1))
    labels = training.from_arrays(images, several, labels=["a", "b", "c"], task="multi_label")
    assert {*contents(labels, "none", 0).captions} <= {"a, c", "b", "none"}
    values = training.from_arrays(images, np.tile([[0.25, 4.0]], (30, 1)), labels=["x", "y"], task="regression")
    assert {*contents(values, "none", 0).captions} == {"x 0.25, y 4"}


def test_contact_sheet_is_a_png(digits, tmp_path):
    with pytest.raises(zoo.InputError, match=r"sheet\.jpg is not the name of a picture"):
        training.write_contact_sheet(digits, tmp_path / "sheet.jpg")


def test_what_a_damaged_shard_lacks_is_counted(tmp_path):
    for label in ("ant", "bee"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((8, 8, 3), 20 * number + (label == "bee"), "uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    training.write_shards(training.load_data(tmp_path / "photos", image_size=8), tmp_path / "shards")
    path = tmp_path / "shards" / "test-00000.tfrecord"
    path.write_bytes(path.read_bytes()[:-20])
    found = training.survey(tmp_path / "shards")
    assert len(found.unreadable) == 1
    assert "is damaged, cut short or gone" in next(iter(found.unreadable.values()))
    assert sum(found.images.values()) == 19


def test_headers_tell_classes_sizes_formats_and_what_they_leave_out(photos):
    (photos / "cat" / "9.png").write_bytes(b"no image")
    Image.new("L", (50, 40)).save(photos / "cat" / "1.png", "JPEG")
    cut = photos / "dog" / "0.png"
    cut.write_bytes(cut.read_bytes()[:45])  # whose pixels are gone
    found = training.survey_headers(photos)
    assert found.images == {"unsplit": 14}
    assert found.labels == {"cat": {"unsplit": 9}, "dog": {"unsplit": 5}}
    assert found.sizes == {"smallest": (8, 9), "median": (20, 30), "largest": (200, 100)}
    assert (found.formats, found.modes) == ({"PNG": 13, "JPEG": 1}, {"RGB": 13, "L": 1})
    assert list(found.unreadable) == [str(photos / "cat" / "9.png")]
    assert "damage behind the headers" in found.not_checked
    assert str(cut) in training.survey(photos).unreadable
    json.dumps(found.to_dict())


def test_headers_of_splits_and_masks(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "split" / "train")
    shutil.copytree(photos, tmp_path / "split" / "test")
    found = training.survey_headers(tmp_path / "split")
    assert found.images == {"train": 15, "test": 15}
    assert found.labels["cat"] == {"train": 10, "test": 10}
    for number in range(3):
        save(tmp_path / "road" / "images" / f"{number}.png", np.zeros((6, 8 + number, 3)))
        save(tmp_path / "road" / "masks" / f"{number}.png", np.zeros((6, 8)))
    found = training.survey_headers(tmp_path / "road")
    assert (found.task, found.images, found.labels) == ("segmentation", {"unsplit": 1}, {})
    assert (
        "1.png has 8x6 pixels, but its image has 9x6" in found.unreadable[str(tmp_path / "road" / "images" / "1.png")]
    )


def test_headers_of_sources_without_files_are_refused():
    with pytest.raises(zoo.InputError, match="digits is not made of files"):
        training.survey_headers("digits")


def test_survey_of_files_needs_no_tensorflow(photos):
    code = f"""import sys
from pocketzoo import training
training.survey({str(photos)!r})
training.survey_headers({str(photos)!r})
assert not {{"tensorflow", "keras"}} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_time_of_listing_copies_grows_as_their_number():
    """All of 100,000 copies in one class, and one in another: a comparison of pairs would take an hour."""
    labels = np.zeros(100_000, int)
    labels[-1] = 1
    listing = SimpleNamespace(
        targets=Target("classification", ("cat", "dog"), labels),
        images=SimpleNamespace(name=str),
        splits=np.full(100_000, "train"),
    )
    assert contradictions(listing, [b"same"] * 99_999 + [b"other"], range(100_000)) == {}
    found = contradictions(listing, [b"same"] * 100_000, range(100_000))
    assert len(found) == 100_000
    assert str(found[3].error) == "3 (cat) has the same pixels as 99999 (dog)."
    assert str(found[99_999].error) == "99999 (dog) has the same pixels as 0 (cat)."
