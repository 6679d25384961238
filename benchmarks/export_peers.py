"""Latency of our artifacts, compared with those of other exporters for the same architectures, measured in turn.

    python benchmarks/export_peers.py                        # six models; about 30 minutes on 2 cores
    python benchmarks/export_peers.py --nets "MobileNet V2"

Peers are Keras' own `model.export` of the model in `keras.applications` to TFLite (float, and int8 by arguments of its
converter) and to ONNX; tf2onnx with default settings, also followed by ONNX Runtime's `quantize_static` with default
settings; and, where PyTorch and torchvision are installed, PyTorch's export. None has a U-Net: theirs is ours in stock
layers. All have random weights, one image and two threads. Each file is timed in ten subprocesses, all files in turn,
with 50 runs in each (five for slow models). Other load on the machine and the placement of memory only add time, often
more than 20 %, so the figure of a file is the lower quartile of the medians of its processes. The quartiles of the
ratio in each turn, beside the ratio of ours to theirs, show the noise.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from onnxruntime import quantization

from pocketzoo import zoo
from pocketzoo.core.output_capture import suppress_output
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples

TURNS = 10
UNDISTURBED = 25
"""Percentile of the processes by latency."""
UNET_SHAPE = (284, 284, 1)
"""A quarter of the paper's 572x572, which takes seconds per run."""
TIMER = Path(__file__).with_name("artifact_times.py")
MAX_RATIO = 1.03
"""Largest allowed ratio of our latency to that of a peer."""
CALIBRATION_IMAGES = 8


class Net(NamedTuple):
    """One architecture in each library."""

    ours: Callable[[], keras.Model]
    keras: Callable[[], keras.Model]
    torch: str | None


def card(name: str) -> Callable[[], keras.Model]:
    return lambda: zoo.create_model(name)


def our_unet() -> keras.Model:
    return zoo.create_model("unet", input_shape=UNET_SHAPE)


def keras_unet() -> keras.Model:
    return zoo.flatten_model(our_unet())


def application(name: str) -> Callable[[], keras.Model]:
    return lambda: getattr(keras.applications, name)(weights=None)


NETS = {
    "ResNet-50": Net(card("resnet50v1"), application("ResNet50"), "resnet50"),
    "MobileNet V2": Net(card("mobilenet_v2"), application("MobileNetV2"), "mobilenet_v2"),
    "Inception V3": Net(card("inception_v3"), application("InceptionV3"), "inception_v3"),
    "VGG-16": Net(card("vgg16"), application("VGG16"), "vgg16"),
    "EfficientNet-B0": Net(card("efficientnet_b0"), application("EfficientNetB0"), "efficientnet_b0"),
    "U-Net": Net(our_unet, keras_unet, None),
}
Files = Iterator[tuple[str, str, Path]]
"""Format (such as `ONNX int8`), exporter and path."""


def our_files(net: Net, folder: Path) -> Files:
    kinds = {"tflite-fp32": "TFLite fp32", "tflite-int8": "TFLite int8", "onnx-fp32": "ONNX fp32",
             "onnx-int8": "ONNX int8"}  # fmt: skip
    form = ExportGraph.from_model(net.ours())
    noise = some_images(form.metadata.image_shape)
    for path, kind in write_artifacts(form, [FORMATS[name] for name in kinds], Samples(noise, None), folder):
        yield kinds[kind.name], "ours", path


