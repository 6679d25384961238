"""The artifact formats and the validation thresholds of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Format:
    """An artifact format."""

    name: str
    suffix: Literal[".tflite", ".onnx"]
    bytes_per_weight: int
    """Smallest number of bytes that a kernel weight takes in the file."""
    activation_bits: int | None = None
    """Bits of integer activations, which need calibration images; None for float activations."""
    open_size: bool = False
    """Whether height and width may stay open."""
    symmetric: bool = False
    """Whether the zero point of integer activations is 0."""
    relative_difference: float | None = None
    """Largest allowed deviation from Keras, relative to the variation of its outputs over the images."""
    agreement: float | None = None
    """Smallest allowed share of images with the same predicted class as Keras."""
    accuracy_drop: float | None = None
    """Largest allowed loss against Keras, 0.01 for one point; this and the following fields each belong to one task."""
    label_accuracy_drop: float | None = None
    mean_iou_drop: float | None = None
    mae_rise: float | None = None

    @property
    def quantized(self) -> bool:
        """Whether activations are integers."""
        return self.activation_bits is not None

    @property
    def approximate(self) -> bool:
        """Whether some predictions may differ from the model's, as with integer weights."""
        return self.accuracy_drop is not None

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Format":
        """Replace the thresholds that the format has; others are ignored."""
        own: dict[str, Any] = {
            name: value for name, value in thresholds.items() if getattr(self, name, None) is not None
        }
        return replace(self, **own)

    @property
    def file_ending(self) -> str:
        """Such as `-int8.tflite`."""
        return f"-{self.name.partition('-')[2]}{self.suffix}"


INT8_THRESHOLDS: dict[str, Any] = {
    "relative_difference": 0.5,
    "agreement": 0.98,
    "accuracy_drop": 0.01,
    "label_accuracy_drop": 0.01,
    "mean_iou_drop": 0.01,
    "mae_rise": 0.01,
}
"""The relative difference only distinguishes an artifact of this model from any other; unrelated outputs give 1."""

FORMATS = {
    fmt.name: fmt
    for fmt in (
        Format("tflite-fp32", ".tflite", 4, open_size=True, relative_difference=1e-4, agreement=0.999),
        Format("tflite-fp16", ".tflite", 2, open_size=True, relative_difference=2e-2, agreement=0.999),
        Format("tflite-dynamic", ".tflite", 1, **INT8_THRESHOLDS),
        Format("tflite-int8", ".tflite", 1, activation_bits=8, **INT8_THRESHOLDS),
        Format("tflite-int8-float", ".tflite", 1, activation_bits=8, **INT8_THRESHOLDS),
        Format("tflite-int16x8", ".tflite", 1, activation_bits=16, **INT8_THRESHOLDS),
        Format("onnx-fp32", ".onnx", 4, open_size=True, relative_difference=1e-4, agreement=0.999),
        Format("onnx-fp16", ".onnx", 2, open_size=True, relative_difference=2e-2, agreement=0.999),
        Format("onnx-int8", ".onnx", 1, activation_bits=8, **INT8_THRESHOLDS),
        Format("onnx-int8-tensorrt", ".onnx", 1, activation_bits=8, symmetric=True, **INT8_THRESHOLDS),
    )
}

SPARSE = Format("tflite-sparse", ".tflite", 0, relative_difference=1e-4, agreement=0.999)
"""Float32 without the zeros of the kernels. No target ships it: runtimes that accept it first restore the zeros."""
