"""What is known of a model in a file: inputs, outputs and what they mean, and its size."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.outputs import by_name, map_outputs
from . import console
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..zoo import LayerRow
    from ..zoo.contract import Contract


def load_with_layers(path: Path) -> "tuple[keras.Model, list[LayerRow] | None]":
    """Return the model in a file or folder, and a row for each layer; None where its size or its layers are not known.

    The model is in the functional form.
    """
    import_tensorflow()
    from .. import zoo
    from ..zoo.model_arguments import functional_argument
    from ..zoo.saved_model import is_saved_model

    loaded = zoo.load_model(path)
    model = functional_argument(loaded)
    has_fixed_size = all(None not in entry.shape[1:] for entry in model.inputs)
    return model, zoo.layer_table(model) if has_fixed_size and not is_saved_model(loaded) else None


def model_facts(model: "keras.Model", rows: "list[LayerRow] | None") -> dict[str, Any]:
    """Return what is known of a model, for programs."""
    from ..zoo.contract import contract_of
    from ..zoo.signature import named_inputs, named_outputs

    contract = contract_of(model)
    return {
        "model": model.name,
        "inputs": {name: _tensor(tensor) for name, tensor in named_inputs(model).items()},
        "outputs": {name: _tensor(tensor) for name, tensor in named_outputs(model).items()},
        "pixels": map_outputs(list, contract.pixels),
        "task": contract.tasks,
        "labels": map_outputs(lambda output: output.labels and list(output.labels), contract.outputs),
        "from_logits": map_outputs(lambda output: output.from_logits, contract.outputs),
        "inferred": _inferred(contract),
        "parameters": model.count_params(),
        "multiply_adds": None if rows is None else sum(row.multiply_adds for row in rows),
    }


def show_facts(facts: dict[str, Any]) -> None:
    """Print what `model_facts` returns as a table."""
    rows: list[tuple[str, object]] = [
        *((f"input {name}", text) for name, text in facts["inputs"].items()),
        *((f"output {name}", text) for name, text in facts["outputs"].items()),
    ]
    for fact in ("pixels", "task", "labels", "from_logits"):
        mark = " (inferred)" if fact in facts["inferred"] else ""
        rows += [(f"{fact} {name}".strip(), _text(value) + mark) for name, value in by_name(facts[fact]).items()]
    macs = facts["multiply_adds"]
    rows += [
        ("parameters", f"{facts['parameters']:,}"),
        ("multiply-adds", "not known" if macs is None else f"{macs:,}"),
    ]
    console.show_table((facts["model"], ""), rows)


def _inferred(contract: "Contract") -> list[str]:
    """Return the arguments that nobody stated."""
    of_outputs = {name for output in by_name(contract.outputs).values() for name in output.inferred}
    return sorted({*contract.inferred, *of_outputs})


def _tensor(tensor: "keras.KerasTensor") -> str:
    return f"{'x'.join('?' if size is None else str(size) for size in tensor.shape[1:])} {tensor.dtype}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        numbers = all(isinstance(each, float) for each in value)
        return f"{value[0]:g}..{value[1]:g}" if numbers else ", ".join(value)
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))
