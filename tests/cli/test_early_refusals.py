"""Mistakes that show without a model are reported before TensorFlow, which takes seconds to import, is.

All command lines run in one process in which Keras and TensorFlow cannot be imported.
"""

import json
import subprocess
import sys
import zipfile

import pytest
from PIL import Image
from typer.main import get_command

from pocketzoo.cli.main import app

SCRIPT = """
import contextlib, io, json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            raise RuntimeError(f"{name} is imported")

sys.meta_path.insert(0, Blocked())
from pocketzoo.cli.main import main

results = []
for arguments in json.load(sys.stdin):
    sys.argv = ["pocketzoo", *arguments]
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main()
        except SystemExit as end:
            code = end.code
    results.append((code, out.getvalue(), error.getvalue()))
json.dump(results, sys.stdout)
"""

DATA = {
    "--data gone": "data 'gone' is neither a folder",
    "--data photos/one-class": "photos/one-class has 1 class folders",
    "--data no-image.csv": "no-image.csv has no column 'image'",
    "--data digit-scenes:masks": "unknown targets of digit-scenes 'masks'",
    "--data digits --layout classes": "layout is 'classes', but 'digits' is no folder of images",
    "--data digits --ignore 255": "ignore is 255, but every pixel",
}
RECIPE = {
    "--data digits --set epoch=5": "did you mean epochs?",
    "--data digits --set epochs=2001-99-99": "epochs",
    "--data digits --set epochs=nan": "epochs",
    "--data digits --set epochs=-1": "epochs",
    f"--data digits --set epochs={10**24}": "epochs",
    f"--data digits --set steps_per_execution={10**24}": "steps_per_execution",
    "--data digits --set optimizer.lr=.inf": "optimizer.lr",
    "--data digits --set epochs": "is not of the form field=value",
    "--data digits --recipe gone.yaml": "gone.yaml cannot be read as a recipe",
    "--data digits --recipe list.yaml": "list.yaml is not a recipe",
}
NAME = {"resnet5": "unknown model 'resnet5'"}
FILE = {
    "gone.keras": "gone.keras: there is no such file",
    "broken.keras": "broken.keras is not a .keras model file",
    "photos/one-class": "one-class is a folder without saved_model.pb",
}
CONTRACT = {
    "--task clasification": "did you mean classification?",
    "--pixels 1..0": "pixels is '1..0'",
    "--labels gone.txt": "'gone.txt' cannot be read",
}


def after(start, *tables):
    """The lines of tables, each after the arguments that the command needs."""
    return {f"{start} {options}".strip(): message for table in tables for options, message in table.items()}


def at(end, table):
    return {f"{options} {end}".strip(): message for options, message in table.items()}


