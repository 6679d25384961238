"""How folders are read: as classes, as splits, or as images and masks; never as something else than they are."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.cli import options
from pocketzoo.training.data.folder_names import FolderName, parse_folder_name, split_names
from pocketzoo.training.data.folders import Layout, list_folder

pytestmark = pytest.mark.fast

WORDS = {
    "train": ("train", "training", "trn", "trainset", "train_data"),
    "validation": ("val", "valid", "validation", "dev", "validset"),
    "test": ("test", "testing", "test-set", "testdata"),
}
AFFIXES = ("{}", "seg_{}", "{} Images", "{}_set", "{}2017", "plants-{}", "01_{}")
CASES = (str, str.upper, str.title, str.lower)
IMAGE_NAMES = ("images", "imgs", "img", "image", "JPEGImages", "photos", "leftImg8bit", "Input", "RGB")
MASK_NAMES = ("masks", "labels", "label", "SegmentationClass", "annotations", "gtFine", "ground_truth", "Targets")
NOISE = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)


def write(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(NOISE + np.uint8(number)).save(path)


def write_mask(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.add.outer(np.arange(20), np.arange(20) * number) % 3).astype("uint8")).save(path)


def write_pairs(images: Path, masks: Path, *, first=0, count=4, name="{}.png") -> None:
    for number in range(first, first + count):
        write(images / f"{number}.jpg", number)
        write_mask(masks / name.format(number), number)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


split_folder_names = st.tuples(st.sampled_from(AFFIXES), st.sampled_from(CASES)).flatmap(
    lambda style: st.fixed_dictionaries(
        {"train": st.sampled_from(WORDS["train"])},
        optional={split: st.sampled_from(WORDS[split]) for split in ("validation", "test")},
    ).map(lambda words: {split: style[1](style[0].format(word)) for split, word in words.items()})
)


@given(names=split_folder_names)
def test_names_of_splits_are_recognized_in_every_case_and_variant(names):
    assert split_names(names.values()) == {name: split for split, name in names.items()}


@settings(max_examples=25, deadline=None)
@given(names=split_folder_names, wrapped=st.booleans(), nested=st.booleans())
def test_folders_of_splits_never_become_classes(names, wrapped, nested, tmp_path_factory):
    source = tmp_path_factory.mktemp("data")
    root = source / "archive" / "dataset" if wrapped else source
    for name in names.values():
        for label in ("cat", "dog"):
            inside = root / name / name if nested else root / name
            touch(inside / label / "1.png", inside / label / ".hidden.png", inside / ".ipynb_checkpoints" / "1.png")
    touch(source / "__MACOSX" / "._1.png", source / "Thumbs.db", root / "Thumbs.db")
    listing = list_folder(source)
    assert listing.targets.labels == ("cat", "dog")
    assert sorted(listing.splits) == sorted([*names] * 2)
    assert all(name in listing.interpretation for name in names.values())


@settings(max_examples=25, deadline=None)
@given(
    images=st.sampled_from(IMAGE_NAMES),
    masks=st.sampled_from(MASK_NAMES),
    form=st.sampled_from(["{s}/{k}", "{k}/{s}", "{k}_{s}", "{s} {k}", "{k}"]),
    case=st.sampled_from(CASES),
    name=st.sampled_from(["{}.png", "{}_mask.png", "{}_gtFine_labelIds.png"]),
)
def test_folders_of_images_and_masks_never_become_classes(images, masks, form, case, name, tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "test"):
        for number in range(5) if split == "train" else range(5, 9):
            touch(root / form.format(s=split, k=case(images)) / f"{number}.jpg")
            touch(root / form.format(s=split, k=case(masks)) / name.format(number))
    listing = list_folder(root)
    assert listing.targets.task == "segmentation"
    assert len(listing) == 9
    assert not listing.lost
    splits = ["train"] * 9 if form == "{k}" else ["test"] * 4 + ["train"] * 5
    assert sorted(listing.splits) == splits
    for row in range(9):
        number = Path(listing.images.name(row)).stem
        assert Path(listing.targets.rows.name(row)).name == name.format(number)


@settings(max_examples=15, deadline=None)
@given(names=st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), min_size=2, max_size=2, unique=True))
def test_masks_in_folders_of_any_names_are_never_classes(names, tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_pairs(root / names[0], root / names[1])
    try:
        listing = list_folder(root)
    except zoo.InputError as error:
        assert "layout" in str(error)  # noqa: PT017 (a recognized name is as good)
        listing = list_folder(root, "masks")
    assert listing.targets.task == "segmentation"
    assert Path(listing.images.name(0)).parent.name == names[0]
    assert list_folder(root, "classes").targets.labels == tuple(sorted(names))


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("seg_train", FolderName("train", "masks")),
        ("trainannot", FolderName("train", "masks")),
        ("ValImages", FolderName("validation", "images")),
        ("with_mask", FolderName(None, "masks", "with")),
        ("train_test", FolderName(None, None, "train_test")),
        ("pretrained", FolderName(None, None, "pretrained")),
        ("seg_pred", FolderName(None, "masks", "pred", unlabeled=True)),
    ],
)
def test_meaning_of_a_folder_name(name, meaning):
    assert parse_folder_name(name) == meaning


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "train"),
        ("essay", "talk", "test"),
        ("train station", "test tube"),
        ("valid", "invalid"),
        ("with_mask", "without_mask"),
        ("mask", "no mask", "mask worn wrongly"),
    ],
)
def test_classes_whose_names_resemble_splits_or_masks_stay_classes(names, tmp_path):
    for label, name in enumerate(names):
        for number in range(3):
            write(tmp_path / name / f"{number}.png", 10 * label + number)
    assert list_folder(tmp_path).targets.labels == tuple(sorted(names))


def test_camvid_has_masks_beside_each_split(tmp_path):
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        write_pairs(tmp_path / split, tmp_path / f"{split}annot", first=first)
    data = training.load_data(tmp_path, image_size=20)
    assert data.task == "segmentation"
    assert [len(part) for part in (data.train, data.validation, data.test)] == [4, 4, 4]
    assert "train with masks in trainannot (train)" in data.interpretation


def test_pascal_voc_is_split_by_its_lists_and_its_other_images_are_left_out(tmp_path):
    write_pairs(tmp_path / "JPEGImages", tmp_path / "SegmentationClass", count=8)
    write_mask(tmp_path / "SegmentationObject" / "0.png")
    write(tmp_path / "JPEGImages" / "unlabeled.jpg")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    touch(tmp_path / "Annotations" / "0.xml")
    for name, numbers in (("train", range(5)), ("val", (5, 6)), ("trainval", range(7))):
        (lists / f"{name}.txt").write_text("\n".join(map(str, numbers)))
    (tmp_path / "labels.txt").write_text("ground\ncat\ndog\n")
    listing = list_folder(tmp_path)
    assert (len(listing), listing.lost, listing.targets.labels) == (7, (), ("ground", "cat", "dog"))
    assert sorted(listing.splits) == ["train"] * 5 + ["validation"] * 2
    assert "SegmentationObject is left out" in listing.interpretation


def test_masks_lie_on_the_images_of_their_names(tmp_path):
    for number in range(8):
        shade = np.zeros((6, 6), "uint8")
        shade[number % 6] = 1
        for path, pixels in (("Images", 100 * shade + number), ("Masks", shade)):
            (tmp_path / path).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / path / f"{'mask_' * (path == 'Masks')}{number}.png")
    images, masks = training.load_data(tmp_path, image_size=6, channels=1).train.arrays()
    np.testing.assert_array_equal(masks, images[..., 0] // 100)


def test_images_without_masks_and_masks_without_images_are_named(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", count=8)
    (tmp_path / "masks" / "3.png").unlink()
    (tmp_path / "images" / "5.jpg").unlink()
    with pytest.raises(zoo.InputError, match=r"2 of 8 images cannot be read, first .*3\.jpg has no mask in .*masks"):
        training.load_data(tmp_path)
    assert len(training.load_data(tmp_path, image_size=8, on_unreadable="skip").skipped) == 2


def test_class_folders_with_folders_of_splits_keep_the_split(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        for split, count in (("Train", 6), ("Test", 3)):
            for number in range(count):
                write(tmp_path / name / split / f"{number}.png", 50 * label + 10 * (split == "Test") + number)
    data = training.load_data(tmp_path, image_size=8)
    assert (data.labels, len(data.train) + len(data.validation), len(data.test)) == (("cat", "dog"), 12, 6)
    write(tmp_path / "cow" / "1.png")
    with pytest.raises(zoo.InputError, match="cat has folders of splits and cow has none"):
        training.load_data(tmp_path)
    assert list_folder(tmp_path, "classes").targets.labels == ("cat", "cow", "dog")


def test_unlabeled_images_beside_the_splits_are_left_out(tmp_path):
    for split in ("seg_train", "seg_test"):
        touch(*(tmp_path / split / split / label / "1.png" for label in ("sea", "street")))
    touch(tmp_path / "seg_pred" / "seg_pred" / "1.png")
    listing = list_folder(tmp_path)
    assert (len(listing), listing.targets.labels) == (4, ("sea", "street"))


def test_masks_beside_the_images_of_a_class_are_not_images_of_it(tmp_path):
    for name in ("benign", "normal"):
        write_pairs(tmp_path / name, tmp_path / name, name="{}_mask.png")
    with pytest.raises(zoo.InputError, match=r"benign has what seem to be masks beside their images, such as '0_mask'"):
        training.load_data(tmp_path)
    assert len(list_folder(tmp_path, "classes")) == 16


@pytest.mark.parametrize(
    ("folders", "layout", "message"),
    [
        (["images", "masks"], None, "have no file names in common"),
        (["images", "masks", "labels"], None, "has labels and masks, which may both hold the same half"),
        (["train/a", "train/b", "test/a", "extra/a"], None, "if they are classes, set layout='classes'"),
        (["train/a", "train/b", "extra/a"], None, "ambiguous whether train are classes or splits"),
        (["fold1/a", "fold1/b", "fold2/a", "fold2/b"], None, "ambiguous whether fold1 and fold2 are classes or"),
        (["Train", "Test"], None, "If Test, Train are classes themselves, set layout='classes'"),
        (["a", "b"], "splits", "of which none is named after a split"),
        (["a", "b"], "masks", "name the folder of the images 'images' and that of their masks 'masks'"),
        (["a", "b"], "mask", "unknown layout 'mask': did you mean masks"),
    ],
)
def test_ambiguous_folders_are_refused_with_the_remedy(folders, layout, message, tmp_path):
    for number, name in enumerate(folders):
        touch(tmp_path / name / f"{chr(97 + number) * 3}.png")
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(tmp_path, layout=layout)


@pytest.mark.parametrize("source", ["digits", "digit-scenes", "table.csv"])
def test_layout_is_of_folders_only(source):
    with pytest.raises(zoo.InputError, match="is no folder of images"):
        training.load_data(source, layout="classes")


def test_commands_and_recipes_take_every_layout():
    assert {layout.value for layout in options.Layout} == set(get_args(Layout))
    for layout in get_args(Layout):
        assert training.Recipe(data={"layout": layout}).data.layout == layout


def test_labels_of_a_detection_dataset_are_no_masks(tmp_path):
    touch(tmp_path / "images" / "1.png", tmp_path / "labels" / "1.txt")
    with pytest.raises(zoo.InputError, match=r"names no classes; give it a classes\.txt"):
        training.load_data(tmp_path)


def test_empty_class_folder_is_reported_by_the_survey(tmp_path):
    for label in ("ant", "bee"):
        for number in range(5):
            write(tmp_path / label / f"{number}.png", 10 * (label == "bee") + number)
    touch(tmp_path / "cow" / "notes.txt")
    found = training.survey(tmp_path)
    assert sum(found.labels["cow"].values()) == 0
    assert found.unreadable == {
        str(tmp_path / "cow"): f"{tmp_path / 'cow'} has no images (it has .txt files); every class folder takes some."
    }
    assert "read as a classification: 3 class folders (ant, bee, cow); not split" in found.interpretation


@pytest.mark.parametrize(
    ("folders", "layout", "message"),
    [
        (["Cat", "cat", "dog"], "classes", "'Cat' and 'cat', which differ in case or spaces only"),
        (["train/a b", "train/c", "val/a  b", "val/c"], "splits", "'a  b' and 'a b', which differ in case"),
        (["a/images", "a/masks", "b"], "classes", "a/masks seems to hold masks of the images in a"),
        (["train/a", "train/a/mask", "train/b", "val/a", "val/b"], "splits", "mask seems to hold masks of the images"),
        (["a", "b", "Plants/a", "Plants/b"], "classes", "Plants has the folders a, b, and so has"),
        (
            [f"fold{fold}/{split}/{name}" for fold in (1, 2) for split in ("train", "test") for name in "ab"],
            "splits",
            "ambiguous whether fold1 is a class, because its folder of train has the folders a, b",
        ),
    ],
)
def test_folders_that_are_hardly_classes_need_a_layout(folders, layout, message, tmp_path):
    touch(*(tmp_path / name / f"{number}.png" for name in folders for number in range(2)))
    with pytest.raises(zoo.InputError, match=message) as error:
        list_folder(tmp_path)
    assert f"--layout {layout}" in str(error.value)
    assert len(list_folder(tmp_path, layout)) == 2 * len(folders)


@pytest.mark.parametrize(
    ("folders", "remark"),
    [
        (["animal/cat", "animal/dog", "vehicle/bus"], r"images in folders inside of a class \(bus, cat, dog\) are of"),
        (["", "a", "b"], "; 2 images beside the class folders are left out"),
        (["train", "train/a", "train/b", "val/a", "val/b"], "; 2 images beside the class folders are left out"),
        (["1", "2", "10"], r"\(1, 10, 2\).*the order of the classes is alphabetical, as in Keras"),
        (["A", "a", "b"], r"3 class folders \(A, a, b\); not split\."),
    ],
)
def test_what_one_may_not_expect_of_classes_is_said(folders, remark, tmp_path):
    touch(*(tmp_path / name / f"{number}.png" for name in folders for number in range(2)))
    assert re.search(remark, list_folder(tmp_path).interpretation)


def test_linked_folders_are_read_unless_they_lead_back(tmp_path):
    touch(*(tmp_path / name / "1.png" for name in ("set/a", "set/b", "more/deep")))
    (tmp_path / "set" / "a" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "set" / "b" / "back").symlink_to(tmp_path / "set")
    assert len(list_folder(tmp_path / "set")) == 3
