"""OpenVINO on the CPU, from the ONNX file."""

from importlib.metadata import version

from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.openvino import open_ir, write_ir
from ..comparison import validate_artifact
from .artifact_check import ArtifactCheck, Subject, requires_module

TITLE = "OpenVINO"


def run_on_cpu(subject: Subject) -> Check:
    """Convert to OpenVINO's own format, which is kept beside the ONNX file, and validate on the CPU."""
    xml = write_ir(subject.path)
    artifact = open_with(open_ir, xml)
    check = validate_artifact(TITLE, version("openvino"), artifact, subject.format, subject.reference)
    files = (xml, xml.with_suffix(".bin"))
    facts = check.facts | {"bytes of weights": files[1].stat().st_size}
    return check.model_copy(update={"files": tuple(file.name for file in files), "facts": facts})


CHECKS = (ArtifactCheck("openvino", TITLE, run_on_cpu, (requires_module("openvino", "openvino", "openvino"),)),)
