"""The artifact formats and the validation thresholds of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..tasks.task import Task


@dataclass(frozen=True)
class Format:
    """An artifact format."""

    name: str
    suffix: Literal[".tflite", ".onnx", ".savedmodel", ".mlpackage"]
    bytes_per_weight: int
    """Smallest number of bytes that a kernel weight takes in the file."""
    activation_bits: int | None = None
    """Bits of integer activations, which need calibration images; None for float activations."""
    open_size: bool = False
    """Whether height and width may stay open."""
    symmetric: bool = False
    """Whether the zero point of integer activations is 0."""
    rounding: Literal["none", "fine", "coarse"] = "none"
    """How numbers are rounded: to float32, in which no prediction may differ from the model's; to float16, in which one
    of a thousand may; or coarser, in which one of fifty may."""
    relative_difference: float | None = None
    """Largest allowed deviation from Keras, relative to the variation of its outputs over the images."""
    agreement: float | None = None
    """Smallest allowed share of images with the same predicted class as Keras."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Largest allowed loss against Keras by the `threshold_field` of a task, as `accuracy_drop`, 0.01 for one point,
    where the user states one."""
    default: "Format | None" = None
    """The format with its own thresholds, where the user set others."""

    @property
    def open_batch(self) -> bool:
        """Whether the number of images at once may stay open; SavedModels always leave it open."""
        return self.suffix == ".savedmodel" or (self.suffix == ".onnx" and not self.quantized)

    @property
    def quantized(self) -> bool:
        """Whether activations are integers."""
        return self.activation_bits is not None

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Format":
        """Set thresholds on outputs, those that the format has by default or not; budgets of checks are ignored."""
        from ..tasks.registry import get_task, task_names  # NumPy, which `pocketzoo --help` does without

        own: dict[str, Any] = {name: value for name, value in thresholds.items() if name in OUTPUT_THRESHOLDS}
        tasks = filter(None, (get_task(name).threshold_field for name in task_names()))
        losses = {name: thresholds[name] for name in tasks if name in thresholds}
        return replace(self, default=self, **own, losses=losses) if own or losses else self

    def allowed_loss(self, task: "Task") -> float | None:
        """Return the largest loss by the task's `loss_name`; None where there is no threshold.

        Rounding to floats is judged by the outputs alone, which then decide the same.
        """
        if task.threshold_field is None:
            return None
        return self.losses.get(task.threshold_field, task.allowed_loss if self.rounding == "coarse" else None)

    @property
    def file_ending(self) -> str:
        """Such as `-int8.tflite`."""
        return f"-{self.name.partition('-')[2]}{self.suffix}"


OUTPUT_THRESHOLDS = ("relative_difference", "agreement")
"""Fields with thresholds, which every runtime is validated with."""
FP32: dict[str, Any] = {"relative_difference": 1e-4, "agreement": 0.999}
FP16: dict[str, Any] = {"relative_difference": 2e-2, "agreement": 0.999, "rounding": "fine"}
INT8: dict[str, Any] = {"rounding": "coarse", "relative_difference": 0.5, "agreement": 0.98}
"""The relative difference only distinguishes an artifact of this model from any other; unrelated outputs give 1."""

FORMATS = {
    fmt.name: fmt
    for fmt in (
        Format("tflite-fp32", ".tflite", 4, open_size=True, **FP32),
        Format("tflite-fp16", ".tflite", 2, open_size=True, **FP16),
        Format("tflite-dynamic", ".tflite", 1, **INT8),
        Format("tflite-int8", ".tflite", 1, activation_bits=8, **INT8),
        Format("tflite-uint8", ".tflite", 1, activation_bits=8, **INT8),
        Format("tflite-int8-float", ".tflite", 1, activation_bits=8, **INT8),
        Format("tflite-int16x8", ".tflite", 1, activation_bits=16, **INT8),
        Format("onnx-fp32", ".onnx", 4, open_size=True, **FP32),
        Format("onnx-fp16", ".onnx", 2, open_size=True, **FP16),
        Format("onnx-int8", ".onnx", 1, activation_bits=8, **INT8),
        Format("onnx-int8-tensorrt", ".onnx", 1, activation_bits=8, symmetric=True, **INT8),
        Format("savedmodel-fp32", ".savedmodel", 4, open_size=True, **FP32),
        Format("coreml-fp16", ".mlpackage", 2, **FP16),
        Format("coreml-int8", ".mlpackage", 1, **INT8),
    )
}

REDUCED_PRECISION = Format("float arithmetic in reduced precision", ".onnx", 0, rounding="coarse")
"""The thresholds of files that a processor computes in float16 or bfloat16."""

SPARSE = Format("tflite-sparse", ".tflite", 0, **FP32)
"""Float32 without the zeros of the kernels. No target ships it: runtimes that accept it first restore the zeros."""
