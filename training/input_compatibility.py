"""Checks that a model takes the inputs of a dataset."""

import re
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from ..core.errors import InputError
from ..core.flat_graph import FlatGraph, Node
from ..zoo.functional_form import functional_form, without_optimizer
from ..zoo.signature import named_inputs
from .data.images import FurtherInput, Images, ImageSplit, dtype_of

VALID_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""Names of models that TensorFlow accepts."""


def check_inputs(model: keras.Model, split: ImageSplit) -> None:
    """Raises InputError where the inputs of `split` are not those of `model`, by name, shape, type or range."""
    if not VALID_NAME.fullmatch(model.name):
        raise InputError(
            f"the model is called {model.name!r}, which TensorFlow cannot run; set model.name to letters, digits, '_', "
            "'-' and '.'."
        )
    tensors, inputs = named_inputs(functional_form(model)), split.inputs
    if len(tensors) == 1 and len(inputs) == 1:
        expected, actual = tuple(next(iter(tensors.values())).shape[1:]), split.images.shape
        if not _matches(actual, expected):
            if len(expected) != 3 or len(actual) != 3:
                kinds = {2: "signals (length, channels)", 4: "volumes (depth, height, width, channels)"}
                what = kinds.get(len(expected), "images (height, width, channels)")
                raise InputError(f"{model.name} takes {what} of {expected}, but the data has {actual}.")
            known = {"image_size": expected[:2], "channels": expected[2]}
            stated = ", ".join(f"{name}={value}" for name, value in known.items() if value and value != (None, None))
            remedy = f"; load files with {stated}" if expected[2] == actual[2] or expected[2] in (1, 3) else ""
            raise InputError(
                f"{model.name} takes images of {expected} (height, width, channels), but the data has {actual}{remedy}."
            )
        return
    if tensors.keys() != inputs.keys():
        if len(tensors) == 1:
            raise InputError(
                f"{model.name} takes images alone, but the data has the inputs {', '.join(inputs)}; leave out the "
                "others."
            )
        given = f"the inputs {', '.join(inputs)}" if split.further else "images alone"
        raise InputError(
            f"{model.name} takes the inputs {', '.join(tensors)}, but the data has {given}; give a dict of arrays by "
            "the names of the model in place of the images."
        )
    for name, tensor in tensors.items():
        _check_input(f"the input {name!r} of {model.name}", tensor, inputs[name])
    for node, name in _embeddings(model):
        rows = inputs[name].take(np.arange(len(split)))
        if len(rows) and not 0 <= rows.min() <= rows.max() < node.operation.input_dim:
            raise InputError(
                f"the input {name!r} of {model.name} takes indices 0 to {node.operation.input_dim - 1} of "
                f"{node.name}, but the data has {rows.min()} to {rows.max()}."
            )


def _embeddings(model: keras.Model) -> Iterator[tuple[Node, str]]:
    """Yield the embeddings that take an input of the model as it is, and its name."""
    graph = FlatGraph(without_optimizer(model))
    for name, tensor in named_inputs(graph.model).items():
        for node in graph.consumers(tensor):
            if isinstance(node.operation, keras.layers.Embedding):
                yield node, name


def _matches(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    """Return whether `shape` equals `expected`, where None matches any size."""
    return len(shape) == len(expected) and all(e in (None, side) for side, e in zip(shape, expected, strict=True))


def _check_input(what: str, tensor: keras.KerasTensor, values: Images | FurtherInput) -> None:
    expected, actual, dtype = tuple(tensor.shape[1:]), values.shape, dtype_of(values)
    if not _matches(actual, expected) and {actual, expected} != {(), (1,)}:  # which Keras converts
        raise InputError(f"{what} takes values of the shape {expected}, but the data has {actual}.")
    if "float" in tensor.dtype or len(expected) == 3:
        return
    if dtype.kind not in ("b" if tensor.dtype == "bool" else "ui"):
        raise InputError(f"{what} takes {tensor.dtype}, but the data has {dtype}; convert it.")
    rows = values.take(np.arange(len(values)))
    if tensor.dtype != "bool" and (rows.astype(tensor.dtype) != rows).any():
        raise InputError(f"{what} takes {tensor.dtype}, but the data has values up to {rows.max()}.")


def further_maps(split: ImageSplit) -> list[str]:
    """Return the names of the further inputs that are images, or have a value for each pixel."""
    sides = split.images.shape[:2]
    return [name for name, each in split.further.items() if len(each.shape) == 3 or each.shape[:2] == sides]
