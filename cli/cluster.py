"""`pocketzoo cluster`: kernels of few different weights."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable


def cluster(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    clusters: Annotated[int, typer.Option(help="Different weights of a kernel, 0 included; up to 256.")] = 16,
    start: Annotated[
        str, typer.Option(help="How the first ones are found: 'kmeans++', 'linear' or 'density'.")
    ] = "kmeans++",
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Give every kernel of a trained model few different weights and train these on; zeros stay zero."""
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.clustering.cluster import DEFAULT_RECIPE
    from ..zoo.signature import image_shape

    loaded = zoo.load_model(model)
    how = options.recipe(recipe, changes, DEFAULT_RECIPE)
    images = runs.load(data, how, image_shape(loaded), None, skip_unreadable)
    result = training.cluster(
        loaded, images, how, clusters=clusters, start=start, run_dir=run_dir, resume=resume, overwrite=overwrite
    )
    title = f"{loaded.name}, {result.metrics['clusters']} different weights in a kernel at most"
    models = {"before": zoo.load_model(model), "after": loaded}
    runs.show_change(models, images, result, run_dir, title, as_json=as_json)
