"""Artifacts that take another form for a runtime are proven in that form."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ...artifact.manifest import Check
from ...artifact.metadata import append_labels
from ...graph_rewrites.table import edge_form
from ...loading import open_with
from ...runtimes.litert import open_tflite
from ..comparison import judge
from .subject import Subject


def fitted(subject: Subject, runtime: str) -> bytes:
    """The artifact in the form that `runtime`, a name in `edge_forms.table.FORMS`, takes; as it is where that is it."""
    content = subject.path.read_bytes()
    form = edge_form(content, runtime)
    return form if form is content else append_labels(form, subject.metadata.labels)


def proven(content: bytes, subject: Subject) -> Check:
    """What LiteRT says of such a form; without a gate where it is the artifact as it is, which is proven already."""
    name = "LiteRT"
    if content == subject.path.read_bytes():
        return Check(name=name)
    with TemporaryDirectory() as folder:
        path = Path(folder, subject.path.name)
        path.write_bytes(content)
        outputs = open_with(open_tflite, path).run(subject.reference.samples.images)
    return judge(name, version("ai-edge-litert"), outputs, subject.kind, subject.reference)
