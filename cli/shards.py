"""`pocketzoo shards`: a dataset's files packed into TFRecord shards."""

import math
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import InputError
from . import console
from .inputs import load_images
from .option_groups import DataReading
from .options import Json
from .tensorflow_import import import_tensorflow


def shards(
    source: Annotated[str, typer.Argument(help="A folder or a CSV file, as for --data of other commands.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards, empty or new; --data accepts it afterwards.")],
    *,
    shard_mb: Annotated[float, typer.Option(help="Size of a shard in megabytes.")] = 100,
    reading: DataReading,
    as_json: Json = False,
) -> None:
    """Pack a dataset's image files into TFRecord shards, split and checked."""
    if not 0 < shard_mb < math.inf:  # before TensorFlow is imported, which `write_shards` needs
        raise InputError(f"--shard-mb is {shard_mb}; it takes a number of megabytes above 0.")
    images = load_images(source, (None, None, 3), reading)
    import_tensorflow()
    from ..training.data.shards import write_shards

    index = write_shards(images, out, shard_mb=shard_mb)
    sizes = {name: (out / name).stat().st_size for name in index.shards}
    if as_json:
        files = [{"file": name, "images": count, "bytes": sizes[name]} for name, count in index.shards.items()]
        console.show_json({"folder": str(out), "task": index.task, "labels": index.labels, "shards": files})
        return
    rows = [(name, f"{count:,}", f"{sizes[name] / 1e6:,.1f} MB") for name, count in index.shards.items()]
    console.show_table(("shard", "images", "size"), rows, title=f"{source} in {out}")
