"""Coral's Edge TPU, by its documented list of operators: its compiler is not open, and not to be had everywhere."""

from ..accepted import operator_list
from ..manifest import Check
from ..tflite_graph import places
from .budget import within_tolerance
from .subject import Subject

NAME = "Edge TPU"


def accepted(subject: Subject) -> Check:
    """Whether every operator is on the list; one that is not runs on the processor, and so does what follows it.

    What else does is only known after compiling.
    """
    operators = operator_list("edge_tpu")
    refused = list(operators.refused(subject.path.read_bytes()))
    reason = places(refusal.node for refusal in refused) or None
    return Check(
        name=NAME,
        version=f"list of {operators.as_of}",
        skipped="not compiled: run edgetpu_compiler on it, see coral.ai/docs/edgetpu/compiler",
        gates=(within_tolerance(subject, "operators_refused", "operators refused", len(refused), reason),),
    )
