import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.digit_scenes import SCENES, STRIPS
from pocketzoo.training.data.digits import digit_parts
from pocketzoo.training.data.splitting import SPLITS


@pytest.fixture(autouse=True)
def _fewer_scenes(monkeypatch):
    for name, count in {"train": 200, "validation": 40, "test": 40}.items():
        monkeypatch.setitem(SCENES, name, count)


@pytest.fixture
def scenes():
    return training.load_data("digit-scenes:all", image_size=(40, 56))


def test_scenes_are_colour_images_with_masks_of_background_and_ten_digits():
    data = training.load_data("digit-scenes")
    assert (data.task, data.image_shape) == ("segmentation", (64, 64, 3))
    assert data.labels == ("background", *"0123456789")
    images, masks = data.train.arrays()
    assert (images.dtype, masks.dtype, masks.shape) == (np.uint8, np.int32, (SCENES["train"], 64, 64))
    assert np.bincount(masks.ravel()).min() > 0.004 * masks.size
    assert set(np.unique(data.test.labels)) == set(range(11))


def test_several_answers_of_one_scene_agree(scenes):
    assert scenes.task == {"segmentation": "segmentation", "multi_label": "multi_label", "count": "regression"}
    for name in SPLITS:
        images, targets = getattr(scenes, name).arrays()
        assert images.shape == (SCENES[name], 40, 56, 3)
        shown = [set(np.unique(mask)) - {0} for mask in targets["segmentation"]]
        said = [set(np.flatnonzero(row) + 1) for row in targets["multi_label"]]
        assert shown == said
        assert (targets["count"][:, 0] >= [len(digits) for digits in shown]).all()
        assert {1, 2, 3} <= set(targets["count"][:, 0]) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(("asked", "task"), [("multi_label", "multi_label"), ("count", "regression")])
def test_one_answer_is_asked_for_by_name(asked, task, scenes):
    data = training.load_data(f"digit-scenes:{asked}", image_size=(40, 56))
    assert (data.task, data.labels) == (task, scenes.labels[asked])
    np.testing.assert_array_equal(data.test.labels, scenes.test.labels[asked])


def test_digits_stand_out_from_what_they_lie_on(scenes):
    images, targets = scenes.test.arrays()
    differences = []
    for image, mask in zip(images.mean(axis=-1), targets["segmentation"], strict=True):
        differences += [abs(image[mask == digit].mean() - image[mask == 0].mean()) for digit in np.unique(mask)[1:]]
    assert np.median(differences) > 60


def test_seed_makes_the_scenes(scenes):
    again = training.load_data("digit-scenes:all", image_size=(40, 56))
    assert again.fingerprint() == scenes.fingerprint()
    other = training.load_data("digit-scenes:all", image_size=(40, 56), seed=1)
    assert other.fingerprint() != scenes.fingerprint()


def test_splits_share_neither_digits_nor_parts_of_the_photos():
    parts = [set(part.tolist()) for part in digit_parts(seed=0)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    borders = [border for split in SPLITS for border in STRIPS[split]]
    assert borders == sorted(borders)
    assert [STRIPS[split][1] for split in SPLITS[:2]] == [STRIPS[split][0] for split in SPLITS[1:]]


def test_grey_scenes_have_one_channel():
    assert training.load_data("digit-scenes", image_size=24, channels=1).image_shape == (24, 24, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "digit-scenes:counts"}, "unknown targets of digit-scenes 'counts': did you mean count"),
        ({"source": "digit-scenes", "image_size": 8}, "digit-scenes take 16 pixels a side or more, not 8x8"),
    ],
)
def test_scenes_that_cannot_be_made_say_why(arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(**arguments)
