"""What `pocketzoo info` shows of a TFLite or ONNX file that another tool made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import shorten
from ..core.input_files import read_file
from ..core.limits import MODEL_BYTES
from ..tasks.registry import get_task
from . import console
from .tensor_text import abbreviate, tensor_text

if TYPE_CHECKING:
    from ..export import Artifact
    from ..export.artifact.contract import Contract
    from ..export.artifact.file_facts import FileFacts
    from ..export.artifact.tensors import TensorInfo

PROPERTIES_SHOWN = 8


def show_foreign_file(artifact: "Artifact", *, as_json: bool) -> None:
    """Print inputs, outputs and their meaning, operators, versions and sizes of another tool's file."""
    facts, contract = artifact.facts, artifact.contract
    assert facts  # a runtime sets both for a file without metadata
    assert contract
    if as_json:
        console.show_json(_facts(artifact, facts, contract))
        return
    size, compressed = _sizes(artifact)
    rows: list[tuple[str, object]] = [
        ("format", facts.kind),
        ("made by", facts.made_by or "another tool, which it does not name"),
        *((("operator sets", _pairs(facts.versions)),) if facts.versions else ()),
        ("size", f"{size:,} bytes, {compressed:,} compressed by gzip"),
        ("stored numbers", f"{facts.weights:,}"),
        *_input_rows(artifact, contract),
        *_output_rows(artifact, contract),
        *((name, shorten(text)) for name, text in list(facts.properties.items())[:PROPERTIES_SHOWN]),
    ]
    if len(facts.properties) > PROPERTIES_SHOWN:
        rows.append(("more properties", abbreviate(list(facts.properties)[PROPERTIES_SHOWN:])))
    rows += [("inferred", text) for text in contract.inferred]
    rows += [("not usable", text) for text in facts.remarks]
    rows.append(("validation", "none: pocketzoo did not export this file"))
    console.show_table((artifact.path.name, ""), rows)
    console.show_table(("operator", "count"), list(facts.operators.items()))


def _input_rows(artifact: "Artifact", contract: "Contract") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, tensor in artifact.inputs.items():
        rows.append(("input", tensor_text(tensor)))
        if tensor.is_image and len(tensor.shape) == 4:
            limits = contract.ranges[name]
            known = "not known: state --pixels, such as --pixels 0..1" if limits is None else _range(limits)
            rows.append((_of("pixels", name), known))
    return rows or [("input", "none")]


def _output_rows(artifact: "Artifact", contract: "Contract") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, tensor in artifact.outputs.items():
        form = contract.forms[name]
        asked = contract.unknown_outputs.get(name)
        task = f"not known, shown as numbers: state {asked}" if asked else _task(form.task)
        rows += [("output", tensor_text(tensor)), (_of("task", name), task)]
        if form.labels:
            has_names = form.labels != tuple(map(str, range(len(form.labels))))
            names = abbreviate(form.labels) if has_names else f"{len(form.labels):,} without names: state --labels"
            rows.append((_of("labels", name), names))
    return rows or [("output", "none")]


def _facts(artifact: "Artifact", facts: "FileFacts", contract: "Contract") -> dict[str, Any]:
    """Return plain data for JSON, with the fields of an export's file as null."""
    size, compressed = _sizes(artifact)
    return {
        "metadata": None,
        "proof": None,
        "unchanged_since_proof": None,
        "format": facts.kind,
        "made_by": facts.made_by or None,
        "operator_sets": dict(facts.versions),
        "bytes": size,
        "gzip_bytes": compressed,
        "stored_numbers": facts.weights,
        "inputs": [_tensor(tensor) | {"pixels": contract.ranges[name]} for name, tensor in artifact.inputs.items()],
        "outputs": [_output(name, tensor, contract) for name, tensor in artifact.outputs.items()],
        "operators": dict(facts.operators),
        "properties": dict(facts.properties),
        "inferred": list(contract.inferred),
        "not_usable": list(facts.remarks),
    }


def _output(name: str, tensor: "TensorInfo", contract: "Contract") -> dict[str, Any]:
    form, asked = contract.forms[name], contract.unknown_outputs.get(name)
    facts = _tensor(tensor) | {"task": None if asked else form.task, "labels": list(form.labels)}
    return facts | ({"from_logits": form.from_logits} if get_task(form.task).activation else {})


def _tensor(tensor: "TensorInfo") -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
        "layout": tensor.layout if tensor.is_image else None,
    }


def _sizes(artifact: "Artifact") -> tuple[int, int]:
    from ..export.artifact.gzip_size import gzipped_size

    content = read_file(artifact.path, MODEL_BYTES)
    return len(content), gzipped_size(content)


def _of(what: str, name: str) -> str:
    return f"{what} of {name}" if name else what


def _task(name: str) -> str:
    return f"{name}: shown as numbers" if get_task(name).output_rank is None else name


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"


def _pairs(versions: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
