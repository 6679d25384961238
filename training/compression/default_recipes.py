"""How the methods of compression train, if no recipe says otherwise. Imports no Keras."""

from ..recipe.recipe import Recipe

CHANNELS = Recipe(epochs=20, optimizer={"lr": 1e-3})
SPARSITY = Recipe(epochs=20, optimizer={"lr": 1e-3})
CLUSTERS = Recipe(epochs=10, optimizer={"lr": 1e-4})
QUANTIZATION = Recipe(epochs=10, optimizer={"lr": 1e-4})
"""A trained model whose BatchNorms are folded takes small steps only."""
