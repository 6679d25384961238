"""`pocketzoo export`: a proven bundle from a model file."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Json, Overwrite, SkipUnreadable


def export(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    out: Annotated[Path, typer.Option(help="The bundle's directory.")],
    targets: Annotated[str, typer.Option(help="mobile, edge, gpu, server, or several with commas between.")] = "mobile",
    data: Annotated[
        str | None,
        typer.Option(help="'digits' or a folder: its train split calibrates, its test split is what is proven on."),
    ] = None,
    keep_float: Annotated[
        str | None, typer.Option(help="Layers that int8 leaves in floats, such as 'head_*', several with commas.")
    ] = None,
    skip_unreadable: SkipUnreadable = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert a model, prove every artifact on its runtime, and write the bundle."""
    from ..export.targets import targets_of

    names = [name.strip() for name in targets.split(",") if name.strip()]
    targets_of(names)  # a misspelt target is told before TensorFlow takes its seconds to load

    import_tensorflow()
    from .. import export, zoo
    from ..zoo.inputs import image_shape

    loaded = zoo.load_model(model)
    images = options.load(data, image_shape(loaded), skip_unreadable) if data else None
    with console.status("Converting and proving"):
        manifest = export.export_model(
            loaded,
            out,
            targets=names,
            calibration=images and images.train,
            evaluation=images and images.test,
            keep_float=keep_float.split(",") if keep_float else (),
            overwrite=overwrite,
        )
    if as_json:
        console.show_json(manifest.model_dump(mode="json"))
    else:
        console.show_manifest(manifest)
        typer.echo(f"Bundle: {out}")
