"""ONNX Runtime."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from ...core.errors import InputError
from ...core.limits import LOOP_SECONDS, MODEL_SECONDS
from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_onnx
from ..artifact.metadata import InputForm, read_from_onnx
from ..artifact.tensors import (
    RAW,
    TensorInfo,
    arrange_inputs,
    arrange_outputs,
    byte_quantization,
    check_signature,
    only_or_named,
)
from .onnx_facts import onnx_facts
from .onnx_files import LOOPS, check_onnx
from .probe import check_survivable

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    **{f"tensor({dtype})": dtype for dtype in (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))},
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}

PROVIDER_OPTIONS = {
    "CUDAExecutionProvider": {"use_tf32": "0"},  # its 10 bits of mantissa are not float32
    "TensorrtExecutionProvider": {"trt_fp16_enable": "1", "trt_int8_enable": "1"},
}
DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""Option of a session: where a model that is opened from memory has its data in other files."""


class NoProviderError(RuntimeError):
    """An execution provider is not available."""


def has_provider(provider: str) -> bool:
    """Whether the installed ONNX Runtime was built with an execution provider; it may still not start."""
    import onnxruntime

    return provider in onnxruntime.get_available_providers()


def open_untrusted_onnx(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """Open an ONNX file from an unknown source: it is inspected, and first runs in a subprocess."""
    has_data_files = check_onnx(path, content)
    # The name of an operator is in the file as it is, however its fields are hidden.
    limit = LOOP_SECONDS if any(kind.encode() in content for kind in LOOPS) else MODEL_SECONDS
    check_survivable(content, ".onnx", str(path.parent.resolve()) if has_data_files else "", limit=limit)
    return open_onnx(path, content, threads=threads)


def write_ort_format(onnx_file: Path) -> Path:
    """Convert an ONNX file to ONNX Runtime's own format, beside it, and return the path of the `.ort` file.

    The graph is optimized for no particular processor, so that the file runs on phones, too.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort_file = onnx_file.with_suffix(".ort")
    options.optimized_model_filepath = str(ort_file)
    onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    return ort_file


def open_onnx(path: Path, content: bytes, *, threads: int = 1, provider: str = "CPUExecutionProvider") -> Artifact:
    """Open an ONNX file.

    Args:
        path: Its path.
        content: Its content.
        threads: Number of CPU threads.
        provider: Execution provider.

    Raises:
        InputError: It has pocketzoo's metadata and does not take one image at a time.
        NoProviderError: `provider` is not available.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry(DATA_FOLDER, str(path.parent.resolve()))  # else it is the current folder
    if not has_provider(provider):
        raise NoProviderError("this ONNX Runtime is built without it: pip install onnxruntime-gpu")
    session = onnxruntime.InferenceSession(content, options, providers=[(provider, PROVIDER_OPTIONS.get(provider, {}))])
    if provider not in session.get_providers():  # it fell back to the CPU, which it reports in its log only
        raise NoProviderError("it does not start: the GPU, its driver or its libraries are missing")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    properties = session.get_modelmeta().custom_metadata_map
    metadata, facts = read_from_onnx(properties), None
    if metadata is not None:
        check_signature([_shape(tensor) for tensor in inputs], len(outputs))
        forms = metadata.input_forms
        ranges = {node.name: (forms.get("") or forms.get(node.name)) for node in inputs}
        taken = [_tensor_info(node, metadata.layout, _range(ranges[node.name])) for node in inputs]
        made = [_tensor_info(node, metadata.layout) for node in outputs]
    else:
        taken = arrange_inputs([_foreign_tensor(node) for node in inputs])
        batches = {node.shape[0] for node in inputs if node.shape}
        made = arrange_outputs([_foreign_tensor(node, batches) for node in outputs], taken)
        facts = onnx_facts(content)
    image, output = only_or_named(taken, True), only_or_named(made, not metadata or metadata.outputs is None)

    def invoke(tensors: Any) -> Any:
        feeds = tensors if isinstance(tensors, dict) else {inputs[0].name: tensors}
        results = session.run(None, feeds)
        return dict(zip(output, results, strict=True)) if isinstance(output, dict) else results[0]

    return Artifact(
        path=path,
        input=image,
        output=output,
        metadata=metadata,
        invoke=invoke,
        certificate=certificate_in_onnx(properties),
        facts=facts,
    ).state()


def _range(form: InputForm | None) -> tuple[float, float]:
    return RAW if form is None or form.pixel_range is None else form.pixel_range


def _tensor_info(node: Any, layout: Literal["NHWC", "NCHW"], pixel_range: tuple[float, float] = RAW) -> TensorInfo:
    """Return a tensor of a file with pocketzoo's metadata."""
    if node.type not in DTYPES:
        raise InputError(f"its tensor {node.name!r} has type {node.type}; {', '.join(DTYPES.values())} are supported.")
    # ONNX does not store the meaning of integers; a byte is assumed to be a pixel value.
    quantization = byte_quantization(pixel_range) if node.type == "tensor(uint8)" else (None, None)
    return TensorInfo(node.name, _shape(node), DTYPES[node.type], *quantization, layout=layout)


def _foreign_tensor(node: Any, batches: Collection[Any] | None = None) -> TensorInfo:
    """Return a tensor of another tool's file.

    Args:
        node: An input or output of the session.
        batches: First axes of the inputs. An open axis of an output is the batch if it has their name, or neither has.
    """
    axis = node.shape[0] if node.shape else None
    is_open = not isinstance(axis, int)
    inputs = [each for each in batches or () if not isinstance(each, int)]
    has_batch = (
        batches is None or not is_open or axis in inputs or (_is_unnamed(axis) and any(map(_is_unnamed, inputs)))
    )
    return TensorInfo(node.name, _shape(node), DTYPES.get(node.type, node.type), has_batch=has_batch)


def _is_unnamed(axis: Any) -> bool:
    """Whether nobody named an open axis: tf2onnx calls them unk__1 and so on."""
    return axis is None or str(axis).startswith("unk_")


def _shape(node: Any) -> tuple[int | None, ...]:
    """The shape of a tensor; ONNX gives open sizes a name or leaves them out."""
    return tuple(side if isinstance(side, int) else None for side in node.shape)
