import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pocketzoo import training, zoo

pytestmark = pytest.mark.fast

COUNT = 30


def pictures(count=COUNT, first=0, shape=(4, 6, 3)):
    """Images of a shade of their own."""
    return np.arange(first, first + count, dtype="uint8").reshape(-1, 1, 1, 1) + np.zeros(shape, "uint8")


def classes(count=COUNT):
    return np.arange(count) % 3


def by_shade(data):
    found = {}
    for split in (data.train, data.validation, data.test):
        images, targets = split.arrays()
        found |= {int(image[0, 0, 0]): target for image, target in zip(images, targets, strict=True)}
    return [found[shade] for shade in sorted(found)]


def test_classes_are_counted_and_split_evenly():
    data = training.from_arrays(pictures(), classes())
    assert (data.task, data.labels, data.image_shape) == ("classification", ("0", "1", "2"), (4, 6, 3))
    assert (len(data.train), len(data.validation), len(data.test)) == (21, 3, 6)
    assert data.train.labels.dtype == np.int32
    assert by_shade(data) == classes().tolist()
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("task", "targets", "labels"),
    [
        ("multi_label", np.eye(2, dtype=bool)[np.arange(COUNT) % 2], ("cat", "sofa")),
        ("regression", np.arange(COUNT), ("age",)),
        ("regression", np.arange(2.0 * COUNT).reshape(COUNT, 2), ("width", "height")),
        ("segmentation", np.arange(COUNT * 24).reshape(COUNT, 4, 6) % 3, ("ground", "cat", "dog")),
    ],
)
def test_every_task_has_its_targets(task, targets, labels):
    data = training.from_arrays(pictures(), targets, task=task, labels=labels)
    assert (data.task, data.labels) == (task, labels)
    found = np.array(by_shade(data))
    assert found.dtype == (np.int32 if task == "segmentation" else np.float32)
    np.testing.assert_array_equal(found, targets.reshape(found.shape))
    unnamed = training.from_arrays(pictures(), targets, task=task)
    assert unnamed.labels == tuple(map(str, range(len(labels))))


def test_several_outputs_are_dicts():
    targets = {"kind": classes(), "age": np.arange(COUNT)}
    data = training.from_arrays(
        pictures(), targets, task={"kind": "classification", "age": "regression"}, labels={"kind": ("a", "b", "c")}
    )
    assert data.labels == {"kind": ("a", "b", "c"), "age": ("0",)}
    images, found = data.train.arrays()
    np.testing.assert_array_equal(found["age"][:, 0], images[:, 0, 0, 0])
    np.testing.assert_array_equal(found["kind"], images[:, 0, 0, 0] % 3)


def test_own_splits_are_kept_and_the_missing_one_is_taken_from_train():
    test = pictures(6, first=100), classes(6)
    data = training.from_arrays(pictures(), classes(), test=test)
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 6)
    np.testing.assert_array_equal(data.test.arrays()[0], test[0])
    data = training.from_arrays(pictures(), classes(), validation=(pictures(3, first=200), classes(3)), test=test)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 3, 6)


def test_views_such_as_images_with_reversed_colors_are_taken():
    channels_first = np.ascontiguousarray(pictures().transpose(0, 3, 1, 2))
    views = channels_first.transpose(0, 2, 3, 1)[..., ::-1]
    data, copied = (training.from_arrays(images, classes()) for images in (views, views.copy(order="C")))
    np.testing.assert_array_equal(data.test.arrays()[0], copied.test.arrays()[0])


def test_grey_images_need_no_axis_of_channels():
    data = training.from_arrays(pictures()[..., 0], classes())
    assert data.image_shape == (4, 6, 1)


@given(
    copies=arrays.arrays("uint8", st.integers(12, 60), elements=st.integers(0, 40)),
    seed=st.integers(0, 3),
)
def test_copies_never_cross_splits(copies, seed):
    shades = np.concatenate([np.arange(41, 46, dtype="uint8"), copies])
    images = shades.reshape(-1, 1, 1, 1) + np.zeros((2, 2, 1), "uint8")
    data = training.from_arrays(images, shades, task="regression", seed=seed)
    found = [set(split.arrays()[0].ravel()) for split in (data.train, data.validation, data.test)]
    assert sum(map(len, found)) == len(set.union(*found)) == len(set(shades))
    assert sum(map(len, (data.train, data.validation, data.test))) == len(shades)


def test_same_image_in_two_given_splits_is_refused():
    with pytest.raises(zoo.InputError, match=r"such as image 4 \(train\) and image 30 \(test\)"):
        training.from_arrays(pictures(), classes(), test=(pictures(3, first=4), classes()[4:7]))


