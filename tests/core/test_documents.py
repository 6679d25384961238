import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.core.documents import parse_json, parse_yaml, read_json, read_yaml
from pocketzoo.core.errors import InputError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


def bomb(key):
    """Nine lines of aliases that stand for 10**9 values, under `key`."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join([*lines, f"{key}: *i"])


def merge_bomb():
    """Mappings that merge each other twice."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]
    return "\n".join(lines)


@settings(deadline=None)
@given(VALUES)
def test_yaml_and_json_values_are_read_as_they_were_written(value):
    assert parse_yaml(yaml.safe_dump(value)) == value
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("epochs"), r"it has 1\d\d,\d\d\d values; the limit is 100,000 .*POCKETZOO_LIMIT_YAML_VALUES"),
        (merge_bomb(), r"it has \d+,\d+ values; the limit is 100,000"),
        ("[" * 10_000_000, "it has 201 levels; the limit is 200"),
        ("- " * 1_000_000, "it has 201 levels; the limit is 200"),
        ("epochs: " + "9" * 5000, "a number in it has 5,000 digits; the limit is 400"),
        ("epochs: 0x" + "f" * 5000, "a number in it has 5,002 digits; the limit is 400"),
        ("epochs: " + "9" * 5000 + ".5", "a number in it has 5,002 digits"),
        ("a: &a [*a]", r"the alias \*a is inside of what it stands for \(line 1, column 8\)"),
        ("a: &a {<<: *a}", r"the alias \*a is inside"),
        ("a: *b", "undefined alias"),
        ("a: &a 1\nb: &a 2", r"the anchor &a is there twice \(line 2, column 4\)"),
        ("epochs: 1\nlr: 2\nepochs: 3", r"the key 'epochs' is there twice \(line 3, column 1\)"),
        ("optimizer: {lr: 1, 'lr': 2}", "the key 'lr' is there twice"),
        ("? [a]\n: 1", "unhashable key"),
        ("!!python/object/apply:os.system ['true']", "the type !!python/object/apply:os.system"),
        ("a: !!python/name:os.system", "the type !!python/name:os.system"),
        ("a: !Ref b", "the type !Ref"),
        ("a: !!binary aGk=", "the type !!binary"),
        ("a: !!timestamp 2001-99-99", "the type !!timestamp"),
        ("a: !!set {b, c}", "the type !!set"),
        ("a: !!int x", "'x' is no int"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("a: !!float x", "'x' is no float"),
        ("a: [", r"\(line 2, column 1\)\.$"),
        ("a: b: c", r"mapping values are not allowed .*\(line 1, column 5\)\.$"),
        ("--- 1\n--- 2", "another document"),
        ("a: \0", "control characters|special characters"),
        (b"a: \xff", "invalid|utf-8"),
        ("a: \udcff", "surrogate"),
        ("{" * 150, "line 2"),
    ],
)
def test_yaml_is_refused_in_one_sentence(text, message):
    with pytest.raises(InputError, match=message) as error:
        parse_yaml(text)
    assert len(str(error.value)) < 250
    assert "\n" not in str(error.value)


def test_yaml_merges_and_repeats_what_was_written_once():
    text = "a: &a {lr: 1, x: [1]}\nb: &b {<<: *a, lr: 2}\nc: {<<: [*b, *a], lr: 3}\nd: [*a, *a]"
    base = {"lr": 1, "x": [1]}
    assert parse_yaml(text) == {"a": base, "b": base | {"lr": 2}, "c": base | {"lr": 3}, "d": [base, base]}


def test_dates_in_yaml_stay_text():
    assert parse_yaml("epochs: 2001-99-99") == {"epochs": "2001-99-99"}
    assert parse_yaml("name: 2001-01-01\nsign: =") == {"name": "2001-01-01", "sign": "="}


@settings(deadline=None)
@given(st.text(alphabet="ab: -[]{}&*!|>'\"\n?<,#%@`1.~", max_size=60))
def test_any_text_is_yaml_or_refused_in_words(text):
    try:
        parse_yaml(text)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 (it is not always raised)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10_000_000, "it has more levels than can be read; the limit is 200"),
        ('{"a":' * 300 + "1" + "}" * 300, "it has 300 levels; the limit is 200"),
        ('{"a": ' + "9" * 5000 + "}", "a number in it has 5,000 digits; the limit is 400"),
        ('{"a": -' + "9" * 5000 + "}", "a number in it has 5,001 digits"),
        ("{", r"Expecting .*\(char 1\)\.$"),
        ("", "Expecting value"),
        (b"\xff", "can't decode"),
        ("nonsense", "Expecting value"),
    ],
)
def test_json_is_refused_in_one_sentence(text, message):
    with pytest.raises(InputError, match=message):
        parse_json(text)


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_refusal_names_the_file_once(tmp_path, read):
    path = tmp_path / "recipe.txt"
    path.write_text("[")
    with pytest.raises(InputError, match=r"^/.*recipe\.txt cannot be read as a recipe: [^/]*$"):
        read(path, "a recipe")
    with pytest.raises(InputError, match=r"^/.*none\.txt cannot be read as a recipe: there is no such file\.$"):
        read(tmp_path / "none.txt", "a recipe")
    path.write_bytes(b" " * (2**24 + 1))
    with pytest.raises(InputError, match=r"recipe\.txt has 16,777,217 bytes; the limit is 16,777,216"):
        read(path, "a recipe")
