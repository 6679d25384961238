"""Which kinds of artifacts there are, and which bars each must clear."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Format:
    """One kind of artifact."""

    name: str
    suffix: Literal[".tflite", ".onnx"]
    bytes_per_weight: int
    """Least bytes that a kernel's weight takes in the file."""
    activation_bits: int | None = None
    """Of integer activations, for which calibration images are needed; None where they are floats."""
    open_size: bool = False
    """Whether height and width may stay open."""
    symmetric: bool = False
    """Whether integer activations are on grids around 0."""
    relative_difference: float | None = None
    """Highest allowed deviation from Keras, relative to how much its answers vary over the images."""
    agreement: float | None = None
    """Least share of images with the same most probable class as Keras."""
    accuracy_drop: float | None = None
    """Most that may be lost against Keras, 0.01 for one point; each is for one task, as `measures` has them."""
    label_accuracy_drop: float | None = None
    mean_iou_drop: float | None = None
    mae_rise: float | None = None

    @property
    def quantized(self) -> bool:
        """Whether activations are integers."""
        return self.activation_bits is not None

    @property
    def approximate(self) -> bool:
        """Whether some answers may differ from the model's, as with integer weights; others are the same function."""
        return self.accuracy_drop is not None

    def with_bars(self, bars: Mapping[str, float]) -> "Format":
        """The same with `bars` in place of its own; those that it has not, it does not get."""
        return replace(self, **{name: bar for name, bar in bars.items() if getattr(self, name, None) is not None})

    @property
    def file_ending(self) -> str:
        """Such as `-int8.tflite`."""
        return f"-{self.name.partition('-')[2]}{self.suffix}"


INT8_BARS = {
    "relative_difference": 0.5,
    "agreement": 0.98,
    "accuracy_drop": 0.01,
    "label_accuracy_drop": 0.01,
    "mean_iou_drop": 0.01,
    "mae_rise": 0.01,
}
"""The difference only tells an artifact of this model from any other; 1 is what answers of no relation come to."""

FORMATS = {
    kind.name: kind
    for kind in (
        Format("tflite-fp32", ".tflite", 4, open_size=True, relative_difference=1e-4, agreement=0.999),
        Format("tflite-fp16", ".tflite", 2, open_size=True, relative_difference=2e-2, agreement=0.999),
        Format("tflite-dynamic", ".tflite", 1, **INT8_BARS),
        Format("tflite-int8", ".tflite", 1, activation_bits=8, **INT8_BARS),
        Format("tflite-int8-float", ".tflite", 1, activation_bits=8, **INT8_BARS),
        Format("tflite-int16x8", ".tflite", 1, activation_bits=16, **INT8_BARS),
        Format("onnx-fp32", ".onnx", 4, open_size=True, relative_difference=1e-4, agreement=0.999),
        Format("onnx-fp16", ".onnx", 2, open_size=True, relative_difference=2e-2, agreement=0.999),
        Format("onnx-int8", ".onnx", 1, activation_bits=8, **INT8_BARS),
        Format("onnx-int8-tensorrt", ".onnx", 1, activation_bits=8, symmetric=True, **INT8_BARS),
    )
}

SPARSE = Format("tflite-sparse", ".tflite", 0, relative_difference=1e-4, agreement=0.999)
"""Float32 without the zeros of the kernels. Of no target: where the runtime takes it, it first fills them in again."""
