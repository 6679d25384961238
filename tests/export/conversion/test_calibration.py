import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.intermediate_tensors import computed_tensors
from pocketzoo.export.conversion.tflite.tflite_files import TFLiteFiles
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model
from pocketzoo.layers import ResidualBlock


def test_ranges_are_correct_in_residual_blocks():
    """LiteRT overwrites an input of an addition with a fused ReLU by its sum."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    for _ in range(3):
        maps = ResidualBlock(filters=8, mid_filters=8)(maps)
    answer = keras.layers.Dense(4, "softmax")(keras.layers.GlobalAveragePooling2D()(maps))
    form = ExportGraph.from_model(keras.Model(image, answer))
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype("float32")
    floats = TFLiteFiles(form, Samples(images, None))._float_model_with_ranges
    told = {tensor.name.decode(): tensor.quantization for tensor in unpack_model(floats).subgraphs[0].tensors}
    names, found = computed_tensors(floats, [""]), kept_by_built_in_kernels(floats, images)
    assert len(names) > 8
    for name in names:
        assert told[name].min == pytest.approx([np.min(found[name])], rel=1e-3, abs=1e-3)
        assert told[name].max == pytest.approx([np.max(found[name])], rel=1e-3, abs=1e-3)


def kept_by_built_in_kernels(content, images):
    """Values of every tensor for all images, preserved by LiteRT itself without XNNPACK."""
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    places = {details["name"]: details["index"] for details in interpreter.get_tensor_details()}
    values = {name: [] for name in computed_tensors(content, [""])}
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for name, found in values.items():
            found.append(interpreter.get_tensor(places[name]))
    return values
