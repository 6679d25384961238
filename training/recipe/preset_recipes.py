"""Preset recipes, one per model family: YAML files whose comments give the reasons."""

from pathlib import Path

from ...core.arguments import check_arguments
from ...zoo.registry import card_of
from .recipe import FineTuneRecipe, Recipe

FOLDER = Path(__file__).with_name("presets")
FINE_TUNING = "fine_tune"


@check_arguments
def ready_recipe(name: str, *, fine_tune: bool = False) -> Recipe:
    """Return a recipe to start from for training the model `name` on your own images.

    Args:
        name: Name of a model of the zoo.
        fine_tune: Return a `FineTuneRecipe` for adapting pretrained weights, in place of one for training from scratch.

    Raises:
        InputError: There is no such model.
    """
    return (FineTuneRecipe if fine_tune else Recipe).load(preset_file(name, fine_tune=fine_tune))


def preset_file(name: str, *, fine_tune: bool = False) -> Path:
    """Return the YAML file of that recipe, with the reasons in its comments.

    Raises:
        InputError: There is no such model.
    """
    family = card_of(name).family
    return FOLDER / f"{FINE_TUNING if fine_tune else family}.yaml"
