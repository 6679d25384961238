"""Comparison of an artifact's outputs with those of the Keras model: on the real runtime, with real images."""

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from ...core.outputs import by_name
from ..artifact.artifact import Artifact
from ..artifact.manifest import Check, Gate
from ..formats import Format
from ..latency import quick_benchmark, time_first_run
from .difference import Difference
from .reference import Reference, score_of
from .sample_size import measure_margins, too_few_on_average, too_few_to_agree, too_few_to_lose

MIN_IMAGES, SECONDS = 10, 200
"""At least so many images are run, and more for about so many seconds."""


def validate_artifact(
    name: str,
    version: str,
    artifact: Artifact,
    fmt: Format,
    reference: Reference,
    *,
    seconds: float = SECONDS,
    timed: bool = True,
) -> Check:
    """Run `artifact` on the images of `reference`, and compare its outputs with the thresholds of `fmt`.

    Where one image takes long, fewer are run, spread evenly over all; `images` among the facts is their number.

    Args:
        name: Name of the runtime.
        version: Version of the runtime.
        artifact: The artifact, opened in the runtime.
        fmt: Its format, with the thresholds.
        reference: Images and the outputs of Keras.
        seconds: Time for all images.
        timed: Whether to measure latency, which needs an otherwise idle machine.
    """
    median_ms = quick_benchmark(artifact).median_ms if timed else None
    comparison = compare_artifact(artifact, images_in_time(artifact, reference, seconds, median_ms))
    check = comparison.check(name, version, fmt, median_ms)
    if comparison.images == len(reference):
        return check
    return check.model_copy(update={"facts": check.facts | {"images": comparison.images}})


def images_in_time(
    artifact: Artifact, reference: Reference, seconds: float, median_ms: float | None = None
) -> Reference:
    """Select as many images as `artifact` can run in `seconds`, at least `MIN_IMAGES`, spread evenly."""
    milliseconds = median_ms or time_first_run(artifact)
    return reference.at_most(max(MIN_IMAGES, int(1000 * seconds / milliseconds)))


def compare_artifact(artifact: Artifact, reference: Reference) -> "Comparison":
    """Run `artifact` on all images of `reference`, batch by batch."""
    comparison = Comparison(reference)
    for batch in reference.batches():
        comparison.add(artifact.run(reference.samples.batch(batch)))
    return comparison


