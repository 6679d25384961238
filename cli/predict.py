"""`pocketzoo predict`: predictions for image files. Imports TensorFlow for Keras models only."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ..core.csv_tables import write_csv
from ..core.errors import InputError
from ..core.outputs import by_name
from ..core.visible_text import visible_line
from ..zoo.image_sources import STANDARD_INPUT, image_sources, is_address
from . import console
from .inputs import check_model, is_artifact_path, is_model_path, open_model
from .model_contract import ModelContract
from .options import MODEL_FILE, Json, SkipUnreadable
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from PIL import Image

    from ..export import Artifact, Prediction
    from ..export.gallery import Gallery, Neighbor


def predict(
    model: Annotated[
        str,
        typer.Argument(help=f"A .tflite or .onnx file, {MODEL_FILE}, or a name from `pocketzoo list --pretrained`."),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders of them, patterns such as 'photos/**/*.jpg', addresses on the web, or - for "
            "standard input."
        ),
    ],
    *,
    top: Annotated[
        int, typer.Option(min=1, help="How many classes, or images of the gallery, to show for each image.")
    ] = 3,
    weights: Annotated[
        str | None,
        typer.Option(help="For a name: which weights, as `pocketzoo info NAME` lists them; the first if none."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks",
            "--pictures",
            help="Folder for pictures of the outputs, in PNG: masks with a color for each class, or what the model "
            "made of the images, in their size.",
        ),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="For an embedding: folder of images, or of a folder for each class, of which the nearest are found; "
            "--pictures draws them."
        ),
    ] = None,
    contract: ModelContract,
    skip_unreadable: SkipUnreadable = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the results as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Predict with an exported artifact, a saved model, or a model of the zoo by name.

    Images that cannot be read are named on standard error and do not stop the others; the exit code is 2 then, unless
    --skip-unreadable is set.
    """
    from .answers import Answer, Nearest, csv_rows, show_answers, shown_output  # they take NumPy

    if as_csv and as_json:
        raise InputError("--csv and --json cannot both be printed; leave one of them out.")
    check_model(model, weights, pretrained=True)
    contract.check()
    sources = image_sources(images)
    mask_files = [None] * len(sources) if masks is None else _mask_files(masks, sources)
    failure = "Skipped" if skip_unreadable else "Error"
    missing = _missing(sources)
    for error in missing.values():
        typer.echo(visible_line(f"{failure}: {error}"), err=True)
    artifact = _open(model, weights, contract) if {*sources} - {*missing} else None
    opened = None if artifact is None or gallery is None else _open_gallery(artifact, gallery, skip_unreadable)
    answers: list[Answer] = []
    for source, mask_file in zip(sources, mask_files, strict=True):  # one by one: with an open size, sizes may differ
        if artifact is None or source in missing:
            answers.append(Answer(source, error=str(missing[source])))
            continue
        try:
            predictions = _predict(artifact, source)
        except InputError as error:
            typer.echo(visible_line(f"{failure}: {error}"), err=True)
            answers.append(Answer(source, error=str(error)))
            continue
        if opened is not None:
            neighbors = opened.nearest(by_name(predictions)[""].probabilities[0], top, without=source)
            answers.append(Answer(source, {"": Nearest(neighbors)}))
            if mask_file is not None:
                _draw_nearest(mask_file, source, neighbors)
            continue
        answers.append(Answer(source, {name: shown_output(each, top) for name, each in by_name(predictions).items()}))
        if mask_file is not None:
            _write_picture(mask_file, source, predictions)
    failed = sum(bool(answer.error) for answer in answers)
    if as_json:
        console.show_json([answer.facts() for answer in answers])
    elif as_csv:
        write_csv(sys.stdout, csv_rows(answers))
    elif failed < len(answers):
        show_answers(answers)
        if masks is not None:
            typer.echo(f"Pictures: {masks}")
    if failed == len(answers) or (failed and not skip_unreadable):
        raise typer.Exit(2)


