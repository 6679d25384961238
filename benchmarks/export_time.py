"""Export time and memory of ResNet-50 in all formats, compared with Keras' own `model.export`.

    python benchmarks/export_time.py             # limits: 60 s on two cores, 4 GB
    python benchmarks/export_time.py --images 8  # fewer calibration images
    python benchmarks/export_time.py --proven    # all of export_model, with validation, instead of conversion alone

pocketzoo writes four TFLite and four ONNX files: float32, float16, dynamic and int8, for the CPU and for TensorRT.
Keras writes two, both float32. Weights and images are random: neither time nor memory depend on them, but artifacts of
such weights fail validation. The time of validation depends on the images, the installed runtimes and the machine; with
--proven, each artifact is validated in all of them with 16 images.
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
MAX_SECONDS, MAX_GIGABYTES = 60.0, 4.0
EVALUATION_IMAGES = 16


def patches(count: int) -> np.ndarray:
    """Images of raw pixels: squares of uniform color."""
    colors = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3))
    return colors.repeat(16, axis=1).repeat(16, axis=2).astype("float32")


def gigabytes() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def ours(images: np.ndarray, folder: Path) -> float:
    """Time for the files of all targets in seconds; prints that of each."""
    model = zoo.create_model("resnet50")
    start = last = perf_counter()
    formats = formats_of(targets_of(TARGETS))
    for path, fmt in write_artifacts(ExportGraph.from_model(model), formats, Samples(images, None), folder):
        now = perf_counter()
        print(f"  {fmt.name:20} {now - last:6.1f} s {path.stat().st_size / 1e6:7.1f} MB")
        last = now
    return last - start


def set_statistics(model: keras.Model, images: np.ndarray) -> None:
    """Set BatchNorm statistics to those of `images`: an untrained model has equal outputs for all, which is refused."""
    flat = zoo.flatten_model(model)
    for layer in flat.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    flat(images, training=True)


def validated_export(images: np.ndarray, folder: Path) -> float:
    """Time for a complete export in seconds; prints that of each step."""
    model = zoo.create_model("resnet50")
    set_statistics(model, images[:4])
    steps = [("Preparing", perf_counter())]
    images_of = {"calibration": images, "evaluation": patches(EVALUATION_IMAGES + len(images))[len(images) :]}
    with suppress(export.ProofError):
        export.export_model(
            model,
            folder / "out",
            targets=TARGETS,
            **images_of,
            progress=lambda step: steps.append((step, perf_counter())),
        )
    steps.append(("", perf_counter()))
    for (step, start), (_, end) in pairwise(steps):
        print(f"  {step:60} {end - start:6.1f} s")
    return steps[-1][1] - steps[0][1]


def keras_export(folder: Path) -> float:
    """Time for the two files of Keras in seconds."""
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
    parser.add_argument("--images", type=int, default=32, help="number of calibration images")
    parser.add_argument("--proven", action="store_true", help="measure export_model")
    arguments = parser.parse_args()
    images = patches(arguments.images)
    with TemporaryDirectory() as folder:
        seconds = (validated_export if arguments.proven else ours)(images, Path(folder))
        print(f"ours, eight files: {seconds:.1f} s (limit {MAX_SECONDS:.0f})")
        print(f"peak memory: {gigabytes():.2f} GB (limit {MAX_GIGABYTES:.0f})")
        print(f"Keras, two files: {keras_export(Path(folder)):.1f} s")


if __name__ == "__main__":
    main()
