"""Deployment targets: the formats that each ships, and the checks that validate them. A new target is a new row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from ..core.errors import InputError, unknown
from .formats import FORMATS, Format

Batch = Literal[1, "N"]
LITERT = ("litert", "litert-builtin")
PHONE = (*LITERT, "mediapipe")
CORE_ML = ("coreml-program", "coreml-float16", "coreml")


@dataclass(frozen=True)
class Target:
    """Where models run."""

    checks: dict[str, tuple[str, ...]]
    """By format that is shipped there: names of its checks, in `validation.checks.check_registry.CHECKS`. The figures
    of the first are shown as those of the artifact."""
    about: str
    """Hardware and runtimes."""
    operators: str | None = None
    """Name of the list of supported operators, for `tflite_schema.operator_support.operator_list`, if there is one."""
    batch: Batch = 1
    """Images at once by default: 1, or "N" for any number."""

    @property
    def all_checks(self) -> set[str]:
        """Names of the checks of all formats."""
        return {check for checks in self.checks.values() for check in checks}


TARGETS = {
    "mobile-cpu": Target(
        dict.fromkeys(("tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-uint8"), PHONE),
        "phones, on the CPU: LiteRT with XNNPACK and without, MediaPipe",
    ),
    "mobile-gpu": Target(
        {"tflite-fp16": ("litert", "litert-float16", "litert-gpu", "mediapipe")},
        "phones, on the GPU: LiteRT's GPU delegate",
        "gpu_delegate",
    ),
    "apple": Target(
        dict.fromkeys(("coreml-fp16", "coreml-int8"), CORE_ML),
        "iPhones, iPads and Macs: Core ML, on the CPU, the GPU and the Neural Engine",
    ),
    "edge-mcu": Target(
        {"tflite-int8": ("litert", "tflite-micro", "c-source", "cortex-m")},
        "microcontrollers: TensorFlow Lite Micro, and as C++",
        "tflite_micro",
    ),
    "edge-mcu-16x8": Target(
        {"tflite-int16x8": ("litert", "tflite-micro", "c-source", "cortex-m")},
        "microcontrollers where int8 is too coarse: 16-bit activations, twice the RAM",
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
            "onnx-fp16": ("onnxruntime", "onnxruntime-float16", "onnxruntime-cuda", "onnxruntime-tensorrt"),
        },
        "NVIDIA GPUs: ONNX Runtime, TensorRT",
    ),
    "server-int8": Target(
        {"onnx-int8": ("onnxruntime",), "onnx-int8-tensorrt": ("onnxruntime", "onnxruntime-tensorrt")},
        "servers, in int8: ONNX Runtime on x86, TensorRT",
    ),
    "openvino": Target(
        {"onnx-fp32": ("onnxruntime", "openvino", "openvino-float32")}, "Intel CPUs: OpenVINO, from the ONNX file"
    ),
    "serving": Target(
        {
            "onnx-fp32": ("onnxruntime", "triton"),
            "onnx-fp16": ("onnxruntime", "triton"),
            "savedmodel-fp32": ("tensorflow",),
        },
        "model servers: TensorFlow Serving, and Triton Inference Server with ONNX Runtime",
        batch="N",
    ),
    "web": Target(
        {
            "tflite-int8-float": ("litert", "web-page", "web-litert-wasm"),
            "onnx-fp32": ("onnxruntime", "web-page", "web-onnx-wasm", "web-onnx-webgpu"),
        },
        "browsers: ONNX Runtime and LiteRT on WebAssembly and WebGPU, with a page that runs them",
    ),
    "opencv": Target({"onnx-fp32": ("onnxruntime", "opencv")}, "programs with OpenCV: its DNN module"),
    "mnn": Target({"onnx-fp32": ("onnxruntime", "mnn")}, "apps with MNN, and the converted .mnn file"),
    "ncnn": Target({"onnx-fp32": ("onnxruntime", "ncnn")}, "apps with ncnn, and the converted .param and .bin files"),
    "tract": Target({"onnx-fp32": ("onnxruntime", "tract")}, "programs in Rust: tract"),
    "node": Target(
        dict.fromkeys(("onnx-fp32", "onnx-int8"), ("onnxruntime", "onnxruntime-node")), "Node.js: ONNX Runtime"
    ),
    "ort-mobile": Target(
        dict.fromkeys(("onnx-fp32", "onnx-int8"), ("onnxruntime", "ort-format")),
        "reduced builds of ONNX Runtime for phones, and the converted .ort file",
    ),
}
GROUPS = {
    "mobile": ("mobile-cpu", "mobile-gpu"),
    "edge": ("edge-mcu", "edge-ethos-u55", "edge-ethos-u65", "edge-ethos-u85"),  # edge-tpu: nothing of it runs here
    "server": ("server-int8", "openvino"),
    "clients": ("opencv", "mnn", "ncnn", "tract", "node", "ort-mobile"),
}
"""Names for several targets."""


def list_targets() -> list[str]:
    """Names of the targets and of groups of them, such as `"mobile"`."""
    return [*GROUPS, *TARGETS]


def targets_of(names: Sequence[str]) -> list[str]:
    """Replace groups by their targets; each target once, in the order of the table.

    Raises:
        InputError: A name is unknown, or there is none.
    """
    if not names:
        raise InputError(f"no targets; there are {', '.join(list_targets())}.")
    selected: set[str] = set()
    for name in names:
        if name not in list_targets():
            raise unknown("target", name, list_targets(), listed_by="`pocketzoo targets`")
        selected.update(GROUPS.get(name, (name,)))
    return [target for target in TARGETS if target in selected]


def formats_of(targets: Iterable[str]) -> list[Format]:
    """The formats that `targets` ship, each once, in the order of the table of formats."""
    names = {name for target in targets for name in TARGETS[target].checks}
    return [fmt for name, fmt in FORMATS.items() if name in names]


def checks_of(fmt: Format, targets: Iterable[str]) -> list[str]:
    """Names of the checks that `targets` have for a format, each once."""
    return list(dict.fromkeys(check for target in targets for check in TARGETS[target].checks.get(fmt.name, ())))


def targets_with(fmt: Format, targets: Iterable[str]) -> list[str]:
    """Those of `targets` that ship a format."""
    return [target for target in targets if fmt.name in TARGETS[target].checks]


def check_converters(formats: Sequence[Format]) -> None:
    """Raise InputError where one of `formats` needs a converter that is not installed."""
    needing = [fmt.name for fmt in formats if fmt.suffix == ".mlpackage"]
    if needing and find_spec("coremltools") is None:
        raise InputError(
            f"{needing[0]} needs coremltools, which is not installed: pip install 'pocketzoo[apple]', or leave out "
            "target apple."
        )


def default_batch(targets: Iterable[str]) -> Batch:
    """Images at once where the user states nothing: any number if all `targets` have that by default, else 1."""
    return "N" if all(TARGETS[target].batch == "N" for target in targets) else 1


def check_batch(batch: object, formats: Sequence[Format]) -> None:
    """Raise InputError where `batch` is neither 1 nor "N", or one of `formats` has no open batch."""
    if batch not in (1, "N"):
        raise InputError(f"batch is {batch!r}; it takes 1 or 'N'.")
    fixed = [fmt.name for fmt in formats if not fmt.open_batch]
    if batch == "N" and fixed:
        raise InputError(
            f"batch is 'N', which only float ONNX and SavedModels support, not {', '.join(fixed)}; export these with "
            "batch 1."
        )


def integer_formats(formats: Sequence[Format], activation_bits: int) -> list[Format]:
    """Those of `formats` in which a quantization-aware model can be exported: with the integers it was trained for.

    Raises:
        InputError: There are none.
    """
    names = {name for name, fmt in FORMATS.items() if fmt.activation_bits == activation_bits and not fmt.symmetric}
    kept = [fmt for fmt in formats if fmt.name in names]
    if not kept:
        able = [name for name, target in TARGETS.items() if names & target.checks.keys()]
        raise InputError(
            f"the model was trained for integers with {activation_bits}-bit activations, which is none of "
            f"{', '.join(fmt.name for fmt in formats)}; export it for {' or '.join(able)}."
        )
    return kept
