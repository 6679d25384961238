"""The outputs of the Keras model, with which artifacts are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from ...tasks.accumulator import Accumulator
from ...tasks.registry import DEFAULT_TASK, get_task
from ...tasks.task import Task
from ..large_arrays import Rows, batch_slices, row_bytes, select_rows
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


@dataclass(frozen=True)
class Reference:
    """Images and the outputs of the Keras model for them."""

    samples: Samples
    """The images; with labels, the task's metric is measured."""
    origin: Origin
    """Noise shows that two graphs are equal, but not that quantization does no harm."""
    outputs: Rows
    """Float32 `(count, outputs)` or `(count, height, width, classes)`; may be memory-mapped."""
    task_name: str = DEFAULT_TASK
    from_logits: bool = False
    """Whether the outputs are logits."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    @property
    def task(self) -> Task:
        """The task of the model."""
        return get_task(self.task_name)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs in the form of the task, such as one probability for each class."""
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
        return replace(self, samples=self.samples.select(rows), outputs=select_rows(self.outputs, rows))

    def batches(self) -> Iterator[slice]:
        """Split the images into batches that fit in memory."""
        return batch_slices(len(self), row_bytes(self.samples.images) + row_bytes(self.outputs), BATCH_BYTES)

    def accumulator(self) -> Accumulator | None:
        """An empty accumulator of the task's metric; None without labels."""
        if self.samples.labels is None or not self.task.has_targets:
            return None
        size = self.decode(self.outputs[:1]).shape[-1]
        return self.task.accumulator([str(index) for index in range(size)])

    @cached_property
    def score(self) -> Score:
        """The metric of the Keras model."""
        accumulator = self.accumulator()
        if accumulator is not None and self.samples.labels is not None:
            for batch in self.batches():
                accumulator.add(self.samples.labels[batch], self.decode(self.outputs[batch]))
        return score_of(self.task, accumulator)


def score_of(task: Task, accumulator: Accumulator | None) -> Score:
    """The accumulated metric; empty without labels."""
    if accumulator is None:
        return Score()
    return (
        Score(accumulator.score) if task.one_decision_per_image else Score(None, {str(task.metric): accumulator.score})
    )
