"""The outputs of the Keras model, with which artifacts are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ...core.outputs import by_name, map_outputs
from ...tasks.accumulator import Accumulator
from ...tasks.registry import DEFAULT_TASK, get_task
from ...tasks.task import Task
from ..large_arrays import batch_slices, row_bytes, select_rows
from ..sample_images import Samples

Origin = Literal["evaluation images", "calibration images", "noise"]
BATCH_BYTES = 2**24
"""Memory for the images and outputs of a batch; statistics need a multiple of it."""


@dataclass(frozen=True)
class Score:
    """The metric of a task over all images, as manifests store it."""

    accuracy: float | None = None
    """Of a task with one decision per image, 0..1."""
    figures: dict[str, float] = field(default_factory=dict)
    """The metric of another task, by name."""

    @property
    def named(self) -> dict[str, float]:
        """All figures by name."""
        return self.figures if self.accuracy is None else {"accuracy": self.accuracy, **self.figures}


@dataclass(frozen=True)
class Reference:
    """Images and the outputs of the Keras model for them."""

    samples: Samples
    """The images; with labels, the task's metric is measured."""
    origin: Origin
    """Noise shows that two graphs are equal, but not that quantization does no harm."""
    outputs: Any
    """Float32 `(count, outputs)` or `(count, height, width, classes)`; may be memory-mapped. A dict of them by name for
    several outputs; so are the next two then."""
    task_name: Any = DEFAULT_TASK
    from_logits: Any = False
    """Whether the outputs are logits."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    @cached_property
    def parts(self) -> dict[str, "Reference"]:
        """The references of each of several outputs by name; the name of the only output is empty."""
        if not isinstance(self.outputs, dict):
            return {"": self}
        return {
            name: replace(
                self,
                samples=self.samples.for_output(name),
                outputs=rows,
                task_name=self.task_name[name],
                from_logits=self.from_logits[name],
            )
            for name, rows in self.outputs.items()
        }

    @property
    def task(self) -> Task:
        """The task of the only output."""
        return get_task(self.task_name)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return the only outputs in the form of the task, such as one probability for each class."""
        return self.task.decode_outputs(outputs, from_logits=self.from_logits)

    def at_most(self, count: int) -> "Reference":
        """Select at most `count` images, spread evenly."""
        if len(self) <= count:
            return self
        return self._select(np.linspace(0, len(self) - 1, count).round().astype(int))

    def mixed(self) -> "Reference":
        """Shuffle the images, always in the same order: where they are sorted by class, the first few are of one."""
        return self._select(np.random.default_rng(0).permutation(len(self)))

    def first(self, count: int) -> "Reference":
        """Select the first `count` images, for runtimes that take seconds for one."""
        return self._select(np.arange(count))

    def _select(self, rows: np.ndarray) -> "Reference":
        outputs = map_outputs(lambda each: select_rows(each, rows), self.outputs)
        return replace(self, samples=self.samples.select(rows), outputs=outputs)

    def batches(self) -> Iterator[slice]:
        """Split the images into batches that fit in memory."""
        arrays = (*by_name(self.samples.images).values(), *by_name(self.outputs).values())
        return batch_slices(len(self), sum(map(row_bytes, arrays)), BATCH_BYTES)

    def accumulator(self) -> Accumulator | None:
        """An empty accumulator of the metric of the only output's task; None without labels."""
        if self.samples.labels is None or not self.task.has_targets:
            return None
        size = self.task.count_named(self.decode(self.outputs[:1]).shape[1:]) or 0
        return self.task.accumulator([str(index) for index in range(size)])

    @cached_property
    def score(self) -> Score:
        """The metric of the Keras model; for several outputs figures that begin with their names."""
        if isinstance(self.outputs, dict):
            scores = {name: part.score for name, part in self.parts.items()}
            return Score(
                None, {f"{name} {title}": n for name, score in scores.items() for title, n in score.named.items()}
            )
        accumulator = self.accumulator()
        if accumulator is not None and self.samples.labels is not None:
            for batch in self.batches():
                accumulator.add(self.samples.labels[batch], self.decode(self.outputs[batch]))
        return score_of(self.task, accumulator)


def score_of(task: Task, accumulator: Accumulator | None) -> Score:
    """The accumulated metric; empty without labels."""
    if accumulator is None or np.isnan(accumulator.score):  # nothing to measure it on, such as images of one class
        return Score()
    return (
        Score(accumulator.score) if task.one_decision_per_image else Score(None, {str(task.metric): accumulator.score})
    )
