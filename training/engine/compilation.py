"""From a recipe to a compiled network."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack

import keras

from ..recipe.recipe import Recipe
from ..recipe.schedule import Plateau
from .ema import averaged_weights
from .history import History
from .objectives import objectives
from .optimizers import RateGroup, innermost, make_optimizer
from .schedules import plateau_factor


def compile_network(
    network: keras.Model,
    model: keras.Model,
    recipe: Recipe,
    steps: int,
    groups: Sequence[RateGroup],
    *,
    undecayed: Collection[keras.Variable] = (),
) -> None:
    """Compiles what is trained; inside `training_settings`, which say in what precision.

    Args:
        network: What is trained: `model` itself, or layers of it.
        model: The run's, by whose heads the loss and the metrics are chosen.
        recipe: How.
        steps: Batches in an epoch.
        groups: All weights that are trained, with their highest learning rates.
        undecayed: Weights that weight decay spares, besides norms and biases.

    Raises:
        InputError: The recipe's loss is none for what the model answers.
    """
    optimizer = make_optimizer(recipe, steps, groups, undecayed=undecayed)
    if any(layer.dtype_policy.name == "mixed_float16" for layer in network._flatten_layers(include_self=False)):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    network.compile(
        optimizer,
        **objectives(model, recipe.loss),
        jit_compile="auto" if recipe.xla is None else recipe.xla,
        steps_per_execution=steps_at_once(recipe.steps_per_execution, steps),
        auto_scale_loss=False,  # done above: Keras goes by the network's own precision, not by its layers'
    )


def steps_at_once(most: int, steps: int) -> int:
    """The largest number up to `most` that divides an epoch; Keras would fill the last call from the next epoch."""
    return max(count for count in range(1, most + 1) if steps % count == 0)


def engine_callbacks(recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
    """What the recipe needs done between epochs, on what `compile_network` compiled.

    Args:
        recipe: How the network is trained.
        history: Of the run; grows with it.
    """
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.optimizer.ema is not None:
        callbacks.append(ValidateAverages())
    if isinstance(recipe.schedule, Plateau):
        callbacks.append(LowerOnPlateau(recipe.schedule, history))
    return callbacks


class ValidateAverages(keras.callbacks.Callback):
    """Validation measures the moving averages of the weights."""

    def __init__(self):
        super().__init__()
        self._averaged = ExitStack()

    def on_test_begin(self, logs=None):
        """Puts the averages in place."""
        self._averaged.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs=None):
        """Puts the weights back."""
        self._averaged.close()


class LowerOnPlateau(keras.callbacks.Callback):
    """Lowers the learning rate where validation gets no better, by the history alone: a resumed run decides alike."""

    def __init__(self, how: Plateau, history: History):
        super().__init__()
        self._how = how
        self._history = history

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the learning rate's factor for the epoch."""
        phase = self._history.epochs[self._history.phases[-1] :]
        factor = plateau_factor([measured["val_loss"] for measured in phase], self._how)
        innermost(self.model.optimizer)._learning_rate.after.factor.assign(factor)
