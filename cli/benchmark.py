"""`pocketzoo benchmark`: how long artifacts and models take."""

import os
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .heavy import import_tensorflow
from .options import Json

ROUNDS = 5
"""Where the runs can be shared out among them."""


def benchmark(
    artifacts: Annotated[list[Path], typer.Argument(help=".tflite, .onnx or .keras files.")],
    runs: Annotated[int, typer.Option(min=1, help="How many runs to time.")] = 50,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads the runtime may use.")] = 1,
    as_json: Json = False,
) -> None:
    """Time artifacts and models, one image at a time and in turn."""
    from ..export.latency import side_by_side
    from ..export.loading import load_artifact

    if any(path.suffix == ".keras" for path in artifacts):
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)  # TensorFlow reads it when it starts
        import_tensorflow()
    opened = {path: load_artifact(path, threads=threads) for path in artifacts}
    latencies = side_by_side(opened, runs=runs, rounds=1 if runs % ROUNDS else ROUNDS)
    if as_json:
        console.show_json([{"artifact": str(path), **latency.to_dict()} for path, latency in latencies.items()])
        return
    rows = [(path, f"{x.median_ms:.3f}", f"{x.p90_ms:.3f}", f"{x.min_ms:.3f}") for path, x in latencies.items()]
    console.show_table(("artifact", "median ms", "p90 ms", "min ms"), rows)
