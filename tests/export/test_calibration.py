import keras
import numpy as np
import pytest

from pocketzoo.export.form import ExportForm
from pocketzoo.export.samples import Samples
from pocketzoo.export.tflite.file import unpacked
from pocketzoo.export.tflite.tapped import TappedTFLite
from pocketzoo.export.tflite.to_tflite import TfliteFiles
from pocketzoo.layers import ResidualBlock


def test_ranges_are_those_of_the_values_in_residual_blocks_too():
    """Where LiteRT writes the sum of an addition with a ReLU over what it adds."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    for _ in range(3):
        maps = ResidualBlock(filters=8, mid_filters=8)(maps)
    answer = keras.layers.Dense(4, "softmax")(keras.layers.GlobalAveragePooling2D()(maps))
    form = ExportForm.of(keras.Model(image, answer))
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype("float32")
    floats = TfliteFiles(form, Samples(images, None))._floats_with_ranges
    told = {tensor.name.decode(): tensor.quantization for tensor in unpacked(floats).subgraphs[0].tensors}
    tapped = TappedTFLite(floats)
    values = [tapped.run(image) for image in images]
    assert len(tapped.names) > 8
    for name in tapped.names:
        found = [value[name] for value in values]
        assert told[name].min == pytest.approx([np.min(found)], rel=1e-3, abs=1e-3)
        assert told[name].max == pytest.approx([np.max(found)], rel=1e-3, abs=1e-3)
