"""`pocketzoo export`: a validated bundle from a model file, and programs that run its files."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.errors import InputError
from ..core.visible_text import visible
from ..export.readme.snippet_table import SNIPPETS
from ..export.targets import check_batch, check_converters, formats_of, list_targets, targets_of
from . import console
from .inputs import check_images, check_model, is_artifact_path, load_images, open_model, stated_range
from .model_contract import ModelContract
from .option_groups import DataReading
from .options import MODEL_FILE, Budget, Json, Overwrite, Weights
from .results import show_manifest
from .tensorflow_import import import_tensorflow


def export(
    model: Annotated[
        str,
        typer.Argument(
            help=f"A name from `pocketzoo list`, {MODEL_FILE}; with --snippet a bundle or one of its files."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Directory for the bundle; required without --snippet.")] = None,
    *,
    context: typer.Context,
    targets: Annotated[
        str, typer.Option(help=f"{', '.join(list_targets())}; several separated by commas. See `pocketzoo targets`.")
    ] = "mobile",
    data: Annotated[
        str | None,
        typer.Option(help="Dataset, as for `pocketzoo train`; its train split calibrates, its test split validates."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            "--bar",
            help="Change a threshold, such as agreement=0.95 or accuracy_drop=0.02, or set one that has no default, "
            "such as arena_bytes=256000; repeatable. The manifest records the changes.",
        ),
    ] = None,
    budget: Budget = None,
    keep_float: Annotated[
        str | None, typer.Option(help="Layers that int8 keeps in float, such as 'head_*'; several separated by commas.")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Height and width for a model of variable input size: 224x224.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            help="Images at once: 1, or N for any number (float ONNX only; SavedModels always). By default 1, and N "
            "for serving alone."
        ),
    ] = None,
    snippet: Annotated[
        str | None,
        typer.Option(
            help=f"Print a program that runs a file of the bundle, and export nothing: {', '.join(SNIPPETS)}."
        ),
    ] = None,
    rgb: Annotated[
        bool,
        typer.Option(
            "--rgb",
            help="Files of a model of grayscale images take RGB images, as cameras and MediaPipe give them.",
        ),
    ] = False,
    vendor: Annotated[
        Path | None,
        typer.Option(
            help="Folder that npm filled, from which the packages of the web page are copied into the bundle; "
            "without it the page loads them from a CDN."
        ),
    ] = None,
    example: Annotated[
        Path | None,
        typer.Option(
            help="Image file of yours that the bundle shows, with what each file gives for it; no other image is in it."
        ),
    ] = None,
    weights: Weights = None,
    contract: ModelContract,
    reading: DataReading,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert a model, validate every artifact in its runtime, and write the bundle."""
    if snippet is not None:
        _check_nothing_else(context)
        _print_snippet(snippet, Path(model))
        return
    if out is None:
        raise InputError("--out is missing: the directory for the bundle.")
    from ..export.artifact.bundle_directory import check_free
    from ..export.example import check_example
    from ..export.validation.thresholds import check_thresholds, with_budget
    from ..export.web.packages import check_vendor

    if is_artifact_path(model):
        raise InputError(f"{model} is exported already; export the Keras model that it was made from.")
    names = [name.strip() for name in targets.split(",") if name.strip()]
    thresholds = dict(_threshold(text) for text in threshold or ())
    check_thresholds(with_budget(thresholds, budget, targets_of(names)), None, targets_of(names))
    check_converters(formats_of(targets_of(names)))
    if vendor is not None:
        check_vendor(vendor, targets_of(names))
    if example is not None:
        check_example(example)
    size, count = _size(input_size), _batch(batch)
    if count is not None:
        check_batch(count, formats_of(targets_of(names)))
    check_model(model, weights, pretrained=True)
    contract.check()
    check_free(out, overwrite=overwrite)
    if data:
        check_images(data, reading)
    import_tensorflow()
    from .. import export
    from ..zoo.signature import image_shape

    loaded = open_model(model, weights, pretrained=True)
    *sides, channels = image_shape(loaded)
    shape, pixel_range = (*(size or sides), channels), stated_range(loaded)
    images = load_images(data, shape, reading, pixel_range) if data else None
    contract.state(loaded, images)
    with console.status("Preparing") as progress:
        manifest = export.export_model(
            loaded,
            out,
            targets=names,
            calibration=images and images.train,
            evaluation=images and images.test,
            thresholds=thresholds,
            budget=budget,
            input_size=size,
            batch=count,
            rgb=rgb,
            vendor=vendor,
            example=example,
            keep_float=[name.strip() for name in keep_float.split(",")] if keep_float else (),
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        console.show_json(manifest.model_dump(mode="json"))
    else:
        show_manifest(manifest)
        typer.echo(f"Bundle: {out}")


def _check_nothing_else(context: typer.Context) -> None:
    """Raise InputError where options stand beside --snippet, which exports nothing."""
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in ("model", "snippet")
        and str(context.get_parameter_source(str(parameter.name))).endswith("COMMANDLINE")
    ]
    if given:
        raise InputError(f"--snippet prints a program and exports nothing; leave out {', '.join(given)}.")


def _print_snippet(name: str, path: Path) -> None:
    """Print a program for the bundle in a folder, or for one file."""
    from ..export.artifact.manifest import Manifest
    from ..export.loading import load_artifact
    from ..export.readme.programs import snippet_text
    from ..export.readme.runnable_files import RunnableFile, files_of

    manifest = path / "manifest.json"
    if manifest.exists():
        files = files_of(Manifest.load(manifest), path)
    elif is_artifact_path(str(path)):
        files = [RunnableFile.from_artifact(load_artifact(path))]
    else:
        raise InputError(
            f"{path} is neither a bundle, which is a folder with manifest.json, nor an exported file; "
            "--snippet takes what was exported."
        )
    typer.echo(visible(snippet_text(name, files, str(path))), nl=False)


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InputError(f"--threshold {text!r} is not of the form name=number.") from None


def _size(text: str | None) -> tuple[int, int] | None:
    """Parse `224x192` into height and width."""
    if text is None:
        return None
    sides = text.split("x")
    if len(sides) != 2 or not all(re.fullmatch("0*[1-9][0-9]{0,4}", side) for side in sides):
        raise InputError(f"--input-size is {text!r}; it must be height and width, such as 224x192.")
    return int(sides[0]), int(sides[1])


def _batch(text: str | None) -> Literal[1, "N"] | None:
    if text is None:
        return None
    if text not in ("1", "N"):
        raise InputError(f"--batch is {text!r}; it must be 1 or N.")
    return 1 if text == "1" else "N"
