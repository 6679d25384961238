"""Embedding: vectors to be compared with one another, near for images of one class and far for others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..core.errors import InputError
from .accumulator import VectorAccumulator
from .bootstrap import share_interval
from .class_targets import ClassTargets
from .evaluation import Row, VectorEvaluation
from .plots import plot_captioned, plot_roc
from .retrieval import ALONE, FALSE_ACCEPT_RATES, Retrieval, Verification, unit_vectors
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from ..layers import EmbeddingHead

MARGIN = 0.2
"""By how much another class must be farther away in `EmbeddingEvaluation.loss`."""
SHEET_COLUMNS = 6
"""Images in a row of the sheet: one, and the nearest to it."""


class Embedding(ClassTargets, Task):
    """Vectors `(batch, length)`; targets are class indices, int32 `(count,)`, of any number of classes."""

    name = "embedding"
    of_signals = True
    min_outputs = None
    meaning = "an embedding"
    column = "identity"
    trained_by = ("classification",)
    compares_images = True
    losses = ("triplet", "contrastive", "arcface")
    metric = "recall@1"
    output_name = "embedding"
    loss_name = "recall@1 drop"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "EmbeddingHead":
        """Return a head without weights, or with a projection and L2 normalization."""
        from ..layers import EmbeddingHead

        return EmbeddingHead(config.num_outputs or None, normalize=bool(config.num_outputs), name=name)

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the recall@1 among the images of a batch."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_found_in_batch, name="batch_recall_at_1")]

    def accumulator(self, labels: Sequence[str]) -> "EmbeddingAccumulator":
        """Return the accumulator of an `EmbeddingEvaluation`."""
        return EmbeddingAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return a sheet with an image at the start of each row, and the nearest ones beside it."""
        vectors, captions = unit_vectors(outputs), list[tuple[str, bool]]()
        for row, (target, vector) in enumerate(zip(targets, vectors, strict=True)):
            first, label = row - row % SHEET_COLUMNS, _label(labels, target)
            if row == first:
                captions.append((f"{label}; nearest:", False))
            else:
                captions.append((f"{label}: {vectors[first] @ vector:.3f}", bool(target != targets[first])))
        return plot_captioned(images, captions, names)


