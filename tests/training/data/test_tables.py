import csv
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pocketzoo import training, zoo
from pocketzoo.training.data.tables import list_table

# What a file of text can hold, on one line.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1).filter(str.strip)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
# Each example writes into the same folder; that it is not emptied in between is no matter.
IN_ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def write(tmp_path):
    """Writes a table of these columns, and in the folder of the table an image of its own shade for each row."""

    def table(columns: dict[str, list], name: str = "table.csv"):
        count = len(next(iter(columns.values())))
        for row in range(count):
            path = tmp_path / "images" / f"{row}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 6), row, "uint8")).save(path)
        columns = {"image": [f"images/{row}.png" for row in range(count)]} | columns
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return tmp_path / name

    return table


def by_shade(data, size=(4, 6)):
    """The targets of every image by the shade that the fixture gave it, over all splits."""
    found = {}
    for split in (data.train, data.validation, data.test):
        images, targets = split.arrays()
        found |= dict(zip(images[:, 0, 0, 0].tolist(), targets, strict=True))
    return [found[shade] for shade in sorted(found)]


@IN_ONE_FOLDER
@given(labels=st.lists(TEXT, min_size=2, unique_by=str.strip))
def test_labels_come_back_as_the_csv_writer_wrote_them(labels, write):
    target = list_table(write({"label": labels})).targets
    assert [target.labels[index] for index in target.rows] == [label.strip() for label in labels]


@IN_ONE_FOLDER
@given(rows=st.lists(st.sets(TEXT.filter(lambda text: ";" not in text)), min_size=1).filter(any))
def test_lists_of_labels_come_back(rows, write):
    target = list_table(write({"labels": [";".join(row) for row in rows]})).targets
    found = [{name for name, there in zip(target.labels, row, strict=True) if there} for row in target.rows]
    assert found == [{name.strip() for name in row} for row in rows]


@IN_ONE_FOLDER
@given(rows=st.lists(st.tuples(FINITE, FINITE), min_size=1))
def test_numbers_come_back(rows, write):
    target = list_table(write({"width": [row[0] for row in rows], "height, cm": [row[1] for row in rows]})).targets
    assert (target.task, target.labels, target.rows.dtype) == ("regression", ("width", "height, cm"), np.float32)
    np.testing.assert_array_equal(target.rows, rows)


def test_column_of_classes_makes_a_classification(write):
    labels = ["cat", "dog"] * 10
    data = training.load_data(write({"label": labels}), image_size=(4, 6), channels=1)
    assert (data.task, data.labels, data.image_shape) == ("classification", ("cat", "dog"), (4, 6, 1))
    assert data.train.labels.dtype == np.int32
    assert [data.labels[index] for index in by_shade(data)] == labels
    for split in (data.train, data.validation, data.test):
        assert set(split.labels) == {0, 1}


def test_column_of_lists_makes_labels_of_which_an_image_may_have_none(write):
    data = training.load_data(write({"labels": ["cat;sofa", "", "sofa"] * 8}), image_size=(4, 6), channels=1)
    assert (data.task, data.labels) == ("multi_label", ("cat", "sofa"))
    assert data.train.labels.dtype == np.float32
    assert np.array_equal(by_shade(data), [[1, 1], [0, 0], [0, 1]] * 8)


def test_other_columns_make_a_regression_with_an_output_each(write):
    columns = {"age": range(20), "weight": [math.sqrt(n) for n in range(20)]}
    data = training.load_data(write(columns), image_size=(4, 6), channels=1)
    assert (data.task, data.labels) == ("regression", ("age", "weight"))
    np.testing.assert_allclose(by_shade(data), np.stack([*columns.values()], axis=1), rtol=1e-6)


