"""LiteRT on the GPU in a subprocess, which a driver that crashes takes down with it."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..large_arrays import Rows

NO_GPU = "Failed to initialize WebGPU environment"
"""Log message of LiteRT where there is no GPU."""
DEVICE = re.compile(r"Selected adapter: (.*)")
"""Log message with the name of the GPU."""
REFUSED = re.compile(r"not supported by GPU delegate:\n(.*?)\n\d+ operations", re.DOTALL)
"""Log message with the operators that the delegate does not support."""
SWIFTSHADER = ("/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib64/chromium-browser/vk_swiftshader_icd.json")
"""Chromium's software GPU with a Vulkan loader, as Debian and Fedora install them."""

MIN_IMAGES, SECONDS = 4, 3
"""At least so many images, and more for so many seconds: a software GPU takes seconds for one image."""
MAX_SECONDS = 600
"""Time limit with the compilation of shaders; a driver can hang."""


class NoGpuError(Exception):
    """There is neither a GPU nor a software GPU."""


class GpuError(Exception):
    """The GPU delegate does not support the model, or the driver crashed."""


@dataclass(frozen=True)
class GpuRun:
    """Results of LiteRT's GPU delegate."""

    fully_accelerated: bool
    """Whether it runs every operator."""
    outputs: np.ndarray
    """Float32 outputs for the first images, as many as there was time for; memory-mapped."""
    median_ms: float
    """Latency of one image in milliseconds, with the transfers to the GPU and back."""
    device: str
    """Name of the GPU."""


def run_on_gpu(path: Path, images: Rows) -> GpuRun:
    """Run a TFLite file with float input and output on the GPU, or on Chromium's software GPU where there is none.

    Args:
        path: The file.
        images: Pixels 0..255, `(count, height, width, channels)`.

    Raises:
        NoGpuError: There is neither.
        GpuError: The model does not run there.
    """
    icd = next(filter(Path.exists, map(Path, SWIFTSHADER)), None)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps the file that is still mapped
        _save_images(Path(folder, "images.npy"), images)
        done = _start(path, folder, {})
        if NO_GPU in done.stderr and icd:
            done = _start(path, folder, {"VK_ICD_FILENAMES": str(icd), "LD_LIBRARY_PATH": str(icd.parent)})
        if NO_GPU in done.stderr:
            raise NoGpuError
        if done.returncode:
            raise GpuError(_error_message(done.stderr) or f"the process exited with code {done.returncode}")
        results = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
        outputs = np.memmap(Path(folder, "outputs.bin"), "float32", "r", shape=tuple(results["shape"]))
    device = DEVICE.search(done.stderr)
    return GpuRun(
        results["fully_accelerated"],
        np.asarray(outputs),
        float(np.median(results["milliseconds"])),
        device[1] if device else "unknown",
    )


def _save_images(path: Path, images: Rows) -> None:
    """Write images one by one as an `.npy` array, so that they need not fit in memory."""
    first = np.asarray(images[0])
    header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (len(images), *first.shape)})
        for image in images:
            file.write(np.ascontiguousarray(image).data)


def _start(path: Path, folder: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # -P: nothing is imported from the current folder.
    command = [sys.executable, "-P", "-m", __name__, str(path), folder]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MAX_SECONDS,
            env=os.environ | environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GpuError(f"it did not finish within {MAX_SECONDS} s") from error


def _error_message(log: str) -> str:
    """The cause of a failure in the log of the process."""
    refused = REFUSED.search(log)
    if refused:
        return ", ".join(line.strip(" :") for line in refused[1].splitlines())
    return next((line for line in reversed(log.splitlines()) if line and not line.startswith("INFO")), "")


def _run(path: str, folder: str) -> None:
    """The program of the subprocess."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    model = CompiledModel.from_file(path, hardware_accel=HardwareAccelerator.GPU)
    (signature,) = model.get_signature_list()
    ((_, output),) = model.get_output_tensor_details(signature).items()
    (source,), (sink,) = model.create_input_buffers(0), model.create_output_buffers(0)
    shape = tuple(map(int, output["shape"]))
    milliseconds: list[float] = []
    end = time.perf_counter() + SECONDS
    with Path(folder, "outputs.bin").open("wb") as file:
        for image in np.load(Path(folder, "images.npy"), mmap_mode="r"):
            pixels = np.asarray(image, "float32")[None]
            start = time.perf_counter()
            if start > end and len(milliseconds) >= MIN_IMAGES:
                break
            source.write(pixels)
            model.run_by_index(0, [source], [sink])
            values = sink.read(int(np.prod(shape)), np.float32)
            milliseconds.append((time.perf_counter() - start) * 1000)
            file.write(np.ascontiguousarray(values).data)
    results = {
        "fully_accelerated": bool(model.is_fully_accelerated()),
        "shape": (len(milliseconds) * shape[0], *shape[1:]),
        "milliseconds": milliseconds[1:] or milliseconds,  # shaders are compiled in the first run
    }
    Path(folder, "results.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    _run(*sys.argv[1:])
