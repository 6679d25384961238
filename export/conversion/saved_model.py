"""The export graph as a SavedModel, for TensorFlow Serving and whatever else runs TensorFlow."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...core.errors import InputError
from ...core.output_capture import suppress_output
from ...zoo.saved_model import SIGNATURE
from ..artifact.directories import LAYOUTS
from ..artifact.tensors import RAW
from .export_graph import ExportGraph
from .provenance import artifact_metadata

BYTES_SIGNATURE = "serving_uint8"
"""The same function for images in bytes, which are a quarter of the size on their way to a server."""
ARGUMENT = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Names that TensorFlow gives the inputs of a signature as they are."""


class SavedModelFiles:
    """SavedModels of one model, for any number of images at once.

    Args:
        graph: The export graph.
    """

    def __init__(self, graph: ExportGraph):
        self.graph = graph.with_open_batch()

    def write(self, format_name: str, path: Path) -> None:
        """Write the directory of `savedmodel-fp32`.

        Weights are constants, as in other files: there are no variables to restore, and both signatures share them.

        Raises:
            InputError: TensorFlow would change the name of an input.
        """
        names, metadata = self.graph.names, artifact_metadata(self.graph, format_name)
        wrong = next((name for name in names[0] if not ARGUMENT.fullmatch(name)), None)
        if wrong is not None:
            raise InputError(
                f"{self.graph.metadata.model} has the input {wrong!r}, and TensorFlow takes letters, digits and _ in "
                f"names of inputs; rename it for {format_name}."
            )
        function = self.graph.trace().function
        ranges = [form.pixel_range for form in metadata.input_forms.values()]
        with suppress_output():
            signatures = {
                SIGNATURE: _signature(function, self.graph.specs, names, [None] * len(ranges)),
                BYTES_SIGNATURE: _signature(function, self.graph.specs, names, ranges),
            }
            tf.saved_model.save(tf.Module(), str(path), signatures=signatures)
        file = path / str(LAYOUTS[path.suffix].metadata)
        file.parent.mkdir(exist_ok=True)
        file.write_text(metadata.model_dump_json(), encoding="utf-8")


def _signature(
    function: Any,
    specs: Sequence[tf.TensorSpec],
    names: tuple[Sequence[str], Sequence[str]],
    ranges: Sequence[tuple[float, float] | None],
) -> Any:
    """Return a function with named inputs and outputs; inputs with a range take its values as bytes."""
    types = [spec.dtype if limits is None else tf.uint8 for spec, limits in zip(specs, ranges, strict=True)]
    named = [tf.TensorSpec(spec.shape, kind, name) for spec, kind, name in zip(specs, types, names[0], strict=True)]

    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        values = [
            tensor if limits is None else _from_bytes(tensor, limits)
            for tensor, limits in zip(tensors, ranges, strict=True)
        ]
        return dict(zip(names[1], tf.nest.flatten(function(*values)), strict=True))

    return tf.function(serve, input_signature=named, autograph=False).get_concrete_function()


def _from_bytes(pixels: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """Return bytes 0..255 as values of a range."""
    values = tf.cast(pixels, tf.float32)
    low, high = limits
    return values if limits == RAW else low + values * ((high - low) / 255)
