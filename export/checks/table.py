"""The checks by name, as the table of targets names them."""

from collections.abc import Callable

from ..manifest import Check
from . import c_source, litert, onnx_runtime, openvino, tflite_micro
from .subject import Subject

CHECKS: dict[str, Callable[[Subject], Check]] = {
    "litert": litert.with_xnnpack,
    "litert-builtin": litert.with_builtin_kernels,
    "onnxruntime": onnx_runtime.on_cpu,
    "openvino": openvino.on_cpu,
    "onnxruntime-cuda": onnx_runtime.on_cuda,
    "onnxruntime-tensorrt": onnx_runtime.on_tensorrt,
    "tflite-micro": tflite_micro.in_micro,
    "c-source": c_source.compiled,
}
