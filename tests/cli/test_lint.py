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
