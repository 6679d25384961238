"""What is stored in TFLite files beside the graph: metadata, names of tensors, and a zip of labels at the end."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...core.outputs import by_name
from ..tflite_schema.flatbuffer import pack_model, unpack_model
from ..tflite_schema.model_metadata import ENTRY
from .metadata import KEY, Metadata, OutputForm, TensorNames, labels_text
from .standard_metadata import standard_metadata
from .tensors import concrete_shape

SIGNATURE = "serving_default"
"""Name of the signature of TFLite files, as TensorFlow calls it."""
LABELS = "labels-{}.txt"
"""Name of the labels of each output. Google's own metadata writer adds a `labels.txt`, and refuses a file that has one
already."""


def embed_in_tflite(content: bytes, metadata: Metadata, names: TensorNames | None = None) -> bytes:
    """Name the inputs and outputs, store the metadata in two buffers, ours and the standard one, and append the labels.

    Apps look for labels in a zip at the end of the file; runtimes ignore it. Several inputs or outputs also get a
    signature with their names.

    Args:
        content: The file.
        metadata: What is stored.
        names: Names of the inputs and outputs, in their order; by default those of one image and one output.
    """
    model = unpack_model(content)
    graph = model.subgraphs[0]
    inputs, outputs = names or (["image"], [metadata.output_name])
    for indices, given in ((graph.inputs, inputs), (graph.outputs, outputs)):
        for index, name in zip(indices, given, strict=True):
            graph.tensors[index].name = name.encode()
    _set_default_sizes(graph, metadata)
    if not metadata.is_plain:
        signature = tflite.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.inputs, signature.outputs = _tensor_maps(graph.inputs, inputs), _tensor_maps(graph.outputs, outputs)
        model.signatureDefs = [signature]
    sizes = [graph.tensors[index].shape[-1] for index in graph.outputs]
    forms = by_name(metadata.output_forms).values()
    labels = {
        LABELS.format(number): _axis_labels(form, size)
        for number, (form, size) in enumerate(zip(forms, sizes, strict=True))
    }
    _add_metadata(model, KEY, metadata.model_dump_json().encode())
    _add_metadata(model, ENTRY, standard_metadata(metadata, (inputs, outputs), labels))
    return append_labels(pack_model(model), labels)


def _set_default_sizes(graph: tflite.SubGraphT, metadata: Metadata) -> None:
    """Let an image of open size have a default size, where the converter writes one pixel.

    MediaPipe would scale every image to that pixel, and predict something.
    """
    for index, form in zip(graph.inputs, metadata.input_forms.values(), strict=True):
        if None in form.shape:
            graph.tensors[index].shape = np.array([1, *concrete_shape(form.shape)], "int32")


def _tensor_maps(indices: Sequence[int], names: Sequence[str]) -> list[tflite.TensorMapT]:
    maps = [tflite.TensorMapT() for _ in names]
    for each, index, name in zip(maps, indices, names, strict=True):
        each.name, each.tensorIndex = name.encode(), int(index)
    return maps


def _axis_labels(form: OutputForm, size: int) -> Sequence[str]:
    """Return one label for each value of an output: a single value is the probability of the second of two classes."""
    return form.labels[1:] if (size, len(form.labels)) == (1, 2) else form.labels


def _add_metadata(model: tflite.ModelT, name: str, data: bytes) -> None:
    buffer, entry = tflite.BufferT(), tflite.MetadataT()
    buffer.data = list(data)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]


def append_labels(content: bytes, labels: Sequence[str] | Mapping[str, Sequence[str]]) -> bytes:
    """Append a zip with the labels of the only output, one per line; a mapping has those of several by file name."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for name, lines in (labels if isinstance(labels, Mapping) else {LABELS.format(0): labels}).items():
            archive.writestr(zipfile.ZipInfo(name), labels_text(lines))
    return file.getvalue()


def append_labels_of(source: bytes, content: bytes) -> bytes:
    """Append the zip of another file to one that was made from it."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(io.BytesIO(source)) as labels, zipfile.ZipFile(file, "a") as archive:
        for name in labels.namelist():
            archive.writestr(zipfile.ZipInfo(name), labels.read(name))
    return file.getvalue()