def test_same_image_in_two_classes_is_a_contradiction():
    message = r"6 images have a copy in another class, such as image 4 \(1\) has the same pixels as image 30 \(0\)"
    with pytest.raises(zoo.InputError, match=message):
        training.from_arrays(pictures(), classes(), test=(pictures(3, first=4), classes(3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": pictures().astype(str)}, "images of train are <U3; they take uint8, uint16, other integers, or"),
        ({"images": pictures() * 3.0 - 1}, r"pixels from -1 to 86; state the range .* pixel_range=\(-1, 86\)"),
        ({"images": pictures() / 255, "pixel_range": (0, 0.01)}, r"outside of the stated pixel_range 0\.\.0\.01"),
        ({"images": pictures() / 255, "pixel_range": (1, 0)}, r"pixel_range is \(1, 0\); it takes the lowest and"),
        ({"pixel_range": (0, 1)}, r"uint8 images, whose pixels are 0\.\.255, not 0\.\.1"),
        ({"images": np.where(pictures() == 7, np.nan, pictures())}, "a value that is no finite number"),
        ({"images": pictures().astype("int64") << 20}, r"above 2\*\*24, which float32 does not hold"),
        ({"images": pictures()[:, 0, 0]}, r"have the shape \(30, 3\)"),
        ({"images": pictures()[:0]}, r"have the shape \(0, 4, 6, 3\)"),
        ({"targets": classes() / 2}, r"targets of train are float64 .*whole numbers \(count,\)"),
        ({"targets": np.full((COUNT, 3), 0.5)}, r"a classification takes whole numbers \(count,\)"),
        ({"targets": classes(29)}, "train has 30 images and 29 targets"),
        ({"targets": classes() - 1}, "have the class -1; classes go from 0 on"),
        ({"labels": ("a", "b")}, "labels names 2, but the targets have 3"),
        ({"labels": ("a", "b", "c", "d")}, "class 'd' has 0 different readable images"),
        ({"targets": np.full(COUNT, np.nan), "task": "regression"}, "a value that is no finite number"),
        ({"targets": np.full((COUNT, 2), 0.5), "task": "multi_label"}, "other values than 0 and 1"),
        ({"targets": np.zeros((COUNT, 4, 5), int), "task": "segmentation"}, r"\(30, 4, 5\) do not go with images"),
        ({"targets": classes() * 0}, "class '1' has 0 different readable images"),
        ({"task": "clasification"}, "unknown task 'clasification': did you mean classification"),
        ({"task": "segmentaton"}, r"unknown task 'segmentaton': did you mean segmentation\?"),
        ({"task": "segmentasion"}, r"unknown task 'segmentasion': did you mean segmentation\?"),
        ({"task": "raw"}, "unknown task 'raw'"),
        ({"test": (pictures(3, 90) / 255, classes(3))}, "images of the splits are float32 and uint8"),
        ({"task": {"kind": "classification"}}, "targets of train are of one without a name; task names kind"),
        ({"test": (pictures(3, 90, (5, 6, 3)), classes(3))}, r"images of test have the shape \(5, 6, 3\), those of"),
        ({"test": (pictures(3, 90), classes(3) / 2)}, "targets of test are float64"),
    ],
)
def test_arrays_that_cannot_be_used_say_why(change, message):
    arguments = {"images": pictures(), "targets": classes()} | change
    with pytest.raises(zoo.InputError, match=message):
        training.from_arrays(arguments.pop("images"), arguments.pop("targets"), **arguments)


def test_images_and_targets_are_counted_in_each_part():
    def part(images, targets):
        return np.arange(images * 12, dtype="uint8").reshape(images, 2, 2, 3), np.arange(targets) % 2

    with pytest.raises(zoo.InputError, match="train has 20 images and 21 targets"):
        training.from_arrays(*part(20, 21), validation=part(21, 20), test=part(5, 5))


@pytest.mark.filterwarnings("ignore:Pixels are")
@given(
    images=arrays.arrays(
        st.sampled_from(["uint8", "uint16", "int16", "float16", "float32", "float64"]),
        st.tuples(st.just(12), st.just(3), st.just(4), st.integers(1, 6)),
        elements=st.integers(0, 1),
    ),
    scale=st.sampled_from([1, 100]),
)
def test_values_of_every_dtype_and_number_of_channels_are_kept(images, scale):
    images = (images * images.dtype.type(scale)).astype(images.dtype)
    images[:, 0, 0, 0] = np.arange(12)
    data = training.from_arrays(images, np.arange(12), task="regression", pixel_range=_range(images))
    found = np.concatenate([split.arrays()[0] for split in (data.train, data.validation, data.test)])
    rows = np.concatenate([split.arrays()[1][:, 0] for split in (data.train, data.validation, data.test)])
    np.testing.assert_array_equal(found, images[rows.astype(int)])
    assert data.dtype == (str(images.dtype) if images.dtype in (np.uint8, np.uint16) else "float32")
    assert data.image_shape == images.shape[1:]


def _range(images):
    return None if images.dtype == np.uint8 else (0, 60000)


@pytest.mark.parametrize(
    ("images", "dtype", "expected"),
    [
        (pictures(), "uint8", (0, 255)),
        (pictures().astype("int64"), "float32", (0, 255)),
        (pictures() / 255, "float32", (0, 1)),
        (pictures() / 15 - 1, "float32", (-1, 1)),
        (pictures().astype("uint16") * 100, "uint16", (0, 4095)),
        (pictures().astype("uint16") * 2000, "uint16", (0, 65535)),
    ],
)
def test_range_of_pixels_is_inferred_aloud(images, dtype, expected):
    def load():
        return training.from_arrays(images, classes())

    if dtype == "uint8":
        data = load()
    else:
        with pytest.warns(UserWarning, match=f"Pixels are {dtype} of the range {expected[0]}..{expected[1]}, inferred"):
            data = load()
    assert (data.dtype, data.pixel_range, data.test.pixel_range) == (dtype, expected, expected)
    assert ("inferred" in data.interpretation) == (dtype != "uint8")
