"""The output of `pocketzoo predict`: rows of labels for outputs with a task, a summary for raw numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import shorten
from ..tasks.registry import get_task
from . import console

if TYPE_CHECKING:
    from ..export import Prediction
    from ..export.gallery import Neighbor

NEIGHBOR_COLUMNS = ("nearest", "label", "similarity")
VALUES_SHOWN = 4
"""Numbers of an output in a table."""
VALUES_PRINTED = 10_000
"""Largest number of values of a raw output that JSON has; of larger ones it has the summary."""


@dataclass(frozen=True)
class Labeled:
    """An output for one image as rows of label and figure."""

    task: str
    rows: list[tuple[str, float]]
    places: list[dict[str, float]]
    """Where in the image each row is, as shares of width and height; empty where rows are of the whole image."""

    @property
    def figure_name(self) -> str:
        """What the figures are."""
        return str(get_task(self.task).figure_name)

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rows = zip(self.rows, self.places or [{}] * len(self.rows), strict=True)
        return {"top": [{"label": label, self.figure_name: figure} | place for (label, figure), place in rows]}

    @property
    def place_names(self) -> tuple[str, ...]:
        """What states a place, such as `x` and `y`; empty without places."""
        return tuple(self.places[0]) if self.places else ()


@dataclass(frozen=True)
class Numbers:
    """An output for one image as numbers or texts, of any shape."""

    task: str
    values: np.ndarray

    @property
    def shape(self) -> str:
        """Its shape, such as `1x8400x4`."""
        return "x".join(map(str, self.values.shape)) or "one value"

    @property
    def summary(self) -> dict[str, float | int]:
        """Smallest, largest and mean value, as far as they are finite, and how many are not; empty for texts."""
        if self.values.dtype.kind not in "uibf" or not self.values.size:
            return {}
        finite = self.values[np.isfinite(self.values)].astype("float64")
        found: dict[str, float | int] = {}
        if finite.size:
            found = {"min": float(finite.min()), "max": float(finite.max()), "mean": float(finite.mean())}
        lost = self.values.size - finite.size
        return found | ({"not_finite": int(lost)} if lost else {})

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        values = _plain(self.values.tolist()) if self.values.size <= VALUES_PRINTED else None
        found = {"task": self.task, "shape": list(self.values.shape), "dtype": _dtype(self.values), **self.summary}
        return {"numbers": found | {"values": values}}


@dataclass(frozen=True)
class Nearest:
    """What a gallery has nearest to an image."""

    neighbors: "Sequence[Neighbor]"

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"nearest": [dict(zip(NEIGHBOR_COLUMNS, row, strict=True)) for row in self.rows]}

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        """File, class and cosine similarity of each, the nearest first."""
        return [(str(one.path), one.label, one.similarity) for one in self.neighbors]


Output = Labeled | Numbers | Nearest


@dataclass(frozen=True)
class Answer:
    """The predictions for one image, or what is wrong with it."""

    source: str
    outputs: Mapping[str, Output] = field(default_factory=dict)
    """By name, which is empty for the only one."""
    error: str = ""

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        if self.error:
            return {"image": self.source, "error": self.error}
        if list(self.outputs) == [""]:
            return {"image": self.source, **self.outputs[""].facts()}
        return {"image": self.source, "outputs": {name: output.facts() for name, output in self.outputs.items()}}


def shown_output(prediction: "Prediction", top: int) -> Output:
    """Return what to show of the output for the only image: at most `top` rows, where these have an order."""
    if get_task(prediction.task).figure_name is None:
        return Numbers(prediction.task, np.asarray(prediction.probabilities[0]))
    return Labeled(prediction.task, prediction.rows(top)[0], prediction.places(top)[0])


def show_answers(answers: Sequence[Answer]) -> None:
    """Print a table of labels for each kind of figure, and one of raw numbers."""
    several = any(list(answer.outputs) != [""] for answer in answers if not answer.error)
    named = ("image", "output") if several else ("image",)
    cells = [(answer.source, name)[: len(named)] for answer in answers for name in answer.outputs]
    outputs = [output for answer in answers for output in answer.outputs.values()]
    pairs = list(zip(cells, outputs, strict=True))
    labeled = [(where, output) for where, output in pairs if isinstance(output, Labeled)]
    for figure, places in dict.fromkeys((output.figure_name, output.place_names) for _, output in labeled):
        rows = [
            (*where, label, get_task(output.task).format_figure(value), *(f"{share:.3f}" for share in place.values()))
            for where, output in labeled
            if (output.figure_name, output.place_names) == (figure, places)
            for (label, value), place in zip(output.rows, output.places or [{}] * len(output.rows), strict=True)
        ]
        console.show_table((*named, "label", figure, *places), rows)
    nearest = [
        (*where, file, label, f"{similarity:.4f}")
        for where, output in pairs
        if isinstance(output, Nearest)
        for file, label, similarity in output.rows
    ]
    if nearest:
        console.show_table((*named, *NEIGHBOR_COLUMNS), nearest)
    numbers = [(*where, *_number_cells(output)) for where, output in pairs if isinstance(output, Numbers)]
    if numbers:
        console.show_table((*named, "shape", "type", "min", "max", "mean", "first values"), numbers)


def csv_rows(answers: Sequence[Answer]) -> Iterator[tuple[object, ...]]:
    """Yield a header, a row for each image and label, and one for an image that cannot be read, with the reason.

    The only output with labels has the columns image, label, the figure's name and error; others have more. With a
    gallery the columns are image, nearest, label, similarity and error.
    """
    outputs = [output for answer in answers for output in answer.outputs.values()]
    if any(isinstance(output, Nearest) for output in outputs):
        yield ("image", *NEIGHBOR_COLUMNS, "error")
        for answer in answers:
            rows = [row for output in answer.outputs.values() if isinstance(output, Nearest) for row in output.rows]
            yield from ((answer.source, *row, "") for row in rows)
            if answer.error:
                yield (answer.source, "", "", "", answer.error)
        return
    figures = list(dict.fromkeys(output.figure_name for output in outputs if isinstance(output, Labeled)))
    several = any(list(answer.outputs) != [""] for answer in answers if not answer.error)
    has_numbers = any(isinstance(output, Numbers) for output in outputs)
    figure = figures[0] if len(figures) == 1 else "probability" if not outputs else "value"
    places = next((output.place_names for output in outputs if isinstance(output, Labeled) and output.places), ())
    label_columns = ("label", figure, *places) if figures or not has_numbers else ()
    number_columns = ("shape", "min", "max", "mean") if has_numbers else ()
    yield ("image", *(("output",) if several else ()), *label_columns, *number_columns, "error")
    for answer in answers:
        for name, output in answer.outputs.items():
            start = (answer.source, *((name,) if several else ()))
            if isinstance(output, Numbers):
                summary = (output.shape, *(output.summary.get(each, "") for each in ("min", "max", "mean")))
                yield (*start, *([""] * len(label_columns)), *summary, "")
            elif isinstance(output, Labeled):
                for (label, value), place in zip(output.rows, output.places or [{}] * len(output.rows), strict=True):
                    where = [place.get(name, "") for name in places]
                    yield (*start, label, value, *where, *([""] * len(number_columns)), "")
        if answer.error:
            empty = [""] * (several + len(label_columns) + len(number_columns))
            yield (answer.source, *empty, answer.error)


def _number_cells(output: Numbers) -> tuple[str, ...]:
    summary = output.summary
    figures = [f"{summary[name]:.6g}" if name in summary else "-" for name in ("min", "max", "mean")]
    first = [
        f"{value:.6g}" if isinstance(value, float) else shorten(str(_plain(value)))
        for value in output.values.ravel()[:VALUES_SHOWN].tolist()
    ]
    more = ", ..." if output.values.size > VALUES_SHOWN else ""
    lost = f" ({summary['not_finite']} not finite)" if "not_finite" in summary else ""
    return output.shape, _dtype(output.values), *figures, f"{', '.join(first)}{more}{lost}" or "none"


def _dtype(values: np.ndarray) -> str:
    if values.dtype.kind in "uibf":
        return values.dtype.name
    return "text" if all(isinstance(value, str | bytes) for value in values.ravel()) else "list"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
