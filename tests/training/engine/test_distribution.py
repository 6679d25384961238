"""Models that were created in the scope of a strategy of TensorFlow: each verb works, or refuses in one sentence."""

import json
import os
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from pocketzoo import training, zoo

SCRIPT = """
import json, sys
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
from pocketzoo import export, training
from pocketzoo.zoo import InputError

def net():
    layers = keras.layers
    dense = [layers.Dense(8, "relu"), layers.Dense(8, "relu"), layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), *dense], name="net")

classes = np.arange(40) % 2
pixels = (np.random.default_rng(0).random((40, 8, 8, 3)) * 99 + classes[:, None, None, None] * 99).astype("uint8")
data = training.from_arrays(pixels, classes)
recipe = training.Recipe(epochs=1, batch_size=8, augmentation="none")
results = {}

def run(name, verb, *arguments, **options):
    try:
        results[name] = verb(*arguments, **options) and "works"
    except InputError as error:
        results[name] = str(error)

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
strategies = {"mirrored": mirrored, "one": tf.distribute.OneDeviceStrategy("CPU:0")}
for kind, strategy in strategies.items():
    with strategy.scope():
        model = net()
    run(f"{kind} fit", training.fit, model, data, recipe, verbose=False)
    run(f"{kind} prune", training.prune, model, data, recipe, sparsity=0.5, verbose=False)
    run(f"{kind} find", training.find_learning_rate, model, data, recipe)
    run(f"{kind} evaluate", training.evaluate, model, data)
    run(f"{kind} predict", export.predict, model, pixels[:2])
    run(f"{kind} export", export.export_model, model, f"{sys.argv[1]}/{kind}", targets=["gpu"], evaluation=data.test)
plain = net()
with mirrored.scope():
    model = net()
    model.set_weights(plain.get_weights())
    run("fit in scope", training.fit, model, data, recipe, verbose=False)
    run("evaluate in scope", training.evaluate, model, data)
    run("fit in another scope", training.fit, plain, data, recipe, verbose=False)
training.fit(plain, data, recipe, verbose=False)
pairs = zip(plain.get_weights(), model.get_weights())
results["difference"] = max(float(np.abs(one - other).max()) for one, other in pairs)
print(json.dumps(results))
"""


def test_training_refuses_a_model_from_the_scope_of_a_strategy(few_digits):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        layers = [keras.Input(few_digits.image_shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
        model = keras.Sequential(layers, name="net")
    with pytest.raises(
        zoo.InputError, match=r"^net was created in the scope of a tf\.distribute strategy; train it in"
    ):
        training.fit(model, few_digits, verbose=False)


@pytest.mark.every_card
def test_each_verb_works_on_a_model_from_the_scope_of_a_strategy_or_refuses_it(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert ran.returncode == 0, ran.stderr[-2000:]
    results = json.loads(ran.stdout.splitlines()[-1])
    assert results.pop("difference") < 1e-6
    reasons = {name: result for name, result in results.items() if result != "works"}
    outside = [f"mirrored {verb}" for verb in ("fit", "prune", "find")]
    assert reasons.keys() == {*outside, "evaluate in scope", "fit in another scope"}
    assert all(
        "created in the scope of a tf.distribute strategy; train it in the same" in reasons[name] for name in outside
    )
    assert "net is evaluated on one device; call this function outside" in reasons["evaluate in scope"]
    assert "net was created outside of the scope of MirroredStrategy" in reasons["fit in another scope"]
