"""Writes docs/clients.md: in which clients the files of small nets of each kind are right.

python docs/make_clients.py                 # renders the page, and measures nets that have not been measured
python docs/make_clients.py --again unet    # measures these again; all of them take 10 minutes on 2 cores

The measurements are kept in docs/clients/, one file for each net.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.setdefault("POCKETZOO_NODE_MODULES", "build/node/node_modules")

import argparse
import json
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.export.artifact.manifest import Check
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.validation.checks.check_registry import CHECKS

KEPT = Path(__file__).with_name("clients")
PAGE = Path(__file__).with_name("clients.md")
IMAGES = 20
"""Images on which files are compared."""


@dataclass(frozen=True)
class Net:
    """A net of some kind."""

    kind: str
    """What it stands for."""
    card: str
    arguments: dict[str, Any]


COLOR = {"input_shape": (64, 64, 3), "classes": 10}
NETS = {
    "lenet5": Net("tanh, average pooling, dense layers; grayscale", "lenet5", {}),
    "resnet20": Net("residual blocks, shortcuts padded with channels of zeros", "resnet20", {"blocks": 2}),
    "mobilenet_v2": Net("depthwise convolutions, ReLU6", "mobilenet_v2_035", COLOR),
    "mobilenet_v3": Net("hard-swish, squeeze-excite", "mobilenet_v3_small", COLOR | {"width": 0.5}),
    "efficientnet": Net("swish, squeeze-excite", "efficientnet_b0", COLOR | {"width": 0.25, "depth": 0.4}),
    "unet": Net(
        "bilinear upsampling, concatenation; a map of 3 classes",
        "unet_same",
        {"input_shape": (32, 32, 3), "widths": (4, 8, 8, 16, 16), "classes": 3},
    ),
}
"""By short name. They are small, and have random weights and a fitted last layer."""
ONNX = ("onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-tensorrt")
TFLITE = ("tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-uint8", "tflite-int8-float")
CLIENTS = {
    "litert": TFLITE,
    "mediapipe": ("tflite-fp32", "tflite-fp16", "tflite-uint8"),
    "web-litert-wasm": ("tflite-int8-float",),
    "onnxruntime": ONNX,
    "onnxruntime-node": ONNX,
    "web-onnx-wasm": ("onnx-fp32",),
    "ort-format": ONNX,
    "openvino": ONNX,
    "opencv": (*ONNX, *TFLITE),
    "mnn": (*ONNX, *TFLITE),
    "ncnn": ONNX,
    "tract": ONNX,
}
"""Names of the checks that run a client, and the formats that it claims to read."""
BAR = "\\|"
"""In a cell of a table."""
Result = dict[str, Any]
"""`outcome`, the `difference` and `agreement` of outputs, and a `message` where there are none."""


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", nargs="*", default=[], choices=NETS)
    again = parser.parse_args().again
    missing = [name for name in NETS if name in again or not net_file(name).exists()]
    # A process for each net, since TensorFlow does not free the memory of its conversions.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for name, measured in zip(missing, pool.map(measure_net, missing), strict=True):
            KEPT.mkdir(exist_ok=True)
            with atomic_path(net_file(name)) as temporary:
                temporary.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(PAGE)


def net_file(name: str) -> Path:
    """The file with the measurements of a net."""
    return KEPT / f"{name}.json"


def measure_net(name: str) -> dict[str, Any]:
    """Convert a net to each format, and run each file in its clients."""
    import keras
    from untrained import fit_last_layer, synthetic_images

    from pocketzoo import zoo
    from pocketzoo.export.conversion.artifact_files import write_artifacts
    from pocketzoo.export.conversion.export_graph import ExportGraph
    from pocketzoo.export.sample_images import Samples
    from pocketzoo.export.validation.checks.artifact_check import Subject
    from pocketzoo.export.validation.checks.check_registry import run_check
    from pocketzoo.export.validation.reference import Reference
    from pocketzoo.training.engine.environment import processor

    keras.utils.set_random_seed(0)
    model = zoo.create_model(NETS[name].card, **NETS[name].arguments)
    images = synthetic_images(model)
    fit_last_layer(model, *images["fitting"])
    samples = Samples(*(rows[:IMAGES] for rows in images["evaluation"]))
    graph = ExportGraph.from_model(model)
    form = graph.metadata.output_forms
    outputs = model.predict(samples.images, verbose=0)
    reference = Reference(samples, "evaluation images", outputs, form.task, form.from_logits)
    results: dict[str, dict[str, Result]] = {client: {} for client in CLIENTS}
    versions: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        formats = [FORMATS[kind] for kind in FORMATS if kind in (*ONNX, *TFLITE)]
        for path, fmt in list(write_artifacts(graph, formats, Samples(*images["calibration"]), Path(folder))):
            for client in (client for client, kinds in CLIENTS.items() if fmt.name in kinds):
                check = run_check(client, Subject(path, fmt, graph.metadata, reference))
                results[client][fmt.name] = summarize(check)
                versions |= {client: check.version} if check.version else {}
                print(f"{name}: {client}, {fmt.name}: {describe(results[client][fmt.name])}", flush=True)
    return {"processor": processor(), "versions": versions, "results": results}


def summarize(check: Check) -> Result:
    """What a check has found."""
    gates = {gate.name: gate for gate in check.gates}
    if check.skipped:
        return {"outcome": "not run", "message": check.skipped}
    if "ran" in gates:
        return {"outcome": "refused", "message": brief(gates["ran"].reason or "")}
    difference = next(gate.figure for name, gate in gates.items() if "difference" in name)
    failed = any(gate.status == "failed" for gate in check.gates)
    return {"outcome": "wrong" if failed else "right", "difference": difference, "agreement": check.agreement}


def brief(message: str) -> str:
    """The message of a client without the names of nodes, source lines and paths."""
    message = re.sub(r'node #\d+ "[^"]*"|^\w*Error: |OpenCV\(\S+\) \S+ error: \([^)]*\) ?', "", message)
    return " ".join(message.split())[:200]


def describe(result: Result) -> str:
    """One line on a result."""
    if "message" in result:
        return f"{result['outcome']}: {result['message']}"
    agreement = "" if result["agreement"] is None else f", same prediction {result['agreement']:.0%}"
    return f"{result['outcome']}: difference {result['difference']:.1g}{agreement}"


def page() -> str:
    """The page as Markdown, from the measurements that there are."""
    kept = {name: json.loads(net_file(name).read_text(encoding="utf-8")) for name in NETS if net_file(name).exists()}
    versions = {client: version for net in kept.values() for client, version in net["versions"].items()}
    found = {
        client: {kind: {name: net["results"][client].get(kind) for name, net in kept.items()} for kind in kinds}
        for client, kinds in CLIENTS.items()
    }
    nets = [f"| {name} | {NETS[name].kind} | `{NETS[name].card}` |" for name in kept]
    processors = " and ".join(sorted({net["processor"] for net in kept.values()}))
    lines = [
        HEAD.format(images=IMAGES, processors=processors),
        *table(["net", "what it has", "made from"], nets),
        "\n## What to use\n",
        *table(["client", "version", "right with every net", "right with some", "none"], use_rows(found, versions)),
        "\n## ONNX\n",
        *table(["client", *(kind.removeprefix("onnx-") for kind in ONNX)], format_rows(found, ONNX)),
        "\n## TFLite\n",
        *table(["client", *(kind.removeprefix("tflite-") for kind in TFLITE)], format_rows(found, TFLITE)),
        "\n## What is not right\n",
        *table(["client", "files", "what happens"], fault_rows(found)),
    ]
    return "\n".join(lines) + "\n" + NOTES


Found = dict[str, dict[str, dict[str, Result]]]
"""Results by client, format and net."""


def table(header: list[str], rows: list[str]) -> list[str]:
    """A table, of rows that are rendered already."""
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *rows]


def title(client: str) -> str:
    """The name of a client."""
    return CHECKS[client].title


def use_rows(found: Found, versions: dict[str, str]) -> list[str]:
    """Which formats to give to each client."""
    rows = []
    for client, kinds in found.items():
        groups: dict[str, list[str]] = {"all": [], "some": [], "none": []}
        for kind, results in kinds.items():
            tried = [result for result in results.values() if result and result["outcome"] != "not run"]
            right = sum(result["outcome"] == "right" for result in tried)
            if tried:
                groups["all" if right == len(tried) else "some" if right else "none"].append(f"`{kind}`")
        cells = [", ".join(group) or "-" for group in groups.values()]
        rows.append(f"| {title(client)} | {versions.get(client, 'not run')} | {' | '.join(cells)} |")
    return rows


def format_rows(found: Found, kinds: tuple[str, ...]) -> list[str]:
    """The largest difference where every net is right, and what happens otherwise."""
    return [
        f"| {title(client)} | {' | '.join(cell(of.get(kind)) for kind in kinds)} |"
        for client, of in found.items()
        if any(kind in of for kind in kinds)
    ]


def cell(results: dict[str, Result] | None) -> str:
    """Summarize the results of a format over the nets."""
    tried = [result for result in (results or {}).values() if result and result["outcome"] != "not run"]
    if not tried:
        return "-" if results is None else "not run"
    right = [result["difference"] for result in tried if result["outcome"] == "right"]
    if len(right) == len(tried):
        return f"{max(right):.0e}" if max(right) else "0"
    faults = [
        f"**{outcome} {count} of {len(tried)}**"
        for outcome in ("wrong", "refused")
        if (count := sum(result["outcome"] == outcome for result in tried))
    ]
    return ", ".join(faults)


def fault_rows(found: Found) -> list[str]:
    """Each fault of a client once, with the formats and nets that have it."""
    faults: dict[tuple[str, str], dict[str, list[str]]] = {}
    for client, kinds in found.items():
        for kind, results in kinds.items():
            for name, result in results.items():
                if result and result["outcome"] in ("wrong", "refused"):
                    text = describe(result) if result["outcome"] == "refused" else "wrong"
                    faults.setdefault((client, text), {}).setdefault(kind, []).append(name)
    return [
        f"| {title(client)} | {formats_and_nets(kinds)} | {text.replace('|', BAR)} |"
        for (client, text), kinds in faults.items()
    ]


def formats_and_nets(kinds: dict[str, list[str]]) -> str:
    """The formats with their nets, those with the same nets together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for kind, nets in kinds.items():
        groups.setdefault(tuple(nets), []).append(f"`{kind}`")
    return "; ".join(f"{', '.join(formats)}: {', '.join(nets)}" for nets, formats in groups.items())


