"""MediaPipe Tasks: the bytes of a camera must give the outputs of the Keras model in apps, too."""

from dataclasses import replace

import numpy as np

from ....tasks.registry import get_task
from ...artifact.manifest import Check, Gate
from ...artifact.metadata import Metadata
from ...runtimes.client_environment import client_python, install_command
from ...runtimes.clients import run_in_client
from ..comparison import compare_outputs
from ..reference import Reference
from .artifact_check import ArtifactCheck, Requirement, Subject

TITLE, MODULE = "MediaPipe", "mediapipe"
MAX_IMAGES, MAX_BYTES = 400, 2**26
"""At most so many images, and so many bytes of outputs."""


def run_task(subject: Subject) -> Check:
    """Run ImageClassifier or ImageSegmenter on images in the size of the model, which MediaPipe does not resize."""
    metadata, reference = subject.metadata, _within_limits(subject.reference)
    reason = refusal(metadata)
    images = None if reason else _camera_bytes(reference.samples.images, metadata.pixel_range)
    if images is None:
        return Check(name=TITLE, skipped=reason or "the images are not in whole numbers, as those of cameras are")
    task = reference.task.vision_task
    shape = reference.outputs.shape[1:]
    run = run_in_client(MODULE, "mediapipe.py", subject.path, {"images": images}, task=task, shape=shape)
    if task == "segment" and reference.from_logits:
        reference = _as_probabilities(reference)
    check = compare_outputs(run.outputs["outputs"], reference).check(TITLE, run.version, subject.format, run.median_ms)
    names = run.outputs["labels"][0].tolist()
    expected = [" ".join(label.splitlines()) for label in metadata.labels[-len(names) :]]
    labels = Gate.measured("labels as in the file", float(names == expected), ">=", 1)
    facts = {"images": len(reference)} if len(reference) < len(subject.reference) else {}
    return check.model_copy(update={"gates": (*check.gates, labels), "facts": check.facts | facts})


def _within_limits(reference: Reference) -> Reference:
    largest = max(1, MAX_BYTES // (4 * int(np.prod(reference.outputs.shape[1:]))))
    return reference.at_most(min(MAX_IMAGES, largest))


def refusal(metadata: Metadata) -> str | None:
    """Why MediaPipe has no task for a model with one image and one output; None if it has."""
    height, width, channels = metadata.image_shape
    if get_task(metadata.task).vision_task is None:
        return f"ImageClassifier and ImageSegmenter do not take the outputs of a {metadata.task}"
    if channels == 1:
        return f"it takes RGB images, and {metadata.model} takes grayscale images; export it with rgb=True, or --rgb"
    if channels != 3:
        return f"it takes RGB images, and {metadata.model} takes images with {channels} channels"
    if None in (height, width):
        return f"{metadata.model} leaves its size open; set it with input_size, or --input-size"
    return None


def _camera_bytes(images: np.ndarray, limits: tuple[float, float]) -> np.ndarray | None:
    """Return images as a camera gives them; None where they have fractions of gray levels."""
    values = np.stack([np.asarray(image) for image in images])
    if values.dtype.kind not in "ui":
        low, high = limits
        levels = (values - low) * (255 / (high - low))
        values = np.round(levels)
        if not np.allclose(values, levels, rtol=0, atol=1e-3):
            return None
    return values.astype("uint8")


def _as_probabilities(reference: Reference) -> Reference:
    """Return the reference of a segmenter whose activation MediaPipe computes; a single output stays single."""
    outputs = reference.decode(np.asarray(reference.outputs))[..., -reference.outputs.shape[-1] :]
    return replace(reference, outputs=outputs, from_logits=False)


CHECKS = (
    ArtifactCheck(
        "mediapipe",
        TITLE,
        run_task,
        (Requirement(MODULE, install_command(MODULE), lambda: client_python(MODULE) is not None),),
    ),
)
