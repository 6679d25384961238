"""The checks by name, as the table of targets names them."""

import errno
import traceback
from collections.abc import Callable

from ....core.errors import first_line
from ...artifact.manifest import Check, Gate
from . import browser, c_source, edge_tpu, litert, litert_gpu, onnx_runtime, openvino, tflite_micro, vela, web_page
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
    "vela-u55": vela.compiled_for("Ethos-U55"),
    "vela-u65": vela.compiled_for("Ethos-U65"),
    "vela-u85": vela.compiled_for("Ethos-U85"),
    "edge-tpu": edge_tpu.accepted,
    "litert-gpu": litert_gpu.on_gpu,
    "web-page": web_page.written,
    "web-onnx-wasm": browser.onnx_on_wasm,
    "web-onnx-webgpu": browser.onnx_on_webgpu,
    "web-litert-wasm": browser.litert_on_wasm,
}

UNTIMED = frozenset({"litert-builtin", "litert-gpu"})
"""Those that may run beside other work: they tell no time, or that of a GPU, which waits for no processor."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of a disk, of what a user may take of it, or of a file."""


def checked(name: str, subject: Subject) -> Check:
    """What the check of that name says; where it raises, as runtimes do, it has failed, and a log beside the artifact
    has all that was said.

    Raises:
        OSError: The disk is full.
    """
    try:
        return CHECKS[name](subject)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        log = subject.path.with_name(f"{subject.path.stem}-{name}.log")
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return Check(name=name, gates=(Gate.measured("ran", 0, ">=", 1, first_line(error)),), files=(log.name,))
