"""How to train, as one validated file."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from ..zoo.errors import InputError, describe


class Recipe(BaseModel):
    """How to train a model. Every field has a default; an unknown field or an impossible value is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9. Both decay kernels apart from the gradient, not norms and biases."""
    learning_rate: float = Field(2e-3, gt=0, allow_inf_nan=False)
    """The highest; it falls to zero on a cosine."""
    warmup_epochs: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Epochs over which the learning rate rises from zero; half of the run at most."""
    weight_decay: float = Field(1e-2, ge=0, allow_inf_nan=False)
    augmentation: Literal["none", "light"] = "light"
    """`light`: small shifts, turns and zooms."""
    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a better validation loss."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the order of the images and of the augmentation."""

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            fields = ", ".join(type(self).model_fields)
            raise InputError(f"recipe: {describe(error)}. Its fields are {fields}.") from error

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Reads a recipe from a YAML file.

        Raises:
            InputError: There is no such file, it is no YAML mapping, or a field is wrong; the message names the field.
        """
        try:
            fields = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path} cannot be read as a recipe: {error}.") from error
        if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
            raise InputError(f"{path} is not a recipe: it takes `field: value` lines.")
        return cls(**fields)

    def changed(self, **fields: Any) -> "Recipe":
        """This recipe with some fields changed, validated again."""
        return type(self)(**(self.model_dump() | fields))

    def to_yaml(self) -> str:
        """The file that `load` reads."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)