def compare_outputs(
    outputs: np.ndarray, reference: Reference, to_real: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> "Comparison":
    """Compare outputs that were computed elsewhere, such as in a subprocess, batch by batch.

    Args:
        outputs: One row per image of `reference`; may be memory-mapped.
        reference: Images and the outputs of Keras.
        to_real: Conversion of a batch to float32 outputs, as of `Artifact.run`.
    """
    comparison = Comparison(reference)
    for batch in reference.batches():
        comparison.add(to_real(outputs[batch]))
    return comparison


class Comparison:
    """The comparisons of all outputs of an artifact; an only output has an empty name.

    Args:
        reference: Images and the outputs of Keras. The comparison may end before the last image.
    """

    def __init__(self, reference: Reference):
        self.reference = reference
        self.outputs = {name: OutputComparison(part) for name, part in reference.parts.items()}

    @property
    def images(self) -> int:
        """Number of images that were compared."""
        return next(iter(self.outputs.values())).images

    def add(self, outputs: Any) -> None:
        """Compare the outputs for the next images, `(count, ...)` in the order of the reference; several by name."""
        for name, values in by_name(outputs).items():
            self.outputs[name].add(values)

    def check(self, name: str, version: str, fmt: Format, median_ms: float | None = None) -> Check:
        """Compare the statistics with the thresholds of a format, as `OutputComparison.check`."""
        return merge_checks({key: each.check(name, version, fmt, median_ms) for key, each in self.outputs.items()})


def merge_checks(checks: Mapping[str, Check]) -> Check:
    """Return one check for all outputs of an artifact: that of the only output, whose name is empty, as it is.

    Of several outputs, the name of a gate ends with the name of its output, and figures become facts that begin with
    it.
    """
    first = next(iter(checks.values()))
    if "" in checks:
        return first
    gates, facts = list[Gate](), dict[str, float | int | str]()
    for name, check in checks.items():
        gates += [gate.model_copy(update={"name": f"{gate.name} of {name}"}) for gate in check.gates]
        psnr = None if check.psnr_db is None else round(check.psnr_db, 1)
        figures = {"accuracy": check.accuracy, "agreement": check.agreement, "PSNR dB": psnr, "flips": check.flip_rate}
        facts |= {f"{name} {title}": n for title, n in (figures | check.facts).items() if n is not None}
    return Check(name=first.name, version=first.version, gates=tuple(gates), median_ms=first.median_ms, facts=facts)


class OutputComparison:
    """Statistics of an output of an artifact, accumulated over batches, so that no outputs are kept.

    Args:
        reference: Images and the outputs of Keras for one output. The comparison may end before the last image.
    """

    def __init__(self, reference: Reference):
        self.reference, self.task = reference, reference.task
        self.images = 0
        self.difference = Difference()
        self._values = self._finite = 0
        self._digests: set[bytes] = set()
        self._equal_decisions: list[np.ndarray] = []
        self._decisions: list[np.ndarray] = []
        self._margins: list[np.ndarray] = []
        self._artifact_metric, self._keras_metric = reference.accumulator(), reference.accumulator()

    def add(self, outputs: np.ndarray) -> None:
        """Compare the outputs for the next images, `(count, ...)` in the order of the reference."""
        batch = slice(self.images, self.images + len(outputs))
        expected = self.reference.outputs[batch]
        self.images += len(outputs)
        self.difference.add(outputs, expected)
        self._values += outputs.size
        self._finite += int(np.isfinite(outputs).sum())
        self._digests.update(blake2b(np.ascontiguousarray(output).data, digest_size=16).digest() for output in outputs)
        decoded, expected = self.reference.decode(outputs), self.reference.decode(expected)
        labels = self.reference.samples.labels
        equal = self.task.equal_decisions(decoded, expected)
        if equal is not None and self.reference.origin != "noise":
            counted = None if labels is None else self.task.counted_decisions(labels[batch])
            counted = np.ones_like(equal) if counted is None else counted
            self._equal_decisions.append((equal & counted).sum(axis=1))
            self._decisions.append(counted.sum(axis=1))
            margins = self.task.decision_margins(decoded, expected)
            self._margins += [] if margins is None else [margins]
        if self._artifact_metric is not None and self._keras_metric is not None and labels is not None:
            self._artifact_metric.add(labels[batch], decoded)
            self._keras_metric.add(labels[batch], expected)

    def check(self, name: str, version: str, fmt: Format, median_ms: float | None = None) -> Check:
        """Compare the statistics with the thresholds of a format.

        Args:
            name: Name of the runtime.
            version: Version of the runtime.
            fmt: The format.
            median_ms: Latency of one image in milliseconds, where it is meaningful for the target.
        """
        decisions = (self._agreement_gate(fmt), self._loss_gate(fmt))
        gates = (
            self.finite_gate,
            Gate.measured("distinct outputs", len(self._digests), ">=", min(2, self.images)),
            _gate(
                "relative difference",
                self.difference.relative,
                "<=",
                *_thresholds(fmt, lambda f: f.relative_difference),
            ),
            *decisions,
            *map(self._margin_gate, decisions),
        )
        score = score_of(self.task, self._artifact_metric)
        return Check(
            name=name,
            version=version,
            gates=tuple(gate for gate in gates if gate is not None),
            accuracy=score.accuracy,
            agreement=self._agreement,
            psnr_db=self.difference.psnr_db,
            flip_rate=self._flip_rate,
            median_ms=median_ms,
            facts=score.figures,
        )

    @property
    def finite_gate(self) -> Gate:
        """Gate on infinite values and NaN."""
        return Gate.measured("finite share", self._finite / self._values, ">=", 1.0)

    @property
    def _agreement(self) -> float | None:
        """Share of the decisions that are equal; None on noise, and where outputs decide nothing."""
        decisions = sum(int(of_batch.sum()) for of_batch in self._decisions)
        equal = sum(int(of_batch.sum()) for of_batch in self._equal_decisions)
        return equal / decisions if decisions else None

    @property
    def _flip_rate(self) -> float | None:
        """Share of the images that only one of Keras and the artifact decides correctly."""
        if self._artifact_metric is None or self._keras_metric is None or not self.task.one_decision_per_image:
            return None
        return float(np.mean(self._artifact_metric.scores != self._keras_metric.scores))

    def _agreement_gate(self, fmt: Format) -> Gate | None:
        """Gate on equal decisions."""
        if fmt.agreement is None:
            return None
        threshold, default = _thresholds(fmt, lambda each: each.agreement)
        share, gate = self._agreement, partial(_gate, "agreement", operator=">=", threshold=threshold, default=default)
        if share is None:
            real = self.reference.origin != "noise"
            reason = f"{self.task.titled} predicts no classes, or only one" if real else "no real images were given"
            return gate(figure=None, reason=reason)
        if fmt.rounding == "none" or (fmt.rounding == "fine" and share >= fmt.agreement):
            return gate(figure=share)
        if self.task.one_decision_per_image:
            return gate(figure=share, reason=too_few_to_agree(share, self.images, fmt.agreement))
        decisions = np.concatenate(self._decisions)
        by_image = np.concatenate(self._equal_decisions)[decisions > 0] / decisions[decisions > 0]
        return gate(figure=share, reason=too_few_on_average(lambda: by_image, len(by_image), ">=", fmt.agreement))

    def _loss_gate(self, fmt: Format) -> Gate | None:
        """Gate on the loss in the task's metric; None for a task without one, or a format without a threshold."""
        threshold, default = _thresholds(fmt, lambda each: each.allowed_loss(self.task))
        if threshold is None or self.task.loss_name is None:
            return None
        gate = partial(_gate, self.task.loss_name, operator="<=", threshold=threshold, default=default)
        if self._artifact_metric is None or self._keras_metric is None:
            return gate(figure=None, reason="no labeled evaluation images were given")
        loss = self._artifact_metric.loss_against(self._keras_metric)
        losses = partial(self._artifact_metric.losses_against, self._keras_metric)
        if loss is None:
            return gate(figure=None, reason="the targets do not vary")
        if fmt.rounding == "none":
            return gate(figure=loss)
        if self.task.one_decision_per_image:
            return gate(figure=loss, reason=too_few_to_lose(losses(), threshold))
        return gate(figure=loss, reason=too_few_on_average(losses, self.images, "<=", threshold))

    def _margin_gate(self, gate: Gate | None) -> Gate | None:
        """What the margins of the decisions prove where the images are too few for `gate`, which was skipped.

        Equal decisions bound a loss of accuracy too. It is never failed: that errors are near the margins does not show
        that they exceed them.
        """
        if gate is None or gate.status != "skipped" or gate.figure is None or not self._margins:
            return None
        share = gate.operator == ">="
        test = measure_margins(np.concatenate(self._margins), 1 - gate.bar if share else gate.bar)
        if test is None:
            return None
        figure = 1 - test.changed_at_most if share else test.changed_at_most
        made = Gate.measured(f"{gate.name} by margins", figure, gate.operator, gate.bar, test.sentence)
        made = made.model_copy(update={"default_bar": gate.default_bar})
        return made if made.status == "passed" else made.model_copy(update={"status": "skipped"})


def _thresholds(fmt: Format, threshold: Callable[[Format], float | None]) -> tuple[float | None, float | None]:
    """Return a threshold of a format, and what it is where the user sets none."""
    return threshold(fmt), threshold(fmt.default or fmt)


def _gate(
    name: str,
    figure: float | None,
    operator: Literal[">=", "<="],
    threshold: float | None,
    default: float | None,
    reason: str | None = None,
) -> Gate | None:
    """Gate with a threshold, skipped for a `reason`; None where there is no threshold."""
    if threshold is None:
        return None
    if reason is None:
        gate = Gate.measured(name, figure, operator, threshold)
    else:
        reason = reason if threshold == default else f"the threshold that was set is not shown to be met: {reason}"
        gate = Gate(name=name, status="skipped", figure=figure, operator=operator, bar=threshold, reason=reason)
    return gate.model_copy(update={"default_bar": None if threshold == default else default})
