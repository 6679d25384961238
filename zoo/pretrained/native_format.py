"""Weights in our own names, and what a file of ours says of the net that they are of."""

import json
from pathlib import Path
from typing import Any

import keras
from pydantic import BaseModel, ValidationError
from safetensors import safe_open
from safetensors.numpy import save_file

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, describe
from ...layers import Head, PixelNormalization
from .anatomy import named_weights
from .layouts import some

KEY = "pocketzoo"
"""Of the metadata in a safetensors file."""
NOT_ARCHITECTURE = {"name", "trainable", "dtype", "stochastic_depth", "rate", "seed"}
"""Arguments of a layer that do not change what it answers."""


class HeadFacts(BaseModel):
    """What a head answers."""

    task: str
    classes: int | None = None
    labels: tuple[str, ...] | None = None

    def is_kept_as(self, other: "HeadFacts") -> bool:
        """Whether a head that is to be as `other` can take this one's weights; what a file does not say is no bar."""
        return self.task == other.task and self.classes in (None, other.classes) and self.labels in (None, other.labels)


def heads_of(model: keras.Model) -> dict[str, HeadFacts]:
    """The heads of a model, by layer."""
    return {
        layer.name: HeadFacts(task=layer.TASK, classes=getattr(layer, "classes", None), labels=layer.labels)
        for layer in model.layers
        if isinstance(layer, Head)
    }


class Description(BaseModel):
    """What a model is made of."""

    model: str
    """Its name."""
    heads: dict[str, HeadFacts]
    """By layer, `head` or `head_NAME`."""
    layers: dict[str, dict[str, Any]]
    """Arguments by layer, of all but heads, that decide what it answers besides the weights."""

    @classmethod
    def of(cls, model: keras.Model) -> "Description":
        """Of a model of the zoo."""
        layers = {
            layer.name: {key: value for key, value in layer.get_config().items() if key not in NOT_ARCHITECTURE}
            for layer in model.layers
            if not isinstance(layer, Head | PixelNormalization | keras.layers.InputLayer)
        }
        return cls(
            model=model.name,
            heads=heads_of(model),
            layers=json.loads(json.dumps(layers)),  # as a file gives them back
        )

    def differences(self, other: "Description", layers: set[str]) -> list[str]:
        """Arguments of the `layers` that both have and that are not the same."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.layers.keys() & other.layers.keys() & layers):
            mine, theirs = self.layers[name], other.layers[name]
            for key in sorted(mine.keys() & theirs.keys()):
                if mine[key] != theirs[key]:
                    what = f"{key} is {mine[key]!r} in the file and {theirs[key]!r} in the model"
                    found.setdefault(what, []).append(name)
        remedy = "give create_model the arguments that it was made with"
        return [f"{what} (layers {some(names, 2)}; {remedy})" for what, names in found.items()]


def save_weights(model: keras.Model, path: str | Path) -> Path:
    """Writes the weights of a model of the zoo as one `.safetensors` file, and returns its path.

    Tensors are called `layer/variable`, such as `stem_conv/kernel`; the metadata says what net they are of.
    `create_model(name, weights=path)` reads it.

    Raises:
        InputError: `path` does not end in `.safetensors`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot save weights as {str(path)!r}: the name must end in .safetensors.")
    tensors = {name: keras.ops.convert_to_numpy(weight) for name, weight in named_weights(model).items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {KEY: Description.of(model).model_dump_json()})
    return path


def read_description(path: Path) -> Description | None:
    """What a `.safetensors` file says of its net; None where another tool wrote it."""
    with safe_open(path, "numpy") as file:
        text = (file.metadata() or {}).get(KEY)
    try:
        return None if text is None else Description.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{path}: its metadata cannot be read: {describe(error)}.") from error
