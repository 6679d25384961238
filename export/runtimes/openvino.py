"""OpenVINO on the CPU. Its models are pairs of files: the graph in `.xml`, the weights in `.bin` beside it."""

from pathlib import Path
from typing import Any

from ..artifact.artifact import Artifact
from ..artifact.metadata import KEY, read_from_onnx
from ..artifact.tensors import TensorInfo, check_signature, only_or_named

ONNX_PROPERTY = ["framework", KEY]
"""Where OpenVINO keeps our entry of an ONNX file's properties."""
FLOAT32 = "f32"


def write_ir(onnx_file: Path) -> Path:
    """Convert an ONNX file to OpenVINO's own format, beside it, and return the path of its `.xml` file.

    It calls the front end directly: `convert_model`, a wrapper around it, reports its use over the network.
    """
    import openvino

    xml = onnx_file.with_suffix(".xml")
    openvino.save_model(openvino.Core().read_model(onnx_file), xml, compress_to_fp16=False)
    return xml


def default_precision() -> str:
    """Name of the arithmetic that OpenVINO chooses on this CPU, such as `f32` or `bf16`."""
    import openvino

    return openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()


def open_ir(path: Path, content: bytes, *, threads: int | None = 1, precision: str = FLOAT32) -> Artifact:
    """Open an `.xml` file with the `.bin` file beside it.

    Args:
        path: Path of the `.xml` file.
        content: Content of the `.xml` file; the weights are read from the file beside it.
        threads: Number of CPU threads; as many as OpenVINO chooses if None.
        precision: Name of the arithmetic, such as that of `default_precision()`.

    Raises:
        InputError: It is not a model that takes one image at a time, perhaps with other inputs.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(content, path.with_suffix(".bin").read_bytes())
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {} if threads is None else {"INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(model, "CPU", settings)
    check_signature([_shape(port) for port in compiled.inputs], len(compiled.outputs))
    request = compiled.create_infer_request()

    properties = {KEY: model.get_rt_info(ONNX_PROPERTY).astype(str)} if model.has_rt_info(ONNX_PROPERTY) else {}
    metadata = read_from_onnx(properties)
    layout = metadata.layout if metadata else "NHWC"
    image = only_or_named([_tensor_info(port, layout) for port in compiled.inputs], True)
    is_plain = not metadata or metadata.outputs is None
    output = only_or_named([_tensor_info(port, layout) for port in compiled.outputs], is_plain)

    def invoke(tensors: Any) -> Any:
        results = request.infer(tensors if isinstance(tensors, dict) else [tensors])
        copies = [results[port].copy() for port in compiled.outputs]  # the next run overwrites the same memory
        return dict(zip(output, copies, strict=True)) if isinstance(output, dict) else copies[0]

    return Artifact(path, image, output, metadata, invoke)


def _tensor_info(port: Any, layout: str) -> TensorInfo:
    return TensorInfo(port.any_name, _shape(port), port.element_type.to_dtype().name, layout=layout)


def _shape(port: Any) -> tuple[int | None, ...]:
    """The shape of a tensor; `port.shape` raises where a size is open."""
    return tuple(side.get_length() if side.is_static else None for side in port.partial_shape)
