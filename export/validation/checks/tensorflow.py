"""TensorFlow, as TensorFlow Serving runs a SavedModel."""

from importlib.metadata import version

import numpy as np

from ....core.outputs import by_name, map_outputs
from ...artifact.artifact import Artifact
from ...artifact.manifest import Check, Gate
from ...artifact.tensors import to_range
from ...loading import open_with
from ...runtimes.saved_model import open_saved_model
from ..batches import batch_gate
from ..comparison import validate_artifact
from .artifact_check import ArtifactCheck, Subject

TITLE = "TensorFlow"
MAX_DIFFERENCE = 1e-5
"""Of the outputs for bytes from those for the same pixels in floats, relative to the outputs."""


def run_signatures(subject: Subject) -> Check:
    """Validate the signature `serving_default` with one image and several, and compare that for bytes with it."""
    artifact = open_with(open_saved_model, subject.path)
    check = validate_artifact(TITLE, version("tensorflow"), artifact, subject.format, subject.reference)
    gates = (*check.gates, batch_gate(artifact, subject.format, subject.reference), _bytes_gate(subject, artifact))
    return check.model_copy(update={"gates": gates})


def _bytes_gate(subject: Subject, artifact: Artifact) -> Gate:
    from ...conversion.saved_model import BYTES_SIGNATURE

    taking_bytes = open_with(open_saved_model, subject.path, signature=BYTES_SIGNATURE)
    ranges = artifact.pixel_ranges
    example = by_name(subject.reference.samples.batch(slice(0, 1)))
    values, pixels = {}, {}
    for name, tensor in artifact.inputs.items():
        limits, rows = ranges[name], np.asarray(example[name])
        if limits is None:
            values[tensor.name] = pixels[tensor.name] = rows.astype(tensor.dtype)
        else:
            pixels[tensor.name] = np.random.default_rng(0).integers(0, 256, rows.shape).astype("uint8")
            values[tensor.name] = to_range(pixels[tensor.name], limits).astype(tensor.dtype)
    results = [by_name(each.invoke(tensors)) for each, tensors in ((artifact, values), (taking_bytes, pixels))]
    differences = map_outputs(lambda first, second: np.abs(first - second).max() / np.abs(first).max(), *results)
    return Gate.measured("difference for bytes", float(max(differences.values())), "<=", MAX_DIFFERENCE)


CHECKS = (ArtifactCheck("tensorflow", TITLE, run_signatures, named_tensors=True),)
