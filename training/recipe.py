"""How to train, as one validated file."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

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


class FineTuneRecipe(Recipe):
    """How to adapt a pretrained model. `epochs` and `learning_rate` are those of fine-tuning, after the head's."""

    epochs: PositiveInt = 20
    learning_rate: float = Field(5e-4, gt=0, allow_inf_nan=False)
    mode: Literal["feature_extraction", "linear_probe", "fine_tune", "gradual"] = "fine_tune"
    """`feature_extraction`: the head alone, on a frozen backbone. `linear_probe`: the same by logistic regression, with
    a search over the strength of its L2 penalty. `fine_tune`: the head, then all from `unfreeze_from` on. `gradual`:
    the head, then one stage more after each equal share of the epochs, from the top."""
    head_epochs: NonNegativeInt = 10
    """Epochs of the head alone, before anything else trains."""
    head_learning_rate: float = Field(5e-3, gt=0, allow_inf_nan=False)
    unfreeze_from: str | None = None
    """Endpoint of the first stage that is fine-tuned, with all above it; None for the whole backbone."""
    layer_decay: float = Field(0.8, gt=0, le=1)
    """The learning rate of each stage of the backbone is that of the stage above it (or of the head) times this."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Of the backbone's stages that are fine-tuned. `frozen`: in inference mode, nothing of them changes. `train`: they
    train, with a momentum that fits the length of the run."""
    l2_sp: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Strength of a penalty on the squared distance of the backbone's kernels from their pretrained values, against
    forgetting; in place of their weight decay."""

    @model_validator(mode="after")
    def _trains_at_all(self):
        if self.mode == "feature_extraction" and not self.head_epochs:
            raise ValueError("head_epochs is 0, but feature_extraction trains nothing besides the head")
        return self
