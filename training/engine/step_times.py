"""The precision in which a model trains fastest on this machine, measured once and remembered."""

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
from rich.console import Console

from ...core.atomic_files import atomic_path
from ...core.errors import InputError
from ...core.outputs import map_outputs
from ...zoo.pretrained.download import cache_folder
from .environment import processor
from .precision import computing_layers

ROUNDS = 5
"""Steps that are timed in each precision, in turn."""
WORTH_IT = 0.95
"""Share of float32's time that another precision may take to be preferred to it."""
USUAL_SIDE = 224
"""Pixels, for a model that takes images of any size."""


def fastest_precision(model: keras.Model, batch_size: int, *, verbose: bool = True) -> str:
    """`float32`, unless a step of training is 5 % faster in `mixed_bfloat16` or, on a GPU, `mixed_float16`.

    Measured on a copy of `model` the first time, and kept in the cache folder for this model, batch and machine. Where
    `verbose`, says on standard error which it is, and why.
    """
    setting = _setting(model, batch_size)
    file = _file(setting)
    seconds = _remembered(file)
    if seconds is None:
        seconds = _measure(model, batch_size)
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(setting | {"seconds": seconds}, indent=1))
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[fastest] < WORTH_IT * seconds["float32"] else "float32"
    figures = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
    Console(stderr=True, quiet=not verbose).print(
        f"Precision auto: {chosen} for {model.name}, a step of {batch_size} images takes {figures} ({file}).",
        soft_wrap=True,
        highlight=False,
    )
    return chosen


def _setting(model: keras.Model, batch_size: int) -> dict[str, Any]:
    """What the figures are of."""
    devices = [tf.config.experimental.get_device_details(device) for device in tf.config.list_physical_devices("GPU")]
    return {
        "model": model.name,
        "parameters": model.count_params(),
        "image": _image_shape(model),
        "batch_size": batch_size,
        "machine": [platform.machine(), processor(), *(str(device.get("device_name")) for device in devices)],
        "threads": len(_usable_cores()),
        "tensorflow": tf.__version__,
    }


def _usable_cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _file(setting: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(setting).encode()).hexdigest()[:16]
    return cache_folder() / "precision" / f"{setting['model']}-{name}.json"


def _remembered(file: Path) -> dict[str, float] | None:
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text())["seconds"]
    except (ValueError, KeyError) as error:
        raise InputError(f"{file} cannot be read: {error}. Remove it to measure again.") from error


def _image_shape(model: keras.Model) -> tuple[int, ...]:
    return tuple(side or USUAL_SIDE for side in model.input_shape[1:])


def _measure(model: keras.Model, batch_size: int) -> dict[str, float]:
    """Median seconds of a training step in each precision."""
    names = ["float32", "mixed_bfloat16"]
    if tf.config.list_physical_devices("GPU"):
        names.append("mixed_float16")
    networks = {name: _copy(model, name) for name in names}
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *_image_shape(model))).astype("float32")
    targets = map_outputs(lambda answers: np.zeros_like(answers), networks["float32"].predict_on_batch(images))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS + 1):
        for name, network in networks.items():
            begin = time.perf_counter()
            network.train_on_batch(images, targets)
            if number:  # the first compiles
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _copy(model: keras.Model, precision: str) -> keras.Model:
    network = keras.models.clone_model(model)
    for layer in computing_layers(network):
        layer.dtype_policy = precision
    # Any loss takes as long to differentiate as any other, next to the network.
    loss = map_outputs(lambda _: lambda targets, answers: ops.mean(ops.square(answers - targets)), network.output)
    network.compile("sgd", loss=loss, auto_scale_loss=False)
    return network
