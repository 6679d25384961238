"""Train the models whose weights ship with the package, with the recipes in this folder.

make weights                                  (or: python recipes/make_weights.py lenet5 resnet20)

Writes `zoo/weights/NAME-digits.safetensors`, and prints the accuracy on the test split, which the cards report.
"""

import sys
from pathlib import Path

import keras

from pocketzoo import training, zoo

RECIPES = Path(__file__).parent
WEIGHTS = RECIPES.parent / "zoo" / "weights"


def make(name: str) -> None:
    """Train a model on scikit-learn's digits, and save its weights."""
    recipe = training.Recipe.load(RECIPES / f"{name}-digits.yaml")
    card = zoo.model_card(name)
    data = training.load_data("digits", image_size=card.input_shape[:2], channels=card.input_shape[2])
    keras.utils.set_random_seed(recipe.seed)
    model = zoo.create_model(name, labels=data.labels)
    training.fit(model, data, recipe)
    accuracy = training.evaluate(model, data).accuracy
    zoo.save_weights(model, WEIGHTS / f"{name}-digits.safetensors")
    print(f"{name}: {accuracy:.2%} of the {len(data.test)} test images")


if __name__ == "__main__":
    for name in sys.argv[1:] or ("lenet5", "resnet20"):
        make(name)
