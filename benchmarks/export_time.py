"""How long ResNet-50 takes to all its files, beside Keras' own `model.export`, and how much memory.

    python benchmarks/export_time.py             # bars: 60 s on two cores, 4 GB
    python benchmarks/export_time.py --images 8  # fewer to calibrate with
    python benchmarks/export_time.py --proven    # export_model as a whole, in place of the files alone

Ours are four TFLite and four ONNX files: float32, float16, dynamic and int8, for the CPU and for TensorRT. Keras makes
two, both float32. The weights are fresh and the images are drawn patches: neither time nor memory hang on them, but no
proof holds on such weights. To prove the files takes time of its own, of which the images, the runtimes that are there
and the machine decide; with --proven each artifact is put to all of them with 16 images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import resource
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import keras
import numpy as np

from pocketzoo import export, zoo
from pocketzoo.core.output_capture import suppress_output
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.targets import formats_of, targets_of

TARGETS = ("mobile", "gpu", "server")
SECONDS_BAR, GIGABYTES_BAR = 60.0, 4.0
EVALUATED = 16


def patches(count: int) -> np.ndarray:
    """Images of raw pixels, in squares of one colour."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3))
    return colours.repeat(16, axis=1).repeat(16, axis=2).astype("float32")


def gigabytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def ours(images: np.ndarray, folder: Path) -> float:
    """Seconds for the files of all targets, each printed with its own."""
    model = zoo.create_model("resnet50")
    start = last = perf_counter()
    formats = formats_of(targets_of(TARGETS))
    for path, kind in write_artifacts(ExportGraph.from_model(model), formats, Samples(images, None), folder):
        now = perf_counter()
        print(f"  {kind.name:20} {now - last:6.1f} s {path.stat().st_size / 1e6:7.1f} MB")
        last = now
    return last - start


def set_statistics(model: keras.Model, images: np.ndarray) -> None:
    """Gives every BatchNorm the statistics of `images`: a fresh net answers the same to all, which is refused."""
    flat = zoo.flatten_model(model)
    for layer in flat.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    flat(images, training=True)


def proven(images: np.ndarray, folder: Path) -> float:
    """Seconds for the whole of an export, each step printed with its own."""
    model = zoo.create_model("resnet50")
    set_statistics(model, images[:4])
    steps = [("Preparing", perf_counter())]
    told = {"calibration": images, "evaluation": patches(EVALUATED + len(images))[len(images) :]}
    with suppress(export.ProofError):
        export.export_model(
            model, folder / "out", targets=TARGETS, **told, progress=lambda step: steps.append((step, perf_counter()))
        )
    steps.append(("", perf_counter()))
    for (step, start), (_, end) in pairwise(steps):
        print(f"  {step:60} {end - start:6.1f} s")
    return steps[-1][1] - steps[0][1]


def keras_export(folder: Path) -> float:
    """Seconds that Keras takes for its two files."""
    model = zoo.create_model("resnet50")
    model(np.zeros((1, 224, 224, 3), "float32"), training=False)
    start = last = perf_counter()
    for kind, file in (("litert", "keras.tflite"), ("onnx", "keras.onnx")):
        with suppress_output():
            model.export(folder / file, format=kind, verbose=False)
        now = perf_counter()
        print(f"  Keras' {kind:13} {now - last:6.1f} s {(folder / file).stat().st_size / 1e6:7.1f} MB")
        last = now
    return last - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="to calibrate with")
    parser.add_argument("--proven", action="store_true", help="measure export_model")
    arguments = parser.parse_args()
    images = patches(arguments.images)
    with TemporaryDirectory() as folder:
        seconds = (proven if arguments.proven else ours)(images, Path(folder))
        print(f"ours, eight files: {seconds:.1f} s (bar {SECONDS_BAR:.0f})")
        print(f"memory at most: {gigabytes():.2f} GB (bar {GIGABYTES_BAR:.0f})")
        print(f"Keras, two files: {keras_export(Path(folder)):.1f} s")


if __name__ == "__main__":
    main()
