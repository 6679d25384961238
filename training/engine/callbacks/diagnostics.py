"""Diagnostics for a network that does not learn: the gradient norm and the share of dead units."""

from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ....core.flat_graph import FlatGraph
from ....zoo.contract import contract_of
from ....zoo.decoded_form import with_raw_pixels
from ....zoo.flat import flatten_model

RECTIFIERS = (keras.activations.relu, keras.activations.relu6)


class Diagnostics(keras.callbacks.Callback):
    """Adds to the metrics of every epoch, from one batch of the validation split in inference mode:

    - `gradient_norm`, the norm of the gradient of the loss over all trainable weights;
    - `dead_units`, the share of ReLU and ReLU6 units that are zero for every image of the batch (in a feature map:
      channels that are zero at every position too), and `dead_units/LAYER` for each layer of them.

    Args:
        model: The model of the run.
        inputs: A batch of its images, or of its inputs by name.
        batch: Inputs and targets of the same images for the trained network, which may take features of the images.
    """

    def __init__(self, model: keras.Model, inputs: Any, batch: tuple[Any, ...]):
        super().__init__()
        self._inputs = inputs
        self._batch = batch
        self._rectified = rectified_outputs(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Trace the gradient of the network, which is set only now."""
        self._norm = tf.function(partial(gradient_norm, self.model))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add the metrics."""
        logs["gradient_norm"] = float(self._norm(*self._batch))
        if self._rectified is None:
            return
        dead = {name: _dead_units(map_) for name, map_ in self._rectified.predict_on_batch(self._inputs).items()}
        logs["dead_units"] = float(np.mean(np.concatenate(list(dead.values()))))
        logs.update({f"dead_units/{name}": float(np.mean(units)) for name, units in dead.items()})


def gradient_norm(network: keras.Model, inputs: Any, targets: Any) -> tf.Tensor:
    """Return the norm, over all trainable weights, of the gradient of the loss of the compiled `network`."""
    with tf.GradientTape() as tape:
        outputs = network(inputs, training=False)
        loss = network.compute_loss(x=inputs, y=targets, y_pred=outputs, training=False)
    return tf.linalg.global_norm(tape.gradient(loss, [variable.value for variable in network.trainable_variables]))


def rectified_outputs(model: keras.Model) -> keras.Model | None:
    """Return a model with the output of every ReLU and ReLU6 of `model`, by layer name; None if there is none."""
    graph = FlatGraph(flatten_model(model))
    outputs = {node.name: node.output for node in graph.nodes if _is_rectifier(node.operation)}
    return with_raw_pixels(keras.Model(graph.model_input, outputs), contract_of(model)) if outputs else None


def _is_rectifier(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    return getattr(layer, "activation", None) in RECTIFIERS


def _dead_units(outputs: np.ndarray) -> np.ndarray:
    """Return for each unit whether it is zero everywhere in `outputs`, `(count, ..., units)`: bool `(units,)`."""
    return (outputs == 0).reshape(-1, outputs.shape[-1]).all(axis=0)
