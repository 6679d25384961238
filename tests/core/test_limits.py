import pytest

from pocketzoo.core.errors import InputError
from pocketzoo.core.limits import IMAGE_PIXELS, LIMITS, check_environment


def test_refusal_states_the_figure_the_limit_and_how_to_raise_it():
    IMAGE_PIXELS.check(IMAGE_PIXELS.default, "a.png")
    with pytest.raises(InputError) as error:
        IMAGE_PIXELS.check(10**9, "a.png")
    assert str(error.value) == (
        "a.png has 1,000,000,000 pixels; the limit is 178,956,970 "
        "(if you trust it, raise POCKETZOO_LIMIT_IMAGE_PIXELS)."
    )


def test_environment_raises_and_lowers_a_limit(monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", "1000000000")
    IMAGE_PIXELS.check(10**9, "a.png")
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", "10")
    with pytest.raises(InputError, match="has 11 pixels; the limit is 10 "):
        IMAGE_PIXELS.check(11, "a.png")


@pytest.mark.parametrize("value", ["0", "-1", "1e9", "none", "1.5", "٣", "9" * 5000])
def test_invalid_value_of_the_environment_is_an_error(monkeypatch, value):
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXELS", value)
    with pytest.raises(InputError, match=r"POCKETZOO_LIMIT_IMAGE_PIXELS is .* whole number of pixels of 1 or more"):
        IMAGE_PIXELS.check(1, "a.png")


def test_names_of_limits_are_distinct():
    assert len({limit.variable for limit in LIMITS}) == len(LIMITS) > 10


def test_misspelled_limit_in_the_environment_is_named(monkeypatch):
    check_environment()
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_PIXEL", "100")
    with pytest.raises(
        InputError, match=r"unknown limit in the environment .* 'image_pixel': did you mean image_pixels"
    ):
        check_environment()
