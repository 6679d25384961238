"""What of a model trains: freezing it by endpoint, and a report by stage."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import keras
from rich import box
from rich.console import Console
from rich.table import Table

from ...layers import PixelNormalization
from ...zoo.endpoints import feature_extractor
from ..engine.optimizers import learning_rate_of
from .stages import Stage, stages_of

LEFT_OF_THE_START = 0.01
"""Weight that BatchNorm's statistics of before are to have at the end of a phase that updates them."""


def freeze(model: keras.Model, *, up_to: str) -> None:
    """Freezes the layers that an endpoint's map is computed from, the endpoint's own too, and unfreezes the rest.

    A frozen BatchNorm runs in inference mode while the model trains; `model(x, training=False)` in another model would
    not do that, since Keras overrules it when that one is trained. Compile the model after it.

    Args:
        model: A model of the zoo.
        up_to: Name of an endpoint of its card, such as `"stage3"`.

    Raises:
        InputError: There is no such endpoint.
    """
    below = {id(layer) for layer in feature_extractor(model, up_to).layers}
    for layer in model.layers:
        layer.trainable = id(layer) not in below


def freeze_stages(stages: Iterable[Stage]) -> None:
    """Freezes all layers of `stages`."""
    for stage in stages:
        for layer in stage.layers:
            layer.trainable = False


@dataclass(frozen=True)
class StageReport:
    """What of a stage trains."""

    stage: str
    parameters: int
    """All, with BatchNorm's statistics, without the constants of the pixels' normalisation."""
    trainable: int
    """Parameters that the optimizer changes."""
    batch_norms: int
    updating: int
    """BatchNorms whose statistics move in training."""
    learning_rate: float | None
    """Of the next step, or the highest of a phase of fine-tuning; None where nothing trains or nothing is compiled."""


@dataclass(frozen=True)
class TrainableReport:
    """What of a model trains, by stage from the image to the heads. Printed with `rich` it is a table."""

    stages: tuple[StageReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON."""
        return {"stages": [asdict(stage) for stage in self.stages]}

    def __rich__(self) -> Table:
        """One row a stage."""
        table = Table(box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        table.add_column("stage", no_wrap=True)
        for name in ("parameters", "trainable", "BatchNorms", "updating", "learning rate"):
            table.add_column(name, justify="right")
        for row in self.stages:
            rate = "-" if row.learning_rate is None else f"{row.learning_rate:.2g}"
            counts = (f"{count:,}" for count in (row.parameters, row.trainable, row.batch_norms, row.updating))
            table.add_row(row.stage, *counts, rate)
        return table


def trainable_report(model: keras.Model) -> TrainableReport:
    """What of a model of the zoo trains as it stands, by stage: parameters, BatchNorms, and learning rate if compiled.

    Raises:
        InputError: The model is none of the zoo, is written out flat, or has no head.
    """
    optimizer = model.optimizer if model.compiled else None

    def rate(stage: Stage) -> float | None:
        variables = trainable_variables(stage)
        return learning_rate_of(optimizer, variables[0]) if optimizer and variables else None

    return report(model, rate)


def report(model: keras.Model, rate: Callable[[Stage], float | None]) -> TrainableReport:
    """The report with the learning rates that `rate` gives; stages without parameters are left out."""
    rows = (_row(stage, rate) for stage in stages_of(model))
    return TrainableReport(tuple(row for row in rows if row.parameters))


def show_report(report: TrainableReport, title: str, *, quiet: bool) -> None:
    """Prints the table on standard error."""
    table = report.__rich__()
    table.title = title
    Console(stderr=True, quiet=quiet).print(table)


def _row(stage: Stage, rate: Callable[[Stage], float | None]) -> StageReport:
    weights = [v for layer in stage.layers if not isinstance(layer, PixelNormalization) for v in layer.weights]
    norms = batch_norms(stage.layers)
    return StageReport(
        stage.name,
        parameters=sum(math.prod(v.shape) for v in weights),
        trainable=sum(math.prod(v.shape) for v in trainable_variables(stage)),
        batch_norms=len(norms),
        updating=sum(norm.trainable for norm in norms),
        learning_rate=rate(stage),
    )


def trainable_variables(stage: Stage) -> list[keras.Variable]:
    """The weights of a stage that train."""
    return [v for layer in stage.layers for v in layer.trainable_variables]


def batch_norms(layers: Iterable[keras.Layer]) -> list[keras.layers.BatchNormalization]:
    """All BatchNorms among `layers` and inside them."""
    parts = (part for layer in layers for part in layer._flatten_layers())
    return [part for part in parts if isinstance(part, keras.layers.BatchNormalization)]


def momentum_for(norm: keras.layers.BatchNormalization, steps: int) -> float:
    """The momentum of moving statistics at which `steps` batches leave 1 % of what they were: `0.01 ** (1 / steps)`.

    Statistics with the usual 0.99 are half those of before after 69 steps, which in a short run is all of it. Where a
    layer's own momentum is lower already, it is kept.
    """
    return min(norm.momentum, LEFT_OF_THE_START ** (1 / steps))


Settings = list[tuple[keras.Layer, str, Any]]
"""Layer, attribute and value."""


@contextmanager
def settings_of(model: keras.Model) -> Iterator[Callable[[], AbstractContextManager]]:
    """Puts back at the end which layers of `model` are frozen, and the momenta of its BatchNorms.

    Gives a context in which they are so too, for saving the model in the meantime.
    """
    # Parents come before their parts, as they must: what is set on a layer is set on all in it.
    layers = model._flatten_layers(include_self=False)
    given: Settings = [(layer, "trainable", layer.trainable) for layer in layers]
    given += [(norm, "momentum", norm.momentum) for norm in batch_norms(model.layers)]
    try:
        yield lambda: _set_for_now(given)
    finally:
        _set(given)


@contextmanager
def _set_for_now(settings: Settings) -> Iterator[None]:
    now = [(layer, attribute, getattr(layer, attribute)) for layer, attribute, _ in settings]
    _set(settings)
    try:
        yield
    finally:
        _set(now)


def _set(settings: Settings) -> None:
    for layer, attribute, value in settings:
        setattr(layer, attribute, value)
