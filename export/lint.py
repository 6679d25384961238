"""Operators of a model that a target does not support, and budgets that it exceeds, found before hours of training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, unknown
from .artifact.manifest import Gate
from .formats import FORMATS, Format
from .graph_rewrites.rewrite_registry import REWRITES, rewrite_graph
from .runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from .sample_images import random_samples
from .targets import TARGETS, list_targets
from .tflite_schema.nodes import TYPE_CONVERSIONS, float_operators, tflite_nodes
from .tflite_schema.operator_support import Refusal, operator_list
from .validation.c_source import array_content
from .validation.checks import c_source, tflite_micro, vela
from .validation.checks.artifact_check import budget_gates
from .validation.thresholds import with_budget

if TYPE_CHECKING:
    import keras

    from .conversion.export_graph import ExportGraph

INT8 = "tflite-int8"
ESTIMATE = "estimated before conversion"
"""Source of a result where a budget is exceeded whatever the converter does; operators are not examined then."""
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
    budgets: tuple[Gate, ...] = ()
    """The limits that were set, each passed, failed, or skipped where nothing here measures it."""

    @property
    def layers_examined(self) -> bool:
        """Whether the operators are known, or only that a budget is exceeded."""
        return self.asked != ESTIMATE

    @property
    def passed(self) -> bool:
        """Whether the target supports all operators, and no budget is exceeded."""
        return not self.objections and all(gate.status != "failed" for gate in self.budgets)


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


def lint(model: "keras.Model", target: str, budget: str | Mapping[str, float | str] | None = None) -> LintReport:
    """Convert `model` as an export does, and list the operators that `target` does not support.

    First by the target's operator list; where that supports all, and the tools are installed, the first operator that
    TensorFlow Lite Micro does not run, or those that Vela leaves to the CPU. A microcontroller's budget that the
    weights alone, or the tensors of one layer, exceed is reported before anything is converted.

    Args:
        model: Trained or not; it is not changed.
        target: A name from `lint_targets()`.
        budget: Flash, RAM and time of the device, such as `"flash=256KiB,ram=64KiB,latency_ms=20"`, or a mapping of
            these names to bytes and milliseconds.

    Raises:
        InputError: `target` has no operator list, `model` cannot be exported at all, or `budget` cannot be read or has
            no effect on `target`.
    """
    check_target(target)
    limits = with_budget({}, budget, [target])
    from ..zoo.float32_form import float32_form
    from ..zoo.model_arguments import functional_argument
    from .conversion.export_graph import ExportGraph

    model = float32_form(functional_argument(model))
    graph, integers = ExportGraph.from_model(model), _integer_format(target)
    report = partial(LintReport, model.name, target)
    exceeded = _exceeded_by_layers(graph, target, limits)
    if exceeded:
        return report(ESTIMATE, (), {}, exceeded)
    runtime = TARGETS[target].operators
    supported, rewrites = operator_list(runtime), REWRITES.get(runtime, {})
    source = f"list of {supported.as_of}"
    # Floats first: the converter crashes when it quantizes some operators that are not supported.
    content = _convert(graph, "tflite-fp32" if graph.activation_bits is None else integers.name)
    refusals = [refusal for refusal in supported.refused(content) if refusal.node.operator not in rewrites]
    if refusals or integers.name not in TARGETS[target].checks:
        return report(source, _objections(refusals, content, graph), {})
    content = _convert(graph, integers.name)
    content = rewrite_graph(content, runtime) if rewrites else content
    refusals = list(supported.refused(content))
    in_float = [Refusal(node, IN_FLOAT) for node in float_operators(content)]
    if any(refusal.node.operator in TYPE_CONVERSIONS for refusal in refusals):  # what they enclose is to be replaced
        refusals = [each for each in refusals if each.node.operator not in TYPE_CONVERSIONS] + in_float
    if refusals:
        return report(source, _objections(refusals, content, graph), {})
    facts = {"bytes": len(content), "operators_on_processor": len(supported.left_to_processor(content))}
    measured, npu = Measurement(), _npu(target)
    if _is_for_micro(target):
        measured = _measure_in_micro(content, graph, integers, limits)
    elif npu:
        measured = _measure_with_vela(content, npu, limits)
    objections = _objections(measured.refusals or in_float, content, graph)
    return report(measured.source or source, objections, facts | measured.facts, measured.budgets)


@dataclass(frozen=True)
class Measurement:
    """What the tool of a target tells of a file; `source` is None where it is not installed."""

    source: str | None = None
    refusals: Sequence[Refusal] = ()
    facts: dict[str, float | int] = field(default_factory=dict)
    budgets: tuple[Gate, ...] = ()


def _integer_format(target: str) -> Format:
    """The integer format that a target ships; int8 where it ships none, for models that were trained for integers."""
    return next((FORMATS[name] for name in TARGETS[target].checks if FORMATS[name].quantized), FORMATS[INT8])


def _is_for_micro(target: str) -> bool:
    return tflite_micro.NAME in TARGETS[target].all_checks


def _npu(target: str) -> vela.Accelerator | None:
    checks = TARGETS[target].all_checks
    return next((unit for name, unit in vela.ACCELERATORS.items() if vela.check_name(name) in checks), None)


def _exceeded_by_layers(graph: "ExportGraph", target: str, limits: Mapping[str, float]) -> tuple[Gate, ...]:
    """Gates of a microcontroller that fail whatever the converter does.

    Of Ethos-U nothing is known before: Vela compresses weights, and computes layers in parts.
    """
    if not limits or not _is_for_micro(target):
        return ()
    from .least_costs import least_arena, least_flash

    costs = {"flash_bytes": least_flash(graph), "arena_bytes": least_arena(graph, _integer_format(target))}
    gates = budget_gates(
        limits,
        {name: cost.bytes for name, cost in costs.items()},
        {name: f"at least: {cost.basis}" for name, cost in costs.items()},
    )
    return tuple(gate for gate in gates if gate.status == "failed")


def _measure_in_micro(
    content: bytes, graph: "ExportGraph", integers: Format, limits: Mapping[str, float]
) -> Measurement:
    """The first operator that does not run, as many have no integer kernel; and the smallest arena."""
    facts: dict[str, float | int] = {"flash_bytes": len(array_content(content))}
    if not tflite_micro.REQUIREMENT.is_met():
        missing = {"arena_bytes": tflite_micro.REQUIREMENT.sentence}
        return Measurement(
            None, (), facts, budget_gates(limits, facts, c_source.BASES, c_source.NOT_MEASURED | missing)
        )
    dtype = np.dtype(f"int{integers.activation_bits}")
    refusals: tuple[Refusal, ...] = ()
    shape, whole = [1, *(int(side or 1) for side in graph.metadata.image_shape)], np.iinfo(dtype)
    tensor = np.random.default_rng(0).integers(whole.min, whole.max, shape, dtype, endpoint=True)
    try:
        facts["arena_bytes"] = smallest_arena(content)
        run_in_micro(content, tensor)
    except RefusedError:
        refused = tflite_micro.first_refused(content, tensor)
        # Its softmax fails where hundreds of classes have similar probabilities, as they do before training.
        refusals = () if refused.node.operator == "SOFTMAX" else (refused,)
    reasons = c_source.NOT_MEASURED | {"arena_bytes": "it does not load"}
    return Measurement(tflite_micro.TITLE, refusals, facts, budget_gates(limits, facts, c_source.BASES, reasons))


def _measure_with_vela(content: bytes, npu: vela.Accelerator, limits: Mapping[str, float]) -> Measurement:
    """The operators that are left to the CPU, and Vela's estimates."""
    if not vela.REQUIREMENT.is_met():
        reasons = dict.fromkeys(limits, vela.REQUIREMENT.sentence)
        return Measurement(budgets=budget_gates(limits, {}, not_measured=reasons))
    compiled = vela.compile_for(npu, content)
    on_cpu = [Refusal(node, "left to the CPU") for node in compiled.on_cpu]
    return Measurement("Vela", on_cpu, compiled.figures, budget_gates(limits, compiled.figures, vela.BASES))


def _convert(graph: "ExportGraph", format_name: str) -> bytes:
    """Convert with activation ranges of noise: their values do not matter here."""
    from .conversion.tflite.tflite_files import to_tflite

    return to_tflite(graph, format_name, random_samples(graph.metadata, NOISE_IMAGES))


def _objections(refusals: Iterable[Refusal], content: bytes, graph: "ExportGraph") -> tuple[Objection, ...]:
    from ..core.layer_traits import IN_PLACE_OF_RECURRENCE, is_recurrent

    layers = _layers_by_operator(content, graph)
    recurrent = {layer.name for layer in graph.flat.layers if is_recurrent(layer)}

    def fix(refusal: Refusal) -> str:
        is_step = recurrent.issuperset(layers[refusal.node.name])
        return IN_PLACE_OF_RECURRENCE if is_step else refusal.fix

    return tuple(
        Objection(layers[refusal.node.name], refusal.node.operator, refusal.reason, fix(refusal))
        for refusal in refusals
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
