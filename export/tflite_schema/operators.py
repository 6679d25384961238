"""What is in the graphs of artifacts. Imports no TensorFlow."""

from collections import Counter
from pathlib import Path

from ai_edge_litert import schema_py_generated as tflite

TFLITE_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


def operators(path: Path) -> dict[str, int]:
    """How often each operator is in a `.tflite` or `.onnx` file, by its name and version (of ONNX the opset)."""
    found = _tflite_operators(path) if path.suffix == ".tflite" else _onnx_operators(path)
    return dict(sorted(found.items()))


def _tflite_operators(path: Path) -> Counter[str]:
    model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(index).OpcodeIndex()) for index in range(graph.OperatorsLength())]
    return Counter(f"{tflite_name(code)} v{code.Version()}" for code in codes)


def tflite_name(code: tflite.OperatorCode) -> str:
    """Such as `CONV_2D`, or a custom operator's own name."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # old files have small numbers in the old field only
    custom = code.CustomCode()
    return custom.decode() if custom else TFLITE_NAMES[number]


def _onnx_operators(path: Path) -> Counter[str]:
    import onnx

    model = onnx.load(path, load_external_data=False)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return Counter(f"{node.op_type} {opsets[node.domain]}" for node in model.graph.node)
