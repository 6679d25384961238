"""Metadata of one artifact: how it was made."""

from importlib.metadata import version
from typing import Any

from ..artifact.metadata import Making, Metadata
from ..sample_images import Samples
from .export_graph import ExportGraph

TOOLS = {
    "coreml": ("tensorflow", "keras", "coremltools", "pocketzoo"),
    "savedmodel": ("tensorflow", "keras", "pocketzoo"),
    "tflite": ("tensorflow", "keras", "pocketzoo"),
    "onnx": ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "onnxruntime", "pocketzoo"),
}


def artifact_metadata(
    graph: ExportGraph, format_name: str, calibration: Samples | None = None, *, layout: str = "NHWC", **fields: Any
) -> Metadata:
    """Metadata of an artifact in the given format.

    Args:
        graph: Its source.
        format_name: Such as `tflite-int8`.
        calibration: The images that determined activation ranges, where it needed them.
        layout: Position of the channels of its maps.
        fields: Other fields of `Making`.
    """
    making = Making(
        format=format_name,
        tools={tool: version(tool) for tool in TOOLS[format_name.partition("-")[0]]},
        sparsity=graph.sparsity,
        calibration=calibration and calibration.record(),
        **fields,
    )
    return graph.metadata.model_copy(update={"layout": layout, "making": making})
