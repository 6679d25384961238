"""The proof that an artifact answers as the Keras model does: measured on the real runtime, on real images."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from ..artifact.artifact import Artifact
from ..artifact.manifest import Check, Gate
from ..formats import FORMATS, Format
from ..large_arrays import select_rows
from ..latency import quick_benchmark, time_first_run
from ..sample_images import Samples
from .measures import MEASURES, accuracy
from .sample_size import too_few_on_average, too_few_to_agree, too_few_to_lose


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

    def at_most(self, count: int) -> "Reference":
        """The same with at most `count` of the images, spread evenly."""
        if len(self.samples) <= count:
            return self
        return self._of(np.linspace(0, len(self.samples) - 1, count).round().astype(int))

    def mixed(self) -> "Reference":
        """The same in an order by chance, always the same one: images may come class by class, and the first few are
        then of one kind."""
        return self._of(np.random.default_rng(0).permutation(len(self.samples)))

    def first(self, count: int) -> "Reference":
        """The same with the first `count` images alone, for runtimes that take seconds for one."""
        return self._of(np.arange(count))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    def _of(self, chosen: np.ndarray) -> "Reference":
        """The same with the images of these indices."""
        return replace(self, samples=self.samples.select(chosen), outputs=select_rows(self.outputs, chosen))

    @property
    def accuracy(self) -> float | None:
        """Of the Keras model, 0..1; None where what is right is not known, or no class."""
        return _accuracy(self.outputs, self)

    @property
    def figures(self) -> dict[str, float]:
        """What is measured of the Keras model on other tasks, by name; empty where what is right is not known."""
        return _figures(self.outputs, self)


LEAST_IMAGES, SECONDS = 10, 200
"""So many images are run at least, and further ones for about so long."""


def validate_artifact(
    name: str,
    version: str,
    artifact: Artifact,
    kind: Format,
    reference: Reference,
    *,
    seconds: float = SECONDS,
    timed: bool = True,
) -> Check:
    """Runs `artifact` over the images of `reference` and holds what it answers against the bars of `kind`.

    Where one image takes long, fewer are run, spread evenly over all; the check's `images` says how many then.

    Args:
        name: Of the runtime.
        version: Of the runtime.
        artifact: Opened in it.
        kind: Says which bars apply.
        reference: Images and the Keras model's answers.
        seconds: For all images together.
        timed: Whether nothing else is at work, so that the check tells what an image takes.
    """
    median_ms = quick_benchmark(artifact).median_ms if timed else None
    chosen = reference.at_most(max(LEAST_IMAGES, int(1000 * seconds / (median_ms or time_first_run(artifact)))))
    check = judge(name, version, artifact.run(chosen.samples.images), kind, chosen, median_ms=median_ms)
    if len(chosen.samples) == len(reference.samples):
        return check
    return check.model_copy(update={"facts": check.facts | {"images": len(chosen.samples)}})


def judge(
    name: str, version: str, outputs: np.ndarray, kind: Format, reference: Reference, *, median_ms: float | None = None
) -> Check:
    """Holds answers that were got elsewhere, in another process say, against the bars of `kind`.

    Args:
        name: Of the runtime.
        version: Of the runtime.
        outputs: What it answered to the images of `reference`, as `Artifact.run` gives it.
        kind: Says which bars apply.
        reference: Images and the Keras model's answers.
        median_ms: What one image took there, if that says anything of where it will run.
    """
    reference = replace(reference, outputs=np.asarray(reference.outputs))
    equal = None if reference.origin == "noise" else _equal_answers(outputs, reference.outputs, reference.task)
    gates = (
        Gate.measured("finite share", float(np.isfinite(outputs).mean()), ">=", 1.0),
        Gate.measured("distinct answers", len({answer.tobytes() for answer in outputs}), ">=", min(2, len(outputs))),
        _gate("relative difference", relative_difference(outputs, reference.outputs), "<=", kind),
        _agreement_gate(equal, kind, reference),
        _loss_gate(outputs, kind, reference),
    )
    return Check(
        name=name,
        version=version,
        gates=tuple(gate for gate in gates if gate is not None),
        accuracy=_accuracy(outputs, reference),
        agreement=None if equal is None else float(equal.mean()),
        psnr_db=_psnr(outputs, reference.outputs),
        flip_rate=_flip_rate(outputs, reference),
        median_ms=median_ms,
        facts=_figures(outputs, reference),
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
    """Of the images with one class."""
    labels = reference.samples.labels
    if labels is None or reference.task != "classification":
        return None
    return float(np.mean((outputs.argmax(-1) == labels) != (reference.outputs.argmax(-1) == labels)))


def _accuracy(outputs: np.ndarray, reference: Reference) -> float | None:
    known = reference.task == "classification" and reference.samples.labels is not None
    return accuracy(outputs, reference.samples.labels) if known else None


def _figures(outputs: np.ndarray, reference: Reference) -> dict[str, float]:
    if reference.task not in MEASURES or reference.task == "classification" or reference.samples.labels is None:
        return {}
    measure = MEASURES[reference.task]
    return {measure.name: measure.of(outputs, reference.samples.labels)}


def _equal_answers(outputs: np.ndarray, reference: np.ndarray, task: str) -> np.ndarray | None:
    """Which answers are equal, by image: the likeliest classes, the classes that are there; None where there are none,
    or but one."""
    if task == "multi_label":
        return (outputs > 0.5) == (reference > 0.5)
    if task in ("classification", "segmentation") and reference.shape[-1] > 1:
        return outputs.argmax(-1) == reference.argmax(-1)
    return None


def _agreement_gate(equal: np.ndarray | None, kind: Format, reference: Reference) -> Gate | None:
    if equal is None:
        real = reference.origin != "noise"
        reason = f"{reference.task} answers no classes, or but one" if real else "no real images were given"
        return _gate("agreement", None, ">=", kind, reason)
    share, images = float(equal.mean()), len(equal)
    if not kind.approximate:
        reason = None
    elif reference.task == "classification":
        reason = too_few_to_agree(share, images, kind.agreement)
    else:
        by_image = equal.reshape(images, -1)
        reason = too_few_on_average(partial(by_image.mean, axis=1), images, ">=", kind.agreement)
    return _gate("agreement", share, ">=", kind, reason)


def _loss_gate(outputs: np.ndarray, kind: Format, reference: Reference) -> Gate | None:
    """For what is lost of the task's own measure; an embedding has none."""
    if reference.task not in MEASURES:
        return None
    measure, labels = MEASURES[reference.task], reference.samples.labels
    if labels is None:
        return _gate(measure.loss_name, None, "<=", kind, "no labelled evaluation images were given")
    answers = (outputs, reference.outputs)
    loss = measure.loss(*answers, labels)
    if loss is None:
        reason = "the true numbers do not vary"
    elif not kind.approximate:
        reason = None
    elif reference.task == "classification":
        reason = too_few_to_lose(measure.losses(*answers, labels), kind.accuracy_drop)
    else:
        losses = partial(measure.losses, *answers, labels)
        reason = too_few_on_average(losses, len(labels), "<=", getattr(kind, measure.bar))
    return _gate(measure.loss_name, loss, "<=", kind, reason)


def _gate(
    name: str, figure: float | None, operator: Literal[">=", "<="], kind: Format, reason: str | None = None
) -> Gate | None:
    """Skipped where there is a `reason`; None where the format has no such bar."""
    field = name.lower().replace(" ", "_")
    bar, default = (getattr(of, field) for of in (kind, FORMATS.get(kind.name, kind)))
    if bar is None:
        return None
    if reason is None:
        gate = Gate.measured(name, figure, operator, bar)
    else:
        gate = Gate(name=name, status="skipped", figure=figure, operator=operator, bar=bar, reason=reason)
    return gate.model_copy(update={"default_bar": None if bar == default else default})
