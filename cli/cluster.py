"""`pocketzoo cluster`: kernels with few distinct weights, which compress well."""

from typing import Annotated

import typer

from .inputs import open_training_inputs
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, RunDir, SkipUnreadable, TrainedModel
from .results import show_compression
from .tensorflow_import import import_tensorflow


def cluster(
    model: TrainedModel,
    run_dir: RunDir,
    data: RecipeData = None,
    clusters: Annotated[int, typer.Option(help="Distinct weights per kernel, including 0; at most 256.")] = 16,
    start: Annotated[
        str, typer.Option(help="Initialization of the centroids: 'kmeans++', 'linear' or 'density'.")
    ] = "kmeans++",
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Cluster the weights of every kernel of a trained model and fine-tune the centroids; zeros stay zero."""
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.clustering.cluster import DEFAULT_RECIPE

    inputs = open_training_inputs(model, data, recipe, changes, skip_unreadable, DEFAULT_RECIPE)
    result = training.cluster(
        inputs.model,
        inputs.data,
        inputs.recipe,
        clusters=clusters,
        start=start,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    title = f"{result.model.name}, at most {result.metrics['clusters']} distinct weights per kernel"
    show_compression(zoo.load_model(model), result, inputs.data, run_dir, title, as_json=as_json)
