"""ONNX Runtime."""

from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.limits import LOOP_SECONDS, MODEL_SECONDS
from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_onnx
from ..artifact.metadata import InputForm, read_from_onnx
from ..artifact.tensors import RAW, TensorInfo, byte_quantization, check_signature, only_or_named
from .onnx_files import LOOPS, check_onnx
from .probe import check_survivable

DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
IMAGE_CHANNELS = (1, 3, 4)
"""Channels of grayscale images, of RGB images and of those with an alpha channel."""

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


def open_onnx(path: Path, content: bytes, *, threads: int = 1, provider: str = "CPUExecutionProvider") -> Artifact:
    """Open an ONNX file.

    Args:
        path: Its path.
        content: Its content.
        threads: Number of CPU threads.
        provider: Execution provider.

    Raises:
        InputError: It is not a model that takes one image at a time, perhaps with other inputs.
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
    check_signature([_shape(tensor) for tensor in inputs], len(outputs))

    properties = session.get_modelmeta().custom_metadata_map
    metadata = read_from_onnx(properties)
    layout = metadata.layout if metadata else _infer_layout(next(node.shape for node in inputs if len(node.shape) == 4))
    forms = metadata.input_forms if metadata else {}
    ranges = {node.name: (forms.get("") or forms.get(node.name)) for node in inputs}
    image = only_or_named([_tensor_info(node, layout, _range(ranges[node.name])) for node in inputs], True)
    output = only_or_named([_tensor_info(node, layout) for node in outputs], not metadata or metadata.outputs is None)

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
    )


def _range(form: InputForm | None) -> tuple[float, float]:
    return RAW if form is None or form.pixel_range is None else form.pixel_range


def _tensor_info(node, layout: str, pixel_range: tuple[float, float] = RAW) -> TensorInfo:
    if node.type not in DTYPES:
        raise InputError(f"its tensor {node.name!r} has type {node.type}; {', '.join(DTYPES.values())} are supported.")
    # ONNX does not store the meaning of integers; a byte is assumed to be a pixel value.
    quantization = byte_quantization(pixel_range) if node.type == "tensor(uint8)" else (None, None)
    return TensorInfo(node.name, _shape(node), DTYPES[node.type], *quantization, layout=layout)


def _shape(node) -> tuple[int | None, ...]:
    """The shape of a tensor; ONNX gives open sizes a name or leaves them out."""
    return tuple(side if isinstance(side, int) else None for side in node.shape)


def _infer_layout(shape: list) -> str:
    """The likely layout of a file without metadata: the channel axis is the one of 1, 3 or 4."""
    return "NHWC" if shape[3] in IMAGE_CHANNELS else "NCHW"
