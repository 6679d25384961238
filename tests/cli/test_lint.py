import json

import keras
import pytest

pytestmark = pytest.mark.fast


def refused_model(tmp_path):
    image = keras.Input((8, 8, 4))
    x = keras.layers.UpSampling2D(2, name="nearest")(keras.layers.Conv2D(4, 3)(image))
    output = keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    path = tmp_path / "net.keras"
    keras.Model(image, output, name="net").save(path)
    return path


def test_unsupported_layers_are_shown_and_exit_with_1(pocketzoo, tmp_path):
    code, out, _ = pocketzoo("lint", refused_model(tmp_path), "--target", "edge-mcu")
    assert code == 1
    assert "nearest" in out
    assert "TILE" in out
    code, out, _ = pocketzoo("lint", refused_model(tmp_path), "--target", "edge-mcu", "--json")
    assert code == 1
    assert {one["operator"] for one in json.loads(out)["objections"]} == {"TILE"}


def test_supported_model_by_name_exits_with_0(pocketzoo):
    code, out, _ = pocketzoo("lint", "lenet5", "--target", "edge-mcu")
    assert code == 0
    assert "lenet5: all layers are supported by edge-mcu" in out
    assert "arena_bytes" in out


def test_mistakes_exit_with_2(pocketzoo):
    code, _, err = pocketzoo("lint", "lenet5", "--target", "edge-mc")
    assert code == 2
    assert "did you mean edge-mcu" in err
    assert pocketzoo("lint", "lenet55", "--target", "edge-mcu")[0] == 2


def test_budgets_are_shown_and_exit_with_1_where_one_is_exceeded(pocketzoo):
    command = ("lint", "lenet5", "--target", "edge-mcu", "--budget")
    code, out, _ = pocketzoo(*command, "flash=256KiB,ram=8KiB,latency_ms=20")
    assert code == 1
    assert "all layers are supported" in out
    assert "without the code of TensorFlow Lite Micro" in out
    code, out, _ = pocketzoo(*command, "flash=20KiB")
    assert code == 1
    assert "budgets of edge-mcu (estimated before conversion)" in out
    assert "all layers are supported" not in out
    code, out, _ = pocketzoo(*command, "flash=20KiB", "--json")
    assert code == 1
    assert json.loads(out)["budgets"][0]["figure"] == 61_470
    code, _, err = pocketzoo(*command, "flash=256kb")
    assert (code, "it takes B, kB, KB, MB, KiB, MiB" in err) == (2, True)
