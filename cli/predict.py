"""`pocketzoo predict`: predictions for image files. Imports TensorFlow for Keras models only."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ..core.csv_tables import write_csv
from ..core.errors import InputError
from ..core.visible_text import visible_line
from ..zoo.image_sources import STANDARD_INPUT, image_sources, is_address
from . import console
from .inputs import check_model, is_model_path, open_model
from .model_contract import ModelContract
from .options import MODEL_FILE, Json, SkipUnreadable
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..export import Artifact, Prediction


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
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 3,
    weights: Annotated[
        str | None,
        typer.Option(help="For a name: which weights, as `pocketzoo info NAME` lists them; the first if none."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder for the masks of a segmentation: PNG with a color for each class.")
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
    from ..tasks.registry import DEFAULT_TASK, get_task

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
    if artifact is not None:
        _check_one_image(artifact, model)
    answers: list[Answer] = []
    for source, mask_file in zip(sources, mask_files, strict=True):  # one by one: with an open size, sizes may differ
        if artifact is None or source in missing:
            answers.append(Answer(source, error=str(missing[source])))
            continue
        try:
            prediction = _predict(artifact, source)
        except InputError as error:
            typer.echo(visible_line(f"{failure}: {error}"), err=True)
            answers.append(Answer(source, error=str(error)))
            continue
        answers.append(Answer(source, prediction.task, prediction.rows(top)[0]))
        if mask_file is not None:
            _write_mask(mask_file, prediction)
    shown = get_task(next((answer.task for answer in answers if answer.task), DEFAULT_TASK))
    failed = sum(bool(answer.error) for answer in answers)
    if as_json:
        console.show_json([answer.facts(shown.figure_name) for answer in answers])
    elif as_csv:
        _show_csv(answers, shown.figure_name)
    elif failed < len(answers):
        cells = [
            (answer.source, label, shown.format_figure(figure)) for answer in answers for label, figure in answer.rows
        ]
        console.show_table(("image", "label", str(shown.figure_name)), cells)
        if masks is not None:
            typer.echo(f"Masks: {masks}")
    if failed == len(answers) or (failed and not skip_unreadable):
        raise typer.Exit(2)


@dataclass(frozen=True)
class Answer:
    """The prediction for one image, or what is wrong with it."""

    source: str
    task: str = ""
    rows: list[tuple[str, float]] = field(default_factory=list)
    error: str = ""

    def facts(self, figure_name: str | None) -> dict[str, Any]:
        """Return plain data for JSON."""
        if self.error:
            return {"image": self.source, "error": self.error}
        return {"image": self.source, "top": [{"label": label, figure_name: figure} for label, figure in self.rows]}


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


def _predict(artifact: "Artifact", source: str) -> "Prediction":
    from ..export.prediction import predict as predict_images
    from ..zoo.image_files import read_pixels

    height, width, channels = artifact.input.image_shape
    pixels = read_pixels(source, height=height, width=width, channels=channels, pixel_range=artifact.pixel_range)
    return predict_images(artifact, pixels)


def _show_csv(answers: Sequence[Answer], figure_name: str | None) -> None:
    """Print a row for each image and label; an image that cannot be read has a row with the reason."""
    rows: list[tuple[object, ...]] = [("image", "label", figure_name, "error")]
    for answer in answers:
        rows += [(answer.source, label, figure, "") for label, figure in answer.rows]
        if answer.error:
            rows.append((answer.source, "", "", answer.error))
    write_csv(sys.stdout, rows)


def _mask_files(folder: Path, sources: Sequence[str]) -> list[Path]:
    """Path of the mask of each image, under the name of the image."""
    names = [Path(urlsplit(source).path if is_address(source) else source).stem for source in sources]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise InputError(f"two images are called {duplicate!r}; their masks would have the same name.")
    return [folder / f"{'stdin' if name == '-' else name}.png" for name in names]


def _write_mask(path: Path, prediction: "Prediction") -> None:
    """Write the predicted mask as a PNG of class indices, with a color for each class."""
    from ..core.atomic_files import atomic_path
    from ..tasks import get_task

    picture = get_task(prediction.task).picture(prediction.probabilities[0])
    if picture is None:
        raise InputError(f"the outputs of a {prediction.task} are not masks.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _open(model: str, weights: str | None, contract: ModelContract) -> "Artifact":
    """Open the model or artifact, of which `contract` holds."""
    from ..export.loading import load_artifact, to_artifact

    if Path(model).suffix and not is_model_path(model):
        artifact = load_artifact(model)
        contract.state(artifact)
        return artifact
    import_tensorflow()
    from ..zoo.contract import state_contract
    from ..zoo.model_arguments import functional_argument

    loaded = functional_argument(open_model(model, weights, pretrained=True))
    contract.state(loaded)
    state_contract(loaded)  # prints what is inferred
    return replace(to_artifact(loaded), path=Path(model))


def _check_one_image(artifact: "Artifact", model: str) -> None:
    if len(artifact.inputs) > 1 or isinstance(artifact.output, dict):
        raise InputError(
            f"{model} has several inputs, or named outputs; run it in Python, by pocketzoo.export.predict."
        )
