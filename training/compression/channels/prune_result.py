"""Result of channel pruning."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from ....core.errors import InputError
from ....core.short_repr import ShortRepr
from ....zoo.layer_table import count_macs
from .plan import ChannelPlan


@dataclass(frozen=True)
class Size(ShortRepr):
    """Size of a model."""

    parameters: int
    multiply_adds: int | None
    """Of one image; None if they cannot be counted: the height or width of the model is not fixed, or it has layers
    whose kernels are of another type."""

    @classmethod
    def of(cls, model: keras.Model) -> "Size":
        """Return the size of `model`."""
        try:
            return cls(model.count_params(), count_macs(model))
        except InputError:
            return cls(model.count_params(), None)


@dataclass(frozen=True)
class Step(ShortRepr):
    """Result of one step."""

    budget: str
    size: Size
    difference: float
    """Relative difference of the rebuilt model from the masked one, on noise, before training."""
    widths: dict[str, int]
    """Remaining channels of each convolution and dense layer."""
    metrics: dict[str, Any] | None
    """Metrics of the training after it; None if there was none."""


@dataclass(frozen=True)
class PruneResult(ShortRepr):
    """A model with fewer channels, and how it was pruned."""

    model: keras.Model
    """A new model; the original is not changed."""
    plan: ChannelPlan
    """All removed channels, numbered as in the original model."""
    before: Size
    after: Size
    widths: dict[str, tuple[int, int]]
    """Channels of each convolution and dense layer, before and after."""
    history: list[Step]
    form: str
    """`composite`, of the same layers as the original, or `flat` if their configs cannot express the widths."""
    frozen: dict[str, str]
    """By name of a layer that keeps its input channels: the reason."""
    run_dir: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the model, for JSON."""
        facts = {"before": asdict(self.before), "after": asdict(self.after), "widths": self.widths}
        steps = [asdict(step) for step in self.history]
        return facts | {"form": self.form, "frozen": self.frozen, "steps": steps, "plan": self.plan.model_dump()}
