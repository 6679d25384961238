"""How fast are our artifacts? Against what other exporters make of the same architectures, in turn, in one run.

    python benchmarks/export_peers.py                        # six nets; some 20 minutes on 2 cores
    python benchmarks/export_peers.py --nets "MobileNet V2"

Peers are Keras' own `model.export` of the net in `keras.applications` to TFLite (float, and int8 by its converter's
arguments) and to ONNX; tf2onnx as it comes, and ONNX Runtime's `quantize_static` as it comes on top of it; and, where
PyTorch and torchvision are installed, PyTorch's export. There is no U-Net among them: theirs is ours, in stock layers.
All have random weights, which cost the same, one image and two threads; the figure is the median of 50 runs.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter
from onnxruntime import quantization

from pocketzoo import zoo
from pocketzoo.export.artifact import Artifact
from pocketzoo.export.conversion import write_artifacts
from pocketzoo.export.form import ExportForm
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.latency import side_by_side
from pocketzoo.export.quiet import quiet
from pocketzoo.export.samples import Samples
from pocketzoo.export.tensors import TensorInfo

RUNS, ROUNDS, THREADS = 50, 5, 2
BAR = 1.03
"""Most of a peer's time that ours may take."""
CALIBRATION_IMAGES = 8


class Net(NamedTuple):
    """One architecture, as each has it."""

    ours: str
    keras: Callable[[], keras.Model]
    torch: str | None


def keras_unet() -> keras.Model:
    return zoo.flatten_model(zoo.create_model("unet"))


def application(name: str) -> Callable[[], keras.Model]:
    return lambda: getattr(keras.applications, name)(weights=None)


NETS = {
    "ResNet-50": Net("resnet50v1", application("ResNet50"), "resnet50"),
    "MobileNet V2": Net("mobilenet_v2", application("MobileNetV2"), "mobilenet_v2"),
    "Inception V3": Net("inception_v3", application("InceptionV3"), "inception_v3"),
    "VGG-16": Net("vgg16", application("VGG16"), "vgg16"),
    "EfficientNet-B0": Net("efficientnet_b0", application("EfficientNetB0"), "efficientnet_b0"),
    "U-Net": Net("unet", keras_unet, None),
}
Files = Iterator[tuple[str, str, Path]]
"""Kind of artifact (such as `ONNX int8`), who made it, and where it is."""


def our_files(net: Net, noise: np.ndarray, folder: Path) -> Files:
    kinds = {"tflite-fp32": "TFLite fp32", "tflite-int8": "TFLite int8", "onnx-fp32": "ONNX fp32",
             "onnx-int8": "ONNX int8"}  # fmt: skip
    form = ExportForm.of(zoo.create_model(net.ours))
    for path, kind in write_artifacts(form, [FORMATS[name] for name in kinds], Samples(noise, None), folder):
        yield kinds[kind.name], "ours", path


def keras_files(model: keras.Model, noise: np.ndarray, folder: Path) -> Files:
    def images() -> Iterator[list[np.ndarray]]:
        return ([image[None]] for image in noise)

    model(noise[:1], training=False)
    model.export(folder / "keras.tflite", format="litert", verbose=False)
    yield "TFLite fp32", "Keras", folder / "keras.tflite"
    integers = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": images}
    model.export(folder / "keras-int8.tflite", format="litert", verbose=False, **integers)
    yield "TFLite int8", "Keras", folder / "keras-int8.tflite"
    model.export(folder / "keras.onnx", format="onnx", verbose=False)
    yield "ONNX fp32", "Keras", folder / "keras.onnx"


def tf2onnx_files(model: keras.Model, noise: np.ndarray, folder: Path) -> Files:
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")]
    plain, integers = folder / "tf2onnx.onnx", folder / "tf2onnx-int8.onnx"
    tf2onnx.convert.from_keras(model, input_signature=signature, output_path=str(plain))
    yield "ONNX fp32", "tf2onnx", plain
    quantization.quantize_static(plain, integers, Calibration(noise))
    yield "ONNX int8", "tf2onnx", integers


def torch_files(name: str, folder: Path) -> Files:
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None).eval()
    side = 299 if name == "inception_v3" else 224
    torch.onnx.export(model, torch.zeros(1, 3, side, side), folder / "torch.onnx", external_data=False)
    yield "ONNX fp32", "PyTorch", folder / "torch.onnx"


class Calibration(quantization.CalibrationDataReader):
    """What `quantize_static` asks for."""

    def __init__(self, noise: np.ndarray):
        self._images = iter(noise)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image; None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def opened(path: Path) -> Artifact:
    """The bare call of any file with one input; peers' batches may be open, so they are not opened as ours are."""
    if path.suffix == ".tflite":
        interpreter = Interpreter(str(path), num_threads=THREADS)
        interpreter.allocate_tensors()
        (entry,), answer = interpreter.get_input_details(), interpreter.get_output_details()[0]["index"]

        def invoke(tensor: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(entry["index"], tensor)
            interpreter.invoke()
            return interpreter.get_tensor(answer)

        scale, zero_point = entry["quantization"]
        grid = (scale, zero_point) if scale else (None, None)
        tensor = TensorInfo("", tuple(map(int, entry["shape"])), np.dtype(entry["dtype"]).name, *grid)
        return Artifact(path, tensor, tensor, None, invoke)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = tuple(side if isinstance(side, int) else 1 for side in entry.shape)
    dtype = "uint8" if entry.type == "tensor(uint8)" else "float32"
    tensor = TensorInfo("", shape, dtype, layout="NHWC" if shape[-1] in (1, 3) else "NCHW")
    return Artifact(path, tensor, tensor, None, lambda image: session.run(None, {entry.name: image})[0])


def measure(title: str, net: Net, folder: Path) -> None:
    model = net.keras()
    noise = np.random.default_rng(0).uniform(0, 255, (CALIBRATION_IMAGES, *model.input_shape[1:])).astype("float32")
    with quiet():
        files = [*our_files(net, noise, folder), *keras_files(model, noise, folder)]
        files += tf2onnx_files(model, noise, folder)
        if net.torch and find_spec("torchvision"):
            files += torch_files(net.torch, folder)
        artifacts = {(kind, maker): opened(path) for kind, maker, path in files}
    times = side_by_side(artifacts, runs=RUNS, rounds=ROUNDS)
    for kind, maker, path in files:
        own = times[kind, "ours"].median_ms
        peer = times[kind, maker].median_ms
        verdict = "" if maker == "ours" else f"{own / peer:6.3f}   {'ok' if own <= BAR * peer else 'over'}"
        print(f"{title:16} {kind:12} {maker:8} {path.stat().st_size / 1e6:8.2f} {peer:9.3f} {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="*", choices=NETS, default=list(NETS))
    print(f"{'net':16} {'artifact':12} {'made by':8} {'MB':>8} {'ms':>9}  ours/theirs, bar {BAR}")
    for title in parser.parse_args().nets:
        with TemporaryDirectory() as folder:
            measure(title, NETS[title], Path(folder))
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