def keras_tflite_files(net: Net, folder: Path) -> Files:
    model = net.keras()
    noise = some_images(model.input_shape[1:])

    def images() -> Iterator[list[np.ndarray]]:
        return ([image[None]] for image in noise)

    model(noise[:1], training=False)
    model.export(folder / "keras.tflite", format="litert", verbose=False)
    yield "TFLite fp32", "Keras", folder / "keras.tflite"
    integers = {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": images}
    model.export(folder / "keras-int8.tflite", format="litert", verbose=False, **integers)
    yield "TFLite int8", "Keras", folder / "keras-int8.tflite"


def keras_onnx_files(net: Net, folder: Path) -> Files:
    model = net.keras()
    model(some_images(model.input_shape[1:])[:1], training=False)
    model.export(folder / "keras.onnx", format="onnx", verbose=False)
    yield "ONNX fp32", "Keras", folder / "keras.onnx"


def tf2onnx_files(net: Net, folder: Path) -> Files:
    model = net.keras()
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")]
    plain, integers = folder / "tf2onnx.onnx", folder / "tf2onnx-int8.onnx"
    tf2onnx.convert.from_keras(model, input_signature=signature, output_path=str(plain))
    yield "ONNX fp32", "tf2onnx", plain
    quantization.quantize_static(plain, integers, Calibration(some_images(model.input_shape[1:])))
    yield "ONNX int8", "tf2onnx", integers


def torch_files(net: Net, folder: Path) -> Files:
    if not (net.torch and find_spec("torchvision")):
        return
    import torch
    import torchvision

    model = getattr(torchvision.models, net.torch)(weights=None).eval()
    side = 299 if net.torch == "inception_v3" else 224
    torch.onnx.export(model, torch.zeros(1, 3, side, side), folder / "torch.onnx", external_data=False)
    yield "ONNX fp32", "PyTorch", folder / "torch.onnx"


class Calibration(quantization.CalibrationDataReader):
    """Calibration images for `quantize_static`."""

    def __init__(self, noise: np.ndarray):
        self._images = iter(noise)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next image; None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def some_images(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (CALIBRATION_IMAGES, *shape)).astype("float32")


MAKERS = {
    "ours": our_files,
    "Keras' TFLite": keras_tflite_files,
    "Keras' ONNX": keras_onnx_files,
    "tf2onnx": tf2onnx_files,
    "PyTorch": torch_files,
}


def make_files(title: str, maker: str, folder: Path) -> list[tuple[str, str, Path]]:
    with suppress_output():
        return list(MAKERS[maker](NETS[title], folder))


def all_files(title: str, folder: Path) -> Files:
    """Run each exporter in a subprocess: TensorFlow does not free the memory of conversions, and some exhaust it."""
    for maker in MAKERS:
        try:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                yield from pool.submit(make_files, title, maker, folder).result()
        except BrokenProcessPool:
            print(f"{title:16} {maker}: the process was killed, probably for lack of memory")


def times_in_turn(paths: list[Path]) -> np.ndarray:
    """Latencies in milliseconds `(files, turns)`, each the median of a process."""
    return np.array([[milliseconds(path) for path in paths] for _ in range(TURNS)]).T


def milliseconds(path: Path) -> float:
    """Median latency of the runs in one process."""
    done = subprocess.run([sys.executable, TIMER, path], check=True, capture_output=True, text=True)
    return float(np.median(json.loads(done.stdout)))


def measure(title: str, folder: Path) -> None:
    files = list(all_files(title, folder))
    makers = [(kind, maker) for kind, maker, _ in files]
    times = dict(zip(makers, times_in_turn([path for *_, path in files]), strict=True))
    for kind, maker, path in files:
        own, peer = times[kind, "ours"], times[kind, maker]
        figure = np.percentile(peer, UNDISTURBED)
        line = f"{title:16} {kind:12} {maker:8} {path.stat().st_size / 1e6:8.2f} {figure:9.3f}"
        if maker != "ours":
            ratio = np.percentile(own, UNDISTURBED) / figure
            low, high = np.percentile(own / peer, [25, 75])
            line += f"  {ratio:6.3f}   {low:.3f} to {high:.3f}   {'ok' if ratio <= MAX_RATIO else 'over'}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="*", choices=NETS, default=list(NETS))
    print(f"{'net':16} {'artifact':12} {'exporter':8} {'MB':>8} {'ms':>9}  ours/theirs, quartiles, limit {MAX_RATIO}")
    for title in parser.parse_args().nets:
        with TemporaryDirectory() as folder:
            measure(title, Path(folder))


if __name__ == "__main__":
    main()
