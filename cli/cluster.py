"""`pocketzoo cluster`: kernels with few distinct weights, which compress well."""

from typing import Annotated

import typer

from .inputs import check_stage, open_training_inputs
from .model_contract import ModelContract
from .option_groups import DataReading, RunControl, TrainingSetup
from .options import Json, RunDir, TrainedModel
from .results import show_compression


def cluster(
    model: TrainedModel,
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    clusters: Annotated[int, typer.Option(help="Distinct weights per kernel, including 0; at most 256.")] = 16,
    start: Annotated[
        str, typer.Option(help="Initialization of the centroids: 'kmeans++', 'linear' or 'density'.")
    ] = "kmeans++",
    contract: ModelContract,
    reading: DataReading,
    run: RunControl,
    as_json: Json = False,
) -> None:
    """Cluster the weights of every kernel of a trained model and fine-tune the centroids; zeros stay zero."""
    from .. import training
    from ..training.compression.default_recipes import CLUSTERS
    from ..training.compression.pipeline.spec import ClusterStage

    check_stage(ClusterStage, clusters=clusters, start=start)
    inputs = open_training_inputs(model, setup, reading, contract, CLUSTERS)
    result = training.cluster(
        inputs.model,
        inputs.data,
        inputs.recipe,
        clusters=clusters,
        start=start,
        run_dir=run_dir,
        **vars(run),
    )
    title = f"{result.model.name}, at most {result.metrics['clusters']} distinct weights per kernel"
    show_compression(inputs.untrained(), result, inputs.data, run_dir, title, as_json=as_json)
