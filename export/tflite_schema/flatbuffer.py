"""TFLite files as objects that can be changed. Imports no TensorFlow."""

import flatbuffers
from ai_edge_litert import schema_py_generated as tflite


def unpacked(content: bytes) -> tflite.ModelT:
    """What a TFLite file holds."""
    return tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))


def packed(model: tflite.ModelT) -> bytes:
    """The TFLite file that holds `model`."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
