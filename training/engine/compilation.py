"""From a model and a recipe to a compiled network."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras

from ...core.keras_private import all_layers
from ...core.layer_traits import traits_of
from ...core.outputs import by_name
from ...zoo.decoded_form import decoded_form
from ..recipe.recipe import Recipe
from .deep_supervision import training_network
from .embedding_losses import ArcFaceLoss, ClassCenters
from .losses import WeightedSum
from .optimizers import ParameterGroup, make_optimizer
from .user_objectives import OF_THE_RECIPE, UserObjectives

INITIALIZERS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "he_uniform": keras.initializers.HeUniform,
    "he_normal": keras.initializers.HeNormal,
    "lecun_normal": keras.initializers.LecunNormal,
    "orthogonal": keras.initializers.Orthogonal,
}


def reinitialize_kernels(model: keras.Model, recipe: Recipe) -> None:
    """Draw new kernels of `model` with the recipe's `initializer` and `seed`; do nothing without an initializer.

    Kernels are those of convolutions, depthwise ones too, and of dense layers; biases and normalization stay.
    """
    if recipe.initializer is None:
        return
    initializer = INITIALIZERS[recipe.initializer](seed=keras.random.SeedGenerator(recipe.seed))
    depthwise = {id(kernel) for layer in all_layers(model, include_self=True) for kernel in _depthwise_kernels(layer)}
    for variable in model.trainable_variables:
        if id(variable) in depthwise:  # each output has one input channel, whereas Keras counts all channels
            height, width, channels, multiplier = variable.shape
            filters = [initializer((height, width, 1, multiplier), variable.dtype) for _ in range(channels)]
            variable.assign(keras.ops.concatenate(filters, axis=2))
        elif variable.name.endswith("kernel"):
            variable.assign(initializer(variable.shape, variable.dtype))


def _depthwise_kernels(layer: keras.Layer) -> list[keras.Variable]:
    return [kernel.of(layer) for kernel in traits_of(layer).kernels if kernel.is_depthwise]


def compile_for_training(
    model: keras.Model,
    recipe: Recipe,
    steps: int,
    labels: Any = None,
    build_network: Callable[[keras.Model], keras.Model] | None = None,
    user_objectives: UserObjectives = OF_THE_RECIPE,
    groups: Callable[[Recipe], Sequence[ParameterGroup]] | None = None,
) -> keras.Model:
    """Return a network of all layers of `model`, compiled for training by `recipe`.

    The model itself is not compiled: saved with our losses and optimizers, it could be loaded nowhere else.

    Args:
        model: The model of the run.
        recipe: How to train it.
        steps: Batches per epoch.
        labels: Names of the classes, labels or values of the data, by output; None where no loss depends on them.
        build_network: Returns a network that shares the layers of the decoded form of `model`; None for all of its
            layers and the auxiliary heads of `recipe`.
        user_objectives: Loss and metrics of the user.
        groups: Returns all weights to be trained with their learning rates; None for that of the recipe.
    """
    network = build_network(decoded_form(model)) if build_network else training_network(model, recipe)
    trained = groups(recipe) if groups else [ParameterGroup(recipe.optimizer.lr, model.trainable_variables)]
    compile_network(network, model, recipe, steps, trained, labels=labels, user_objectives=user_objectives)
    return network


def compile_network(
    network: keras.Model,
    model: keras.Model,
    recipe: Recipe,
    steps: int,
    groups: Sequence[ParameterGroup],
    *,
    labels: Any,
    undecayed: Collection[keras.Variable] = (),
    user_objectives: UserObjectives = OF_THE_RECIPE,
) -> None:
    """Compile `network` for training by `recipe`; call it inside `training_settings`, which set the precision.

    Args:
        network: The network to be trained: `model` itself, or a network that shares its layers.
        model: The model of the run; its heads determine the loss and the metrics.
        recipe: Optimizer, schedule, loss and compilation options.
        steps: Batches per epoch.
        groups: All weights to be trained, with their peak learning rates.
        labels: Names of the classes, labels or values of the data, by output.
        undecayed: Weights excluded from weight decay, in addition to normalization and biases.
        user_objectives: Loss and metrics of the user.

    Raises:
        InputError: The recipe's loss does not fit the task of the model.
    """
    arguments = user_objectives.arguments(model, recipe, labels)
    centers = _class_centers(arguments["loss"])
    if centers:
        network.class_centers = centers  # trained, checkpointed and restored with the layers of the network
    own = {id(variable) for variable in model.trainable_variables}
    added = [variable for variable in network.trainable_variables if id(variable) not in own]  # those of its loss
    if added:
        groups = [*groups, ParameterGroup(max(group.learning_rate for group in groups), added)]
    optimizer = make_optimizer(recipe, steps, groups, undecayed=undecayed)
    if any(layer.dtype_policy.name == "mixed_float16" for layer in all_layers(network)):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    network.get_compile_config = lambda: None  # a file that a callback saves has the layers only, and loads anywhere
    network.compile(
        optimizer,
        **arguments,
        jit_compile="auto" if recipe.xla is None else recipe.xla,
        steps_per_execution=whole_steps_per_execution(recipe.steps_per_execution, steps),
        auto_scale_loss=False,  # done above: Keras looks at the network's own policy, not at those of its layers
    )


def _class_centers(loss: Any) -> list[ClassCenters]:
    """Return the weights of losses that have some, in one order in each run."""
    parts = [part for own in by_name(loss).values() for part in (own.losses if isinstance(own, WeightedSum) else [own])]
    return [part.centers for part in parts if isinstance(part, ArcFaceLoss)]


def whole_steps_per_execution(limit: int, steps: int) -> int:
    """Return the largest divisor of `steps` up to `limit`; Keras would fill a partial execution from the next epoch."""
    return max(count for count in range(1, min(limit, steps) + 1) if steps % count == 0)
