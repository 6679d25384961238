"""What can be said of pruning, and when its updates come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.mask_schedule import Timetable


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
        ({"pattern": "2:4", "target": 0.7}, "pattern 2:4 makes 2 of 4 weights zero in every layer"),
        ({"pattern": "2:4", "scope": "global"}, "no global scope"),
        ({"scope": "global", "layers": {"conv": 0.5}}, "scope is global, which takes no targets by layer"),
        ({"scope": "locals"}, "scope: unknown value 'locals': did you mean global"),
        ({"initial": 0.6}, "initial is 0.6; it takes no more than the target, 0.5"),
        ({"begin": 0.5}, "begin is 0.5; it takes less than end, 0.5"),
        ({"frequency": 0}, "frequency: must be greater than 0 .got 0."),
        ({"layers": {"conv": 1.0}}, "layers.conv: must be less than 1"),
        ({"sparsity": 0.5}, "unknown field 'sparsity'"),
    ],
)
def test_settings_out_of_range_say_what_is_allowed(fields, message):
    with pytest.raises(zoo.InputError, match=f"sparsity: .*{message}"):
        training.Sparsity(**fields)


def test_m_by_n_says_its_share_and_comes_at_once_unless_told_otherwise():
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
def test_updates_begin_and_end_where_the_settings_say(steps, begin, end, frequency):
    how = training.Sparsity(begin=begin, end=end, frequency=frequency)
    length = max(1, int(end * steps) - int(begin * steps))
    if frequency is not None and frequency > length:
        with pytest.raises(zoo.InputError, match=f"frequency is {frequency}; it takes 1 to {length} steps"):
            Timetable.of(how, steps)
        return
    times = Timetable.of(how, steps)
    assert times.begin == int(begin * steps)
    assert times.begin < times.end <= max(int(end * steps), times.begin + 1)
    assert times.due(times.begin - 1) == -1
    assert times.due(times.begin) == 0
    assert [times.due(times.step(number)) for number in range(times.last + 1)] == list(range(times.last + 1))
    assert times.due(10 * steps) == times.last
    if frequency is None and length >= 20:
        assert 20 <= times.last <= 39
