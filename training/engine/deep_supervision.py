"""Deep supervision: auxiliary heads are trained with a model, and are no part of it afterwards."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ...zoo.auxiliary_heads import attach_auxiliary_heads
from ...zoo.contract import contract_of
from ...zoo.decoded_form import decoded_form, with_decoded_outputs, with_raw_pixels
from ...zoo.flat import without_optimizer
from ..recipe.recipe import Recipe


def training_network(model: keras.Model, recipe: Recipe) -> keras.Model:
    """Return a network of all layers of `model` in its decoded form, with the auxiliary heads of `recipe`, if any.

    Raises:
        InputError: As in `attach_auxiliary_heads`.
    """
    if not recipe.auxiliary:
        return without_optimizer(decoded_form(model))
    weights, contract = dict(sorted(recipe.auxiliary.items())), contract_of(model)  # a resumed run has the same order
    with _drawn_by(recipe.seed):
        network = with_raw_pixels(attach_auxiliary_heads(model, weights), contract)
    output, heads = network.output
    main = with_decoded_outputs(keras.Model(network.input, output, name=model.name), contract)
    return DeeplySupervised(main, heads, weights)


@contextmanager
def _drawn_by(seed: int) -> Iterator[None]:
    """Let the initial weights of layers that are built in the block depend on `seed` alone, and no others on them."""
    state = random.getstate()  # Keras draws the seeds of initializers from it
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


class DeeplySupervised(keras.Model):
    """A network with auxiliary heads: training minimizes the sum of its loss and theirs, each times its weight.

    Losses, metrics and predictions are those of the network; the mean loss of each head is reported beside them.

    Args:
        network: The network.
        heads: Outputs of the auxiliary heads by endpoint, tensors of its graph.
        weights: Weight of the loss of each.
    """

    def __init__(self, network: keras.Model, heads: dict[str, keras.KerasTensor], weights: Mapping[str, float]):
        super().__init__(network.input, (network.output, heads), name=network.name)
        self.output_names = network.output_names  # losses and metrics do not include the heads
        self._weights_of_heads = dict(weights)
        self._losses_of_heads = [keras.metrics.Mean(name=f"{name}_loss") for name in weights]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of the network, in training with the gradient of the weighted sum."""
        output, heads = y_pred
        own = super().compute_loss(x, y, output, sample_weight, training)
        added = ops.zeros_like(own)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # a loss is the share of one of them
        for (name, weight), mean in zip(self._weights_of_heads.items(), self._losses_of_heads, strict=True):
            loss = self.loss(y, heads[name], sample_weight)
            mean.update_state(loss * replicas, sample_weight=ops.shape(output)[0])
            added = added + weight * loss
        # Its value is that of the network, so that runs with and without heads can be compared.
        return own + (added - ops.stop_gradient(added)) if training else own

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the metrics of the network, and the losses of the heads."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Return the output of the network, without those of the heads."""
        return super().predict_step(data)[0]
