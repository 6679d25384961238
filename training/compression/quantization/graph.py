"""The flat form of a model, step by step."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from ....zoo.flat import flatten_model


@dataclass(frozen=True)
class Step:
    """A layer, or an operation, where it is applied."""

    layer: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: keras.KerasTensor

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The tensors it takes."""
        return list(_tensors((self.args, self.kwargs)))


class FlatGraph:
    """What a model does, in steps, each after those that feed it, and what takes each tensor.

    Raises:
        InputError: The model has no flat form.
    """

    def __init__(self, model: keras.Model):
        self.steps: list[Step] = []
        walk = {"clone_function": lambda layer: layer, "call_function": self._apply}
        again = keras.models.clone_model(flatten_model(model), **walk)
        self.input: keras.KerasTensor = again.inputs[0]
        self.output: keras.KerasTensor | dict[str, keras.KerasTensor] = again.output
        self._outputs = {id(tensor) for tensor in again.outputs}
        self._applied = Counter(id(step.layer) for step in self.steps)
        self._uses: dict[int, list[Step]] = defaultdict(list)
        for step in self.steps:
            for tensor in step.inputs:
                self._uses[id(tensor)].append(step)

    def _apply(self, layer: keras.Operation, *args, **kwargs):
        output = layer(*args, **kwargs)
        self.steps.append(Step(layer, args, kwargs, output))
        return output

    def is_output(self, tensor: keras.KerasTensor) -> bool:
        """Whether the model answers `tensor`."""
        return id(tensor) in self._outputs

    def only_use(self, tensor: keras.KerasTensor) -> Step | None:
        """The step that takes `tensor`, if it is the only one."""
        uses = self._uses[id(tensor)]
        return uses[0] if len(uses) == 1 and not self.is_output(tensor) else None

    def is_applied_once(self, layer: keras.Operation) -> bool:
        """Whether only one step applies `layer`."""
        return self._applied[id(layer)] == 1


def _tensors(nested: Any) -> Iterator[keras.KerasTensor]:
    yield from (leaf for leaf in keras.tree.flatten(nested) if isinstance(leaf, keras.KerasTensor))
