"""A whole recipe: read from a file, changed field by field, written again."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from ...core.errors import InputError
from .augmentation import Augmentation
from .data import Data
from .loss import Losses
from .mistakes import sentences
from .optimizer import AdamW, Optimizer
from .reading import read_fields
from .schedule import Cosine, Schedule
from .section import NonNegative, Positive, Section, Share


class Recipe(Section):
    """How to train a model. Every field has a default; an unknown field or an impossible value is an error."""

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    optimizer: Optimizer = AdamW()
    schedule: Schedule = Cosine()
    loss: Losses | None = None
    """What is minimised, or a list of which the sum is; by default what the head's task takes."""
    augmentation: Augmentation = "light"
    data: Data = Data()
    l1: NonNegative = 0.0
    """Factor of the kernels' absolute values in what is minimised. The losses that are shown are without it, so that
    runs can be compared."""
    l2: NonNegative = 0.0
    """Factor of the kernels' squares in what is minimised, shown as little; `optimizer.weight_decay` is its decoupled
    form."""
    dropout: Share | None = None
    """Rate of the model's dropout layers while it trains; by default their own."""
    initializer: Literal["glorot_uniform", "he_uniform", "he_normal", "lecun_normal", "orthogonal"] | None = None
    """Draws every kernel anew before training; by default the model is trained from what it is."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = "float32"
    """Of the arithmetic in training; weights and the saved model stay float32. `auto`: the fastest on this machine, by
    a measurement that is made once."""
    xla: bool | None = None
    """Whether to compile the training step with XLA; by default as Keras decides: on a GPU only."""
    steps_per_execution: PositiveInt = 1
    """Most batches in one call of the compiled step, of which an epoch has a whole number: less overhead for small
    models."""
    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a better validation loss."""
    checkpoint_steps: PositiveInt | None = None
    """Keep a checkpoint after this many batches too; by default after every epoch only."""
    monitor: bool = False
    """Measure the gradient's norm and the share of dead units, by layer, after every epoch."""
    tensorboard: bool = False
    """Write the curves for TensorBoard too, into the folder `tensorboard` of the run directory."""
    folds: int | None = Field(None, ge=2)
    """Parts for cross-validation, `training.cross_validate`."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the order of the images, the augmentation and whatever else is random."""

    @model_validator(mode="before")
    @classmethod
    def _by_default_as_named_there(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Sections that are given without a name are of the default's."""
        chosen = {name: field.default for name, field in cls.model_fields.items() if name in ("optimizer", "schedule")}
        given = {name: default.given() for name, default in chosen.items() if isinstance(fields.get(name), dict)}
        return fields | {name: _section(default, fields[name]) for name, default in given.items()}

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"recipe: {sentences(error, type(self))}.") from error

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Reads a recipe from a YAML file.

        Raises:
            InputError: There is no such file, it is no YAML mapping, or a field is wrong; the message names the field.
        """
        return cls(**read_fields(path, "recipe"))

    def changed(self, **fields: Any) -> "Recipe":
        """This recipe with some fields changed, validated again.

        A section is changed field by field, `changed(optimizer={"lr": 0.1})`; another `name` begins it anew.
        """
        return type(self)(**_merged(self.given(), fields))

    def to_yaml(self) -> str:
        """The file that `load` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipe_for(verb: str, recipe: Recipe | None, default: Recipe) -> Recipe:
    """The recipe that `verb` was given, or its default.

    Raises:
        InputError: It is that of another verb, whose fields would be ignored.
    """
    if recipe is not None and type(recipe) is not type(default):
        raise InputError(f"recipe is a {type(recipe).__name__}; {verb} takes a {type(default).__name__}.")
    return recipe or default


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the fields of `new`, section by section."""
    return old | {name: _section(old.get(name), value) for name, value in new.items()}


def _section(old: Any, new: Any) -> Any:
    new = {"name": new} if isinstance(new, str) and isinstance(old, dict) and "name" in old else new
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return new if new.get("name", old.get("name")) != old.get("name") else old | new


class FineTuneRecipe(Recipe):
    """How to adapt a pretrained model. `epochs` and `optimizer.lr` are those of fine-tuning, after the head's."""

    epochs: PositiveInt = 20
    optimizer: Optimizer = AdamW(lr=5e-4)
    mode: Literal["feature_extraction", "linear_probe", "fine_tune", "gradual"] = "fine_tune"
    """`feature_extraction`: the head alone, on a frozen backbone. `linear_probe`: the same by logistic regression, with
    a search over the strength of its L2 penalty. `fine_tune`: the head, then all from `unfreeze_from` on. `gradual`:
    the head, then one stage more after each equal share of the epochs, from the top."""
    head_epochs: NonNegativeInt = 10
    """Epochs of the head alone, before anything else trains."""
    head_lr: Positive = 5e-3
    """Highest learning rate of the head alone."""
    unfreeze_from: str | None = None
    """Endpoint of the first stage that is fine-tuned, with all above it; None for the whole backbone."""
    layer_decay: float = Field(0.8, gt=0, le=1)
    """The learning rate of each stage of the backbone is that of the stage above it (or of the head) times this."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Of the backbone's stages that are fine-tuned. `frozen`: in inference mode, nothing of them changes. `train`: they
    train, with a momentum that fits the length of the run."""
    l2_sp: NonNegative = 0.0
    """Strength of a penalty on the squared distance of the backbone's kernels from their pretrained values, against
    forgetting; in place of their weight decay."""

    @model_validator(mode="after")
    def _trains_at_all(self):
        if self.mode == "feature_extraction" and not self.head_epochs:
            raise ValueError("head_epochs is 0, but feature_extraction trains nothing besides the head")
        return self

    @model_validator(mode="after")
    def _keeps_what_is_pretrained(self):
        if self.initializer is not None:
            raise ValueError(
                f"initializer is {self.initializer!r}, which draws every kernel anew; fine-tuning keeps them"
            )
        return self
