"""`pocketzoo benchmark`: latency of artifacts and models."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..core.visible_text import visible_line
from . import console
from .inputs import check_model, is_artifact_path, open_model
from .options import MODEL_FILE, Json, Weights
from .tensorflow_import import import_tensorflow

ROUNDS = 5
"""Rounds in which the files take turns, if the number of runs is divisible by it."""


def benchmark(
    artifacts: Annotated[
        list[str],
        typer.Argument(help=f".tflite or .onnx files, {MODEL_FILE}, or names from `pocketzoo list`."),
    ],
    runs: Annotated[int, typer.Option(min=1, help="Number of timed runs per file.")] = 50,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Number of CPU threads.")] = 1,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure the latency of artifacts and models, one image at a time, in turns."""
    from ..export.latency import side_by_side
    from ..export.loading import load_artifact, to_artifact

    models = [each for each in artifacts if not is_artifact_path(each)]
    for each in artifacts:
        check_model(each, weights if each in models or not models else None)
    if models or any(Path(each).is_dir() for each in artifacts):
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)  # TensorFlow reads it when it is imported
        import_tensorflow()
    loaded = {
        each: to_artifact(open_model(each, weights)) if each in models else load_artifact(each, threads=threads)
        for each in artifacts
    }
    for path, artifact in loaded.items():
        fixed = [each.shape[0] for each in artifact.inputs.values() if len(each.shape) == 4 and not each.has_batch]
        count = max((side for side in fixed if side), default=None)
        if count:
            typer.echo(
                visible_line(f"{path} takes {count} images at once; its times are those of all of them."), err=True
            )
    latencies = side_by_side(loaded, runs=runs, rounds=1 if runs % ROUNDS else ROUNDS)
    if as_json:
        console.show_json([{"artifact": path, **latency.to_dict()} for path, latency in latencies.items()])
        return
    rows = [(path, f"{x.median_ms:.3f}", f"{x.p90_ms:.3f}", f"{x.min_ms:.3f}") for path, x in latencies.items()]
    console.show_table(("artifact", "median ms", "p90 ms", "min ms"), rows)
