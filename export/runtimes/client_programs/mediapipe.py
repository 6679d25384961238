"""MediaPipe Tasks on images, for TFLite."""

import atexit
import sys
from collections.abc import Callable

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

Predict = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def version() -> str:
    """Of MediaPipe."""
    return mediapipe.__version__


def open_model(model: str, task: str, shape: list[int]) -> Predict:
    """Open a file in a task, which takes `images`, uint8 RGB, and returns `outputs` and their `labels`.

    Args:
        model: Path of the TFLite file.
        task: `classify` or `segment`.
        shape: Shape of the output for one image.
    """
    return {"classify": _classifier, "segment": _segmenter}[task](model, shape)


def _classifier(model: str, shape: list[int]) -> Predict:
    """Scores in the order of the outputs."""
    options = vision.ImageClassifierOptions(BaseOptions(model), score_threshold=-sys.float_info.max)
    classifier = vision.ImageClassifier.create_from_options(options)
    atexit.register(classifier.close)  # its destructor fails at exit

    def classify(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        (head,) = classifier.classify(_image(tensors)).classifications
        scores, labels = np.full(shape, np.nan, "float32"), np.full(shape, "", object)  # what MediaPipe leaves out
        for category in head.categories:
            scores[category.index] = category.score
            labels[category.index] = category.category_name or ""
        return {"outputs": scores[None], "labels": labels.astype(str)[None]}

    return classify


def _segmenter(model: str, shape: list[int]) -> Predict:
    """Probabilities of each class at each pixel."""
    segmenter = vision.ImageSegmenter.create_from_options(vision.ImageSegmenterOptions(BaseOptions(model)))
    atexit.register(segmenter.close)

    def segment(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        masks = segmenter.segment(_image(tensors)).confidence_masks
        outputs = np.stack([np.squeeze(mask.numpy_view()) for mask in masks], axis=-1).reshape(1, *shape)
        return {"outputs": outputs, "labels": np.array([segmenter.labels], str)}

    return segment


def _image(tensors: dict[str, np.ndarray]) -> mediapipe.Image:
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=tensors["images"][0])
