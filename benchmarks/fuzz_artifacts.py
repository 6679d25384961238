"""Opens damaged and malicious files: each must raise an InputError or run, without a crash or foreign code.

python benchmarks/fuzz_artifacts.py                        # 2,000 files, half an hour on 2 cores
python benchmarks/fuzz_artifacts.py --files 100 a.tflite b.onnx c.keras manifest.json     # variants of these

Half of the changes are in bytes, half in their meaning: a shape, a type, an index, an operator, a field of a config.
Each file is opened and run in a fork of this process, where an audit hook detects what no model file may do: starting
processes, unpickling, connecting to the network. Files that cause an error are kept in build/fuzz/.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import io
import json
import multiprocessing
import random
import shutil
import signal
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flatbuffers
import keras
import numpy as np
import onnx
import onnxruntime  # noqa: F401 - imported once for all forks
from ai_edge_litert import interpreter as _interpreter  # noqa: F401
from ai_edge_litert import schema_py_generated as tflite

from pocketzoo import export, training, zoo
from pocketzoo.export.artifact.tensors import concrete_shape
from pocketzoo.export.runtimes import probe

FOUND = Path(__file__).parents[1] / "build" / "fuzz"
SECONDS = 60
NUMBERS = (0, 1, -1, 2, 3, 7, 127, 1000, 65537, 2**31 - 1, -(2**31))
FOREIGN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class", "socket.connect", "ctypes.dlopen")
RAN_CODE = 99
"""Exit code of a fork that triggered one of these events."""


def change_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, remove, insert or repeat a few bytes."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        at, length = draw.randrange(len(data)), draw.randrange(1, 64)
        kind = draw.randrange(5)
        if kind == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at : at + 4] = struct.pack("<i", draw.choice(NUMBERS))
        elif kind == 2:
            del data[at : at + min(length, len(data) - 1)]
        elif kind == 3:
            data[at:at] = draw.randbytes(length)
        else:
            other = draw.randrange(len(data))
            data[at : at + length] = data[other : other + length]
    return bytes(data)


def change_tflite(content: bytes, draw: random.Random) -> bytes:
    """Change the graph; the file stays complete, with its labels."""
    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    for _ in range(draw.choice((1, 1, 2, 3))):
        tensor, operator = draw.choice(graph.tensors), draw.choice(graph.operators)
        number = draw.choice((*NUMBERS, draw.randrange(len(graph.tensors))))
        kind = draw.randrange(6)
        if kind == 0 and tensor.shape is not None:
            tensor.shape = _changed(tensor.shape, number, draw)
        elif kind == 1:
            operator.inputs = _changed(operator.inputs, number, draw)
        elif kind == 2:
            operator.outputs = _changed(operator.outputs, number, draw)
        elif kind == 3:
            tensor.buffer = draw.randrange(len(model.buffers))
        elif kind == 4:
            tensor.type = draw.randrange(18)
        elif kind == 5 and (options := _numbers(operator.builtinOptions)):
            field, old = draw.choice(options)
            setattr(operator.builtinOptions, field, type(old)(abs(number) % 128))  # an int or a bool
        else:
            code = draw.choice(model.operatorCodes)
            code.builtinCode = draw.randrange(200)
            code.deprecatedBuiltinCode = min(127, code.builtinCode)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()) + content[content.index(b"PK\x03\x04") :]


def _numbers(options: object) -> list[tuple[str, int]]:
    fields = vars(options).items() if options is not None else ()
    return [(name, value) for name, value in fields if isinstance(value, int)]


def _changed(numbers: Sequence[int], number: int, draw: random.Random) -> list[int]:
    """Change, remove or add one number."""
    numbers = [int(old) for old in numbers]
    at = draw.randrange(len(numbers) + 1)
    return [*numbers[:at], *([] if draw.random() < 0.2 else [number]), *numbers[at + 1 :]]


def change_onnx(content: bytes, draw: random.Random) -> bytes:
    """Change the graph; it stays valid protobuf."""
    model = onnx.load_from_string(content)
    graph = model.graph
    names = [name for node in graph.node for name in node.output]
    for _ in range(draw.choice((1, 1, 2, 3))):
        node, tensor, number = draw.choice(graph.node), draw.choice(graph.initializer), draw.choice((*NUMBERS, 2**62))
        kind = draw.randrange(6)
        if kind == 0 and tensor.dims:
            tensor.dims[draw.randrange(len(tensor.dims))] = number
        elif kind == 1 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        elif kind == 2 and node.attribute:
            attribute = draw.choice(node.attribute)
            if attribute.ints:
                attribute.ints[draw.randrange(len(attribute.ints))] = number
            else:
                attribute.i = number
        elif kind == 3:
            tensor.data_type = draw.randrange(17)
        elif kind == 4:
            node.op_type = draw.choice(("Conv", "Reshape", "Gather", "Pad", "Resize", "Slice", "Loop", "If", "Scan"))
        else:
            del node.input[draw.randrange(len(node.input) + 1) :]
    return model.SerializeToString()


def change_json(content: bytes, draw: random.Random) -> bytes:
    """Replace parts of the text by other values or by pieces of itself."""
    text = json.loads(content)
    places = list(_places(text))
    for _ in range(draw.choice((1, 1, 2, 4))):
        holder, key = draw.choice(places)
        piece = json.loads(json.dumps(draw.choice(places)[0]))  # a copy, so that nothing comes to hold itself
        holder[key] = draw.choice((None, 0, -1, 2**62, 1e308, True, "x", "os", "system", "keras.utils", [], {}, piece))
        places = list(_places(text))
    return json.dumps(text).encode()


def _places(text: Any) -> Iterator[tuple[Any, Any]]:
    pairs = text.items() if isinstance(text, dict) else enumerate(text) if isinstance(text, list) else ()
    for key, value in pairs:
        yield text, key
        yield from _places(value)


def change_keras(content: bytes, draw: random.Random) -> bytes:
    """Change the config, or bytes of the weights; the zip stays valid."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name, change = draw.choice((("config.json", change_json), ("model.weights.h5", change_bytes)))
    parts[name] = change(parts[name], draw)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def ask(path: Path) -> None:
    artifact = export.load_artifact(path)
    for pixels in (0, 255):
        export.predict(artifact, np.full(concrete_shape(artifact.input.image_shape), pixels, "float32"))


