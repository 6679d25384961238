"""What to look at when a net does not learn: the size of its gradient, and units that never answer."""

from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ....zoo.flat import flatten_model

RECTIFIERS = (keras.activations.relu, keras.activations.relu6)


class Monitor(keras.callbacks.Callback):
    """Adds to the metrics of every epoch, from one batch of the validation split in inference mode:

    - `gradient_norm`, the norm of the loss' gradient over all weights that train;
    - `dead_units`, the share of the units of ReLU and ReLU6 that are zero for every image of the batch (of a map:
      channels that are zero in every place too), and `dead_units/LAYER` for each layer of them.

    Args:
        model: The run's.
        images: A batch that it takes.
        batch: The same images, or what was computed from them, as the network that is trained takes them, with targets.
    """

    def __init__(self, model: keras.Model, images: np.ndarray, batch: tuple[Any, ...]):
        super().__init__()
        self._images = images
        self._batch = batch
        self._rectified = rectified_outputs(model)

    def on_train_begin(self, logs=None):
        """The network is known from here on."""
        self._norm = tf.function(partial(gradient_norm, self.model))

    def on_epoch_end(self, epoch, logs=None):
        """Adds the figures."""
        logs["gradient_norm"] = float(self._norm(*self._batch))
        if self._rectified is None:
            return
        dead = {name: _dead(map_) for name, map_ in self._rectified.predict_on_batch(self._images).items()}
        logs["dead_units"] = float(np.mean(np.concatenate(list(dead.values()))))
        logs.update({f"dead_units/{name}": float(np.mean(of_layer)) for name, of_layer in dead.items()})


def gradient_norm(network: keras.Model, inputs: Any, targets: Any) -> tf.Tensor:
    """Norm over all weights that train of the gradient of what the compiled `network` minimises."""
    with tf.GradientTape() as tape:
        answers = network(inputs, training=False)
        loss = network.compute_loss(x=inputs, y=targets, y_pred=answers, training=False)
    return tf.linalg.global_norm(tape.gradient(loss, [variable.value for variable in network.trainable_variables]))


def rectified_outputs(model: keras.Model) -> keras.Model | None:
    """A model that gives what every ReLU and ReLU6 of `model` answers, by layer; None if there is none."""
    outputs: dict[str, keras.KerasTensor] = {}

    def follow(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        answers = layer(*args, **kwargs)
        if _rectifies(layer):
            outputs[layer.name] = answers
        return answers

    options = {"clone_function": lambda layer: layer, "call_function": follow}
    image = keras.Input(model.input_shape[1:])
    keras.models.clone_model(flatten_model(model), input_tensors=image, **options)
    return keras.Model(image, outputs) if outputs else None


def _rectifies(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    return getattr(layer, "activation", None) in RECTIFIERS


def _dead(answers: np.ndarray) -> np.ndarray:
    """Of each unit, whether it is zero everywhere in `answers`, `(count, ..., units)`."""
    return (answers == 0).reshape(-1, answers.shape[-1]).all(axis=0)
