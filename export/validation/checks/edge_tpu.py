"""Coral's Edge TPU, by its documented operator list: its compiler is proprietary and not available everywhere."""

from ...artifact.manifest import Check
from ...tflite_schema.operator_support import operator_list, summarize
from .artifact_check import ArtifactCheck, Requirement, Subject, operator_gate
from .rewritten_graph import rewrite_artifact, validate_rewritten

TITLE = "Edge TPU"
LIST = "edge_tpu"
COMPILER = "edgetpu_compiler"
DOCUMENTATION = "see coral.ai/docs/edgetpu/compiler"


def check_operators(subject: Subject) -> Check:
    """Check that every operator is on the list: one that is not runs on the CPU, and so does all that follows it.

    Anything else is only known after compilation. Where operators are rewritten for the Edge TPU, the rewritten file
    is written beside the artifact.
    """
    operators, content = operator_list(LIST), rewrite_artifact(subject, LIST)
    refused = list(operators.refused(content))
    file, check = subject.path, validate_rewritten(content, subject)
    if check.gates:
        file = subject.path.with_name(f"{subject.path.stem}-edge-tpu.tflite")
        file.write_bytes(content)
    on_cpu = operators.left_to_processor(content)
    gate = operator_gate(subject, "operators_refused", "operators refused", len(refused), summarize(refused))
    return check.model_copy(
        update={
            "name": TITLE,
            "version": f"list of {operators.as_of}",
            "skipped": f"not compiled: run {COMPILER} on {file.name}, {DOCUMENTATION}",
            "gates": (gate, *check.gates),
            "facts": check.facts | ({"on the processor": on_cpu[0].operator} if on_cpu else {}),
            "files": (file.name,) if check.gates else (),
        }
    )


CHECKS = (
    ArtifactCheck(
        "edge-tpu",
        TITLE,
        check_operators,
        (Requirement(COMPILER, f"{COMPILER}, {DOCUMENTATION}", lambda: False),),  # which never runs here
        runs_partly=True,
        thresholds=("operators_refused",),
    ),
)
