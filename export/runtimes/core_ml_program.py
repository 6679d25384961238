"""Core ML packages where there is no Core ML: their programs, evaluated operation by operation.

It shows that weights and operations in the file are those of the model, not what Apple's kernels compute.
"""

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from ...core.output_capture import suppress_output
from ...core.outputs import by_name
from ..artifact.artifact import Artifact
from ..artifact.tensors import TensorInfo
from .core_ml import WEIGHTS, UnknownOperationError, describe_package

OWN = ("const", "classify", "cast", "constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")
"""Operations that do not compute."""
TENSORS = {"x", "y", "a", "b", "cond", "values", "indices", "weight"}
"""Arguments that may be results of other operations; the others must be constants."""


def open_program(path: Path, content: bytes, *, half: bool = False) -> Artifact:
    """Open a package so that it runs on any system, slower than in Core ML.

    Args:
        path: The package.
        content: Its specification, `model.mlmodel`.
        half: Whether to round the result of each operation to float16, as Core ML computes; else nothing is rounded.

    Raises:
        UnknownOperationError: The program has an operation that cannot be evaluated here, or not with its arguments.
    """
    import tensorflow as tf

    with suppress_output():
        from coremltools.converters.mil.frontend.milproto.load import load
        from coremltools.proto import Model_pb2

        spec = Model_pb2.Model.FromString(content)
        program = load(spec, spec.specificationVersion, str(path / WEIGHTS))
    block = program.functions["main"]
    _check_known(block)
    image, output, metadata = describe_package(path, content)
    takes, makes = by_name(image), by_name(output)

    def evaluate(tensors: dict[str, Any]) -> list[Any]:
        return _evaluate(block, tensors, [tensor.name for tensor in makes.values()], half)

    compute = tf.function(evaluate, autograph=False)

    def invoke(tensors: Any) -> Any:
        feeds = {tensor.name: _as_input(tensor, tensors[name] if name else tensors) for name, tensor in takes.items()}
        results = dict(zip(makes, (each.numpy() for each in compute(feeds)), strict=True))
        return results.get("", results)

    zeros = {name: np.zeros(tensor.example_shape, tensor.dtype) for name, tensor in takes.items()}
    invoke(zeros.get("", zeros))  # compiles it, which would be counted as the time of an image
    return Artifact(path, image, output, metadata, invoke)


def _check_known(block: Any) -> None:
    """Raise UnknownOperationError where a block has operations or arguments that are not known here."""
    from .core_ml_operations import OPERATIONS

    unknown = sorted({operation.op_type for operation in block.operations} - {*OPERATIONS, *OWN})
    if unknown:
        raise UnknownOperationError(f"the operations {', '.join(unknown)} are not evaluated here")
    for operation in block.operations:
        kind, inputs = operation.op_type, operation.inputs
        if kind in OWN:
            continue
        others = sorted(inputs.keys() - signature(OPERATIONS[kind]).parameters.keys())
        others += [f"a computed {name}" for name in sorted(inputs.keys() - TENSORS) if not _is_constant(inputs[name])]
        if others:
            raise UnknownOperationError(
                f"{kind} with {', '.join(others)} is not evaluated here, as in {operation.name}"
            )


def _is_constant(variables: Any) -> bool:
    """Whether an argument, which may be a sequence of variables, is stored in the package."""
    if isinstance(variables, list | tuple):
        return all(map(_is_constant, variables))
    return variables.op is not None and variables.op.op_type.startswith("const")


def _as_input(tensor: TensorInfo, values: np.ndarray) -> Any:
    """The values of a program's input: pixels of an image are floats there, with the channels first."""
    import tensorflow as tf

    if tensor.dtype == "uint8":
        return tf.constant(values.transpose(0, 3, 1, 2).astype("float32"))
    return tf.constant(values)


def _evaluate(block: Any, feeds: dict[str, Any], outputs: list[str], half: bool) -> list[Any]:
    """Compute a block of operations; `outputs` are the names of those that are wanted."""
    import tensorflow as tf

    from .core_ml_operations import OPERATIONS

    values: dict[str, Any] = dict(feeds)
    for operation in block.operations:
        arguments = {name: _argument(each, values) for name, each in operation.inputs.items()}
        made = operation.outputs
        if operation.op_type == "const":
            continue
        if operation.op_type == "classify":  # returns a label, and a dict that has these in it
            values[made[1].name] = arguments["probabilities"]
            continue
        if operation.op_type.startswith("constexpr_"):
            values[made[0].name] = np.asarray(operation.materialized_val_inference(), "float32")
            continue
        if operation.op_type == "cast":
            result = _cast(arguments["x"], arguments["dtype"], half)
        else:
            result = OPERATIONS[operation.op_type](**arguments)
        results = result if len(made) > 1 else [result]
        for variable, each in zip(made, results, strict=True):
            values[variable.name] = _rounded(each) if half else each
    return [tf.cast(values[name], tf.float32) for name in outputs]


def _argument(variables: Any, values: dict[str, Any]) -> Any:
    """The value of an argument, which may be a sequence of variables."""
    if isinstance(variables, list | tuple):
        return [_argument(each, values) for each in variables]
    if variables.name in values:
        return values[variables.name]
    value = variables.val
    if isinstance(value, np.generic):
        return value.item()
    return value.astype("float32") if getattr(value, "dtype", None) == np.float16 else value


def _cast(x: Any, dtype: str, half: bool) -> Any:
    """A change of type; between floats only the rounding is left of it."""
    import tensorflow as tf

    if dtype.startswith("fp"):
        values = tf.cast(x, tf.float32)
        return _rounded(values) if half and dtype == "fp16" else values
    return tf.cast(x, {"bool": tf.bool}.get(dtype, tf.int32))


def _rounded(values: Any) -> Any:
    """Floats as float16 holds them; other values as they are."""
    import tensorflow as tf

    return tf.cast(tf.cast(values, tf.float16), tf.float32) if values.dtype == tf.float32 else values
