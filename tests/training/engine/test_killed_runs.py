"""Processes are killed at random moments; resumed runs must end with the weights of uninterrupted ones."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pocketzoo import zoo

SCRIPT = """
import json, os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path

import keras
from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages

data = training.load_data("digits", image_size=16)
images, labels = data.train.arrays()
data = replace(data, train=training.ImageSplit(ArrayImages(images[:100]), labels[:100]))
brief = {"epochs": 4, "batch_size": 20, "checkpoint_steps": 2}
optimizer = {"ema": 0.9, "accumulate": 2, "clip_norm": 1.0}
verbs = {
    "fit": lambda *run, **options: training.fit(*run, training.Recipe(**brief, optimizer=optimizer), **options),
    "prune": lambda *run, **options: training.prune(*run, training.Recipe(**brief), sparsity=0.7, **options),
    "fine_tune": lambda *run, **options: training.fine_tune(
        *run, training.FineTuneRecipe(**brief, head_epochs=3), **options
    ),
}


def work(root):
    for name, verb in verbs.items():
        keras.utils.set_random_seed(0)
        model = zoo.create_model("lenet5", input_shape=(16, 16, 1), dropout=0.3)
        verb(model, data, run_dir=root / name, resume=True, verbose=False)


def started(root):
    child = os.fork()
    if not child:
        try:
            work(root)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def reached(run):
    return max((path.name for path in run.glob("checkpoint-*")), default="")


whole, killed = map(Path, sys.argv[1:])
ends = []
for name in verbs:
    child = started(killed)
    moment = f"checkpoint-{random.randrange(3):05}-{random.choice((2, 4)):07}"
    while reached(killed / name) < moment and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    ends.append([name, moment, reached(killed / name), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])
for root in (killed, whole):
    assert os.waitpid(started(root), 0)[1] == 0
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders with the same runs: one without interruption, and one in which each run was killed once; and where."""
    whole, killed = (tmp_path_factory.mktemp(name) for name in ("whole", "killed"))
    # The processes are forks of one that has imported everything, and started no thread: that is paid for once.
    command = [sys.executable, "-c", SCRIPT, str(whole), str(killed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return whole, killed, {name: facts for name, *facts in json.loads(done.stdout)}


@pytest.mark.every_card  # tests/attack kills training, too
@pytest.mark.parametrize("verb", ["fit", "prune", "fine_tune"])
def test_killed_run_resumes_to_identical_weights(runs, verb):
    *roots, ends = runs
    print("killed at", ends[verb])
    assert ends[verb][-1] == -9
    whole, killed = (root / verb for root in roots)
    assert sorted(path.name for path in whole.iterdir()) == sorted(path.name for path in killed.iterdir())
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()
    assert json.loads((whole / "metrics.json").read_text()) == json.loads((killed / "metrics.json").read_text())
    best = [zoo.load_model(run / "best.keras").get_weights() for run in (whole, killed)]
    assert all(np.array_equal(a, b) for a, b in zip(*best, strict=True))
    last = max(path.name for path in whole.glob("checkpoint-*"))
    first, second = (arrays(run / last / "state.weights.h5") for run in (whole, killed))
    assert any("optimizer" in name for name in first)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def arrays(path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found
