"""The compute precision of training: which layers may leave float32, and which precision is fastest here."""

import hashlib
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...core.keras_private import all_layers, source_operation
from ...core.safe_console import SafeConsole
from ...layers import Head, L2Pool2D, LocalResponseNormalization
from ...zoo.pretrained.download import cache_folder
from ...zoo.signature import arrange_inputs, named_inputs
from .environment import processor

SQUARING_LAYERS = (L2Pool2D, LocalResponseNormalization)
"""Layers whose inner layers stay float32: the largest float16 number is 65504, which squares soon exceed."""
ROUNDS = 5
"""Timed training steps per precision; the precisions take turns."""
MAX_TIME_RATIO = 0.95
"""Largest step time, as a share of float32's, at which another precision is chosen."""
DEFAULT_SIDE = 224
"""Image side in pixels for the measurement, where the model takes any size."""


def castable_layers(model: keras.Model) -> list[keras.Layer]:
    """Return all layers of `model`, nested ones too, that may compute in another precision than float32.

    Output layers are not among them: the softmax and the input of the loss are float32 in any precision.
    """
    output_layers = {id(source_operation(tensor)) for tensor in keras.tree.flatten(model.output)}
    fixed: set[int] = set()
    for layer in all_layers(model):
        if id(layer) in output_layers or isinstance(layer, Head):
            fixed.update(id(part) for part in all_layers(layer, include_self=True))
        elif isinstance(layer, SQUARING_LAYERS):
            fixed.update(id(part) for part in all_layers(layer))
    return [layer for layer in all_layers(model) if id(layer) not in fixed]


def fastest_precision(model: keras.Model, batch_size: int, *, verbose: bool = True) -> str:
    """Return `float32`, unless a training step is 5 % faster in `mixed_bfloat16` or, on a GPU, `mixed_float16`.

    The steps are timed on a copy of `model` the first time; the times are stored in the cache folder for this model,
    batch size and machine.

    Args:
        model: The model to be trained; it is not changed.
        batch_size: Images in a batch.
        verbose: Report the choice and the times on standard error.

    Raises:
        InputError: The cached file is damaged.
    """
    key = _cache_key(model, batch_size)
    file = _cache_file(key)
    seconds = _read_times(file)
    if seconds is None:
        seconds = _measure_step_times(model, batch_size)
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(key | {"seconds": seconds}, indent=1))
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[fastest] < MAX_TIME_RATIO * seconds["float32"] else "float32"
    times = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
    SafeConsole(stderr=True, quiet=not verbose).print(
        f"Precision auto: {chosen} for {model.name}, a step of {batch_size} images takes {times} ({file}).",
        soft_wrap=True,
    )
    return chosen


def _cache_key(model: keras.Model, batch_size: int) -> dict[str, Any]:
    """Return all that the step time depends on."""
    shapes = [values.shape[1:] for values in _random_inputs(model, 1).values()]
    devices = [tf.config.experimental.get_device_details(device) for device in tf.config.list_physical_devices("GPU")]
    return {
        "model": model.name,
        "layers": _layers_digest(model),
        "image": shapes[0] if len(shapes) == 1 else shapes,
        "batch_size": batch_size,
        "machine": [platform.machine(), processor(), *(str(device.get("device_name")) for device in devices)],
        "threads": len(_usable_cores()),
        "tensorflow": tf.__version__,
    }


def _layers_digest(model: keras.Model) -> str:
    """Return a hash of all layers, their arguments and weights, without names, some of which Keras numbers."""
    layers = [layer for layer in all_layers(model) if not isinstance(layer, keras.Model)]
    shapes = [tuple(weight.shape) for weight in model.weights]
    described = repr(([(type(layer).__name__, _arguments(layer)) for layer in layers], shapes))
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _arguments(layer: keras.Layer) -> dict[str, Any]:
    try:
        return {name: value for name, value in layer.get_config().items() if name != "name"}
    except NotImplementedError:  # a layer of the user
        return {}


def _usable_cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cache_file(key: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return cache_folder() / "precision" / f"{key['model']}-{digest}.json"


def _read_times(file: Path) -> dict[str, float] | None:
    """Return the cached seconds by precision; None where nothing is cached."""
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text())["seconds"]
    except (ValueError, KeyError) as error:
        raise InputError(f"{file} cannot be read: {error}. Remove it to measure again.") from error


def _random_inputs(model: keras.Model, count: int) -> dict[str, np.ndarray]:
    """Return pixels for images; for other inputs numbers from 0 to 1, as whole numbers 0, which every table has."""
    random = np.random.default_rng(0)

    def values(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (count, *(side or DEFAULT_SIDE for side in tensor.shape[1:]))
        return random.uniform(0, 255 if len(shape) == 4 else 1, shape).astype(tensor.dtype)

    return {name: values(tensor) for name, tensor in named_inputs(model).items()}


def _measure_step_times(model: keras.Model, batch_size: int) -> dict[str, float]:
    """Return the median seconds of a training step in each precision."""
    names = ["float32", "mixed_bfloat16"]
    if tf.config.list_physical_devices("GPU"):
        names.append("mixed_float16")
    networks = {name: _compiled_copy(model, name) for name in names}
    inputs = arrange_inputs(networks["float32"], _random_inputs(model, batch_size))
    targets = keras.tree.map_structure(np.zeros_like, networks["float32"].predict_on_batch(inputs))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            network.train_on_batch(inputs, targets)
            if number:  # the first step includes compilation
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _compiled_copy(model: keras.Model, precision: str) -> keras.Model:
    network = keras.models.clone_model(model)
    for layer in castable_layers(network):
        layer.dtype_policy = precision
    # Next to the network's own time, every loss takes about the same.

    def squared_error(targets: Any, outputs: Any) -> Any:
        return ops.mean(ops.square(outputs - targets))

    loss = keras.tree.map_structure(lambda _: squared_error, network.output)
    network.compile("sgd", loss=loss, auto_scale_loss=False)
    return network
