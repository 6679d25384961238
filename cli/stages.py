"""The stages of `pocketzoo compress`: each is done once, whatever happens in between."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic_files import UNFINISHED, atomic_path
from ..core.errors import InputError

if TYPE_CHECKING:
    import keras

    from ..training import ImageData, Recipe
    from .compression_spec import Channels, Clusters, Distillation, Quantization, SparsityStage, Spec, Trained

SETTINGS = "pocketzoo-compression.json"


def run_stages(spec: "Spec", dense: Path, data: "ImageData", folder: Path) -> dict[str, Path]:
    """Does the stages of `spec` that train, one on what the other has made, as far as `folder` does not have them.

    A stage keeps its run in `<number>-<stage>/` and its model, once it is finished, in `<number>-<stage>.keras`.

    Args:
        spec: What to do.
        dense: File of the model to begin with, which also teaches what is left of it.
        data: What to train on.
        folder: From `open_folder`.

    Returns:
        The models' files by stage, in order; the first is `dense`.
    """
    from .. import zoo

    files = {"dense": dense}
    for number, (name, verb) in enumerate(VERBS.items(), start=1):
        how = getattr(spec, name)
        if how is None:
            continue
        run_dir, finished = folder / f"{number}-{name}", folder / f"{number}-{name}.keras"
        if not finished.exists():
            model = zoo.load_model([*files.values()][-1])
            zoo.save_model(verb(how, model, dense, data, run_dir=run_dir, resume=run_dir.exists()), finished)
        files[name] = finished
    return files


def check_stages(spec: "Spec", dense: "keras.Model") -> None:
    """Raises InputError where a stage would refuse `dense`, before any of them has trained for hours."""
    from ..training.compression.quantization.quantize_aware import check_recipe
    from ..training.compression.quantization.rewriting import quantized_model
    from ..training.compression.weights.layer_selection import select_layers
    from ..training.compression.weights.sparsity import Sparsity
    from ..zoo.endpoints import feature_extractor

    for name in VERBS:
        recipe = getattr(getattr(spec, name), "recipe", None)
        if recipe and recipe.initializer is not None:
            raise InputError(
                f"spec: {name}.recipe.initializer is {recipe.initializer!r}; a stage goes on from weights."
            )
    if spec.distillation and spec.distillation.features:
        feature_extractor(dense, spec.distillation.features)
    if spec.sparsity:
        select_layers(dense, Sparsity(**_without_recipe(spec.sparsity)))
    if spec.quantization:
        if spec.quantization.recipe:
            check_recipe(spec.quantization.recipe)
        quantized_model(dense, spec.quantization.activation_bits)


def _remove_channels(how: "Channels", model: "keras.Model", dense: Path, data: "ImageData", **run: Any):
    from .. import training
    from ..export.footprint import milliseconds
    from ..training.compression.channels.prune_channels import DEFAULT_RECIPE

    given = how.model_dump(exclude={"recipe"}) | {"recipe": _recipe(how, DEFAULT_RECIPE), "measure": milliseconds}
    return training.prune_channels(model, data, **given, **run).model


def _distill(how: "Distillation", model: "keras.Model", dense: Path, data: "ImageData", **run: Any):
    from .. import training, zoo

    given = how.model_dump(exclude={"recipe"})
    return training.distill(model, zoo.load_model(dense), data, how.recipe, **given, **run).model


def _prune(how: "SparsityStage", model: "keras.Model", dense: Path, data: "ImageData", **run: Any):
    from .. import training
    from ..training.compression.weights.pruning import DEFAULT_RECIPE
    from ..training.compression.weights.sparsity import Sparsity

    sparsity = Sparsity(**_without_recipe(how))
    return training.prune(model, data, _recipe(how, DEFAULT_RECIPE), sparsity=sparsity, **run).model


def _cluster(how: "Clusters", model: "keras.Model", dense: Path, data: "ImageData", **run: Any):
    from .. import training
    from ..training.compression.clustering.cluster import DEFAULT_RECIPE

    given = how.model_dump(exclude={"recipe"})
    return training.cluster(model, data, _recipe(how, DEFAULT_RECIPE), **given, **run).model


def _quantize(how: "Quantization", model: "keras.Model", dense: Path, data: "ImageData", **run: Any):
    from .. import training
    from ..training.compression.quantization.quantize_aware import DEFAULT_RECIPE

    given = how.model_dump(exclude={"recipe"})
    return training.quantize_aware(model, data, _recipe(how, DEFAULT_RECIPE), **given, **run).model


def _without_recipe(how: "SparsityStage") -> dict[str, Any]:
    return {name: value for name, value in how.explicit_fields().items() if name != "recipe"}


def _recipe(how: "Trained", default: "Recipe") -> "Recipe":
    """The verb's default with what the spec says of it."""
    return default.changed(**how.recipe.explicit_fields()) if how.recipe else default


VERBS = {
    "channels": _remove_channels,
    "distillation": _distill,
    "sparsity": _prune,
    "clusters": _cluster,
    "quantization": _quantize,
}
"""By the section of the spec, in the order in which they are done."""


def open_folder(folder: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Makes the directory of a new compression, or goes back to that of an interrupted one.

    Args:
        folder: The directory.
        settings: What the compression is made from; `resume` takes the very same only.
        resume: Go on with what is there.
        overwrite: Remove an earlier compression that is in the way.

    Raises:
        InputError: The directory is in use by something else, by another compression, or cannot be written.
    """
    own = folder / SETTINGS
    try:
        if overwrite and not resume and own.exists():
            _remove(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()
        if not any(folder.iterdir()):
            with atomic_path(own) as temporary:
                temporary.write_text(json.dumps(settings, indent=1))
        elif not (resume and own.exists()):
            raise InputError(
                f"run directory {folder} is not empty; resume the compression, overwrite it, or name another directory."
            )
    except OSError as error:
        raise InputError(f"run directory {folder} cannot be written: {error.strerror}.") from error
    before = json.loads(own.read_text())
    differing = [name for name in before | settings if before.get(name) != settings.get(name)]
    if differing:
        raise InputError(f"run directory {folder} belongs to another compression: {', '.join(differing)} differs.")


def _remove(folder: Path) -> None:
    """What a compression has written; what somebody else keeps there stays, and keeps the folder from being used."""
    for pattern in ("[1-5]-*", "bundle", "bundle.failed", "comparison.*", SETTINGS):
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
