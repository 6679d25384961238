"""Settings of pruning, and the steps of its mask updates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.mask_schedule import MaskSchedule


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": 1.0}, "target: must be less than 1 .got 1.0."),
        ({"target": -0.1}, "target: must be greater than or equal to 0"),
        ({"target": float("nan")}, "target"),
        ({"target": True}, "target cannot be true or false"),
        ({"pattern": "block:0x4"}, "pattern: must be element, block:HxW .* .got 'block:0x4'."),
        ({"pattern": "4:2"}, "got '4:2'"),
        ({"pattern": "0:4"}, "got '0:4'"),
        ({"pattern": "2:4", "target": 0.7}, "pattern 2:4 sets 2 of 4 weights to zero in every layer"),
        ({"pattern": "2:4", "scope": "global"}, "no global scope"),
        ({"scope": "global", "layers": {"conv": 0.5}}, "scope is global, which allows no targets by layer"),
        ({"scope": "locals"}, "scope: unknown value 'locals': did you mean global"),
        ({"initial": 0.6}, "initial is 0.6; it must be at most the target, 0.5"),
        ({"begin": 0.5}, "begin is 0.5; it must be less than end, 0.5"),
        ({"frequency": 0}, "frequency: must be greater than 0 .got 0."),
        ({"layers": {"conv": 1.0}}, "layers.conv: must be less than 1"),
        ({"sparsity": 0.5}, "unknown field 'sparsity'"),
    ],
)
def test_settings_out_of_range_say_what_is_allowed(fields, message):
    with pytest.raises(zoo.InputError, match=f"sparsity: .*{message}"):
        training.Sparsity(**fields)


def test_m_by_n_sets_target_and_constant_schedule_by_default():
    assert training.Sparsity(pattern="1:4").target == 0.25
    assert training.Sparsity(pattern="1:4").schedule == "constant"
    assert training.Sparsity(pattern="1:4", schedule="polynomial").schedule == "polynomial"
    assert training.Sparsity(pattern="block:4x1").schedule == "polynomial"


@given(
    st.integers(1, 400),
    st.floats(0, 0.5, allow_subnormal=False),
    st.floats(0.51, 1),
    st.none() | st.integers(1, 5),
)
def test_updates_begin_and_end_as_set(steps, begin, end, frequency):
    settings = training.Sparsity(begin=begin, end=end, frequency=frequency)
    length = max(1, int(end * steps) - int(begin * steps))
    if frequency is not None and frequency > length:
        with pytest.raises(zoo.InputError, match=f"frequency is {frequency}; it takes 1 to {length} steps"):
            MaskSchedule.of(settings, steps)
        return
    schedule = MaskSchedule.of(settings, steps)
    assert schedule.begin == int(begin * steps)
    assert schedule.begin < schedule.end <= max(int(end * steps), schedule.begin + 1)
    assert schedule.due(schedule.begin - 1) == -1
    assert schedule.due(schedule.begin) == 0
    numbers = list(range(schedule.last + 1))
    assert [schedule.due(schedule.step(number)) for number in numbers] == numbers
    assert schedule.due(10 * steps) == schedule.last
    if frequency is None and length >= 20:
        assert 20 <= schedule.last <= 39
