"""Freezing a model up to an endpoint, and a report of what is trainable by stage."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import keras
from rich import box
from rich.table import Table

from ...core.arguments import check_arguments
from ...core.keras_private import all_layers
from ...core.safe_console import SafeConsole
from ...core.short_repr import ShortRepr
from ...layers import PixelNormalization
from ...zoo.endpoints import feature_extractor
from ...zoo.model_arguments import accepts_any_model
from ..engine.layer_settings import OriginalSettings, preserve_settings
from ..engine.optimizers import current_learning_rate
from .model_stages import Stage, stages_of

REMAINING_WEIGHT = 0.01
"""Weight of the initial BatchNormalization statistics at the end of a phase that updates them."""


@check_arguments
@accepts_any_model
def freeze(model: keras.Model, *, up_to: str) -> None:
    """Freeze all layers up to an endpoint, including the layer of the endpoint, and unfreeze the others.

    A frozen BatchNormalization runs in inference mode while the model trains. Calling `model(x, training=False)` inside
    another model does not achieve that, because Keras overrides the argument when the outer model is trained. Compile
    the model after freezing.

    Args:
        model: A model of the zoo.
        up_to: Name of an endpoint in its model card, such as `"stage3"`.

    Raises:
        InputError: There is no such endpoint.
    """
    below = {id(layer) for layer in feature_extractor(model, up_to).layers}
    for layer in model.layers:
        layer.trainable = id(layer) not in below


def freeze_stages(stages: Iterable[Stage]) -> None:
    """Freeze all layers of `stages`."""
    for stage in stages:
        for layer in stage.layers:
            layer.trainable = False


@dataclass(frozen=True)
class StageReport(ShortRepr):
    """What is trainable in a stage."""

    stage: str
    parameters: int
    """All parameters, including BatchNormalization statistics, without the constants of the pixel normalization."""
    trainable: int
    """Parameters that the optimizer updates."""
    batch_norms: int
    """BatchNormalization layers."""
    updating: int
    """BatchNormalization layers whose statistics are updated in training."""
    learning_rate: float | None
    """Rate of the next step, or the peak of a fine-tuning phase; None if nothing is trainable or compiled."""


@dataclass(frozen=True)
class TrainableReport(ShortRepr):
    """What is trainable in a model, by stage from the image to the heads; a table when printed with `rich`."""

    stages: tuple[StageReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values for JSON."""
        return {"stages": [asdict(stage) for stage in self.stages]}

    def __rich__(self) -> Table:
        """Return a table with a row per stage."""
        table = Table(box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        table.add_column("stage", no_wrap=True)
        for name in ("parameters", "trainable", "BatchNorms", "updating", "learning rate"):
            table.add_column(name, justify="right")
        for row in self.stages:
            rate = "-" if row.learning_rate is None else f"{row.learning_rate:.2g}"
            counts = (f"{count:,}" for count in (row.parameters, row.trainable, row.batch_norms, row.updating))
            table.add_row(row.stage, *counts, rate)
        return table


@check_arguments
@accepts_any_model
def trainable_report(model: keras.Model) -> TrainableReport:
    """Return what is trainable in a model, by stage: parameters, BatchNormalization, learning rates.

    Learning rates are those of the next step; None if the model is not compiled.

    Raises:
        InputError: The model is not from the zoo, is flattened, or has no head of the zoo.
    """
    optimizer = model.optimizer if model.compiled else None

    def rate(stage: Stage) -> float | None:
        variables = trainable_variables(stage)
        return current_learning_rate(optimizer, variables[0]) if optimizer and variables else None

    return report(stages_of(model), rate)


def report(stages: Iterable[Stage], rate: Callable[[Stage], float | None]) -> TrainableReport:
    """Return the report with the learning rates that `rate` returns, without stages that have no parameters."""
    rows = (_row(stage, rate) for stage in stages)
    return TrainableReport(tuple(row for row in rows if row.parameters))


def show_report(report: TrainableReport, title: str, *, quiet: bool) -> None:
    """Print the table on standard error."""
    table = report.__rich__()
    table.title = title
    SafeConsole(stderr=True, quiet=quiet).print(table)


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
    """Return the trainable weights of a stage."""
    return [v for layer in stage.layers for v in layer.trainable_variables]


def batch_norms(layers: Iterable[keras.Layer]) -> list[keras.layers.BatchNormalization]:
    """Return all BatchNormalization layers among `layers` and inside them."""
    parts = (part for layer in layers for part in all_layers(layer, include_self=True))
    return [part for part in parts if isinstance(part, keras.layers.BatchNormalization)]


def momentum_for(norm: keras.layers.BatchNormalization, steps: int) -> float:
    """Return a momentum at which the initial statistics have a weight of 1 % after `steps` batches.

    That is `0.01 ** (1 / steps)`, or the layer's own momentum if it is lower. With the usual 0.99 the initial
    statistics still have half of the weight after 69 steps, which is all that a short run has.
    """
    return min(norm.momentum, REMAINING_WEIGHT ** (1 / steps))


def preserve_trainability(model: keras.Model) -> AbstractContextManager[OriginalSettings]:
    """Restore at the end of the block which layers of `model` are frozen, and the momenta of its BatchNormalization.

    Yields a context manager factory under which they have their original values, for saving the model meanwhile.
    """
    layers = all_layers(model)
    momenta = [(norm, "momentum") for norm in batch_norms(model.layers)]
    return preserve_settings([*((layer, "trainable") for layer in layers), *momenta])
