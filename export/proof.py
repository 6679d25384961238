"""The proof that an artifact answers as the Keras model does: measured on the real runtime, on real images."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .artifact import Artifact
from .formats import Format
from .latency import benchmark
from .manifest import Check, Gate
from .samples import Samples


class ProofError(RuntimeError):
    """An artifact does not answer as its model does; the message names the gates and their figures."""


@dataclass(frozen=True)
class Reference:
    """What the Keras model answers, to which every artifact is held."""

    samples: Samples
    """The images; with labels where accuracy can be measured."""
    origin: Literal["evaluation images", "calibration images", "noise"]
    """Noise shows that two graphs are the same, not that quantisation is harmless."""
    outputs: np.ndarray
    """The model's answers, float32 of shape `(count, classes)`, or `(count, height, width, classes)`."""
    task: str = "classification"
    """What the answers are."""

    def first(self, count: int) -> "Reference":
        """The same with the first `count` images alone, for runtimes that take seconds for one."""
        labels = None if self.samples.labels is None else self.samples.labels[:count]
        return replace(self, samples=Samples(self.samples.images[:count], labels), outputs=self.outputs[:count])

    @property
    def accuracy(self) -> float | None:
        """Of the Keras model, 0..1; None where the labels are not known."""
        return _accuracy(self.outputs, self.samples.labels)


def prove(name: str, version: str, artifact: Artifact, kind: Format, reference: Reference) -> Check:
    """Runs `artifact` over all images of `reference` and holds what it answers against the bars of `kind`.

    Args:
        name: Of the runtime.
        version: Of the runtime.
        artifact: Opened in it.
        kind: Says which bars apply.
        reference: Images and the Keras model's answers.
    """
    outputs = artifact.run(reference.samples.images)
    return judge(name, version, outputs, kind, reference, median_ms=benchmark(artifact).median_ms)


def judge(
    name: str, version: str, outputs: np.ndarray, kind: Format, reference: Reference, *, median_ms: float
) -> Check:
    """Holds answers that were got elsewhere, in another process say, against the bars of `kind`.

    Args:
        name: Of the runtime.
        version: Of the runtime.
        outputs: What it answered to the images of `reference`, as `Artifact.run` gives it.
        kind: Says which bars apply.
        reference: Images and the Keras model's answers.
        median_ms: What one image took there.
    """
    accuracy = _accuracy(outputs, reference.samples.labels)
    agreement = None if reference.origin == "noise" else _agreement(outputs, reference.outputs, reference.task)
    drop = None if accuracy is None else reference.accuracy - accuracy
    gates = (
        _at_least("finite share", float(np.isfinite(outputs).mean()), 1.0),
        _at_least("distinct answers", len(np.unique(outputs, axis=0)), min(2, len(outputs))),
        _at_most("relative difference", relative_difference(outputs, reference.outputs), kind.relative_difference),
        _at_least("agreement", agreement, kind.agreement, _no_agreement(reference)),
        _at_most("accuracy drop", drop, kind.accuracy_drop, "no labelled evaluation images were given"),
    )
    return Check(
        name=name,
        version=version,
        gates=tuple(gate for gate in gates if gate is not None),
        accuracy=accuracy,
        agreement=agreement,
        psnr_db=_psnr(outputs, reference.outputs),
        flip_rate=_flip_rate(outputs, reference),
        median_ms=median_ms,
    )


def relative_difference(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Root-mean-square difference over the root-mean-square variation of `reference` from image to image.

    Relative to the variation and not to the values: a fresh net answers nearly the same to every image, and any bar on
    the plain difference would let a wrong artifact pass. Infinite where the reference does not vary at all.
    """
    reference = reference.astype("float64")
    variation = np.sqrt(np.mean((reference - reference.mean(axis=0)) ** 2))
    difference = np.sqrt(np.mean((outputs - reference) ** 2))
    return float(difference / variation) if variation > 0 else float("inf")


def _psnr(outputs: np.ndarray, reference: np.ndarray) -> float | None:
    """`10 log10(peak^2 / mean squared error)`; None where there is no error, or no number."""
    reference = reference.astype("float64")
    error = float(np.mean((outputs - reference) ** 2))
    return float(10 * np.log10(np.max(np.abs(reference)) ** 2 / error)) if np.isfinite(error) and error > 0 else None


def _flip_rate(outputs: np.ndarray, reference: Reference) -> float | None:
    labels = reference.samples.labels
    if labels is None:
        return None
    return float(np.mean((outputs.argmax(-1) == labels) != (reference.outputs.argmax(-1) == labels)))


def _agreement(outputs: np.ndarray, reference: np.ndarray, task: str) -> float | None:
    """Share of equal answers: of the likeliest classes, of the classes that are there; None where there are none."""
    if task == "multi_label":
        return float(np.mean((outputs > 0.5) == (reference > 0.5)))
    if task in ("classification", "segmentation"):
        return float(np.mean(outputs.argmax(-1) == reference.argmax(-1)))
    return None


def _no_agreement(reference: Reference) -> str:
    return (
        "no real images were given"
        if reference.origin == "noise"
        else f"the answers of a {reference.task} are no classes"
    )


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    return None if labels is None else float(np.mean(outputs.argmax(-1) == labels))


def _at_least(name: str, figure: float | None, bar: float | None, reason: str = "") -> Gate | None:
    return _gate(name, figure, ">=", bar, reason)


def _at_most(name: str, figure: float | None, bar: float | None, reason: str = "") -> Gate | None:
    return _gate(name, figure, "<=", bar, reason)


def _gate(name: str, figure: float | None, operator: str, bar: float | None, reason: str) -> Gate | None:
    if bar is None:  # the format has no such bar
        return None
    if figure is None:
        return Gate(name=name, status="skipped", operator=operator, bar=bar, reason=reason)
    return Gate.measured(name, figure, operator, bar)
