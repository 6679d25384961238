"""What an artifact says of how it was made."""

from importlib.metadata import version
from typing import Any

from ..artifact.metadata import Making, Metadata
from ..sample_images import Samples
from .export_graph import ExportForm

TOOLS = {
    "tflite": ("tensorflow", "keras", "pocketzoo"),
    "onnx": ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "onnxruntime", "pocketzoo"),
}


def artifact_metadata(
    form: ExportForm, format_name: str, calibration: Samples | None = None, *, layout: str = "NHWC", **how: Any
) -> Metadata:
    """What an artifact of that format says of itself.

    Args:
        form: What it is made from.
        format_name: Such as `tflite-int8`.
        calibration: The images that showed the ranges of activations, where it took some.
        layout: Where its maps have their channels.
        how: What else there is to say, fields of `Making`.
    """
    making = Making(
        format=format_name,
        tools={tool: version(tool) for tool in TOOLS[format_name.partition("-")[0]]},
        sparsity=form.sparsity,
        calibration=calibration and calibration.record(),
        **how,
    )
    return form.metadata.model_copy(update={"layout": layout, "making": making})
