"""Coral's Edge TPU, by its documented list of operators: its compiler is not open, and not to be had everywhere."""

from ...artifact.manifest import Check
from ...tflite_schema.operator_support import in_few_words, operator_list
from .budget import within_tolerance
from .other_form import fitted, proven
from .subject import Subject

NAME = "Edge TPU"
LIST = "edge_tpu"


def accepted(subject: Subject) -> Check:
    """Whether every operator is on the list; one that is not runs on the processor, and so does what follows it.

    What else does is only known after compiling. Where the artifact takes another form there, that is put beside it.
    """
    operators, content = operator_list(LIST), fitted(subject, LIST)
    refused = list(operators.refused(content))
    file, proof = subject.path, proven(content, subject)
    if proof.gates:
        file = subject.path.with_name(f"{subject.path.stem}-edge-tpu.tflite")
        file.write_bytes(content)
    gates = (
        within_tolerance(subject, "operators_refused", "operators refused", len(refused), in_few_words(refused)),
        *proof.gates,
    )
    left = operators.left_to_processor(content)
    found = {
        "name": NAME,
        "version": f"list of {operators.as_of}",
        "skipped": f"not compiled: run edgetpu_compiler on {file.name}, see coral.ai/docs/edgetpu/compiler",
        "gates": gates,
        "facts": proof.facts | ({"on the processor": left[0].operator} if left else {}),
        "files": (file.name,) if proof.gates else (),
    }
    return proof.model_copy(update=found)
