"""The checks by name, as the table of targets names them."""

from collections.abc import Callable

from ..manifest import Check
from . import c_source, edge_tpu, litert, onnx_runtime, openvino, tflite_micro, vela
from .subject import Subject

CHECKS: dict[str, Callable[[Subject], Check]] = {
    "litert": litert.with_xnnpack,
    "litert-builtin": litert.with_builtin_kernels,
    "onnxruntime": onnx_runtime.on_cpu,
    "openvino": openvino.on_cpu,
    "tflite-micro": tflite_micro.in_micro,
    "c-source": c_source.compiled,
    "vela-u55": vela.compiled_for("Ethos-U55"),
    "vela-u65": vela.compiled_for("Ethos-U65"),
    "vela-u85": vela.compiled_for("Ethos-U85"),
    "edge-tpu": edge_tpu.accepted,
}
