import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_net import small_net

from pocketzoo import training, zoo
from pocketzoo.training.data.folds import fold_numbers, folds_of
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.engine import cross_validation
from pocketzoo.training.engine.run_directory import RunDirectory

BRIEF = training.Recipe(epochs=1, batch_size=20, folds=3)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=2)), min_size=1, max_size=60),
    st.integers(2, 6),
)
def test_duplicates_share_a_fold_and_folds_are_stratified(images, count):
    contents = [bytes([label]) + content for label, content in images]
    classes = np.array([label for label, _ in images])
    folds = fold_numbers(classes, contents, count)
    assert len(set(zip(contents, folds, strict=True))) == len(set(contents))
    for label in {None, *classes}:
        different = {(c, f) for c, f, of in zip(contents, folds, classes, strict=True) if label in (None, of)}
        sizes = np.bincount([fold for _, fold in different], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def test_every_image_outside_the_test_split_is_validated_in_one_fold_and_trained_on_in_the_others(small_digits):
    def known(*splits):
        return sorted(
            (image.tobytes(), int(label)) for split in splits for image, label in zip(*split.arrays(), strict=True)
        )

    folds = folds_of(small_digits, 3, seed=0)
    everything = known(small_digits.train, small_digits.validation)
    assert known(*(fold.validation for fold in folds)) == everything
    for fold in folds:
        assert known(fold.train, fold.validation) == everything
        assert known(fold.test) == known(small_digits.test)
    assert folds_of(small_digits, 3, seed=1)[0].fingerprint() != folds[0].fingerprint()


def test_masks_stay_with_their_images(small_digits):
    class Masks:
        """Like masks in files: no array, but indexed like one."""

        def __init__(self, masks):
            self._masks, self.shape = masks, masks.shape

        def __len__(self):
            return len(self._masks)

        def __getitem__(self, rows):
            return self._masks[rows]

    def inked(split):
        images, _ = split.arrays()
        return training.ImageSplit(ArrayImages(images), Masks((images[..., 0] > 100).astype("int32")))

    parts = {name: inked(getattr(small_digits, name)) for name in ("train", "validation", "test")}
    data = replace(small_digits, task="segmentation", labels=("paper", "ink"), **parts)
    for fold in folds_of(data, 2, seed=0):
        images, masks = fold.validation.arrays()
        assert len(images) == 80
        np.testing.assert_array_equal(masks, images[..., 0] > 100)


def test_class_with_fewer_images_than_folds_is_named(small_digits):
    with pytest.raises(zoo.InputError, match=r"digits: class '\d' has \d+ different images outside the test split"):
        folds_of(small_digits, 40, seed=0)


def test_cross_validation_reports_mean_and_deviation_and_resumes(small_digits, tmp_path, monkeypatch):
    whole = training.cross_validate(small_net, small_digits, BRIEF, verbose=False)
    accuracies = [fold["accuracy"] for fold in whole.folds]
    assert len(accuracies) == 3
    assert whole.mean["accuracy"] == pytest.approx(np.mean(accuracies))
    assert whole.deviation["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))

    run_job, calls = cross_validation.run_job, []

    def interrupted(job, model, data, *, run_dir, **options):
        calls.append(run_dir.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run_job(job, model, data, run_dir=run_dir, **options)

    monkeypatch.setattr(cross_validation, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, verbose=False)
    resumed = training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, resume=True, verbose=False)
    assert calls == ["fold-1", "fold-2", "fold-1", "fold-2", "fold-3"]
    assert resumed == whole
    assert json.loads((tmp_path / "cross-validation.json").read_text()) == json.loads(json.dumps(whole.to_dict()))


def test_overwriting_removes_all_earlier_folds(small_digits, tmp_path):
    for folds in (3, 2):
        recipe = BRIEF.changed(folds=folds)
        training.cross_validate(small_net, small_digits, recipe, run_dir=tmp_path, overwrite=True, verbose=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cross-validation.json", "fold-1", "fold-2"]
    with pytest.raises(zoo.InputError, match="of folds was 2, is 3"):
        training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, resume=True, verbose=False)
    for run in tmp_path.glob("fold-*"):
        shutil.rmtree(run)
    with pytest.raises(zoo.InputError, match="is of an earlier cross-validation; resume it, overwrite it"):
        training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, verbose=False)


def test_directory_of_another_cross_validation_is_refused_before_anything_is_removed(small_digits, tmp_path):
    result, run = tmp_path / "cross-validation.json", tmp_path / "fold-1"
    result.write_text("{}")
    with (
        RunDirectory(tmp_path).lock(),
        pytest.raises(zoo.InputError, match="in use by another process: process"),
    ):
        training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, overwrite=True, verbose=False)
    RunDirectory.open(run, BRIEF, {}, resume=False, overwrite=False)
    with RunDirectory(run).lock(), pytest.raises(zoo.InputError, match="fold-1 is in use by another process"):
        training.cross_validate(small_net, small_digits, BRIEF, run_dir=tmp_path, overwrite=True, verbose=False)
    assert (run / "recipe.yaml").exists()
