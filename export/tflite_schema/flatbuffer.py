"""TFLite files as mutable objects. Imports no TensorFlow."""

import flatbuffers
from ai_edge_litert import schema_py_generated as tflite


def unpack_model(content: bytes) -> tflite.ModelT:
    """Parse a TFLite file."""
    return tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))


def pack_model(model: tflite.ModelT) -> bytes:
    """Serialize `model` to a TFLite file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