RUN = "--run-dir run"
SETUP = DATA | RECIPE
REFUSALS = {
    "list": {
        "--task boxes": "unknown task 'boxes'",
        "--max-params many": "--max-params",
        "--max-macs 1x": "--max-macs",
    },
    "info": NAME | FILE | {"gone.onnx": "gone.onnx", "--tpye x": "No such option"},
    "data": {table.removeprefix("--data "): message for table, message in DATA.items()}
    | {"digits --augmentation strongest": "augmentation", "digits --set epoch=1": "did you mean epochs?"}
    | {"digits --sheet /dev/full": "/dev/full cannot be written: it exists and is not a file"},
    "shards": at("out", {table.removeprefix("--data "): message for table, message in DATA.items()})
    | {f"photos out --shard-mb {size}": f"--shard-mb is {size}" for size in ("nan", "-1.0", "inf")},
    "recipe": NAME,
    "find-lr": after("lenet5", SETUP) | at("--data digits", NAME),
    "train": after(f"lenet5 {RUN}", SETUP, {"": "there is no data to train on"})
    | {"lenet5 --data digits --run-dir photos/one-class": "run directory photos/one-class is not empty"}
    | at(f"--data digits {RUN}", NAME)
    | {f"lenet5 {RUN} --data digits --set folds=3 --extend": "--extend continues one run"},
    "fit-anomaly": after("resnet20 --out d.keras", DATA)
    | at("--data digits --out d.keras", NAME | FILE)
    | {
        "resnet20 --data digits --out d.h5": "the name of the detector must end in .keras",
        "alexnet --data digits --out d.keras": "alexnet has no published weights",
    },
    "fine-tune": after(f"resnet20 {RUN}", SETUP)
    | at(f"--data digits {RUN}", NAME | FILE)
    | {
        f"resnet20 --data digits {RUN} --weights gone": "unknown weights for resnet20 'gone'",
        f"resnet20 --data digits {RUN} --weights gone.weights.h5": "there is no such file",
        f"alexnet --data digits {RUN}": "alexnet has no published weights",
        f"net.keras --data digits {RUN} --pixels 0..x": "pixels is '0..x'",
        f"net.keras --data digits {RUN} --weights imagenet": "has its own weights",
    },
    "evaluate": after("net.keras", DATA, at("--data digits", CONTRACT))
    | at("--data digits", NAME | FILE)
    | {
        "net.keras --data digits --test-time-augmentation flop": "did you mean flip?",
        "gone.tflite --data digits": "gone.tflite",
        "net.keras --data digits --report /dev/null": "/dev/null cannot be written: it exists and is not a folder",
    },
    "advise": NAME | FILE | {"net.keras --target mobiel": "did you mean mobile?"},
    "prune": after(f"net.keras {RUN}", SETUP, at("--data digits", CONTRACT))
    | at(f"--data digits {RUN}", FILE)
    | after(
        f"net.keras --data digits {RUN}",
        {
            "--sparsity 1.5": "target",
            "--sparsity nan": "target",
            "--pattern block:0x1": "must be element, block:HxW",
            f"--pattern block:{'9' * 11}x1": "must be element, block:HxW",
            f"--pattern 2:{'9' * 5000}": "must be element, block:HxW",
            "--settings gone.yaml": "gone.yaml cannot be read",
            "--scope everywhere": "scope",
            "--budget macs:0.5": "--budget is only valid with --channels",
        },
    )
    | {"net.keras --data digits": "--run-dir is missing"},
    "prune-channels": after(f"net.keras {RUN}", DATA, at("--data digits", CONTRACT))
    | at(f"--data digits {RUN}", FILE)
    | after(
        f"net.keras --data digits {RUN}",
        {
            "--budget flops:0.5": "unknown budget 'flops'",
            "--budget macs:-1": "takes a number above 0",
            "--criterion taylro": "taylor",
            "--scope everywhere": "scope",
            "--round-to 0": "round_to",
            "--steps -3": "steps",
            "--plan gone.json": "gone.json cannot be read as a plan",
        },
    )
    | {f"net.keras {RUN} --set epochs=1": "there is no data to train on"},
    "cluster": after(f"net.keras {RUN}", SETUP)
    | at(f"--data digits {RUN}", FILE)
    | after(f"net.keras --data digits {RUN}", CONTRACT, {"--clusters 1": "clusters", "--start random": "start"}),
    "quantize": after(f"net.keras {RUN}", SETUP)
    | at(f"--data digits {RUN}", FILE)
    | after(f"net.keras --data digits {RUN}", CONTRACT, {"--activation-bits 4": "must be 8 or 16"}),
    "distill": after(f"lenet5 net.keras {RUN}", SETUP)
    | at(f"net.keras --data digits {RUN}", NAME)
    | {f"lenet5 {file} --data digits {RUN}": message for file, message in FILE.items()}
    | after(
        f"lenet5 net.keras --data digits {RUN}",
        {"--temperature 0": "temperature", "--temperature nan": "temperature", "--weight 2": "weight"},
        {"--features =x": "is not a list of endpoints"},
    ),
    "compress": after(f"net.keras {RUN} --spec spec.yaml", DATA)
    | at(f"--data digits {RUN} --spec spec.yaml", FILE)
    | after(
        f"net.keras --data digits {RUN}",
        {
            "--spec gone.yaml": "gone.yaml cannot be read",
            "--spec list.yaml": "list.yaml is not a compression spec",
            "--spec criterion.yaml": "taylor",
            "--spec target.yaml": "unknown target 'mobiel'",
        },
    ),
    "lint": at("--target mobile-gpu", NAME | FILE)
    | {
        "net.keras --target mobile-gup": "did you mean mobile-gpu?",
        "net.keras --target edge-mcu --budget flash=1": "has no unit",
        "net.keras --target edge-tpu --budget flash=1B": "has no effect on edge-tpu",
    },
    "export": after("net.keras --out out", DATA, CONTRACT)
    | at("--out out", NAME | FILE)
    | after(
        "net.keras --out out",
        {
            "--targets mobiel": "did you mean mobile?",
            "--bar accuracy=0.9": "unknown threshold 'accuracy'",
            "--bar agreement=2": "takes a number from 0 to 1",
            "--bar agreement=nan": "takes a number from 0 to 1",
            "--bar agreement": "is not of the form name=number",
            "--bar arena_bytes=256000": "is for",
            "--budget flash=256kb": "it takes B, kB, KB, MB, KiB, MiB",
            "--budget flash=256KB": "is for edge-mcu",
            "--targets edge-mcu --budget ram=1KB --bar arena_bytes=1": "two names of one limit",
            "--input-size 224": "--input-size is '224'",
            f"--input-size {'9' * 5000}x1": "it must be height and width",
            "--batch 0": "--batch is '0'",
            "--batch N": "only float ONNX",
            "--weights imagenet": "has its own weights",
            "--vendor gone": "target web has, not mobile-cpu, mobile-gpu",
            "--targets mobile-cpu serving apple": "arguments serving apple; separate targets by commas, without blanks",
            "--targets mobile-cpu, serving": "argument serving; separate targets by commas",
            "--example gone.png": "example gone.png: there is no such file",
            "--example list.yaml": "list.yaml",
            "--batch 1 more": "unexpected argument more.",
            "--targets web --vendor gone": "run `npm install onnxruntime-web@",
        },
    )
    | {
        "net.keras --out photos/one-class": "one-class is not empty",
        "net.keras --out list.yaml": "list.yaml is a file",
        "m.onnx --out out": "m.onnx is exported already",
        "alexnet --out out": "alexnet has no published weights",
    },
    "targets": {"--format x": "No such option"},
    "predict": at("photo.png", NAME | FILE | {"net.keras --weights imagenet": "has its own weights"})
    | {
        "net.keras gone.png": "gone.png: there is no such file",
        "net.keras gone.png too.png": "too.png: there is no such file",
        "net.keras nothing/*.png": "no file matches",
        "net.keras photos/empty": "has no images",
        "net.keras photo.png --csv --json": "leave one of them out",
        "net.keras photo.png --top 0": "top",
    }
    | after("net.keras photo.png", CONTRACT),
    "benchmark": NAME
    | FILE
    | {"gone.tflite": "gone.tflite", "net.keras --runs 0": "runs", "net.keras --threads -1": "threads"},
    "quickstart": {"--out photos/one-class": "one-class is not empty"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    for name in ("one-class/only", "empty"):
        (folder / "photos" / name).mkdir(parents=True)
    Image.new("L", (8, 8)).save(folder / "photos" / "one-class" / "only" / "a.png")
    Image.new("L", (8, 8)).save(folder / "photo.png")
    with zipfile.ZipFile(folder / "net.keras", "w") as archive:  # what it contains shows once Keras opens it
        archive.writestr("config.json", "{}")
    texts = {
        "broken.keras": "no archive",
        "no-image.csv": "file,label\na.png,x\n",
        "list.yaml": "- 1\n",
        "spec.yaml": "sparsity:\n",
        "criterion.yaml": "channels:\n  criterion: taylro\n",
        "target.yaml": "export:\n  targets: [mobiel]\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def refused(files):
    """Exit code, output and errors of each command line."""
    lines = [[command, *options.split()] for command, table in REFUSALS.items() for options in table]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(lines), capture_output=True, text=True, cwd=files, check=True
    )
    return {" ".join(line): result for line, result in zip(lines, json.loads(done.stdout), strict=True)}


def test_table_has_every_command():
    assert REFUSALS.keys() == get_command(app).commands.keys()


@pytest.mark.parametrize("command", REFUSALS)
def test_mistake_is_reported_before_tensorflow_is_imported(command, refused):
    for options, message in REFUSALS[command].items():
        line = f"{command} {options}".strip()
        code, out, error = refused[line]
        assert (line, code, out, error.startswith("Error: ") or "Usage: " in error) == (line, 2, "", True), error
        assert message in error, line


def test_refused_commands_leave_nothing_behind(refused, files):
    assert not (files / "run").exists()
    assert not (files / "out").exists()
