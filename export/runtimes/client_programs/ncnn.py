"""ncnn, from ONNX by its converter pnnx."""

import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory

import ncnn
import numpy as np


def version() -> str:
    """Of ncnn."""
    return ncnn.__version__


def open_model(model: str, param: str, weights: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Convert an ONNX file, and open the result.

    Args:
        model: The file.
        param: Path of the `.param` file that is written.
        weights: Path of the `.bin` file that is written.
    """
    with TemporaryDirectory() as folder:  # pnnx writes eight more files beside the one that it reads
        copy = shutil.copy(model, Path(folder, "net.onnx"))
        done = subprocess.run([_converter(), copy, "fp16=0"], capture_output=True, text=True, check=False)
        for source, target in (("net.ncnn.param", param), ("net.ncnn.bin", weights)):
            if done.returncode or not Path(folder, source).exists():
                raise RuntimeError(f"pnnx ends with code {done.returncode}: {done.stderr.strip()[-200:]}")
            shutil.copy(Path(folder, source), target)
    net = ncnn.Net()
    net.opt.num_threads = 1
    if net.load_param(param) or net.load_model(weights):
        raise RuntimeError("ncnn does not load what pnnx wrote")

    def predict(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        extractor = net.create_extractor()
        for name, values in zip(net.input_names(), tensors.values(), strict=True):
            extractor.input(name, ncnn.Mat(values[0]).clone())
        return {name: _extract(extractor, name) for name in net.output_names()}

    return predict


def _extract(extractor: ncnn.Extractor, name: str) -> np.ndarray:
    code, output = extractor.extract(name)
    if code:
        raise RuntimeError(f"ncnn does not compute {name}: code {code}")
    return np.array(output)[None]


def _converter() -> Path:
    """The program in the package pnnx, which cannot be imported without PyTorch."""
    return next(Path(file.locate()) for file in files("pnnx") or () if file.parts == ("pnnx", "pnnx"))
