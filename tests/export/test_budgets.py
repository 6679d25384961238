"""Flash, RAM and time of a device, as users state them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo.core.errors import InputError
from pocketzoo.export.budgets import BUDGETS, LARGEST, UNITS, parse_budget
from pocketzoo.export.validation.thresholds import check_thresholds, with_budget

pytestmark = pytest.mark.fast
decimals = st.decimals(0, 10**7, places=3, allow_nan=False).map(lambda number: f"{number:f}")


@given(st.sampled_from(["flash", "ram"]), decimals, st.sampled_from(list(UNITS)))
def test_sizes_are_exact_or_refused(name, number, unit):
    size = Fraction(number) * UNITS[unit]
    if size.denominator == 1 and 0 < size <= LARGEST:
        assert parse_budget(f"{name}={number}{unit}") == {name: size}
    else:
        with pytest.raises(InputError, match=f"the budget {name}"):
            parse_budget(f"{name}={number}{unit}")


@given(st.text())
def test_any_text_is_a_budget_or_an_input_error(text):
    for value in (text, f"flash={text}", {"ram": text}, {"latency_ms": text}):
        try:
            limits = parse_budget(value)
        except InputError:
            continue
        assert limits
        assert limits.keys() <= BUDGETS.keys()
        assert all(0 < limit <= LARGEST for limit in limits.values())


@given(st.permutations(["flash=256KiB", "ram=64KB", "latency_ms=20"]), st.sampled_from([",", ", ", " ,"]))
def test_order_and_blanks_between_budgets_do_not_matter(parts, separator):
    assert parse_budget(separator.join(parts)) == {"flash": 262_144, "ram": 64_000, "latency_ms": 20}


def test_blanks_around_names_and_values_do_not_matter():
    assert parse_budget(" flash = 1KiB , ram= 2B") == {"flash": 1024, "ram": 2}


def test_mappings_take_bytes_milliseconds_and_texts():
    assert parse_budget({"flash": np.int64(262_144), "ram": "0.5MB", "latency_ms": 0.25}) == {
        "flash": 262_144,
        "ram": 500_000,
        "latency_ms": 0.25,
    }


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("flash=256kb", "has the unit 'kb'; it takes B, kB, KB, MB, KiB, MiB"),
        ("flash=256K", "has the unit 'K'"),
        ("flash=256 KB", "has the unit ' KB'"),
        ("flash=256", "has no unit; write 256B for bytes"),
        ("flash=1e3B", "is '1e3B'; it takes a number and a unit"),
        ("flash=-1B", "is '-1B'"),
        ("flash=0B", "it takes a size such as '256KiB', or a whole number of bytes from 1"),
        ("flash=0.3B", "is not a whole number of bytes"),
        ("flash=٣B", "it takes a number and a unit"),
        ("flash=1B,flash=2B", "the budget flash is there twice"),
        ("flash", "'flash' is not of the form name=value"),
        ("flash=1B,", "'' is not of the form"),
        ("flsh=1B", "unknown budget 'flsh': did you mean flash?"),
        ("latency_ms=20ms", "is '20ms'; it takes a positive number of milliseconds"),
        (" ", "the budget is empty"),
        ({}, "the budget is empty"),
        (64_000, "the budget is 64000; it takes a text"),
        ({1: 2}, "unknown budget 1"),
        ({"ram": 0.5}, "a whole number of bytes"),
        ({"ram": True}, "a whole number of bytes"),
        ({"latency_ms": float("nan")}, "a positive number of milliseconds"),
        ({"latency_ms": True}, "a positive number of milliseconds"),
    ],
)
def test_what_is_no_budget_is_named(budget, message):
    with pytest.raises(InputError) as error:
        parse_budget(budget)
    assert message in str(error.value)


def test_a_budget_is_a_threshold_of_the_checks_of_the_targets():
    budget = "flash=256KiB,ram=64KiB,latency_ms=20"
    assert with_budget({}, budget, ["edge-mcu"]) == {
        "flash_bytes": 262_144,
        "arena_bytes": 65_536,
        "latency_ms": 20,
    }
    both = with_budget({"agreement": 0.9}, budget, ["edge-mcu", "edge-ethos-u55", "gpu"])
    assert both["sram_bytes"] == both["arena_bytes"] == 65_536
    assert check_thresholds(both, "classification", ["edge-mcu", "edge-ethos-u55", "gpu"]) == both
    with pytest.raises(InputError, match=r"budget ram is for edge-mcu or .*, and has no effect on gpu, web"):
        with_budget({}, "ram=1B", ["gpu", "web"])
    with pytest.raises(InputError, match="the budget ram and the threshold arena_bytes are two names of one limit"):
        with_budget({"arena_bytes": 3}, "ram=1B", ["edge-mcu"])
