"""`pocketzoo export`: a proven bundle from a model file."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import InputError
from ..export.targets import list_targets, targets_of
from . import console, options
from .heavy import import_tensorflow
from .options import Json, Overwrite, SkipUnreadable


def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Option(help="The bundle's directory.")],
    targets: Annotated[
        str, typer.Option(help=f"{', '.join(list_targets())}; several with commas between. See `pocketzoo targets`.")
    ] = "mobile",
    data: Annotated[
        str | None,
        typer.Option(help="'digits' or a folder: its train split calibrates, its test split is what is proven on."),
    ] = None,
    bar: Annotated[
        list[str] | None,
        typer.Option(
            help="Another bar than that of all formats, such as agreement=0.95 or accuracy_drop=0.02, or a budget, "
            "arena_bytes=256000; repeatable. The manifest says what was set."
        ),
    ] = None,
    keep_float: Annotated[
        str | None, typer.Option(help="Layers that int8 leaves in floats, such as 'head_*', several with commas.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Height and width of the artifacts of a model that leaves them open: 224x224.")
    ] = None,
    batch: Annotated[str, typer.Option(help="1, or N: any number of images at once (ONNX in floats).")] = "1",
    skip_unreadable: SkipUnreadable = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert a model, prove every artifact on its runtime, and write the bundle."""
    names = [name.strip() for name in targets.split(",") if name.strip()]
    targets_of(names)  # a misspelt target is told before TensorFlow takes its seconds to load
    bars = dict(_bar(text) for text in bar or ())
    from ..export.artifact.bundle_directory import check_free

    check_free(out, overwrite=overwrite)
    import_tensorflow()
    from .. import export, zoo
    from ..zoo.signature import image_shape

    loaded = zoo.load_model(model)
    *sides, channels = image_shape(loaded)
    images = options.load(data, (*(_size(input_size) or sides), channels), skip_unreadable) if data else None
    with console.status("Preparing") as progress:
        manifest = export.export_model(
            loaded,
            out,
            targets=names,
            calibration=images and images.train,
            evaluation=images and images.test,
            bars=bars,
            input_size=_size(input_size),
            batch=_batch(batch),
            keep_float=[name.strip() for name in keep_float.split(",")] if keep_float else (),
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        console.show_json(manifest.model_dump(mode="json"))
    else:
        console.show_manifest(manifest)
        typer.echo(f"Bundle: {out}")


def _bar(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InputError(f"--bar {text!r} is no name=number.") from None


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width, from `224x192`."""
    if text is None:
        return None
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise InputError(f"--input-size is {text!r}; it takes height and width, such as 224x192.")
    return int(sides[0]), int(sides[1])


def _batch(text: str) -> int | str:
    if text not in ("1", "N"):
        raise InputError(f"--batch is {text!r}; it takes 1 or N.")
    return 1 if text == "1" else "N"
