"""What checks need that is not on this machine, told without running any."""

import shutil
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec


def missing(check: str) -> str | None:
    """What `check`, a name in `table.CHECKS`, lacks here, so that it would be skipped; None if nothing."""
    return NEEDS[check]() if check in NEEDS else None


def _module(name: str, extra: str) -> str | None:
    return None if find_spec(name) else f"pip install 'pocketzoo[{extra}]'"


def _provider(provider: str, name: str) -> str | None:
    import onnxruntime

    there = provider in onnxruntime.get_available_providers()
    return None if there else f"{name} for ONNX Runtime: pip install onnxruntime-gpu"


def _browser() -> str | None:
    from ...runtimes.browser import find_browser

    return None if find_browser() else "Chromium: apt install chromium"


def _page() -> str | None:
    from .browser import find_packages
    from .web_page import INSTALL

    return _browser() or (None if find_packages() else f"the page's packages: {INSTALL}")


def _compiler() -> str | None:
    from .c_source import COMPILERS

    return None if any(map(shutil.which, COMPILERS)) else f"a compiler: {' or '.join(COMPILERS)}"


NEEDS: dict[str, Callable[[], str | None]] = {
    "openvino": partial(_module, "openvino", "openvino"),
    "tflite-micro": partial(_module, "tflite_micro", "edge"),
    "c-source": _compiler,
    **{f"vela-{npu}": partial(_module, "ethosu", "edge") for npu in ("u55", "u65", "u85")},
    "litert-gpu": _browser,  # which brings a GPU in software, where there is none
    "edge-tpu": lambda: "edgetpu_compiler, see coral.ai/docs/edgetpu/compiler",
    "onnxruntime-cuda": partial(_provider, "CUDAExecutionProvider", "CUDA"),
    "onnxruntime-tensorrt": partial(_provider, "TensorrtExecutionProvider", "TensorRT"),
    "web-onnx-wasm": _page,
    "web-onnx-webgpu": _page,
    "web-litert-wasm": _page,
}
"""Of the checks that need more than the package brings."""
