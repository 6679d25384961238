"""What a target will refuse of a model, before any hours go into its training."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from ..zoo.errors import unknown
from .accepted import Refusal, operator_list
from .checks import vela
from .runtimes.tflite_micro import smallest_arena
from .samples import Samples
from .targets import TARGETS

if TYPE_CHECKING:
    import keras

    from .form import ExportForm

NPUS = {"edge-ethos-u55": "Ethos-U55", "edge-ethos-u65": "Ethos-U65", "edge-ethos-u85": "Ethos-U85"}
NOISE_IMAGES = 2


@dataclass(frozen=True)
class Objection:
    """An operator that a target refuses."""

    layers: tuple[str, ...]
    """The layers that it was made of."""
    operator: str
    reason: str
    fix: str
    """What to put in its place."""


@dataclass(frozen=True)
class LintReport:
    """What a target says of a model."""

    model: str
    target: str
    asked: str
    """What has said it: a tool, or a list of operators."""
    objections: tuple[Objection, ...]
    """In the order in which the operators run."""
    facts: dict[str, float | int]
    """What it would take there, where nothing on the list is refused: `bytes` of an int8 file, and by tools memory and
    estimated speed."""


def lint_targets() -> list[str]:
    """Names of the targets of which is known what they accept."""
    return [name for name, target in TARGETS.items() if target.operators]


def lint(model: "keras.Model", target: str) -> LintReport:
    """Converts `model` as it is and asks what `target` refuses of it: operators that are not on its list, and then, on
    Ethos-U, what Vela leaves to the CPU, if it is installed.

    Args:
        model: Trained or not; it is not changed.
        target: A name from `lint_targets()`.

    Raises:
        InputError: Of `target` nothing is known, or `model` cannot be exported at all.
    """
    if target not in lint_targets():
        raise unknown("target", target, lint_targets())
    from .form import ExportForm

    form = ExportForm.of(model)
    accepted = operator_list(TARGETS[target].operators)
    report = partial(LintReport, model.name, target)
    refusals = tuple(accepted.refused(_converted(form, "tflite-fp32")))
    if refusals or "tflite-int8" not in TARGETS[target].checks:
        return report(f"list of {accepted.as_of}", _objections(refusals, form), {})
    content = _converted(form, "tflite-int8")
    facts = {"bytes": len(content)}
    if target == "edge-mcu" and find_spec("tflite_micro"):
        return report("TensorFlow Lite Micro", (), facts | {"arena_bytes": smallest_arena(content)})
    if target in NPUS and find_spec("ethosu"):
        compiled = _compiled(content, NPUS[target])
        refusals = tuple(Refusal(node, "left to the CPU") for node in compiled.on_cpu)
        return report("Vela", _objections(refusals, form), facts | compiled.figures)
    return report(f"list of {accepted.as_of}", (), facts)


def _converted(form: "ExportForm", format_name: str) -> bytes:
    """With ranges of noise where it takes some: which they are does not matter here."""
    from .to_tflite import to_tflite

    noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *form.metadata.image_shape))
    return to_tflite(form, format_name, Samples(noise, None))


def _compiled(content: bytes, npu: str) -> vela.Compiled:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(content)
        return vela.compile_for(vela.ACCELERATORS[npu], path)


def _objections(refusals: Iterable[Refusal], form: "ExportForm") -> tuple[Objection, ...]:
    last = (form.flat.layers[-1].name,)  # the output's name is its own, not the layer's
    return tuple(
        Objection(refusal.node.layers or last, refusal.node.operator, refusal.reason, refusal.fix)
        for refusal in refusals
    )
