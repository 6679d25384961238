"""Fixtures that several folders share. Everything runs on real digits and real runtimes, without a network."""

import ctypes
import gc
import os
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import keras
import numpy as np
import pytest
from support.images import random_pixels

from pocketzoo import training, zoo
from pocketzoo.export.runtimes.client_environment import VARIABLE

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes depends on the machine
hypothesis.settings.load_profile("untimed")

LONGEST_FILES = (
    "test_tutorials.py",
    "test_keras_weights.py",
    "test_torch_weights.py",
    "test_every_model.py",
    "test_fine_tuning_runs.py",
    "test_pruning_callback.py",
    "test_commands.py",
    "test_prune_channels.py",
    "test_every_layer.py",
    "test_attack.py",
)
"""Files that keep a worker busy for half a minute or more; they run first, so that no worker ends up with one alone."""
FAST_SECONDS = 3
"""Most CPU time of a test marked `fast`. All of them together take 60 s on 2 cores, imports included."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items):
    """The tests of a file run on one worker, so that what they share is made once; marked groups split a long file."""
    for item in items:
        file, mark = str(item.path.relative_to(item.config.rootpath)), item.get_closest_marker("xdist_group")
        group = f"{file}:{mark.args[0]}" if mark else file
        item.add_marker(pytest.mark.xdist_group(group), append=False)
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)


def pytest_collection_finish():
    """Modules and tests stay, so the garbage collector skips them: a full collection takes 0.1 s in place of 0.4 s."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Warn of a test marked `fast` that is not; it does not fail, since its time depends on the machine."""
    start = sum(os.times()[:4])  # this process and its children
    result = yield
    seconds = sum(os.times()[:4]) - start
    if item.get_closest_marker("fast") and seconds > FAST_SECONDS:
        warnings.warn(f"{item.nodeid} is marked `fast` and took {seconds:.1f} s of CPU time", stacklevel=1)
    return result


@pytest.fixture(scope="module", autouse=True)
def release_memory():
    """Free Keras state, models and graphs after each file; without it a worker grew to 7 GB."""
    yield
    keras.backend.clear_session()  # collects garbage, too
    gc.freeze()  # what is left are modules that the file has imported
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory otherwise


@pytest.fixture(scope="module", autouse=True)
def client_environment(request, tmp_path_factory):
    """The clients that have an environment of their own are there in files marked `clients` alone.

    Elsewhere each file for phones would start a process of MediaPipe, which takes longer than its export.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("clients") is None:
            patch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "no_clients"))
        yield


@pytest.fixture(scope="session")
def digits():
    return training.load_data("digits")


@pytest.fixture(scope="session")
def trained_file(digits, tmp_path_factory):
    """A LeNet-5 trained for a few seconds, as a file; tests that change a model load their own."""
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", labels=digits.labels)
    training.fit(model, digits, training.Recipe(epochs=4), verbose=False)
    return zoo.save_model(model, tmp_path_factory.mktemp("trained") / "lenet5.keras")


@pytest.fixture
def trained(trained_file):
    return zoo.load_model(trained_file)


@pytest.fixture(scope="session")
def randomize_batch_norm():
    """Gives a net gains and statistics like a trained one's; fresh ones hide errors behind outputs that hardly vary.

    Gains and shifts are random, gains small where a residual branch is added, as training has them: with gains of 1
    there a change of 1e-6 in the pixels of a random resnet50 grew to 3.5e-4 in its answers, with 0.1 to 6e-5. Shifts
    are above zero, which leaves most units open: with shifts around zero a random inception_v4 in float32 was 1.3e-4
    to 2.8e-4 off itself in float64, with these 2.9e-5 to 4.1e-5. The statistics are those of one batch of noise, so
    that deep nets do not blow up, each a little off, so that no normalization can be left out unnoticed. Biases of
    other layers are random, too.
    """

    def randomize(model: keras.Model) -> keras.Model:
        random = np.random.default_rng(0)
        flat = zoo.flatten_model(model)
        norms = [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for norm in norms:
            if norm.gamma is not None:
                added = any(isinstance(node.operation, keras.layers.Add) for node in norm._outbound_nodes)
                norm.gamma.assign(random.uniform(0.5, 1.5, norm.gamma.shape) * (0.2 if added else 1.0))
            norm.beta.assign(random.uniform(0, 1, norm.beta.shape))
        for layer in flat.layers:
            if getattr(layer, "bias", None) is not None:
                layer.bias.assign(random.uniform(-0.1, 0.1, layer.bias.shape))
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        flat(random.integers(0, 256, (32, *model.input_shape[1:])).astype("float32"), training=True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            deviation = np.sqrt(norm.moving_variance.numpy())
            norm.moving_mean.assign_add(random.uniform(-0.2, 0.2, deviation.shape) * deviation)
            norm.moving_variance.assign(norm.moving_variance.numpy() * random.uniform(0.8, 1.25, deviation.shape))
        return model

    return randomize


@pytest.fixture(scope="session")
def pixels():
    """Random raw pixels of a shape (count, height, width, channels)."""
    return random_pixels


@pytest.fixture
def pocketzoo(monkeypatch, capsys):
    """Runs the command line in this process; gives its exit code, standard output and standard error."""

    from pocketzoo.cli import main as entry

    def run(*arguments: object) -> tuple[int, str, str]:
        for variable in ("POCKETZOO_VERBOSE", "POCKETZOO_OFFLINE"):  # which options set, for their process
            monkeypatch.setenv(variable, "")
        monkeypatch.setattr(sys, "argv", ["pocketzoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            entry.main()
        out, err = capsys.readouterr()
        return exit_.value.code or 0, out, err

    return run
