"""`pocketzoo benchmark`: how long an artifact takes."""

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .options import Json


def benchmark(
    artifacts: Annotated[list[Path], typer.Argument(help=".tflite or .onnx files.")],
    runs: Annotated[int, typer.Option(min=1, help="How many runs to time.")] = 50,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads the runtime may use.")] = 1,
    as_json: Json = False,
) -> None:
    """Time artifacts, one image at a time."""
    from ..export.artifact import load_artifact
    from ..export.latency import benchmark as measure

    latencies = {path: measure(load_artifact(path, threads=threads), runs=runs) for path in artifacts}
    if as_json:
        console.show_json([{"artifact": str(path), **latency.to_dict()} for path, latency in latencies.items()])
        return
    rows = [(path, f"{x.median_ms:.3f}", f"{x.p90_ms:.3f}", f"{x.min_ms:.3f}") for path, x in latencies.items()]
    console.show_table(("artifact", "median ms", "p90 ms", "min ms"), rows)
