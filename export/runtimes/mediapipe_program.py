"""MediaPipe Tasks on images: a program of the environment of clients, in which this package is not installed."""

import json
import sys
import time
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def classify(model: str, images: np.ndarray, shape: list[int]) -> tuple[list[np.ndarray], list[str], list[float]]:
    """Return scores in the order of the outputs, their labels, and milliseconds.

    Args:
        model: Path of the TFLite file.
        images: Camera images, uint8 RGB `(count, height, width, 3)`.
        shape: Shape of an output.
    """
    outputs, labels, milliseconds = [], [""] * shape[0], []
    options = vision.ImageClassifierOptions(BaseOptions(model), score_threshold=-sys.float_info.max)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image in images:
            start = time.perf_counter()
            (head,) = classifier.classify(_image(image)).classifications
            milliseconds.append((time.perf_counter() - start) * 1000)
            output = np.full(shape, np.nan, "float32")  # what MediaPipe leaves out
            for category in head.categories:
                output[category.index] = category.score
                labels[category.index] = category.category_name or ""
            outputs.append(output)
    return outputs, labels, milliseconds


def segment(model: str, images: np.ndarray, shape: list[int]) -> tuple[list[np.ndarray], list[str], list[float]]:
    """Return the probabilities of each class at each pixel, labels, and milliseconds; arguments as of `classify`."""
    outputs, milliseconds = [], []
    options = vision.ImageSegmenterOptions(BaseOptions(model))
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        labels = [str(label) for label in segmenter.labels]
        for image in images:
            start = time.perf_counter()
            masks = segmenter.segment(_image(image)).confidence_masks
            milliseconds.append((time.perf_counter() - start) * 1000)
            outputs.append(np.stack([np.squeeze(mask.numpy_view()) for mask in masks], axis=-1).reshape(shape))
    return outputs, labels, milliseconds


def _image(pixels: np.ndarray) -> mediapipe.Image:
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))


def main(task: str, model: str, folder: str, *shape: str) -> None:
    """Run a task on `images.npy` in a folder, and write `outputs.npy` and `results.json` there."""
    run = {"classify": classify, "segment": segment}[task]
    images = np.load(Path(folder, "images.npy"))
    outputs, labels, milliseconds = run(model, images, [int(side) for side in shape])
    np.save(Path(folder, "outputs.npy"), np.stack(outputs))
    results = {"labels": labels, "milliseconds": milliseconds, "version": mediapipe.__version__}
    Path(folder, "results.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