KINDS: dict[str, tuple[Callable[[bytes, random.Random], bytes], Callable[[Path], object]]] = {
    ".tflite": (change_tflite, ask),
    ".onnx": (change_onnx, ask),
    ".keras": (change_keras, ask),
    ".json": (change_json, export.Manifest.load),
}
"""By suffix: how the content is changed, and how the file is used."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", nargs="*", type=Path, help="files to change; by default those of a small model")
    parser.add_argument("--files", type=int, default=2000, help="number of files")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        originals = arguments.originals or small_files(Path(folder))
        tally: Counter[str] = Counter()
        for number in range(arguments.files):
            original = originals[number % len(originals)]
            outcome = outcome_of(original, number, Path(folder))
            tally[f"{original.suffix} {outcome}"] += 1
    for outcome, count in sorted(tally.items()):
        print(f"{count:5} {outcome}")
    sys.exit(any("WRONG" in outcome for outcome in tally))


def small_files(folder: Path) -> list[Path]:
    """Files of all formats, of a model with more structure than weights, so that changes hit the structure."""
    # In a subprocess: this process is forked, so TensorFlow must not have started threads in it.
    maker = multiprocessing.get_context("spawn").Process(target=export_small_net, args=(folder,))
    maker.start()
    maker.join()
    return sorted([*(folder / "bundle").glob("*.[otj]*"), folder / "net.keras"])


def export_small_net(folder: Path) -> None:
    keras.utils.set_random_seed(0)
    net = zoo.create_model("resnet20", blocks=1, widths=(4, 6, 8), input_shape=(16, 16, 3), classes=4)
    images = training.load_data("digits", image_size=16, channels=3).train.images.take(np.arange(8))
    targets = ["mobile-cpu", "gpu", "server-int8"]
    bars = {"agreement": 0, "relative_difference": 10}  # it is untrained: the outputs of int8 do not matter
    export.export_model(net, folder / "bundle", targets=targets, calibration=images, bars=bars)
    zoo.save_model(net, folder / "net.keras")


def outcome_of(original: Path, number: int, folder: Path) -> str:
    """`answered`, `refused in words`, or the error, after which the file is kept."""
    draw = random.Random(number)
    change, use = KINDS[original.suffix]
    path = folder / f"{original.stem}-{number}{original.suffix}"
    path.write_bytes(draw.choice((change, change_bytes))(original.read_bytes(), draw))
    status = in_a_fork(use, path)
    if status in OUTCOMES:
        path.unlink()
        return OUTCOMES[status]
    FOUND.mkdir(parents=True, exist_ok=True)
    shutil.move(path, FOUND / path.name)
    print(f"{path.name}: exit status {status}", flush=True)
    return f"WRONG: exit status {status}"


OUTCOMES = {0: "answered", 2: "refused in words"}


def in_a_fork(use: Callable[[Path], object], path: Path) -> int:
    """Exit status: 0 or 2 if all is well, 1 for another error, negative if a signal ended the process."""
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        silence = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(silence, descriptor)
        status = 1
        try:
            sys.addaudithook(_watch)
            use(path)
            status = 0
        except zoo.InputError:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _watch(event: str, arguments: tuple) -> None:
    probing = event == "subprocess.Popen" and arguments[1][: len(probe.COMMAND)] == probe.COMMAND
    if event in FOREIGN or (event == "subprocess.Popen" and not probing):
        os._exit(RAN_CODE)


if __name__ == "__main__":
    main()
