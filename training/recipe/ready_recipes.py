"""Recipes to begin with, one for each family of models: files with comments that say why."""

from pathlib import Path

from ...zoo.registry import card_of
from .recipe import FineTuneRecipe, Recipe

FOLDER = Path(__file__).with_name("ready")
FINE_TUNING = "fine_tune"


def ready_recipe(name: str, *, fine_tune: bool = False) -> Recipe:
    """A recipe to begin with for training the model `name` on one's own images.

    Args:
        name: A model of the zoo.
        fine_tune: For adapting it from pretrained weights, a `FineTuneRecipe`, in place of training it from scratch.

    Raises:
        InputError: There is no such model.
    """
    return (FineTuneRecipe if fine_tune else Recipe).load(ready_recipe_file(name, fine_tune=fine_tune))


def ready_recipe_file(name: str, *, fine_tune: bool = False) -> Path:
    """The YAML file of that recipe, with the reasons in its comments.

    Raises:
        InputError: There is no such model.
    """
    family = card_of(name).family
    return FOLDER / f"{FINE_TUNING if fine_tune else family}.yaml"
