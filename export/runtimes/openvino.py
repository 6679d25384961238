"""OpenVINO, on the CPU. Its models are pairs of files: the graph in `.xml`, the weights in `.bin` beside it."""

from pathlib import Path

import numpy as np

from ..artifact.metadata import KEY, read_from_onnx
from ..artifact.tensors import TensorInfo, check_signature
from ..loading import Artifact

FROM_ONNX = ["framework", KEY]
"""Where OpenVINO keeps what stood among the properties of an ONNX file."""


def write_ir(onnx_file: Path) -> Path:
    """Converts an ONNX file to OpenVINO's own form, beside it, and returns the path of its `.xml`.

    Read with the front end itself: `convert_model`, around it, reports its use over the network.
    """
    import openvino

    xml = onnx_file.with_suffix(".xml")
    openvino.save_model(openvino.Core().read_model(onnx_file), xml, compress_to_fp16=False)
    return xml


def open_ir(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """Opens an `.xml` file with the `.bin` file beside it.

    Args:
        path: Of the `.xml` file.
        content: Of the `.xml` file; the weights are read from beside it.
        threads: How many CPU threads it may use.

    Raises:
        InputError: It is no image model of one input with a batch of 1 and one output.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(content, path.with_suffix(".bin").read_bytes())
    # Where the CPU has bfloat16 units, it would else compute in bfloat16.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", settings)
    check_signature([tuple(port.shape) for port in compiled.inputs], len(compiled.outputs))
    request = compiled.create_infer_request()

    def invoke(tensor: np.ndarray) -> np.ndarray:
        return request.infer([tensor])[0].copy()  # the next run writes into the same memory

    properties = {KEY: model.get_rt_info(FROM_ONNX).astype(str)} if model.has_rt_info(FROM_ONNX) else {}
    metadata = read_from_onnx(properties)
    layout = metadata.layout if metadata else "NHWC"
    source, answer = _tensor(compiled.input(0), layout), _tensor(compiled.output(0), layout)
    return Artifact(path, source, answer, metadata, invoke)


def _tensor(port, layout: str) -> TensorInfo:
    return TensorInfo(port.any_name, tuple(port.shape), port.element_type.to_dtype().name, layout=layout)
