"""Running the programs of READMEs: each prints lines `label: number`, which are compared with what is expected."""

import io
import os
import re
import runpy
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path

import numpy as np

STUBS = Path(__file__).with_name("client_stubs")
NODE_MODULES = Path(os.environ.get("POCKETZOO_NODE_MODULES", Path(__file__).parents[2] / "build/node/node_modules"))
INVOKE = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1])
(image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
interpreter.allocate_tensors()
tensor = np.fromfile("input.bin", image["dtype"])[: np.prod(image["shape"])]
interpreter.set_tensor(image["index"], tensor.reshape(image["shape"]))
interpreter.invoke()
interpreter.get_tensor(output["index"]).tofile("output.bin")
"""
"""What the stub of a runtime runs in place of itself: the file in LiteRT."""
BROWSER = """
const elements = {input: {}, pre: {}};
globalThis.document = {querySelector: name => elements[name]};
globalThis.createImageBitmap = async file => file;
globalThis.OffscreenCanvas = class {
  constructor(width, height) { Object.assign(this, {width, height}); }
  getContext() { return this; }
  fillRect() { this.data = new Uint8ClampedArray(4 * this.width * this.height).fill(255); }
  drawImage(picture, left, top, width, height) {
    if (picture.width !== width || picture.height !== height) throw new Error("this canvas cannot resize");
    picture.data.forEach((value, i) => { if (picture.data[i - i % 4 + 3]) this.data[i] = value; });
  }
  getImageData() { return this; }
};
globalThis.fetch = async name => new Response(await (await import("node:fs/promises")).readFile(name));
"""
"""The parts of a browser that the page uses; pixels are opaque or invisible."""
CHOOSE = """
const bytes = await (await import("node:fs/promises")).readFile("photo.raw");
const newline = bytes.indexOf(10);
const [photoWidth, photoHeight] = bytes.subarray(0, newline).toString().split(" ").map(Number);
const picture = {width: photoWidth, height: photoHeight, data: bytes.subarray(newline + 1)};
await elements.input.onchange({target: {files: [picture]}});
console.log(elements.pre.textContent);
"""


END = "end of a program"


def run_python(texts, folder, photo="photo.png"):
    """The lines that each of some Python programs prints, run in this process."""
    return [_run_in_process(text, folder, photo) for text in texts]


def _run_in_process(text, folder, photo):
    (folder / "predict.py").write_text(text)
    printed, arguments = io.StringIO(), sys.argv
    sys.argv = ["predict.py", photo]
    try:
        with chdir(folder), redirect_stdout(printed):
            runpy.run_path("predict.py", run_name="__main__")
    finally:
        sys.argv = arguments
    return rows(printed.getvalue())


def run_node(texts, folder, photo="photo.png"):
    """The same for programs for Node.js, in one process."""
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(NODE_MODULES)
    for number, text in enumerate(texts):
        (folder / f"predict{number}.mjs").write_text(text)
    calls = (f'await import("./predict{number}.mjs"); console.log("{END}");' for number in range(len(texts)))
    (folder / "all.mjs").write_text("\n".join(calls))
    printed = _output(["node", "all.mjs", photo], folder)
    return [rows(part) for part in printed.split(f"{END}\n")[:-1]]


def run_pages(texts, folder):
    """The same for the scripts of pages, which Node.js runs with ONNX Runtime Web."""
    return run_node([_script(text) for text in texts], folder)


def _script(page):
    script = re.search(r'<script type="module">\n(.*)</script>', page, re.DOTALL)[1]
    script, replaced = re.subn(
        r'"https://cdn.jsdelivr.net/npm/(onnxruntime-web)@[\d.]+/dist/ort.wasm.min.mjs"', r'"\1"', script
    )
    assert replaced == 1
    imports, _, rest = script.partition("\n")
    return f"{imports}\n{BROWSER}{rest}{CHOOSE}"


def run_cpp(text, folder, file, *sources):
    """The same for one C++ program, with stubs in place of its libraries, on a `.tflite` file."""
    (folder / "predict.cc").write_text(text)
    options = ["-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{STUBS}", f"-I{folder}"]
    subprocess.run(["g++", *options, "predict.cc", *sources, "-o", "predict"], cwd=folder, check=True)
    (folder / "invoke.py").write_text(INVOKE)
    return rows(_output(["./predict", "photo.raw"], folder, INVOKE=f"{sys.executable} invoke.py {file}"))


def _output(command, folder, **environment):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(text):
    """Pairs of label and number of printed lines; a share in percent counts as a number up to 100, a number of
    thousandths as that number, a shape not."""
    pairs = [line.rpartition(": ") for line in text.splitlines() if not line.startswith("shape: ")]
    return [(label, float(number.removesuffix("%").removesuffix(" / 1000"))) for label, _, number in pairs]


def save_photo(folder, pixels):
    """Write RGBA pixels `(height, width, 4)` as a PNG and, for the stubs, as bytes behind their size."""
    from PIL import Image

    Image.fromarray(pixels).save(folder / "photo.png")
    height, width, _ = pixels.shape
    (folder / "photo.raw").write_bytes(f"{width} {height}\n".encode() + np.ascontiguousarray(pixels).tobytes())
