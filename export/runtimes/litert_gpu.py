"""LiteRT on the GPU, in a process of its own: a driver that fails takes its process with it."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

NO_GPU = "Failed to initialize WebGPU environment"
"""What LiteRT logs where it finds no GPU."""
DEVICE = re.compile(r"Selected adapter: (.*)")
"""What it logs of the one that it finds."""
REFUSED = re.compile(r"not supported by GPU delegate:\n(.*?)\n\d+ operations", re.DOTALL)
"""What it logs of the operators that the delegate does not take."""
SWIFTSHADER = ("/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib64/chromium-browser/vk_swiftshader_icd.json")
"""Where Debian and Fedora put what Chromium brings: Vulkan's loader, and a GPU in software."""

LEAST_IMAGES, SECONDS = 4, 3
"""So many images are run at least, and further ones for so long: in software a GPU takes seconds for one."""


MOST_SECONDS = 600
"""For all of it, with the shaders that are compiled first; a driver can hang."""


class NoGpuError(Exception):
    """There is no GPU here, and none in software."""


class GpuError(Exception):
    """The GPU delegate does not take the model, or the driver died of it."""


@dataclass(frozen=True)
class GpuRun:
    """What LiteRT's GPU delegate made of a model."""

    fully_accelerated: bool
    """Whether it took every operator."""
    outputs: np.ndarray
    """Its answers to the first images, as many as there was time for, as `Artifact.run` gives them."""
    median_ms: float
    """Of one image, with the way to the GPU and back."""
    device: str
    """What computed, as the driver calls it."""


def run_on_gpu(path: Path, images: np.ndarray) -> GpuRun:
    """Runs a TFLite file with floats for input and output on the GPU; where there is none, on Chromium's in software.

    Args:
        path: The file.
        images: Pixels 0..255, `(count, height, width, channels)`.

    Raises:
        NoGpuError: There is neither.
        GpuError: The model does not run there.
    """
    icd = next(filter(Path.exists, map(Path, SWIFTSHADER)), None)
    with TemporaryDirectory() as folder:
        given, answers = Path(folder, "images.npy"), Path(folder, "answers.npz")
        np.save(given, images.astype("float32"))
        done = _start(path, given, answers, {})
        if NO_GPU in done.stderr and icd:
            done = _start(path, given, answers, {"VK_ICD_FILENAMES": str(icd), "LD_LIBRARY_PATH": str(icd.parent)})
        if NO_GPU in done.stderr:
            raise NoGpuError
        if done.returncode:
            raise GpuError(_last_words(done.stderr) or f"the process ended with {done.returncode}")
        with np.load(answers) as found:
            fully, outputs, milliseconds = found["fully_accelerated"], found["outputs"], found["milliseconds"]
    device = DEVICE.search(done.stderr)
    return GpuRun(bool(fully), outputs, float(np.median(milliseconds)), device[1] if device else "unknown")


def _start(path: Path, images: Path, answers: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # -P: nothing is imported from the current folder.
    command = [sys.executable, "-P", "-m", __name__, path, images, answers]
    how = {"capture_output": True, "text": True, "errors": "replace", "timeout": MOST_SECONDS}
    try:
        return subprocess.run(command, env=os.environ | environment, check=False, **how)
    except subprocess.TimeoutExpired as error:
        raise GpuError(f"it gave no answers within {MOST_SECONDS} s") from error


def _last_words(log: str) -> str:
    """Of a process that failed."""
    refused = REFUSED.search(log)
    if refused:
        return ", ".join(line.strip(" :") for line in refused[1].splitlines())
    return next((line for line in reversed(log.splitlines()) if line and not line.startswith("INFO")), "")


def _run(path: str, images: str, answers: str) -> None:
    """What the process does."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    model = CompiledModel.from_file(path, hardware_accel=HardwareAccelerator.GPU)
    (signature,) = model.get_signature_list()
    ((_, output),) = model.get_output_tensor_details(signature).items()
    (source,), (sink,) = model.create_input_buffers(0), model.create_output_buffers(0)

    def run(image: np.ndarray) -> np.ndarray:
        source.write(image[None])
        model.run_by_index(0, [source], [sink])
        return sink.read(int(np.prod(output["shape"])), np.float32).reshape(output["shape"])

    outputs, milliseconds, end = [], [], time.perf_counter() + SECONDS
    for image in np.load(images):
        start = time.perf_counter()
        if start > end and len(outputs) >= LEAST_IMAGES:
            break
        outputs.append(run(image))
        milliseconds.append((time.perf_counter() - start) * 1000)
    np.savez(
        answers,
        fully_accelerated=model.is_fully_accelerated(),
        outputs=np.concatenate(outputs),
        milliseconds=milliseconds[1:] or milliseconds,  # shaders are compiled in the first run
    )


if __name__ == "__main__":
    _run(*sys.argv[1:])
