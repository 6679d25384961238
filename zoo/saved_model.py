"""Models in SavedModel folders of TensorFlow, which can only be run."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from ..core.errors import InputError, first_line
from ..core.input_files import read_file
from ..core.limits import MODEL_BYTES

SIGNATURE = "serving_default"
UNSAFE = re.compile(
    "File|PyFunc|Save|Restore|Checkpoint|Reader|Dataset|Iterator|Summary|Print|Debug|Remote|Rpc|Send|Recv|Record|Dump"
)
"""Operations that could read or write files, run Python or reach other machines, by parts of their names."""

NO_COMPUTATION = ("Placeholder", "Const", "Identity", "NoOp", "PartitionedCall", "StatefulPartitionedCall")
"""Operations that only hold or pass on tensors."""


class SignatureLayer(keras.layers.TFSMLayer):
    """The function of a SavedModel, which takes a dict of tensors by name."""

    def call(self, inputs: dict[str, Any], training: bool = False, **_: Any) -> Any:
        """Return the outputs, a dict by name."""
        return self.call_endpoint_fn(**inputs)


def load_saved_model(folder: Path) -> keras.Model:
    """Return the function of a SavedModel as a model of a single layer, without trainable weights.

    Args:
        folder: A folder that `check_model_file` accepts, as `model.export`, Keras 2 and TensorFlow write it.

    Raises:
        InputError: It is damaged, has no signature `serving_default`, or could read or write files.
    """
    try:
        signature = check_saved_model(folder)
        layer = SignatureLayer(folder, call_endpoint=SIGNATURE, trainable=False, name=SIGNATURE)
        inputs = {name: keras.Input(shape[1:], dtype=dtype, name=name) for name, (shape, dtype) in signature.items()}
        outputs = layer(inputs)
    except Exception as error:  # a damaged file raises many types
        raise InputError(f"{folder} cannot be read as a SavedModel: {first_line(error)}") from error
    if isinstance(outputs, dict) and len(outputs) == 1:
        (outputs,) = outputs.values()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", folder.resolve().name)
    return keras.Model(inputs if len(inputs) > 1 else next(iter(inputs.values())), outputs, name=name)


def is_saved_model(model: keras.Model) -> bool:
    """Whether a model is a SavedModel, of which only the function is known."""
    return any(isinstance(layer, SignatureLayer) for layer in getattr(model, "layers", ()))


def check_saved_model(folder: Path) -> dict[str, tuple[list[int | None], str]]:
    """Return shape and dtype of the inputs by name, after a look at what loading and running would execute.

    Raises:
        InputError: It has no signature `serving_default`, or could read or write files.
    """
    import tensorflow as tf

    graph = _meta_graph(folder)
    if not graph.HasField("object_graph_def"):
        raise InputError("TensorFlow 1 wrote it; save it again with TensorFlow 2.")
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") in ("asset", "resource"):
            raise InputError("it has tables or files that loading would open; export the model without them.")
    if any(child.local_name == SIGNATURE for child in graph.object_graph_def.nodes[0].children):
        raise InputError(f"it has both a signature and an attribute {SIGNATURE!r}.")  # Keras would call the attribute
    if SIGNATURE not in graph.signature_def:
        there = ", ".join(sorted(graph.signature_def)) or "none"
        raise InputError(f"it has no signature {SIGNATURE!r}; its signatures: {there}.")
    signature = graph.signature_def[SIGNATURE]
    unsafe = sorted({name for name in _operations(graph.graph_def, signature) if UNSAFE.search(name)})
    if unsafe:
        raise InputError(f"it could read or write files or run code: it has the operations {', '.join(unsafe)}.")
    return {
        name: ([None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim], tf.as_dtype(info.dtype).name)
        for name, info in signature.inputs.items()
    }


def count_operations(folder: Path) -> dict[str, int]:
    """Count each operation that the signature of a SavedModel computes with, by its name."""
    graph = _meta_graph(folder)
    operations = Counter(_operations(graph.graph_def, graph.signature_def[SIGNATURE]))
    return {name: count for name, count in sorted(operations.items()) if name not in NO_COMPUTATION}


def _meta_graph(folder: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    document = saved_model_pb2.SavedModel.FromString(read_file(folder / "saved_model.pb", MODEL_BYTES))
    return document.meta_graphs[0]


def _operations(graph: Any, signature: Any) -> Iterator[str]:
    """Yield the operations that a signature executes, at any depth of its functions."""
    functions = {function.signature.name: list(function.node_def) for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    waiting = [nodes[info.name.partition(":")[0]] for info in signature.outputs.values()]
    seen = set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node.op
        inputs = (name.lstrip("^").partition(":")[0] for name in node.input)
        waiting += [nodes[name] for name in inputs if name in nodes]
        called = [
            name for value in node.attr.values() for name in (value.func.name, *(f.name for f in value.list.func))
        ]
        waiting += [inner for name in (node.op, *called) for inner in functions.get(name, ())]
