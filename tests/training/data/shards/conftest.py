import numpy as np
import pytest
from PIL import Image
from support.shards import COUNT

from pocketzoo import training


def write_image(path, row):
    """A picture of its own noise and, in its first place, its number."""
    pixels = np.random.default_rng(row).integers(0, 256, (5 + row % 3, 7, 3), dtype="uint8")
    pixels[0, 0] = row
    Image.fromarray(pixels).save(path)


@pytest.fixture
def table(tmp_path):
    """A table of these columns, beside an image for each row."""

    def write(columns):
        for row in range(COUNT):
            write_image(tmp_path / f"{row}.png", row)
        rows = zip(*columns.values(), strict=True)
        lines = [f"{number}.png,{','.join(map(str, row))}" for number, row in enumerate(rows)]
        (tmp_path / "table.csv").write_text("\n".join([f"image,{','.join(columns)}", *lines]))
        return tmp_path / "table.csv"

    return write


@pytest.fixture
def masked(table, tmp_path):
    """A table with every kind of target."""
    source = table(
        {
            "kind.label": ["ant", "bee"] * 12,
            "tags.labels": ["a;b", "", "b"] * 8,
            "box.x": range(COUNT),
            "box.y": np.linspace(0, 1, COUNT),
            "road.mask": [f"{row}-mask.png" for row in range(COUNT)],
        }
    )
    for row in range(COUNT):
        mask = np.random.default_rng(row).integers(0, 3, (5 + row % 3, 7), dtype="uint8")
        Image.fromarray(mask).save(tmp_path / f"{row}-mask.png")
    (tmp_path / "road.labels.txt").write_text("ground\ncar\ntree")
    return source


@pytest.fixture
def shards(table, tmp_path):
    """Three shards of train, and one of each other split."""
    data = training.load_data(table({"label": ["ant", "bee"] * 12}), image_size=6)
    training.write_shards(data, tmp_path / "shards", shard_mb=0.0018)
    return tmp_path / "shards"
