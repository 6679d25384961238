"""Where each file of a bundle runs: what is true of the file, where a target has files of several kinds."""

from ..artifact.manifest import ArtifactRecord
from ..targets import TARGETS

EVERYWHERE = {
    ".tflite": "CPUs of phones, desktops and small boards: LiteRT",
    ".onnx": "any CPU: ONNX Runtime",
    ".savedmodel": "servers: TensorFlow, TensorFlow Serving",
}
"""Where any file with an ending runs."""
PLACES = {
    "mobile-cpu": {},
    "mobile-gpu": {"tflite-fp16": "GPUs of phones: LiteRT's GPU delegate"},
    "int16x8": {},
    "gpu": {
        "onnx-fp32": "NVIDIA GPUs: ONNX Runtime with CUDA",
        "onnx-fp16": "NVIDIA GPUs: ONNX Runtime with CUDA, TensorRT",
    },
    "server-int8": {"onnx-int8-tensorrt": "NVIDIA GPUs: TensorRT"},
    "openvino": {"onnx-fp32": "Intel CPUs: OpenVINO"},
    "serving": dict.fromkeys(("onnx-fp32", "onnx-fp16"), "Triton Inference Server"),
    "web": {"onnx-fp32": "browsers: ONNX Runtime Web", "tflite-int8-float": "browsers: LiteRT.js"},
}
"""What targets add to that, by format; others add all that they are about."""


def places(record: ArtifactRecord, *, in_mediapipe: bool) -> str:
    """Hardware and runtimes of a file.

    Args:
        record: The file.
        in_mediapipe: Whether MediaPipe takes it.
    """
    added = [_added(target, record.format) for target in record.targets]
    suffix = record.file.rpartition(".")[1:]
    everywhere = EVERYWHERE.get("".join(suffix), "")
    return "; ".join(filter(None, (*added, everywhere + (", MediaPipe" if in_mediapipe else ""))))


def _added(target: str, fmt: str) -> str:
    if target in PLACES:
        return PLACES[target].get(fmt, "")
    return TARGETS[target].about if target in TARGETS else target
