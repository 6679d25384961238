"""What the tests of clients share: the files of a trained LeNet-5, and how a client answers to one of them."""

import json
import re
from functools import cache, cached_property
from pathlib import Path

import pytest

from pocketzoo import zoo
from pocketzoo.export.artifact.manifest import Check
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import missing_requirement, run_check
from pocketzoo.export.validation.reference import Reference

MEASURED = Path(__file__).parents[2] / "docs" / "clients" / "lenet5.json"


class LeNetFiles:
    """The trained LeNet-5 in the formats that are asked for, each converted once, with 100 images.

    Args:
        samples: Images with labels.
        folder: Folder of the files.
    """

    def __init__(self, samples: Samples, folder: Path):
        self.samples, self.folder = samples, folder
        self.subject = cache(self._convert)

    def _convert(self, kind: str) -> Subject:
        """The file of a format, such as `onnx-fp32`."""
        graph = ExportGraph.from_model(zoo.create_model("lenet5", weights="digits"))
        ((path, fmt),) = write_artifacts(graph, [FORMATS[kind]], self.samples, self.folder)
        return Subject(path, fmt, graph.metadata, self._reference)

    @cached_property
    def _reference(self) -> Reference:
        model = zoo.create_model("lenet5", weights="digits")
        return Reference(self.samples, "evaluation images", model.predict(self.samples.images, verbose=0))


def answer(client: str, subject: Subject) -> Check:
    """The check of a client for a file; skips the test where the client is not installed."""
    missing = missing_requirement(client)
    if missing:
        pytest.skip(missing)
    return run_check(client, subject)


def assert_right(client: str, subject: Subject, tolerance: float) -> None:
    """The client computes what Keras computes, up to a share of the range of its outputs; docs/clients.md says so."""
    check = answer(client, subject)
    gates = {gate.name: gate for gate in check.gates}
    assert check.status == "passed", check.gates
    assert gates["relative difference"].figure <= tolerance
    assert check.version[0].isdigit()
    assert check.median_ms > 0
    assert all((subject.path.parent / file).stat().st_size > 500 for file in check.files)
    assert documented(client, subject) == "right"


def assert_wrong(client: str, subject: Subject) -> None:
    """The client computes the outputs of no such net, and does not say so."""
    check = answer(client, subject)
    gates = {gate.name: gate.figure for gate in check.gates}
    assert check.status == "failed"
    assert gates["agreement"] < 0.5, "the fault is mended"
    assert gates["relative difference"] > 0.9
    assert documented(client, subject) == "wrong"


def assert_refused(client: str, subject: Subject, message: str) -> None:
    """The client does not run the file, and says why."""
    (gate,) = answer(client, subject).gates
    assert (gate.name, gate.status) == ("ran", "failed"), "the fault is mended"
    assert re.search(message, gate.reason)
    assert documented(client, subject) == "refused"


def documented(client: str, subject: Subject) -> str:
    """What docs/clients.md says of this file."""
    outcome: str = json.loads(MEASURED.read_text(encoding="utf-8"))["results"][client][subject.format.name]["outcome"]
    return outcome