def _missing(sources: Sequence[str]) -> dict[str, InputError]:
    """Return why files cannot be read, by name, before TensorFlow takes seconds to load."""
    from ..zoo.image_files import read_bytes

    missing = {}
    for source in dict.fromkeys(sources):
        if not (is_address(source) or source == STANDARD_INPUT or Path(source).exists()):
            try:
                read_bytes(source)
            except InputError as error:
                missing[source] = error
    return missing


def _predict(artifact: "Artifact", source: str) -> "Prediction | dict[str, Prediction]":
    from ..export.prediction import predict as predict_images

    return predict_images(artifact, source)


def _mask_files(folder: Path, sources: Sequence[str]) -> list[Path]:
    """Path of the picture of each image, under the name of the image; raises InputError where it cannot be written."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--pictures {folder} is a file; it takes a folder, which is made if there is none.")
    names = [Path(urlsplit(source).path if is_address(source) else source).stem for source in sources]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise InputError(f"two images are called {duplicate!r}; their pictures would have the same name.")
    files = [folder / f"{'stdin' if name == '-' else name}.png" for name in names]
    own = {Path(source).resolve() for source in sources if not is_address(source)}
    replaced = next((file for file in files if file.resolve() in own and file.exists()), None)
    if replaced:
        raise InputError(f"--pictures {folder} would replace the image {replaced}; name another folder.")
    return files


def _write_picture(path: Path, source: str, predictions: "Prediction | dict[str, Prediction]") -> None:
    """Write the only picture of the outputs as a PNG: a mask, what was made of the image, or what was found on it."""
    from ..core.atomic_files import atomic_path
    from ..tasks import get_task

    found = []
    for each in by_name(predictions).values():
        task, output = get_task(each.task), each.probabilities[0]
        picture = task.picture(output)
        if picture is None and task.draws_over:
            picture = task.draw_over(_displayed(source), output, each.labels)
        found += [] if picture is None else [picture]
    if len(found) != 1:
        tasks = " and ".join(get_task(each.task).titled for each in by_name(predictions).values())
        raise InputError(f"the outputs of {tasks} are {'no pictures' if not found else 'several pictures'}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        found[0].save(temporary, format="PNG")


def _open_gallery(artifact: "Artifact", folder: Path, skip_unreadable: bool) -> "Gallery":
    from ..export.gallery import open_gallery

    gallery = open_gallery(artifact, folder, skip_unreadable=skip_unreadable)
    for reason in gallery.skipped:
        typer.echo(visible_line(f"Skipped: {reason}"), err=True)
    return gallery


def _draw_nearest(path: Path, source: str, neighbors: "list[Neighbor]") -> None:
    """Write a sheet with the image and those of the gallery as a PNG."""
    import numpy as np

    from ..core.atomic_files import atomic_path
    from ..core.pictures import save_figure
    from ..export.gallery import plot_nearest

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_figure(plot_nearest(np.asarray(_displayed(source)), source, neighbors), temporary)


def _displayed(source: str) -> "Image.Image":
    """Return an image in RGB, in its own size."""
    from PIL import Image

    from ..zoo.image_files import read_image

    if source == STANDARD_INPUT:
        raise InputError("--pictures draws over the image, which standard input gives only once; give a file.")
    return Image.fromarray(read_image(source, height=None, width=None))


def _open(model: str, weights: str | None, contract: ModelContract) -> "Artifact":
    """Open the model or artifact, of which `contract` holds."""
    from ..export.loading import load_artifact, to_artifact

    if is_artifact_path(model) or (Path(model).suffix and not is_model_path(model)):
        artifact = contract.state_of_file(load_artifact(model))
        artifact.check_takes_images()
        return artifact
    import_tensorflow()
    from ..zoo.contract import state_contract
    from ..zoo.model_arguments import functional_argument

    loaded = functional_argument(open_model(model, weights, pretrained=True))
    contract.state(loaded)
    state_contract(loaded)  # prints what is inferred
    artifact = replace(to_artifact(loaded), path=Path(model))
    artifact.check_takes_images()
    return artifact
