"""What a target will refuse of a model, before any hours go into its training."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, unknown
from .graph_rewrites.table import FORMS, edge_form
from .runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from .sample_images import Samples
from .targets import TARGETS, list_targets
from .tflite_schema.nodes import tflite_nodes
from .tflite_schema.operator_support import Refusal, operator_list
from .validation.checks import tflite_micro, vela

if TYPE_CHECKING:
    import keras

    from .conversion.export_graph import ExportForm

NPUS = {"edge-ethos-u55": "Ethos-U55", "edge-ethos-u65": "Ethos-U65", "edge-ethos-u85": "Ethos-U85"}
INTEGERS = "tflite-int8"
NOISE_IMAGES = 2


@dataclass(frozen=True)
class Objection:
    """An operator that a target refuses."""

    layers: tuple[str, ...]
    """The layers that it was made of, or `before` and the layer that follows it."""
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


def check_target(target: str) -> None:
    """Raises InputError where of `target` is not known what it accepts."""
    if target in lint_targets():
        return
    if target in list_targets():
        raise InputError(f"{target} has no list of what it accepts; there are lists of {', '.join(lint_targets())}.")
    raise unknown("target", target, lint_targets())


def lint(model: "keras.Model", target: str) -> LintReport:
    """Converts `model` as it is and asks what `target` refuses of it, in the form that an export gives it there:
    operators that are not on its list, and then, where these tools are installed, the first that TensorFlow Lite Micro
    does not run, or what Vela leaves to the CPU.

    Args:
        model: Trained or not; it is not changed.
        target: A name from `lint_targets()`.

    Raises:
        InputError: Of `target` nothing is known, or `model` cannot be exported at all.
    """
    check_target(target)
    from .conversion.export_graph import ExportForm

    form, runtime = ExportForm.of(model), TARGETS[target].operators
    accepted, other_forms = operator_list(runtime), FORMS.get(runtime, {})
    report, asked = partial(LintReport, model.name, target), f"list of {accepted.as_of}"
    # Floats first: of some operators that are refused the converter dies where it is to make integers of them.
    content = _converted(form, "tflite-fp32" if form.activation_bits is None else INTEGERS)
    refusals = [refusal for refusal in accepted.refused(content) if refusal.node.operator not in other_forms]
    if refusals or INTEGERS not in TARGETS[target].checks:
        return report(asked, _objections(refusals, content, form), {})
    content = _converted(form, INTEGERS)
    content = edge_form(content, runtime) if other_forms else content
    refusals = list(accepted.refused(content))
    if refusals:
        return report(asked, _objections(refusals, content, form), {})
    facts = {"bytes": len(content), "operators_on_processor": len(accepted.left_to_processor(content))}
    if target == "edge-mcu" and find_spec("tflite_micro"):
        refusals, found = _asked_of_micro(content, form)
        return report("TensorFlow Lite Micro", _objections(refusals, content, form), facts | found)
    if target in NPUS and find_spec("ethosu"):
        compiled = vela.compile_for(vela.ACCELERATORS[NPUS[target]], content)
        left = [Refusal(node, "left to the CPU") for node in compiled.on_cpu]
        return report("Vela", _objections(left, content, form), facts | compiled.figures)
    return report(asked, (), facts)


def _asked_of_micro(content: bytes, form: "ExportForm") -> tuple[tuple[Refusal, ...], dict[str, int]]:
    """The first operator that does not run there, as many have no kernel for integers; and the smallest arena."""
    tensor, facts = np.random.default_rng(0).integers(-128, 128, (1, *form.metadata.image_shape), "int8"), {}
    try:
        facts["arena_bytes"] = smallest_arena(content)
        run_in_micro(content, tensor)
    except RefusedError:
        refused = tflite_micro.first_refused(content, tensor)
        # Its softmax gives up where hundreds of classes are about as likely, as they are to a net before its training.
        if refused.node.operator != "SOFTMAX":
            return (refused,), facts
    return (), facts


def _converted(form: "ExportForm", format_name: str) -> bytes:
    """With ranges of noise where it takes some: which they are does not matter here."""
    from .conversion.tflite.to_tflite import to_tflite

    noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *form.metadata.image_shape))
    return to_tflite(form, format_name, Samples(noise, None))


def _objections(refusals: Iterable[Refusal], content: bytes, form: "ExportForm") -> tuple[Objection, ...]:
    places = _places(content, form)
    return tuple(
        Objection(places[refusal.node.name], refusal.node.operator, refusal.reason, refusal.fix) for refusal in refusals
    )


def _places(content: bytes, form: "ExportForm") -> dict[str, tuple[str, ...]]:
    """By the name of an operator, the layers that it was made of; what a composite does between its layers is told by
    the layer that follows it."""
    known = {layer.name for layer in form.flat.layers}
    places: dict[str, tuple[str, ...]] = {}
    following = (form.flat.layers[-1].name,)  # the output has a name of its own
    for node in reversed(list(tflite_nodes(content))):
        own = tuple(layer for layer in node.layers if layer in known)
        places[node.name] = own or following
        if own:
            following = (f"before {own[0]}",)
    return places
