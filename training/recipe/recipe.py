"""The recipe: read from a file, changed field by field, written to a file."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from ...core.errors import InputError
from .augmentation import Augmentation
from .data import Data
from .loss import Losses
from .optimizer import AdamW, Optimizer
from .schedule import Cosine, Schedule
from .section import Count, NonNegative, Positive, Section, Share, Weight, read_yaml_fields
from .user_functions import import_functions
from .validation_errors import describe_errors

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")


class Recipe(Section):
    """How to train a model. Every field has a default; an unknown field or an impossible value is an error."""

    epochs: Count = 30
    """Passes over the training images."""
    batch_size: Count = 32
    """Images per batch."""
    optimizer: Optimizer = AdamW()
    """Optimizer, learning rate, weight decay, gradient clipping and weight averaging."""
    schedule: Schedule = Cosine()
    """Learning rate over the run."""
    loss: Losses | None = None
    """Loss, or a list of losses to be added; by default that of the head's task."""
    auxiliary: dict[str, Weight] | None = None
    """Deep supervision: auxiliary heads of the model's task at endpoints of its card, or at layers, and the weight of
    the loss of each, such as `{stage2: 0.4}`. They are trained with the model and are no part of it afterwards; their
    losses, such as `stage2_loss`, are reported beside those of the model."""
    augmentation: Augmentation = "light"
    """Name of a policy, or a list of transformations and functions of your own."""
    data: Data = Data()
    """Images to load, class weights and sampling."""
    l1: NonNegative = 0.0
    """L1 penalty on kernels; added to the loss, not to reported losses, so that runs can be compared."""
    l2: NonNegative = 0.0
    """L2 penalty on kernels; added to the loss, not to reported losses. `optimizer.weight_decay` is its decoupled
    form."""
    dropout: Share | None = None
    """Rate of the model's dropout layers during training; by default their own rates."""
    initializer: Literal["glorot_uniform", "he_uniform", "he_normal", "lecun_normal", "orthogonal"] | None = None
    """Reinitialize every kernel before training; by default the model is trained from its current weights."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"] = "float32"
    """Precision of the computation in training; weights and the saved model stay float32. `auto`: the fastest on this
    machine, measured once."""
    xla: bool | None = None
    """Compile the training step with XLA; by default Keras decides: on a GPU only."""
    steps_per_execution: Count = 1
    """Most batches per call of the compiled step, rounded down to a divisor of the batches per epoch: less overhead for
    small models."""
    early_stopping: Count | None = None
    """Stop after this many epochs without a better validation loss."""
    checkpoint_steps: Count | None = None
    """Save a checkpoint after this many batches too; by default after every epoch only."""
    monitor: bool = False
    """Measure the gradient norm and the share of dead units, by layer, after every epoch."""
    tensorboard: bool = False
    """Write the curves for TensorBoard too, into the folder `tensorboard` of the run directory."""
    folds: int | None = Field(default=None, ge=2)
    """Number of folds for cross-validation, `training.cross_validate`."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed for the order of the images, the augmentation and everything else that is random."""

    @model_validator(mode="before")
    @classmethod
    def _add_default_names(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Complete sections without a `name` by the name and the fields of the default."""
        incomplete = [name for name in ("optimizer", "schedule") if isinstance(fields.get(name), dict)]
        defaults = {name: cls.model_fields[name].default.explicit_fields() for name in incomplete}
        return fields | {name: _merge_section(default, fields[name]) for name, default in defaults.items()}

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(f"recipe: {describe_errors(error, type(self))}") from error

    @classmethod
    def load(cls, path: str | Path, *, allow_code: bool = False) -> Self:
        """Read a recipe from a YAML file.

        Args:
            path: The file.
            allow_code: Import the functions that its `augmentation` names, which runs their modules; without it they
                are an error.

        Raises:
            InputError: There is no such file, it is not a YAML mapping, or a field is invalid; the message names it.
        """
        fields = read_yaml_fields(path, "recipe")
        return cls(**(import_functions(fields) if allow_code else fields))

    def changed(self, **fields: Any) -> Self:
        """Return this recipe with some fields changed, validated again.

        A section is changed field by field, as in `changed(optimizer={"lr": 0.1})`; another `name` replaces it.
        """
        old = self.explicit_fields()
        return type(self)(**old | {name: _merge_section(old.get(name), value) for name, value in fields.items()})

    def to_yaml(self) -> str:
        """Return the text of a file that `load` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipe_for(verb: str, recipe: AnyRecipe | None, default: AnyRecipe) -> AnyRecipe:
    """Return `recipe`, or `default` if it is None.

    Args:
        verb: Name of the function that was called, for the error message.
        recipe: The recipe it was called with.
        default: The recipe it uses by default, of the type it requires.

    Raises:
        InputError: The recipe is of another type, whose additional fields would be ignored.
    """
    if recipe is not None and type(recipe) is not type(default):
        raise InputError(f"recipe is a {type(recipe).__name__}; {verb} requires a {type(default).__name__}.")
    return recipe or default


def _merge_section(old: Any, new: Any) -> Any:
    """Return the fields of `old` updated by `new`; `new` alone if it selects another name."""
    new = {"name": new} if isinstance(new, str) and isinstance(old, dict) and "name" in old else new
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return new if new.get("name", old.get("name")) != old.get("name") else old | new


class FineTuneRecipe(Recipe):
    """How to adapt a pretrained model."""

    epochs: Count = 20
    """Epochs of fine-tuning, after those of the head alone. For `feature_extraction`, those of the head, unless
    `head_epochs` is set."""
    optimizer: Optimizer = AdamW(lr=5e-4)
    """Optimizer; its learning rate is that of fine-tuning, after the head alone."""
    mode: Literal["feature_extraction", "linear_probe", "fine_tune", "gradual"] = "fine_tune"
    """`feature_extraction`: the head alone, on a frozen backbone. `linear_probe`: the same by logistic regression, with
    a search over the strength of its L2 penalty. `fine_tune`: the head, then everything from `unfreeze_from` on.
    `gradual`: the head, then one more stage after each equal share of the epochs, from the top."""
    head_epochs: int = Field(default=10, ge=0, le=10**9)
    """Epochs of the head alone, before the backbone is trained."""
    head_lr: Positive = 5e-3
    """Peak learning rate of the head alone."""
    unfreeze_from: str | None = None
    """Endpoint of the first stage to be fine-tuned, together with all stages above it; null for the whole backbone."""
    layer_decay: float = Field(default=0.8, gt=0, le=1)
    """Layer-wise learning rate decay: the learning rate of each backbone stage is that of the stage above it (or of the
    head) times this."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """BatchNormalization in the fine-tuned stages of the backbone. `frozen`: inference mode, nothing changes. `train`:
    trained, with a momentum that fits the length of the run."""
    l2_sp: NonNegative = 0.0
    """L2-SP: strength of a penalty on the squared distance of the backbone's kernels from their pretrained values,
    against forgetting; in place of their weight decay."""

    @model_validator(mode="before")
    @classmethod
    def _train_the_head_for_the_epochs(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """With the head alone, `epochs` are those of the head, unless `head_epochs` says otherwise."""
        if fields.get("mode") == "feature_extraction" and "epochs" in fields and "head_epochs" not in fields:
            return fields | {"head_epochs": fields["epochs"]}
        return fields

    def changed(self, **fields: Any) -> Self:
        """Return this recipe with some fields changed, as `Recipe.changed` does.

        With `mode: feature_extraction`, which trains the head alone, a change of `epochs` is one of `head_epochs`.
        """
        mode = fields.get("mode", self.mode)
        if mode == "feature_extraction" and "epochs" in fields and "head_epochs" not in fields:
            fields["head_epochs"] = fields["epochs"]
        return super().changed(**fields)

    @model_validator(mode="after")
    def _check_trains_anything(self) -> Self:
        if self.mode == "feature_extraction" and not self.head_epochs:
            raise ValueError("head_epochs is 0, but feature_extraction trains nothing but the head")
        return self

    @model_validator(mode="after")
    def _check_has_no_auxiliary_heads(self) -> Self:
        if self.auxiliary:
            raise ValueError(
                f"auxiliary is {self.auxiliary}; auxiliary heads are for `fit`: in fine-tuning, each phase would begin "
                "with new ones"
            )
        return self

    @model_validator(mode="after")
    def _check_keeps_weights(self) -> Self:
        if self.initializer is not None:
            raise ValueError(
                f"initializer is {self.initializer!r}, which reinitializes every kernel; fine-tuning requires the "
                "pretrained ones"
            )
        return self
