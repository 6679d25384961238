import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketzoo import zoo
from pocketzoo.zoo.atomic import atomic_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return zoo.save_model(zoo.create_model("lenet5"), tmp_path_factory.mktemp("saved") / "lenet5.keras")


def test_saved_model_answers_the_same(saved, pixels):
    images = pixels(2, 32, 32, 1)
    np.testing.assert_array_equal(zoo.load_model(saved)(images), zoo.load_model(saved)(images))


def test_name_must_end_in_keras(tmp_path):
    with pytest.raises(zoo.InputError, match=r"must end in \.keras"):
        zoo.save_model(zoo.create_model("lenet5"), tmp_path / "model.h5")


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 not a zip either"])
def test_file_that_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=r"model\.keras is not a \.keras model file"):
        zoo.load_model(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(zoo.InputError, match="there is no such file"):
        zoo.load_model(tmp_path / "none.keras")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.999))
def test_truncated_file_is_refused(share, saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(zoo.InputError, match=r"cut\.keras"):
        zoo.load_model(path)


def test_file_with_a_lambda_is_refused(tmp_path):
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(zoo.InputError, match=r"lambda\.keras cannot be read"):
        zoo.load_model(path)


def test_file_whose_writing_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
