"""The messages of Triton's model configuration that pocketzoo writes, with the numbers of model_config.proto.

https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TYPES = (
    "INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
    "STRING", "BF16",
)  # fmt: skip
FIELD = descriptor_pb2.FieldDescriptorProto
STRING, INT32, INT64 = FIELD.TYPE_STRING, FIELD.TYPE_INT32, FIELD.TYPE_INT64
MESSAGES = {
    "Reshape": {"shape": (1, [INT64])},
    "Input": {"name": (1, STRING), "data_type": (2, "DataType"), "dims": (4, [INT64]), "reshape": (5, "Reshape")},
    "Output": {
        "name": (1, STRING),
        "data_type": (2, "DataType"),
        "dims": (3, [INT64]),
        "label_filename": (4, STRING),
        "reshape": (5, "Reshape"),
    },
    "DynamicBatching": {"max_queue_delay_microseconds": (2, FIELD.TYPE_UINT64)},
    "ModelConfig": {
        "name": (1, STRING),
        "platform": (2, STRING),
        "max_batch_size": (4, INT32),
        "input": (5, ["Input"]),
        "output": (6, ["Output"]),
        "dynamic_batching": (11, "DynamicBatching"),
        "backend": (17, STRING),
    },
}
"""Number and type of each field; the type of a repeated one is in a list."""


def _file():
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            is_repeated = isinstance(kind, list)
            kind = kind[0] if is_repeated else kind
            field = message.field.add(name=field_name, number=number)
            field.label = FIELD.LABEL_REPEATED if is_repeated else FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type = FIELD.TYPE_ENUM if kind == "DataType" else FIELD.TYPE_MESSAGE
                field.type_name = f".inference.{kind}"
            else:
                field.type = kind
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
ModelConfig = message_factory.GetMessageClass(_pool.FindMessageTypeByName("inference.ModelConfig"))
DataType = _pool.FindEnumTypeByName("inference.DataType")