def test_columns_with_a_name_and_a_dot_make_several_outputs(write):
    columns = {
        "kind.label": ["cat", "dog"] * 10,
        "box.x": range(20),
        "box.y": [7] * 20,
        "tags.labels": ["a;b", "b"] * 10,
    }
    data = training.load_data(write(columns), image_size=(4, 6), channels=1)
    assert data.task == {"kind": "classification", "box": "regression", "tags": "multi_label"}
    assert data.labels == {"kind": ("cat", "dog"), "box": ("x", "y"), "tags": ("a", "b")}
    images, targets = data.test.arrays()
    shades = images[:, 0, 0, 0]
    np.testing.assert_array_equal(targets["kind"], shades % 2)
    np.testing.assert_array_equal(targets["box"], np.stack([shades, np.full(len(shades), 7)], axis=1))
    np.testing.assert_array_equal(targets["tags"], np.stack([1 - shades % 2, np.ones(len(shades))], axis=1))


def test_column_split_is_kept_and_what_it_lacks_is_taken_from_train(write):
    splits = ["train"] * 20 + ["Test"] * 4 + ["valid"] * 2
    table = write({"label": ["cat", "dog"] * 13, "split": splits})
    data = training.load_data(table, image_size=(4, 6), channels=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 2, 4)
    assert sorted(data.test.arrays()[0][:, 0, 0, 0]) == [20, 21, 22, 23]
    table = write({"age": range(24), "split": splits[:24]})
    data = training.load_data(table, image_size=(4, 6), channels=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 4)


def test_spreadsheet_marks_and_white_space_and_empty_lines_are_no_part_of_the_values(write, tmp_path):
    table = write({"label": ["cat", "dog"] * 3})
    lines = table.read_text().splitlines()
    table.write_text("\ufeff" + "\n\n".join(line.replace(",", " , ") for line in lines) + "\n\n", encoding="utf-8")
    assert list_table(table).targets.labels == ("cat", "dog")


