"""`pocketzoo cluster`: kernels with few distinct weights, which compress well."""

from typing import Annotated

import typer

from .inputs import open_training_inputs
from .model_contract import FromLogits, Labels, Pixels, Task, state
from .options import (
    Changes,
    FolderLayout,
    Ignore,
    Json,
    Overwrite,
    RecipeData,
    RecipeFile,
    Resume,
    RunDir,
    SkipUnreadable,
    TrainedModel,
)
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
    task: Task = None,
    labels: Labels = None,
    pixels: Pixels = None,
    from_logits: FromLogits = None,
    layout: FolderLayout = None,
    ignore: Ignore = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Cluster the weights of every kernel of a trained model and fine-tune the centroids; zeros stay zero."""
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.clustering.cluster import DEFAULT_RECIPE
    from ..zoo.contract import copy_contract

    inputs = open_training_inputs(model, data, recipe, changes, skip_unreadable, DEFAULT_RECIPE, layout, ignore)
    state(inputs.model, task, labels, pixels, from_logits)
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
    original = zoo.load_model(model)
    copy_contract(inputs.model, original)
    show_compression(original, result, inputs.data, run_dir, title, as_json=as_json)
