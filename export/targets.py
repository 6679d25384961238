"""What can be shipped where, and which bar each artifact must clear. A new target is a new row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..zoo.errors import InputError, unknown


@dataclass(frozen=True)
class Format:
    """One kind of artifact."""

    name: str
    suffix: Literal[".tflite", ".onnx"]
    bytes_per_weight: int
    """Least bytes that a kernel's weight takes in the file."""
    quantized: bool = False
    """Whether activations are integers, for which calibration images are needed."""
    relative_difference: float | None = None
    """Highest allowed deviation from Keras, relative to how much its answers vary over the images."""
    agreement: float | None = None
    """Least share of images with the same most probable class as Keras."""
    accuracy_drop: float | None = None
    """Most accuracy that may be lost against Keras, 0..1."""
    in_place_of: str | None = None
    """The format that it takes the place of where a model was trained with 16-bit activations."""

    @property
    def file_ending(self) -> str:
        """Such as `-int8.tflite`."""
        return f"-{self.name.split('-')[1]}{self.suffix}"


INT8_BARS = {"relative_difference": 0.5, "agreement": 0.98, "accuracy_drop": 0.01}
"""The difference only tells an artifact of this model from any other; 1 is what answers of no relation come to."""

FORMATS = {
    kind.name: kind
    for kind in (
        Format("tflite-fp32", ".tflite", 4, relative_difference=1e-4, agreement=0.999),
        Format("tflite-fp16", ".tflite", 2, relative_difference=2e-2, agreement=0.999),
        Format("tflite-dynamic", ".tflite", 1, **INT8_BARS),
        Format("tflite-int8", ".tflite", 1, quantized=True, **INT8_BARS),
        Format("tflite-int16x8", ".tflite", 1, quantized=True, in_place_of="tflite-int8", **INT8_BARS),
        Format("onnx-fp32", ".onnx", 4, relative_difference=1e-4, agreement=0.999),
        Format("onnx-int8", ".onnx", 1, quantized=True, **INT8_BARS),
    )
}

SPARSE = Format("tflite-sparse", ".tflite", 0, relative_difference=1e-4, agreement=0.999)
"""Float32 without the zeros of the kernels. Of no target: where the runtime takes it, it first fills them in again."""

TARGETS = {
    "mobile": ("tflite-fp32", "tflite-fp16", "tflite-dynamic"),
    "edge": ("tflite-int8",),
    "gpu": ("tflite-fp16", "onnx-fp32"),
    "server": ("onnx-fp32", "onnx-int8"),
}


def list_targets() -> list[str]:
    """Names of the targets, such as `"mobile"`."""
    return list(TARGETS)


def formats_of(targets: Sequence[str]) -> list[Format]:
    """The formats that `targets` ask for, each once, in the order of the table.

    Raises:
        InputError: A target is unknown, or there is none.
    """
    if not targets:
        raise InputError(f"no targets; there are {', '.join(TARGETS)}.")
    for target in targets:
        if target not in TARGETS:
            raise unknown("target", target, TARGETS)
    wanted = {name for target in targets for name in TARGETS[target]}
    return [kind for name, kind in FORMATS.items() if name in wanted]


def integer_formats(formats: Sequence[Format], activation_bits: int) -> list[Format]:
    """What a model that was trained for integers ships as in place of `formats`: only what has its integers.

    Raises:
        InputError: None of them has.
    """
    kept = _with_integers(formats, activation_bits)
    if not kept:
        able = [target for target in TARGETS if _with_integers(formats_of([target]), activation_bits)]
        raise InputError(
            f"the model was trained for integers with {activation_bits}-bit activations, which is none of "
            f"{', '.join(kind.name for kind in formats)}; export it for {' or '.join(able)}."
        )
    return kept


def _with_integers(formats: Sequence[Format], activation_bits: int) -> list[Format]:
    if activation_bits == 8:
        return [kind for kind in formats if kind.quantized]
    names = {kind.name for kind in formats}
    return [kind for kind in FORMATS.values() if kind.in_place_of in names]