def test_same_image_in_two_rows_stays_in_one_split(write, tmp_path):
    table = write({"age": [*range(20), *range(20)], "image": [f"images/{n}.png" for n in [*range(20), *range(20)]]})
    data = training.load_data(table, image_size=(4, 6), channels=1)
    shades = [set(split.arrays()[0][:, 0, 0, 0]) for split in (data.train, data.validation, data.test)]
    assert sum(map(len, shades)) == 20
    table = write({"age": range(20), "split": ["train"] * 18 + ["test"] * 2})
    (tmp_path / "images" / "3.png").write_bytes((tmp_path / "images" / "19.png").read_bytes())
    with pytest.raises(
        zoo.InputError, match=r"1 images are also in another split, such as .*3\.png \(train\) and .*19"
    ):
        training.load_data(table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "has no targets beside 'image'"),
        ({"label": ["cat"] * 6}, "column 'label' has one class only, cat; it takes 2 or more"),
        ({"label": ["cat", "dog", ""] * 2}, r"line 4, column 'label': it is empty"),
        ({"label": ["cat", "dog", "a\nb"] * 2}, r"line 5, column 'label': 'a\\nb' has more than one line"),
        ({"label": ["cat"] * 5 + ["dog"]}, "class 'dog' has 1 different readable images; every class takes 3 or more"),
        ({"label": list("abcdef")}, "class 'a' has 1 different readable images; every class takes 3 or more"),
        ({"labels": [""] * 6}, "column 'labels' is empty in every row"),
        ({"labels": ["cat;;dog", "cat"] * 3}, "line 2, column 'labels': it is empty"),
        ({"age": [1, 2, "old"] * 2}, "line 4, column 'age': 'old' is not a number; remove the column"),
        ({"age": [1, 2, "nan"] * 2}, "line 4, column 'age': 'nan' is not a finite number"),
        ({"age": [1, 2, 1e39] * 2}, r"'1e\+39' is not a finite number of 32 bits"),
        ({"age": [1, 2]}, "has 2 different readable images; it takes 3 or more"),
        (
            {"age": [1] * 6, "split": ["train"] * 5 + ["trial"]},
            "line 7, column 'split': unknown split 'trial': did you",
        ),
        ({"age": [1] * 6, "split": ["test"] * 6}, "has no train image in its column 'split'"),
        ({"label": ["cat", "dog"] * 3, "age": [1] * 6}, "columns label, age are more than one target"),
        ({"a.label": ["cat", "dog"] * 3, "age": [1] * 6}, "age belongs to no output, but others belong to a"),
        ({"": range(6), "label": ["cat", "dog"] * 3}, "column 2 has no name"),
    ],
)
def test_tables_that_cannot_be_used_say_where(columns, message, write):
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(write(columns or {"image": ["images/0.png"]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'image' with the path of each image; its first row has none"),
        ("file,label\na.png,cat\n", "no column 'image' .* its first row has file, label"),
        ("image;label\na.png;cat\n", "no column 'image' .* its first row has image;label"),
        ("image,class\na.png,0\nb.png,1\n", "column 'class' would be numbers to regress; call it 'label'"),
        ("image,label\n", "has no images, only names of columns"),
        ("image,label,label\na.png,cat,dog\n", "has two columns 'label'"),
        ("image,label\na.png,cat\nb.png\n", "line 3 has 1 values for 2 columns"),
        ("image" + ",x" * 10_000 + "\n", "has 10,001 columns; the limit is 10,000"),
        ("image,label\na.png," + "x" * 200_000 + "\n", r"field larger than field limit \(131072\)"),
        ("image,age\na.png," + "9" * 5000 + "\n", r"'9{100}\.\.\.' is not a finite number of 32 bits"),
        ("image,label\n\0,cat\n\0,dog\n", "has a null character|line contains NUL"),
        ('image,label\na.png,"cat\n', "cannot be read as a CSV file: unexpected end of data"),
        ("image,label\n,cat\n,dog\n", "line 2, column 'image': it is empty"),
        ("image,age\na.png,1\nb.png,2\n", r"2 of 2 images cannot be read, first .*a\.png: there is no such file"),
    ],
)
def test_files_that_are_no_such_table_say_why(text, message, tmp_path):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        training.load_data(tmp_path / "table.csv")


def test_file_that_is_no_text_is_refused(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "table.png")
    (tmp_path / "table.png").rename(tmp_path / "table.csv")
    with pytest.raises(zoo.InputError, match="cannot be read as a CSV file"):
        training.load_data(tmp_path / "table.csv")


def test_class_or_label_that_train_has_no_image_of_is_named(write):
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    with pytest.raises(zoo.InputError, match="test has no readable image of cat"):
        training.load_data(write({"label": ["cat", "dog"] * 4 + ["dog"] * 4, "split": splits}))
    with pytest.raises(zoo.InputError, match="train has no readable image of sofa"):
        training.load_data(write({"labels": ["cat"] * 11 + ["cat;sofa"], "split": splits}))
    columns = {"age.label": ["old", "new"] * 6, "kind.label": ["cat"] * 11 + ["dog"], "split": splits}
    with pytest.raises(zoo.InputError, match=r"train has no readable image of dog \(output kind\)"):
        training.load_data(write(columns))


def test_damaged_images_are_left_out_with_their_rows(write, tmp_path):
    table = write({"age": range(20)})
    for number in (3, 7):
        (tmp_path / "images" / f"{number}.png").write_bytes(b"damaged")
    with pytest.raises(zoo.InputError, match=r"2 of 20 images cannot be read, first .*3\.png"):
        training.load_data(table)
    data = training.load_data(table, image_size=(4, 6), channels=1, on_unreadable="skip")
    assert [path.rsplit("/", 1)[1] for path in data.skipped] == ["3.png", "7.png"]
    assert np.array_equal(np.ravel(by_shade(data)), [n for n in range(20) if n not in (3, 7)])


def test_split_of_nothing_but_damaged_images_is_refused(write, tmp_path):
    table = write({"age": range(8), "split": ["train"] * 6 + ["test"] * 2})
    for number in (6, 7):
        (tmp_path / "images" / f"{number}.png").write_bytes(b"damaged")
    with pytest.raises(zoo.InputError, match="test has no readable images"):
        training.load_data(table, on_unreadable="skip")