HEAD = """# Clients

Generated by `python docs/make_clients.py` from the measurements in `docs/clients/`; do not edit.

Programs that read our files, and which of the files are right there. Each net below, small and with a fitted last
layer, was converted to each format, run with default settings in each client that claims to read it, on {images}
images, and compared with Keras. *Right* means that the outputs meet the thresholds of the format
([Export](export.md#what-each-file-must-show)), those of float16 or bfloat16 where a client computes in these by
default; the figure is the RMS difference from Keras relative to the variation of the outputs, the largest of all
nets, and 0 where nothing but the last place differs. *Wrong* means that the client reports no error and computes
something else. *Refused* means that it reports an error, aborts, or writes no file. Measured on {processors}.
Microcontrollers and NPUs are in [another table](matrix.md).

An export for the target of a client, such as `opencv`, `mnn`, `ncnn`, `tract`, `node` or `ort-mobile`, runs the same
check on your own net, and keeps the file that the client reads if it is another one:

```sh
pocketzoo export resnet20 --weights digits --data digits --targets ncnn --out bundle
```
"""
NOTES = """
## Notes

- **LiteRT, ONNX Runtime** are the runtimes of the formats; nothing is wrong there, or an export fails.
- **MediaPipe** takes RGB images only: grayscale nets, such as `lenet5`, are exported with `--rgb`.
- **ORT format**: `ort-mobile` writes the `.ort` file for reduced builds of ONNX Runtime, from the same graph.
- **OpenVINO** computes in bfloat16 or float16 where the processor can; `INFERENCE_PRECISION_HINT=f32` is exact. With
  `INFERENCE_NUM_THREADS=1`, 2026.4.1 gave other outputs for the int8 `lenet5`, and different ones each time; with its
  own choice of threads they are right.
- **OpenCV**: use ONNX. In TFLite files of segmenters its softmax takes the wrong axis. It refuses dense layers with
  integer biases, so its int8 file is that for TensorRT.
- **MNN**: use float files, and quantize with its own tools. `mnnconvert` lets pip install a package that reports its
  use; the check runs the converter without it.
- **ncnn**: use `onnx-fp32`, which its converter pnnx reads, and stores in float16 unless it gets `fp16=0`. ncnn
  keeps numbers in float16 where the processor can; `use_fp16_packed`, `use_fp16_storage` and `use_fp16_arithmetic` of
  `net.opt` turn it off.
- **tract**: use `onnx-fp32` or int8; it refuses dense layers in float16.
- **Core ML**: coremltools reads neither TFLite nor ONNX files; the target `apple`
  [converts the Keras model](export.md#core-ml).
"""


if __name__ == "__main__":
    main()
