"""Pruning on several devices, in a process of its own: devices are split before TensorFlow uses them."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from dataclasses import replace

import keras
import numpy as np
from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages

data = training.load_data("digits", image_size=16)
images, labels = data.train.arrays()
data = replace(data, train=training.ImageSplit(ArrayImages(images[:80]), labels[:80]))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
keras.utils.set_random_seed(0)
with strategy.scope():
    model = zoo.create_model("lenet5", input_shape=(16, 16, 1))
    recipe = training.Recipe(epochs=2, batch_size=10, optimizer="nesterov")
    result = training.prune(model, data, recipe, sparsity=0.8, verbose=False)
kernels = [layer.kernel.value for layer in zoo.flatten_model(model).layers if hasattr(layer, "kernel")]
replicas = [[device.numpy() for device in kernel.values] for kernel in kernels]
print(json.dumps({
    "sparsity": result.metrics["sparsity"],
    "replicas": [len(copies) for copies in replicas],
    "equal": all(np.array_equal(*copies) for copies in replicas),
    "zeros": [[float(np.mean(copy == 0)) for copy in copies] for copies in replicas],
}))
"""


def test_mirrored_kernels_come_to_the_target_on_every_device():
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, stdout=subprocess.PIPE, text=True)
    facts = json.loads(done.stdout)
    assert facts["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert facts["replicas"] == [2] * 5
    assert facts["equal"]
    first, *middle, last = facts["zeros"]
    assert first == last == [0, 0]
    assert all(share == pytest.approx(0.8, abs=0.01) for copies in middle for share in copies)
