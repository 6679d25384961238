"""Operators of a model that a target does not support, found before hours of training."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, unknown
from .graph_rewrites.rewrite_registry import REWRITES, rewrite_graph
from .runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from .sample_images import random_samples
from .targets import TARGETS, list_targets
from .tflite_schema.nodes import TYPE_CONVERSIONS, float_operators, tflite_nodes
from .tflite_schema.operator_support import Refusal, operator_list
from .validation.checks import tflite_micro, vela

if TYPE_CHECKING:
    import keras

    from .conversion.export_graph import ExportGraph

INT8 = "tflite-int8"
NOISE_IMAGES = 2
IN_FLOAT = "TFLite's converter leaves it in floating point"


@dataclass(frozen=True)
class Objection:
    """An operator that a target does not support."""

    layers: tuple[str, ...]
    """Its source layers, or `before` and the layer that follows it."""
    operator: str
    reason: str
    fix: str
    """Suggested replacement."""


@dataclass(frozen=True)
class LintReport:
    """Result of linting a model for a target."""

    model: str
    target: str
    asked: str
    """Source of the result: a tool, or an operator list."""
    objections: tuple[Objection, ...]
    """In execution order."""
    facts: dict[str, float | int]
    """Costs on the target, where the list supports all operators: `bytes` of an int8 file, and with tools memory and
    estimated speed."""


def lint_targets() -> list[str]:
    """Names of the targets with an operator list."""
    return [name for name, target in TARGETS.items() if target.operators]


def check_target(target: str) -> None:
    """Raise InputError where `target` has no operator list."""
    if target in lint_targets():
        return
    if target in list_targets():
        raise InputError(f"{target} has no operator list; there are lists of {', '.join(lint_targets())}.")
    raise unknown("target", target, lint_targets())


def lint(model: "keras.Model", target: str) -> LintReport:
    """Convert `model` as an export does, and list the operators that `target` does not support.

    First by the target's operator list; where that supports all, and the tools are installed, the first operator that
    TensorFlow Lite Micro does not run, or those that Vela leaves to the CPU.

    Args:
        model: Trained or not; it is not changed.
        target: A name from `lint_targets()`.

    Raises:
        InputError: `target` has no operator list, or `model` cannot be exported at all.
    """
    check_target(target)
    from ..zoo.float32_form import float32_form
    from ..zoo.model_arguments import functional_argument
    from .conversion.export_graph import ExportGraph

    model = float32_form(functional_argument(model))
    graph, runtime = ExportGraph.from_model(model), TARGETS[target].operators
    supported, rewrites = operator_list(runtime), REWRITES.get(runtime, {})
    report, source = partial(LintReport, model.name, target), f"list of {supported.as_of}"
    # Floats first: the converter crashes when it quantizes some operators that are not supported.
    content = _convert(graph, "tflite-fp32" if graph.activation_bits is None else INT8)
    refusals = [refusal for refusal in supported.refused(content) if refusal.node.operator not in rewrites]
    if refusals or INT8 not in TARGETS[target].checks:
        return report(source, _objections(refusals, content, graph), {})
    content = _convert(graph, INT8)
    content = rewrite_graph(content, runtime) if rewrites else content
    refusals = list(supported.refused(content))
    in_float = [Refusal(node, IN_FLOAT) for node in float_operators(content)]
    if any(refusal.node.operator in TYPE_CONVERSIONS for refusal in refusals):  # what they enclose is to be replaced
        refusals = [each for each in refusals if each.node.operator not in TYPE_CONVERSIONS] + in_float
    if refusals:
        return report(source, _objections(refusals, content, graph), {})
    facts = {"bytes": len(content), "operators_on_processor": len(supported.left_to_processor(content))}
    checks = TARGETS[target].checks[INT8]
    if tflite_micro.NAME in checks and tflite_micro.REQUIREMENT.is_met():
        not_run, measured = _lint_with_micro(content, graph)
        return report(tflite_micro.TITLE, _objections(not_run or in_float, content, graph), facts | measured)
    npu = next((npu for npu in vela.ACCELERATORS if vela.check_name(npu) in checks), None)
    if npu and vela.REQUIREMENT.is_met():
        compiled = vela.compile_for(vela.ACCELERATORS[npu], content)
        on_cpu = [Refusal(node, "left to the CPU") for node in compiled.on_cpu]
        return report("Vela", _objections(on_cpu or in_float, content, graph), facts | compiled.figures)
    return report(source, _objections(in_float, content, graph), facts)


def _lint_with_micro(content: bytes, graph: "ExportGraph") -> tuple[tuple[Refusal, ...], dict[str, int]]:
    """The first operator that does not run, as many have no integer kernel; and the smallest arena."""
    tensor, facts = np.random.default_rng(0).integers(-128, 128, (1, *graph.metadata.image_shape), "int8"), {}
    try:
        facts["arena_bytes"] = smallest_arena(content)
        run_in_micro(content, tensor)
    except RefusedError:
        refused = tflite_micro.first_refused(content, tensor)
        # Its softmax fails where hundreds of classes have similar probabilities, as they do before training.
        if refused.node.operator != "SOFTMAX":
            return (refused,), facts
    return (), facts


def _convert(graph: "ExportGraph", format_name: str) -> bytes:
    """Convert with activation ranges of noise: their values do not matter here."""
    from .conversion.tflite.tflite_files import to_tflite

    return to_tflite(graph, format_name, random_samples(graph.metadata, NOISE_IMAGES))


def _objections(refusals: Iterable[Refusal], content: bytes, graph: "ExportGraph") -> tuple[Objection, ...]:
    layers = _layers_by_operator(content, graph)
    return tuple(
        Objection(layers[refusal.node.name], refusal.node.operator, refusal.reason, refusal.fix) for refusal in refusals
    )


def _layers_by_operator(content: bytes, graph: "ExportGraph") -> dict[str, tuple[str, ...]]:
    """Source layers by the name of an operator; operators between the layers of a composite are located by the layer
    that follows."""
    known = {layer.name for layer in graph.flat.layers}
    layers: dict[str, tuple[str, ...]] = {}
    following = (graph.flat.layers[-1].name,)  # the output tensor does not have its layer's name
    for node in reversed(list(tflite_nodes(content))):
        own = tuple(layer for layer in node.layers if layer in known)
        layers[node.name] = own or following
        if own:
            following = (f"before {own[0]}",)
    return layers
