"""TensorFlow Lite Micro, the runtime of microcontrollers, on this machine."""

from importlib.metadata import version

import numpy as np

from ...artifact.artifact import Artifact
from ...artifact.manifest import Check, Gate
from ...loading import load_artifact
from ...runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from ...tflite_schema.flatbuffer import pack_model, unpack_model
from ...tflite_schema.nodes import tflite_nodes
from ...tflite_schema.operator_support import Refusal
from ..comparison import compare_outputs
from ..reference import Reference
from .artifact_check import ArtifactCheck, Subject, budget_gates, requires_module

NAME, TITLE = "tflite-micro", "TensorFlow Lite Micro"
REQUIREMENT = requires_module("tflite_micro", "tflite-micro", "edge")
MAX_IMAGES, MIN_IMAGES = 200, 8
SECONDS = 20
"""Time for all images: its reference kernels are slow, and fewer images run where one takes long."""


def validate_in_micro(subject: Subject) -> Check:
    """Validate the outputs and measure the smallest arena, or name the operator that is refused."""
    release = version("tflite-micro")
    artifact, content = load_artifact(subject.path), subject.path.read_bytes()
    reference = subject.reference.at_most(MAX_IMAGES)
    tensors = input_tensors(artifact, reference)
    try:
        arena_bytes = smallest_arena(content)
        first = run_in_micro(content, tensors[:1], arena_bytes)
        reference = reference.at_most(max(MIN_IMAGES, int(SECONDS / first.seconds)))
        tensors = input_tensors(artifact, reference)
        run = run_in_micro(content, tensors, arena_bytes)
    except RefusedError as refusal:
        refused = first_refused(content, tensors[refusal.image : refusal.image + 1])
        gate = Gate.measured("operators refused", 1, "<=", 0, reason=refused.sentence)
        return Check(name=TITLE, version=release, gates=(gate,))
    check = compare_outputs(run.outputs, reference, artifact.output.to_real).check(TITLE, release, subject.format)
    facts = {"arena_bytes": arena_bytes, "images": len(tensors)}
    gates = (Gate.measured("operators refused", 0, "<=", 0), *budget_gates(subject.thresholds, facts))
    return check.model_copy(update={"facts": facts | check.facts, "gates": (*gates, *check.gates)})


def input_tensors(artifact: Artifact, reference: Reference) -> np.ndarray:
    """Quantized images: an integer per value, where a float takes four times the memory."""
    images = (np.asarray(image, "float32")[None] for image in reference.samples.images)
    return np.concatenate([artifact.input.from_real(image) for image in images])


def first_refused(content: bytes, tensor: np.ndarray) -> Refusal:
    """Find by bisection the first operator that TensorFlow Lite Micro refuses, and its error message.

    Args:
        content: A TFLite file that does not run to its end.
        tensor: An input with which it does not, `(1, height, width, channels)`.
    """
    nodes = list(tflite_nodes(content))
    whole, refused = 0, len(nodes)
    message = ""
    while refused - whole > 1:
        middle = (whole + refused) // 2
        try:
            run_in_micro(_truncate(content, middle), tensor)
            whole = middle
        except RefusedError as refusal:
            refused, message = middle, str(refusal)
    return Refusal(nodes[refused - 1], message or _error_message(content, tensor))


def _error_message(content: bytes, tensor: np.ndarray) -> str:
    try:
        run_in_micro(content, tensor)
    except RefusedError as refusal:
        return str(refusal)
    return "it runs on this image alone, but not after the other images"


def _truncate(content: bytes, count: int) -> bytes:
    """A model of the first `count` operators."""
    model = unpack_model(content)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:count]
    graph.outputs = graph.operators[-1].outputs[:1]
    model.signatureDefs = []
    return pack_model(model)


CHECKS = (ArtifactCheck(NAME, TITLE, validate_in_micro, (REQUIREMENT,), thresholds=("arena_bytes",)),)
