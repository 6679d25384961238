"""Whether an int8 file is one: TFLite's converter leaves operators that it cannot quantize in floats, silently."""

from collections.abc import Sequence

from ..artifact.manifest import Gate
from ..targets import TARGETS, targets_with
from ..tflite_schema.nodes import float_operators
from ..tflite_schema.operator_support import Refusal, summarize
from .checks.artifact_check import Subject


def integer_gates(subject: Subject, targets: Sequence[str]) -> tuple[Gate, ...]:
    """Gate on the operators of an integer TFLite file that compute in floats; none for other files.

    Microcontrollers and NPUs do not run them; on CPUs they only cost time, and are reported.

    Args:
        subject: The artifact, in which the user keeps no layers in floating point.
        targets: Names of the targets of the export.
    """
    if subject.format.suffix != ".tflite" or not subject.format.quantized:
        return ()
    floats = [Refusal(node, "left in floating point") for node in float_operators(subject.path.read_bytes())]
    gate = Gate.measured("operators in float", len(floats), "<=", 0, summarize(floats))
    on_cpu = all(TARGETS[target].operators is None for target in targets_with(subject.format, targets))
    return (gate.model_copy(update={"status": "skipped"}) if floats and on_cpu else gate,)