@dataclass(frozen=True)
class EmbeddingEvaluation(VectorEvaluation):
    """Metrics of embeddings on one split, by cosine similarity, each image compared with all others.

    `loss` is the mean of `max(0, 0.2 + distance to the nearest image of the class - distance to the nearest other)`.
    """

    SUMMARY: ClassVar = {
        "recall@1": "recall_at_1",
        "recall@5": "recall_at_5",
        "mean average precision": "mean_average_precision",
        "ROC AUC": "roc_auc",
        "TAR at FAR 1 %": "tar_at_far_1_percent",
        "TAR at FAR 0.1 %": "tar_at_far_01_percent",
        "loss": "loss",
    }

    queries: int
    """Images with another one of their class; retrieval is measured on these."""
    recall_at_1: float
    """Share of the queries whose nearest image is of their class, 0..1."""
    recall_at_5: float
    """Share of the queries with one of their class among the five nearest, 0..1."""
    mean_average_precision: float
    """Mean over the queries (4,096 of them, if there are more) of the average precision of all images, 0..1."""
    same_pairs: int
    """Pairs of images of one class that verification is measured on."""
    other_pairs: int
    """Pairs of images of two classes."""
    roc_auc: float | None
    """How often a pair of one class is more similar than one of two, 0..1."""
    tar_at_far_1_percent: float | None
    """True accept rate: share of the pairs of one class above the threshold that 1 % of the others exceed, 0..1; None
    for fewer than 100 of these."""
    tar_at_far_01_percent: float | None
    """The same for 0.1 %; None for fewer than 1,000."""
    roc: list[tuple[float, float | None]]
    """False accept rate and true accept rate, from 0.0001 to 1."""
    per_class: dict[str, Row]
    """Images, recall@1 and average precision by class."""

    @classmethod
    def of(cls, targets: np.ndarray, outputs: np.ndarray, labels: Sequence[str]) -> Self:
        """Return the evaluation of class indices `(count,)` and embeddings `(count, length)`.

        Raises:
            InputError: All images are of one class, or none of a class that another one has.
        """
        return cls.of_retrieval(Retrieval.of(targets, outputs), labels)

    @classmethod
    def of_retrieval(cls, found: Retrieval, labels: Sequence[str]) -> Self:
        """Return the evaluation of a search that was made; errors as in `of`."""
        if not found.is_defined:
            one = len(set(found.classes.tolist())) == 1
            what = f"all images are of class {_label(labels, found.classes[0])!r}" if one else "no class has two images"
            raise InputError(f"{what}; recall@1 takes 2 or more classes, and 2 or more images of a class.")
        queries = found.queries
        same, other = (np.sqrt(np.maximum(2 - 2 * each[queries], 0)) for each in (found.same, found.other))
        rows, precisions = found.average_precision
        pairs = Verification.of(found.classes, found.vectors)
        return cls(
            images=len(queries),
            loss=float(np.maximum(0, MARGIN + same - other).mean()),
            intervals=share_interval("recall_at_1", found.rank[queries] == 1),
            queries=int(queries.sum()),
            recall_at_1=float((found.rank[queries] == 1).mean()),
            recall_at_5=float((found.rank[queries] <= 5).mean()),
            mean_average_precision=float(precisions.mean()),
            same_pairs=len(pairs.positive),
            other_pairs=len(pairs.negative),
            roc_auc=pairs.roc_auc,
            tar_at_far_1_percent=pairs.true_accept_rate(0.01),
            tar_at_far_01_percent=pairs.true_accept_rate(0.001),
            roc=[(float(rate), pairs.true_accept_rate(rate)) for rate in FALSE_ACCEPT_RATES],
            per_class={
                label: _of_class(found.classes == index, found, rows, precisions) for index, label in enumerate(labels)
            },
        )

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by class."""
        return self.per_class

    def plots(self, labels: Sequence[str]) -> dict[str, "Figure"]:
        """Return the ROC curve."""
        known = [(far, tar) for far, tar in self.roc if tar is not None]
        return {"roc.png": plot_roc(known, self.roc_auc)} if known else {}


class EmbeddingAccumulator(VectorAccumulator):
    """Accumulates an `EmbeddingEvaluation`; every image is compared with every other, so embeddings are kept."""

    evaluation_class = EmbeddingEvaluation
    _found: Retrieval | None = None

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch."""
        super().add(targets, outputs)
        self._found = None

    def evaluation(self) -> EmbeddingEvaluation:
        """Return the evaluation of all batches."""
        return EmbeddingEvaluation.of_retrieval(self.retrieval, self.labels)

    @property
    def retrieval(self) -> Retrieval:
        """The search for each image."""
        if self._found is None:
            self._found = Retrieval.of(self.targets, self.outputs)
        return self._found

    def errors(self) -> np.ndarray:
        """Return by how much another class is nearer."""
        return np.where(self.retrieval.queries, self.retrieval.other - self.retrieval.same, ALONE)

    def shown(self, count: int) -> np.ndarray:
        """Return the worst images, each followed by the nearest ones."""
        found, nearest = self.retrieval, SHEET_COLUMNS - 1
        if len(found.classes) <= nearest:
            return super().shown(count)
        worst = np.argsort(-self.errors(), kind="stable")[: max(1, count // SHEET_COLUMNS)]
        return np.concatenate([[row, *found.nearest(row, nearest)] for row in worst])

    @property
    def score(self) -> float:
        """Return the recall@1; NaN where there is nothing to be found."""
        found = self.retrieval
        return float((found.rank[found.queries] == 1).mean()) if found.is_defined else float("nan")

    @property
    def scores(self) -> np.ndarray:
        """1 where the nearest image is of the same class, else 0; the mean where there is no such image."""
        return np.where(self.retrieval.queries, self.retrieval.rank == 1, self.score)

    def loss_against(self, reference: Self) -> float | None:
        """Return the loss of recall@1; None where there is nothing to be found."""
        return super().loss_against(reference) if self.retrieval.is_defined else None


def _of_class(members: np.ndarray, found: Retrieval, rows: np.ndarray, precisions: np.ndarray) -> Row:
    queries = members & found.queries
    ranked = precisions[members[rows]]
    return {
        "recall@1": float((found.rank[queries] == 1).mean()) if queries.any() else None,
        "average precision": float(ranked.mean()) if len(ranked) else None,
        "support": float(members.sum()),
    }


def _label(labels: Sequence[str], index: Any) -> str:
    return labels[index] if index < len(labels) else str(index)


def _found_in_batch(targets: Any, outputs: Any) -> Any:
    """Return 1 for each image whose nearest one in the batch is of its class."""
    from keras import ops

    classes = ops.reshape(targets, (-1,))
    vectors = ops.normalize(ops.cast(outputs, "float32"))
    similarities = ops.matmul(vectors, ops.transpose(vectors)) - 3 * ops.eye(ops.shape(vectors)[0])
    nearest = ops.take(classes, ops.argmax(similarities, axis=-1))
    return ops.cast(ops.equal(nearest, classes), "float32")
