"""Kernels drawn anew before training."""

import keras

from ..recipe.recipe import Recipe

KINDS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "he_uniform": keras.initializers.HeUniform,
    "he_normal": keras.initializers.HeNormal,
    "lecun_normal": keras.initializers.LecunNormal,
    "orthogonal": keras.initializers.Orthogonal,
}


def draw_kernels(model: keras.Model, recipe: Recipe) -> None:
    """Draws every kernel of `model` by the recipe's `initializer` and `seed`, if it has an initializer.

    Those of convolutions, depthwise ones too, and of dense layers; biases and norms stay.
    """
    if recipe.initializer is None:
        return
    draw = KINDS[recipe.initializer](seed=keras.random.SeedGenerator(recipe.seed))
    for variable in model.trainable_variables:
        if variable.name.endswith("kernel"):
            variable.assign(draw(variable.shape, variable.dtype))
