"""OpenVINO, from the ONNX file."""

from importlib.metadata import version
from importlib.util import find_spec

from ...artifact.manifest import Check
from ...loading import open_with
from ...runtimes.openvino import open_ir, write_ir
from ..comparison import prove
from .subject import Subject

NAME = "OpenVINO"


def on_cpu(subject: Subject) -> Check:
    """Converted to OpenVINO's own form, which is left beside the ONNX file, and run on the CPU."""
    if find_spec("openvino") is None:
        return Check(name=NAME, skipped="openvino is not installed: pip install 'pocketzoo[openvino]'")
    xml = write_ir(subject.path)
    check = prove(NAME, version("openvino"), open_with(open_ir, xml), subject.kind, subject.reference)
    files = (xml, xml.with_suffix(".bin"))
    facts = check.facts | {"bytes of weights": files[1].stat().st_size}
    return check.model_copy(update={"files": tuple(file.name for file in files), "facts": facts})
