"""The zoo's own weight files: `.safetensors` with a description of the model in the metadata."""

import json
from pathlib import Path
from typing import Any

import keras
from pydantic import BaseModel, ValidationError
from safetensors import safe_open
from safetensors.numpy import save

from ...core.arguments import check_arguments
from ...core.atomic_files import atomic_path
from ...core.errors import InputError, describe
from ...layers import Head, PixelNormalization
from .layouts import abbreviate
from .weighted_layers import named_weights

KEY = "pocketzoo"
"""Metadata key in a safetensors file."""
NOT_ARCHITECTURE = {"name", "trainable", "dtype", "stochastic_depth", "rate", "seed"}
"""Arguments of a layer that do not change its outputs at inference."""


class HeadFacts(BaseModel):
    """Task, number of classes and labels of a head."""

    task: str
    classes: int | None = None
    labels: tuple[str, ...] | None = None

    def is_kept_as(self, other: "HeadFacts") -> bool:
        """Return whether the head `other` can use this head's weights; unknown fields of this head match any value."""
        return self.task == other.task and self.classes in (None, other.classes) and self.labels in (None, other.labels)


def heads_of(model: keras.Model) -> dict[str, HeadFacts]:
    """Return the heads of a model by layer name."""
    return {
        layer.name: HeadFacts(task=layer.TASK, classes=getattr(layer, layer.WIDTH, None), labels=layer.labels)
        for layer in model.layers
        if isinstance(layer, Head)
    }


class Description(BaseModel):
    """Name, heads and layer arguments of a model."""

    model: str
    """Name of the model."""
    heads: dict[str, HeadFacts]
    """Heads by layer name, `head` or `head_NAME`."""
    layers: dict[str, dict[str, Any]]
    """Arguments by layer name that affect the outputs, without those of heads."""

    @classmethod
    def of(cls, model: keras.Model) -> "Description":
        """Describe a model of the zoo."""
        layers = {
            layer.name: {key: value for key, value in layer.get_config().items() if key not in NOT_ARCHITECTURE}
            for layer in model.layers
            if not isinstance(layer, Head | PixelNormalization | keras.layers.InputLayer)
        }
        return cls(
            model=model.name,
            heads=heads_of(model),
            layers=json.loads(json.dumps(layers)),  # as they are when read from a file
        )

    def differences(self, other: "Description", layers: set[str]) -> list[str]:
        """Describe the arguments that differ in those of `layers` that both models have."""
        differing: dict[str, list[str]] = {}
        for name in sorted(self.layers.keys() & other.layers.keys() & layers):
            mine, theirs = self.layers[name], other.layers[name]
            for key in sorted(mine.keys() & theirs.keys()):
                if mine[key] != theirs[key]:
                    difference = f"{key} is {mine[key]!r} in the file and {theirs[key]!r} in the model"
                    differing.setdefault(difference, []).append(name)
        remedy = "call create_model with the arguments that the saved model was created with"
        return [f"{difference} (layers {abbreviate(names, 2)}; {remedy})" for difference, names in differing.items()]


@check_arguments
def save_weights(model: keras.Model, path: str | Path) -> Path:
    """Save the weights of a model of the zoo as one `.safetensors` file and return its path.

    Tensors are named `layer/variable`, such as `stem_conv/kernel`; the metadata describes the model.
    `create_model(name, weights=path)` loads the file.

    Raises:
        InputError: `path` does not end in `.safetensors`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"cannot save weights as {str(path)!r}: the name must end in .safetensors.")
    tensors = {name: keras.ops.convert_to_numpy(weight) for name, weight in named_weights(model).items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {KEY: Description.of(model).model_dump_json()}))
    return path


def read_description(path: Path) -> Description | None:
    """Return the description in a `.safetensors` file; None if another tool wrote the file.

    Raises:
        InputError: The description is invalid.
    """
    with safe_open(path, "numpy") as file:
        text = (file.metadata() or {}).get(KEY)
    try:
        return None if text is None else Description.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{path}: its metadata cannot be read: {describe(error)}.") from error
