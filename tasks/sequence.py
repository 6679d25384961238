"""Sequence: a text read from each image, column by column."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import InputError
from .accumulator import Accumulator
from .bootstrap import share_interval
from .ctc import Symbols, beam_search, columns_needed, greedy, log_likelihood
from .edit_distance import edit_distance
from .evaluation import BaseEvaluation, Row
from .target_form import Labels, Table
from .task import HeadConfig, Task, Upsampling
from .texts import BLANK, PADDING, SPACE, encode_texts, parse_text, read_alphabet, symbols_of, text_of

if TYPE_CHECKING:
    import keras

    from ..layers import SequenceHead

BEAM_WIDTH = 10
"""Prefixes that `predictions` keeps, and most texts that it returns."""


class TextSequence(Task):
    """Probabilities of each character and, last, the blank in each column, `(batch, columns, characters + 1)`.

    Targets are indices of characters, int32 `(count, longest)`, padded with -1.
    """

    name = "sequence"
    activation = "softmax"
    min_outputs = 2
    too_few_outputs = "a sequence has one output for each character and one for the blank; give 2 or more"
    target_dtype = "int32"
    target_kinds = "iu"
    target_form = "whole numbers (count, longest), indices of characters, with -1 after the end of each text"
    class_indices = True
    column = "text"
    feature_key = "text/symbols"
    takes_map = True
    has_order = True
    is_likely = False
    output_axes = ("columns", "symbols")
    losses = ("ctc",)
    metric = "sequence accuracy"
    output_name = "symbols"
    output_meaning = (
        "the probability of each symbol in each column, from left to right: to read the text, take the most probable "
        "symbol of each column, keep one of equal neighbors, and leave out the last symbol, the blank"
    )
    loss_name = "sequence accuracy drop"
    one_decision_per_image = True
    figure_name = "confidence"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "SequenceHead":
        """Return a head that reads a map column by column.

        Raises:
            ValueError: The last label is not that of the blank.
        """
        from ..layers import SequenceHead

        if config.labels is not None and config.labels[-1] != BLANK:
            raise ValueError(
                f"the last label is {config.labels[-1]!r}; the labels of a sequence are its characters and, last, "
                f"{BLANK!r}."
            )
        return SequenceHead(config.num_outputs, labels=config.labels, dropout=config.dropout, name=name)

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(longest,)`, which may be any."""
        return (None,)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether there is one axis; how long a text may be depends on the model."""
        return len(shape) == 1

    def has_form(self, targets: Any) -> bool:
        """Return False: targets may look like labels or numbers, so the task is always stated."""
        return False

    def default_labels(self, targets: np.ndarray, ignore: int | None) -> Labels:
        """Return the indices, and the label of the blank."""
        return (*map(str, range(self.count_outputs(targets) - 1)), BLANK)

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of characters, and one for the blank."""
        return max(int(targets.max(initial=0)) + 2, self.min_outputs or 1)

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return an index below -1, or one that is that of the blank or above; None if there is none."""
        wrong = (targets < PADDING) | (False if num_outputs is None else targets >= num_outputs - 1)
        return int(targets[wrong][0]) if wrong.any() else None

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        wrong = self.class_out_of_range(targets, num_outputs)
        if wrong is not None:
            end = "on" if num_outputs is None else f"to {num_outputs - 2}"
            raise InputError(f"{what} have the index {wrong}; characters go from 0 {end}, and {PADDING} is the end.")
        ended = targets == PADDING
        broken = ended[:, :1].any(axis=1) | (ended[:, :-1] & ~ended[:, 1:]).any(axis=1)
        if broken.any() or not targets.shape[1]:
            row = int(np.argmax(broken))
            raise InputError(
                f"{what} have in row {row} {targets[row].tolist()}; a text has a character or more, and {PADDING} "
                "after its end alone."
            )

    def misfit(self, targets: np.ndarray, output_shape: Sequence[int | None]) -> tuple[int, str] | None:
        """Return the first text that needs more columns than there are."""
        columns = output_shape[0]
        for row, symbols in enumerate(map(symbols_of, targets)):
            needed = columns_needed(symbols)
            if columns is not None and needed > columns:
                return row, (
                    f"a text of {len(symbols)} characters, {needed - len(symbols)} of them like the one before, which "
                    f"takes {needed} columns, but the outputs have {columns}; take wider images, or a model that "
                    "reduces the width less"
                )
        return None

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels, np.ndarray]:
        """Return the labels in the `labels.txt` beside the table, or else of all characters in it, and the texts."""
        column = columns["text"]
        file = table.path.parent / f"{column.removesuffix('text')}labels.txt"
        alphabet = read_alphabet(file) if file.exists() else None
        return encode_texts(table.read(column, partial(parse_text, alphabet=alphabet)), alphabet)

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return the indices with their padding."""
        return np.asarray(target, "int64")

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the indices with their padding."""
        if values.dtype.kind != "i" or values.ndim != 1:
            raise ValueError(f"is {values.tolist()}; it takes indices of characters.")
        try:
            self._check_values(values[np.newaxis], "targets", num_outputs)
        except InputError as error:
            raise ValueError(f"is {values.tolist()}: {error}") from None
        return values.astype(self.target_dtype)

    def value_statistics(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the range and mean of the number of characters of a text."""
        lengths = (targets != PADDING).sum(axis=1)
        shortest, mean, longest = lengths.min(), lengths.mean(), lengths.max()
        return {"characters": {"smallest": float(shortest), "mean": float(mean), "largest": float(longest)}}

    def target_text(self, target: np.ndarray, labels: Sequence[str]) -> str:
        """Return the text of a target."""
        return text_of(symbols_of(target), labels)

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the sequence accuracy."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_correct, name="sequence_accuracy")]

    def accumulator(self, labels: Sequence[str]) -> "SequenceAccumulator":
        """Return the accumulator of a `SequenceEvaluation`."""
        return SequenceAccumulator(labels)

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the text that is read and its probability, and the true one if it differs."""
        found, truth = greedy(output), symbols_of(target)
        caption = f"{text_of(found, labels)}: {np.exp(log_likelihood(output, found)):.1%}"
        return (caption, False) if found == truth else (f"{caption}\nis {text_of(truth, labels)}", True)

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return whether the texts are equal."""
        return np.array([[greedy(one) == greedy(other)] for one, other in zip(outputs, reference, strict=True)], bool)

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the most probable texts and their probabilities, by prefix beam search."""
        found = beam_search(output, max(BEAM_WIDTH, top or 0))[:top]
        return [(text_of(symbols, labels), probability) for symbols, probability in found]


@dataclass(frozen=True)
class SequenceEvaluation(BaseEvaluation):
    """Metrics of texts on one split, read by the most probable path; `loss` is the mean CTC loss, in nats."""

    SUMMARY: ClassVar = {
        "sequence accuracy": "sequence_accuracy",
        "character error rate": "character_error_rate",
        "word error rate": "word_error_rate",
        "loss": "loss",
    }

    sequence_accuracy: float
    """Share of the images whose text is right in all characters, 0..1."""
    character_error_rate: float
    """Characters to insert, remove or replace, for each of the true texts; 0 at best, may exceed 1."""
    word_error_rate: float
    """The same of words, between which there are spaces."""
    per_character: dict[str, Row]
    """`recall`, the share that is read correctly, and `support`, the number in the true texts, of each character."""

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by character."""
        return self.per_character


