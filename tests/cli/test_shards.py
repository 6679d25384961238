import json

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(("ant", "bee")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            shade = np.full((6, 5, 3), 100 * label + number, "uint8")
            Image.fromarray(shade).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_shards_packs_a_folder_for_data(folder, tmp_path, pocketzoo):
    code, out, _ = pocketzoo("shards", folder, tmp_path / "out", "--shard-mb", "0.001", "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["task"], facts["labels"]) == ("classification", ["ant", "bee"])
    assert sum(shard["images"] for shard in facts["shards"]) == 20
    for shard in facts["shards"]:
        assert (tmp_path / "out" / shard["file"]).stat().st_size == shard["bytes"]
    data = training.load_data(tmp_path / "out", image_size=6)
    assert data.labels == ("ant", "bee")


def test_shards_lists_written_and_skipped_files(folder, tmp_path, pocketzoo):
    (folder / "ant" / "3.png").write_bytes(b"damaged")
    assert pocketzoo("shards", folder, tmp_path / "out")[0] == 2
    assert not (tmp_path / "out").exists()
    code, out, err = pocketzoo("shards", folder, tmp_path / "out", "--skip-unreadable")
    assert code == 0
    assert "train-00000.tfrecord" in out
    assert "ant/3.png" in err
    assert pocketzoo("shards", folder, tmp_path / "out", "--skip-unreadable")[0] == 2
