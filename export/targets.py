"""What is shipped where, and what it is put to there. A new target is a new row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.errors import InputError, unknown
from .formats import FORMATS, Format

LITERT = ("litert", "litert-builtin")


@dataclass(frozen=True)
class Target:
    """A place where models run."""

    checks: dict[str, tuple[str, ...]]
    """By format that is shipped there: what it is put to, names in `checks.table.CHECKS`. The first one's figures are
    those of the artifact."""
    about: str
    """What runs there."""
    operators: str | None = None
    """Name of the list of the operators that it accepts, for `accepted.operator_list`, if there is one."""


TARGETS = {
    "mobile-cpu": Target(
        dict.fromkeys(("tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-int8"), LITERT),
        "phones, on the CPU: LiteRT with XNNPACK and without",
    ),
    "mobile-gpu": Target(
        {"tflite-fp16": ("litert", "litert-gpu")}, "phones, on the GPU: LiteRT's GPU delegate", "gpu_delegate"
    ),
    "edge-mcu": Target(
        {"tflite-int8": ("litert", "tflite-micro", "c-source")},
        "microcontrollers: TensorFlow Lite Micro, and as C++",
        "tflite_micro",
    ),
    "edge-ethos-u55": Target(
        {"tflite-int8": ("litert", "vela-u55")}, "Arm's NPU for microcontrollers, by Vela", "ethos_u55_u65"
    ),
    "edge-ethos-u65": Target(
        {"tflite-int8": ("litert", "vela-u65")}, "Arm's NPU for small Linux boards, by Vela", "ethos_u55_u65"
    ),
    "edge-ethos-u85": Target({"tflite-int8": ("litert", "vela-u85")}, "Arm's larger NPU, by Vela", "ethos_u85"),
    "edge-tpu": Target(
        {"tflite-int8": ("litert", "edge-tpu")}, "Coral's Edge TPU, by its list of operators", "edge_tpu"
    ),
    "int16x8": Target(
        {"tflite-int16x8": ("litert",)}, "where int8 is too coarse: 16-bit activations, slow on most CPUs"
    ),
    "gpu": Target(
        {
            "onnx-fp32": ("onnxruntime", "onnxruntime-cuda"),
            "onnx-fp16": ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt"),
        },
        "graphics cards: ONNX Runtime, TensorRT",
    ),
    "server-int8": Target(
        {"onnx-int8": ("onnxruntime",), "onnx-int8-tensorrt": ("onnxruntime", "onnxruntime-tensorrt")},
        "servers, in integers: ONNX Runtime on x86, TensorRT",
    ),
    "openvino": Target({"onnx-fp32": ("onnxruntime", "openvino")}, "Intel's processors: OpenVINO, from the ONNX file"),
    "web": Target(
        {
            "tflite-int8-float": ("litert", "web-page", "web-litert-wasm"),
            "onnx-fp32": ("onnxruntime", "web-page", "web-onnx-wasm", "web-onnx-webgpu"),
        },
        "browsers: ONNX Runtime and LiteRT on WebAssembly and WebGPU, with a page that runs them",
    ),
}
GROUPS = {
    "mobile": ("mobile-cpu", "mobile-gpu"),
    "edge": ("edge-mcu", "edge-ethos-u55", "edge-ethos-u65", "edge-ethos-u85"),  # nothing of edge-tpu can be tried here
    "server": ("server-int8", "openvino"),
}
"""Names for several targets."""


def list_targets() -> list[str]:
    """Names of the targets and of groups of them, such as `"mobile"`."""
    return [*GROUPS, *TARGETS]


def targets_of(names: Sequence[str]) -> list[str]:
    """The targets that `names` mean, groups resolved, each once, in the order of the table.

    Raises:
        InputError: A name is unknown, or there is none.
    """
    if not names:
        raise InputError(f"no targets; there are {', '.join(list_targets())}.")
    wanted: set[str] = set()
    for name in names:
        if name not in list_targets():
            raise unknown("target", name, list_targets())
        wanted.update(GROUPS.get(name, (name,)))
    return [target for target in TARGETS if target in wanted]


def formats_of(targets: Iterable[str]) -> list[Format]:
    """The formats that are shipped to `targets`, each once, in the order of their table."""
    wanted = {name for target in targets for name in TARGETS[target].checks}
    return [kind for name, kind in FORMATS.items() if name in wanted]


def checks_of(kind: Format, targets: Iterable[str]) -> list[str]:
    """What an artifact of that format is put to for `targets`, each once."""
    return list(dict.fromkeys(check for target in targets for check in TARGETS[target].checks.get(kind.name, ())))


def takers_of(kind: Format, targets: Iterable[str]) -> list[str]:
    """Those of `targets` to which an artifact of that format is shipped."""
    return [target for target in targets if kind.name in TARGETS[target].checks]


def integer_formats(formats: Sequence[Format], activation_bits: int) -> list[Format]:
    """What a model that was trained for integers ships as in place of `formats`: only what has its integers.

    Raises:
        InputError: None of them has.
    """
    names = {name for name, kind in FORMATS.items() if kind.activation_bits == activation_bits and not kind.symmetric}
    kept = [kind for kind in formats if kind.name in names]
    if not kept:
        able = [name for name, target in TARGETS.items() if names & target.checks.keys()]
        raise InputError(
            f"the model was trained for integers with {activation_bits}-bit activations, which is none of "
            f"{', '.join(kind.name for kind in formats)}; export it for {' or '.join(able)}."
        )
    return kept
