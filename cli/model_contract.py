"""Options that say what the inputs and outputs of a model without a head of the zoo mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from ..core.input_files import read_text

if TYPE_CHECKING:
    import keras

    from ..export import Artifact
    from ..training import ImageData

Task = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="Task of a model without a head of the zoo, or of another tool's file: classification, multi_label, "
        "regression, segmentation, embedding or raw; OUTPUT=TASK for one of several outputs; repeatable.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        help="Names of its classes or values in order, separated by commas, or a .txt file with one on each line; "
        "OUTPUT=NAMES for one of several outputs; repeatable.",
    ),
]
Pixels = Annotated[
    str | None, typer.Option("--pixels", help="Range of pixel values that it expects, such as 0..255, 0..1 or -1..1.")
]
FromLogits = Annotated[
    bool | None,
    typer.Option("--from-logits/--from-probabilities", help="Whether it outputs logits or probabilities."),
]


@dataclass(frozen=True)
class ModelContract:
    """What the inputs and outputs of a model without a head of the zoo mean, as a group of options."""

    task: Task = None
    labels: Labels = None
    pixels: Pixels = None
    from_logits: FromLogits = None

    def check(self) -> None:
        """Raise InputError where a value cannot be right for any model, before TensorFlow takes seconds to load."""
        from ..core.outputs import by_name
        from ..tasks.registry import get_task
        from ..zoo.pixel_range import parse_range

        for task in by_name(_by_output("--task", self.task, str)).values():
            if task is not None:
                get_task(task)
        _by_output("--labels", self.labels, _names)
        if self.pixels is not None:
            parse_range(self.pixels)

    def state_of_file(self, artifact: "Artifact") -> "Artifact":
        """Return an artifact with what the options say about it, if another tool wrote its file."""
        if self == ModelContract():
            return artifact
        if artifact.metadata is not None:
            raise InputError(
                f"{artifact.path} states the task, labels, pixel range and logits itself; leave out --task, --labels, "
                "--pixels and --from-logits."
            )
        return artifact.state(
            task=_by_output("--task", self.task, str),
            labels=_by_output("--labels", self.labels, _names),
            pixels=self.pixels,
            from_logits=self.from_logits,
        )

    def state(self, model: "keras.Model", data: "ImageData | None" = None) -> None:
        """State what the options say about a model, if any is set; it holds for the rest of the command.

        Tasks and labels that the options leave open are those of `data`.
        """
        if self == ModelContract():
            return
        from ..zoo.contract import state_contract

        state_contract(
            model,
            task=_by_output("--task", self.task, str),
            labels=_by_output("--labels", self.labels, _names),
            pixels=self.pixels,
            from_logits=self.from_logits,
            known_tasks=data and data.task,
            known_labels=data and data.labels,
            report=False,  # the command goes on to use it with data, which tells more
        )


def _by_output(option: str, values: list[str] | None, parse: Callable[[str], Any]) -> Any:
    """Return the value of an option, or a dict of those of the form OUTPUT=VALUE; nothing before `=` is no output."""
    if not values:
        return None
    pairs = [value.partition("=") for value in values]
    named = [bool(equals and name.strip()) for name, equals, _ in pairs]
    if named == [False]:
        return parse(values[0])
    unnamed = next((value for value, has_name in zip(values, named, strict=True) if not has_name), None)
    if unnamed is not None:
        raise InputError(f"{option} {unnamed!r} is one of several; each takes the form OUTPUT=VALUE.")
    return {name.strip(): parse(value) for name, _, value in pairs}


def _names(text: str) -> list[str]:
    if not text.endswith(".txt"):
        return [name.strip() for name in text.split(",")]
    try:
        return read_text(text).splitlines()
    except InputError as error:
        raise InputError(f"--labels {text!r} cannot be read: {error}") from error
