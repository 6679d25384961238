"""What a TFLite file of another tool says of itself. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence
from math import isfinite

from ai_edge_litert import schema_py_generated as tflite

from ...core.errors import InputError
from ..artifact.file_facts import MOST_AXES, MOST_PASSED, Activation, FileFacts
from ..tflite_schema.model_metadata import ENTRY, ModelMetadata, TensorMetadata, parse_model_metadata
from ..tflite_schema.nodes import count_tflite_operators, operator_name

ACTIVATIONS: Mapping[str, Activation] = {
    "SOFTMAX": "softmax",
    "LOG_SOFTMAX": "log_softmax",
    "LOGISTIC": "sigmoid",
    "FULLY_CONNECTED": "linear",
    "CONV_2D": "linear",
    "BATCH_MATMUL": "linear",
    "ADD": "linear",
}
FUSING = {
    "FULLY_CONNECTED": tflite.FullyConnectedOptions,
    "CONV_2D": tflite.Conv2DOptions,
    "ADD": tflite.AddOptions,
}
"""Options of the operators that may have an activation fused."""
SAME_VALUES = ("QUANTIZE", "DEQUANTIZE", "CAST")
SAME_CHANNELS = ("RESHAPE", "SQUEEZE")
"""Operators that leave what an output means as it is, unless it is a softmax, whose axis they move."""


def tflite_facts(content: bytes, names: tuple[Sequence[str], Sequence[str]]) -> FileFacts:
    """Read what a TFLite file says of itself.

    Args:
        content: The file.
        names: Names of the inputs and of the outputs, in their order, by which facts about them are found.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    buffers = {_text(entry.Name()): _buffer(model, entry.Buffer()) for entry in entries}
    metadata, remarks = ModelMetadata(), []
    try:
        metadata = parse_model_metadata(buffers[ENTRY], content) if ENTRY in buffers else metadata
    except InputError as error:
        remarks.append(str(error))
    ranges = {}
    for name, tensor in zip(names[0], metadata.inputs, strict=False):
        limits = _range(tensor)
        if limits is not None:
            ranges[name] = limits
        elif tensor.mean:
            remarks.append(f"{name} is normalized by {_numbers(tensor)}, which no range of pixels describes")
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    made = {int(each.Outputs(index)): each for each in operators for index in range(each.OutputsLength())}
    activations = {name: _activation(model, made, int(graph.Outputs(i))) for i, name in enumerate(names[1])}
    texts = {"comment": _text(model.Description()), **metadata.texts}
    others = [name for name in buffers if name != ENTRY]
    version = buffers.get("min_runtime_version", b"").rstrip(b"\0").decode("ascii", "replace")
    return FileFacts(
        kind=f"TFLite, schema version {model.Version()}",
        made_by="",
        versions={},
        operators=count_tflite_operators(content),
        weights=sum(_size(model, graph.Tensors(index)) for index in range(graph.TensorsLength())),
        properties={name: text for name, text in texts.items() if text}
        | ({"runtime": f"{version} or later"} if version else {})
        | ({"other metadata": ", ".join(others)} if others else {}),
        activations={name: each for name, each in activations.items() if each},
        labels={name: each.labels for name, each in zip(names[1], metadata.outputs, strict=False) if each.labels},
        ranges=ranges,
        remarks=tuple(remarks),
    )


def signature_names(content: bytes) -> tuple[dict[int, str], dict[int, str]]:
    """Return the names of inputs and of outputs by index of the tensor, as the only signature of the main graph does.

    They are those that the author of a model chose, where tensors have a converter's names.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    definitions = [model.SignatureDefs(index) for index in range(model.SignatureDefsLength())]
    main = [each for each in definitions if each.SubgraphIndex() == 0]
    if len(main) != 1:
        return {}, {}
    inputs = [main[0].Inputs(index) for index in range(main[0].InputsLength())]
    outputs = [main[0].Outputs(index) for index in range(main[0].OutputsLength())]
    by_index = [{each.TensorIndex(): _text(each.Name()) for each in maps} for maps in (inputs, outputs)]
    return by_index[0], by_index[1]


def _activation(model: tflite.Model, made: Mapping[int, tflite.Operator], output: int) -> Activation | None:
    """Return what computes a tensor, by the operators that make each; None if that is something else."""
    moved = False
    for _ in range(MOST_PASSED):
        operator = made.get(output)
        if operator is None:
            return None
        kind = operator_name(model.OperatorCodes(operator.OpcodeIndex()))
        if kind not in SAME_VALUES + SAME_CHANNELS:
            activation = None if _is_fused(operator, kind) else ACTIVATIONS.get(kind)
            return None if moved and activation in ("softmax", "log_softmax") else activation
        moved = moved or kind in SAME_CHANNELS
        output = int(operator.Inputs(0)) if operator.InputsLength() else -1
    return None


def _is_fused(operator: tflite.Operator, kind: str) -> bool:
    table = operator.BuiltinOptions()
    if kind not in FUSING or table is None:
        return False
    options = FUSING[kind]()
    options.Init(table.Bytes, table.Pos)
    return bool(options.FusedActivationFunction())


def _range(tensor: TensorMetadata) -> tuple[float, float] | None:
    """Return the values of black and white pixels; None if the metadata has none, or others for each channel."""
    if len({*tensor.mean}) != 1 or len({*tensor.deviation}) != 1:
        return None
    mean, deviation = tensor.mean[0], tensor.deviation[0]
    is_usable = isfinite(mean) and isfinite(deviation) and deviation > 0
    return (-mean / deviation, (255 - mean) / deviation) if is_usable else None


def _numbers(tensor: TensorMetadata) -> str:
    mean, deviation = (", ".join(f"{value:g}" for value in values[:4]) for values in (tensor.mean, tensor.deviation))
    return f"(pixels - [{mean}]) / [{deviation}]"


def _size(model: tflite.Model, tensor: tflite.Tensor) -> int:
    """Number of values of a constant; 0 for a tensor that is computed."""
    buffer = model.Buffers(tensor.Buffer())
    if buffer is None or not (buffer.DataLength() or buffer.Size()) or tensor.ShapeLength() > MOST_AXES:
        return 0
    size = 1
    for index in range(tensor.ShapeLength()):
        size *= int(tensor.Shape(index))
    return size


def _buffer(model: tflite.Model, index: int) -> bytes:
    buffer = model.Buffers(index)
    return bytes(buffer.DataAsNumpy()) if buffer is not None and buffer.DataLength() else b""


def _text(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "replace")
