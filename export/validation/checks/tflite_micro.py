"""TensorFlow Lite Micro, as microcontrollers have it, run on this machine."""

from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from ...artifact.manifest import Check, Gate
from ...loading import load_artifact
from ...runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from ...tflite_schema.flatbuffer import packed, unpacked
from ...tflite_schema.nodes import tflite_nodes
from ...tflite_schema.operator_support import Refusal
from ..comparison import judge
from .budget import within_budget
from .subject import Subject

NAME = "TensorFlow Lite Micro"
MOST_IMAGES, LEAST_IMAGES = 200, 8
SECONDS = 20
"""For all images together: its kernels are not optimised here, and where one image takes long fewer are run."""


def in_micro(subject: Subject) -> Check:
    """Its answers, the smallest arena that it runs in, and which operator it refuses."""
    if find_spec("tflite_micro") is None:
        return Check(name=NAME, skipped="tflite-micro is not installed: pip install 'pocketzoo[edge]'")
    release = version("tflite-micro")
    artifact, content = load_artifact(subject.path), subject.path.read_bytes()
    reference = subject.reference.at_most(MOST_IMAGES)
    tensors = artifact.input.from_real(np.float32(reference.samples.images))
    try:
        arena_bytes = smallest_arena(content)
        first = run_in_micro(content, tensors[:1], arena_bytes)
        reference = reference.at_most(max(LEAST_IMAGES, int(SECONDS / first.seconds)))
        tensors = artifact.input.from_real(np.float32(reference.samples.images))
        run = run_in_micro(content, tensors, arena_bytes)
    except RefusedError as refusal:
        refused = first_refused(content, tensors[refusal.image : refusal.image + 1])
        gate = Gate.measured("operators refused", 1, "<=", 0, reason=refused.sentence)
        return Check(name=NAME, version=release, gates=(gate,))
    check = judge(NAME, release, artifact.output.to_real(run.outputs), subject.kind, reference)
    facts = {"arena_bytes": arena_bytes, "images": len(tensors)}
    gates = (Gate.measured("operators refused", 0, "<=", 0), *within_budget(subject, facts))
    return check.model_copy(update={"facts": facts | check.facts, "gates": (*gates, *check.gates)})


def first_refused(content: bytes, tensor: np.ndarray) -> Refusal:
    """The first operator that a model of it and those before it cannot be run with, and the last words on it.

    Args:
        content: A TFLite file that does not run to its end.
        tensor: Its input with which it does not, `(1, height, width, channels)`.
    """
    nodes = list(tflite_nodes(content))
    whole, refused = 0, len(nodes)
    words = ""
    while refused - whole > 1:
        middle = (whole + refused) // 2
        try:
            run_in_micro(_beginning(content, middle), tensor)
            whole = middle
        except RefusedError as refusal:
            refused, words = middle, str(refusal)
    return Refusal(nodes[refused - 1], words or _words(content, tensor))


def _words(content: bytes, tensor: np.ndarray) -> str:
    try:
        run_in_micro(content, tensor)
    except RefusedError as refusal:
        return str(refusal)
    return "it runs alone, and not after the other images"


def _beginning(content: bytes, count: int) -> bytes:
    """A model of the first `count` operators."""
    model = unpacked(content)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:count]
    graph.outputs = graph.operators[-1].outputs[:1]
    model.signatureDefs = []
    return packed(model)