class SequenceAccumulator(Accumulator):
    """Accumulates a `SequenceEvaluation`; of each image a few numbers are kept."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._losses: list[float] = []
        self._correct: list[bool] = []
        self._edits = _Edits()
        self._word_edits = _Edits()
        self._counts = np.zeros((2, len(self.labels)), "int64")
        """Characters in the true texts, and of these the right ones."""

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch of targets `(count, longest)` and outputs `(count, columns, symbols)`."""
        for target, output in zip(targets, outputs, strict=True):
            truth, found = symbols_of(target), greedy(output)
            self._losses.append(-log_likelihood(output, truth))
            self._correct.append(truth == found)
            right = self._edits.add(truth, found)
            self._word_edits.add(self._words(truth), self._words(found))
            for counts, symbols in zip(self._counts, (truth, np.array(truth)[right]), strict=True):
                np.add.at(counts, np.asarray(symbols, "int64"), 1)

    def _words(self, symbols: Symbols) -> list[str]:
        return text_of(symbols, self.labels).split(" ") if SPACE in self.labels else [str(symbols)]

    def evaluation(self) -> SequenceEvaluation:
        """Return the evaluation of all batches."""
        columns = zip(self.labels[:-1], *self._counts.tolist(), strict=False)
        return SequenceEvaluation(
            images=len(self._correct),
            loss=float(np.mean(self._losses)),
            intervals=share_interval("sequence_accuracy", np.array(self._correct)),
            sequence_accuracy=self.score,
            character_error_rate=self._edits.rate,
            word_error_rate=self._word_edits.rate,
            per_character={
                label: {"recall": right / count if count else None, "support": float(count)}
                for label, count, right in columns
            },
        )

    def errors(self) -> np.ndarray:
        """Return the CTC losses."""
        return np.array(self._losses)

    @property
    def score(self) -> float:
        """Sequence accuracy."""
        return float(np.mean(self._correct))

    @property
    def scores(self) -> np.ndarray:
        """1 for images whose text is right, else 0."""
        return np.array(self._correct, "int64")


@dataclass
class _Edits:
    """Edits of all texts, and elements of the true ones."""

    edits: int = 0
    elements: int = 0

    def add(self, target: Sequence[object], found: Sequence[object]) -> np.ndarray:
        """Add a text, and return which elements of the true one are right."""
        edits, right = edit_distance(target, found)
        self.edits += edits
        self.elements += len(target)
        return right

    @property
    def rate(self) -> float:
        """Edits for each element."""
        return self.edits / self.elements


def _correct(targets: Any, outputs: Any) -> Any:
    """Return 1 where the most probable path reads as the target, `(batch,)`."""
    from keras import ops

    targets, path = ops.cast(targets, "int32"), ops.cast(ops.argmax(outputs, axis=-1), "int32")
    changed = ops.concatenate([ops.ones_like(path[:, :1], dtype="bool"), path[:, 1:] != path[:, :-1]], axis=1)
    is_read = ops.logical_and(changed, path != outputs.shape[-1] - 1)
    places = ops.cumsum(ops.cast(is_read, "int32"), axis=1) - 1
    wanted = ops.take_along_axis(targets, ops.clip(places, 0, ops.shape(targets)[1] - 1), axis=1)
    lengths = ops.sum(ops.cast(targets != PADDING, "int32"), axis=1)
    same_length = ops.sum(ops.cast(is_read, "int32"), axis=1) == lengths
    same_symbols = ops.all(ops.logical_or(ops.logical_not(is_read), path == wanted), axis=1)
    return ops.cast(ops.logical_and(same_length, same_symbols), "float32")
