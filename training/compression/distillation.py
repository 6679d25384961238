"""Knowledge distillation: a student learns from the outputs of a trained teacher as well as from the labels.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network (arXiv:1503.02531).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import ops
from keras.distillation import FeatureDistillation, LogitsDistillation

from ...core.arguments import check_arguments
from ...core.errors import InputError
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name
from ...tasks.registry import get_task
from ...zoo.decoded_form import decoded_form
from ...zoo.endpoints import feature_extractor
from ...zoo.fingerprint import weights_sha256
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import check_fit_together, describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData
from ..engine.job import Job, RunResult, resolve_precision, run_job
from ..model_outputs import tasks_of
from ..recipe.recipe import Recipe, recipe_for

SMALLEST_ENERGY = 1e-12
"""Added to the energy at each position, so that a feature map of zeros has a gradient."""
ATTENTION_WEIGHT = 1000
"""Weight of the difference of two attention maps, as in the code of their paper (arXiv:1612.03928)."""

DistillationLoss = Callable[[Any, Any, list[Any]], Any]
"""From images, the student's outputs and its feature maps to their distance from the teacher's, a scalar."""


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def distill(
    student: keras.Model,
    teacher: keras.Model,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
    features: str | Sequence[str] | Mapping[str, str] | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    extend: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
    keep_sparsity: bool | None = None,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> RunResult:
    """Train `student` in place to reproduce the outputs of `teacher`, keeping the epoch of lowest validation loss.

    The loss is `(1 - weight) * label_loss + weight * teacher_loss`. The label loss is that of the recipe. The teacher
    loss is, for classes (of images or pixels) and multi-label outputs, the Kullback-Leibler divergence between both
    models' probabilities softened by `temperature`, times the temperature squared; for regression, the mean squared
    difference. Validation losses are label losses, as in `fit`, so that runs can be compared. Class weights of the
    recipe apply to the label loss only.

    The teacher runs in inference mode on the same augmented images as the student. It is not changed.

    Args:
        student: The model to train: a new one, or a pruned one that is to recover.
        teacher: A trained model for the same images and labels.
        data: The dataset to train on.
        recipe: How to train; the defaults of `Recipe` if None.
        temperature: Above 0; the higher, the more the ratios of small probabilities matter.
        weight: Weight of the teacher loss, 0..1; with 1 the labels are not used.
        features: Endpoints (as in `zoo.feature_extractor`) whose attention maps are to match the teacher's, or a dict
            from the student's endpoints to the teacher's, of the same height and width. Each adds the difference of the
            two maps' energy by position, independent of the number of channels (Zagoruyko, Komodakis: Paying More
            Attention to Attention, arXiv:1612.03928).
        run_dir: As in `fit`.
        resume: As in `fit`; with the same teacher.
        overwrite: As in `fit`.
        extend: As in `fit`.
        callbacks: As in `fit`.
        verbose: As in `fit`.
        keep_sparsity: As in `fit`.
        task: As in `fit`.
        labels: As in `fit`.
        pixels: As in `fit`.
        from_logits: As in `fit`.

    Raises:
        InputError: Student, teacher and data do not fit together, an argument is out of range, an endpoint is unknown
            or its feature maps differ in size, or as in `fit`.
    """
    recipe = recipe_for("distill", recipe, Recipe())
    describe_model(student, data, task=task, labels=labels, pixels=pixels, from_logits=from_logits, verbose=verbose)
    recipe = resolve_precision(recipe, student, resumed=run_dir if resume else None, verbose=verbose)
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature is {temperature}; it must be a number above 0.")
    if not 0 <= weight <= 1:
        raise InputError(f"weight is {weight}; it must be 0 to 1, the weight of the teacher in the loss.")
    _check_models(teacher, student, data, verbose=verbose)
    names = [features] if isinstance(features, str) else features or ()
    pairs = dict(features) if isinstance(features, Mapping) else dict(zip(names, names, strict=True))
    student_maps, teacher_maps = _feature_maps(student, list(pairs)), _feature_maps(teacher, list(pairs.values()))
    _check_sizes(pairs, student_maps, teacher_maps)
    teacher_loss = distillation_loss(teacher, teacher_maps, tasks_of(student), temperature)
    job = Job(
        f"Distilling {student.name}",
        recipe,
        {
            "verb": "distill",
            "teacher": f"{teacher.name} {weights_sha256(teacher)[:12]}",
            "temperature": temperature,
            "weight": weight,
            "features": pairs,
        },
        user_callbacks=callbacks,
        build_network=partial(DistilledModel, maps=student_maps, teacher_loss=teacher_loss, weight=weight),
        keep_sparsity=keep_sparsity,
    )
    return run_job(
        job, student, data, run_dir=run_dir, resume=resume, overwrite=overwrite, extend=extend, verbose=verbose
    )


class DistilledModel(keras.Model):
    """The layers of a student, trained with labels and a teacher; one forward pass gives outputs and feature maps.

    Used instead of `keras.distillation.Distiller`, which runs the student a second time for features (and so updates
    its BatchNorm statistics twice), saves the teacher's weights with the student's, and ignores sample weights.

    Args:
        student: The model whose layers are trained.
        maps: Feature maps of the student, tensors of its graph.
        teacher_loss: Distance of the student from its teacher on a batch.
        weight: Weight of the teacher loss, 0..1.
    """

    def __init__(
        self, student: keras.Model, maps: list[keras.KerasTensor], teacher_loss: DistillationLoss, weight: float
    ):
        super().__init__(student.input, (student.output, maps), name=student.name)
        self.output_names = student.output_names  # losses and metrics do not include the feature maps
        self._teacher_loss = teacher_loss
        self._weight = weight

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the label loss, in training combined with the teacher loss."""
        outputs, maps = y_pred
        label_loss = super().compute_loss(x, y, outputs, sample_weight, training)
        if not training:
            return label_loss
        return (1 - self._weight) * label_loss + self._weight * self._teacher_loss(x, outputs, maps)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the metrics of the outputs, without the feature maps."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def distillation_loss(
    teacher: keras.Model, maps: list[keras.KerasTensor], tasks: str | dict[str, str], temperature: float
) -> DistillationLoss:
    """Return the loss of a student's outputs and feature maps, compared with the teacher's.

    Args:
        teacher: The trained model; runs in inference mode.
        maps: Feature maps of the teacher, tensors of its graph.
        tasks: Task of the output, or of each output by name.
        temperature: Temperature that softens the probabilities.
    """
    decoded = decoded_form(teacher)
    teacher_with_maps = keras.Model(decoded.input, (decoded.output, maps))
    # With its default name, "kl_divergence", Keras would compute the divergence of the logits themselves.
    softened = LogitsDistillation(temperature, keras.losses.KLDivergence())
    squared, attention = FeatureDistillation("mse"), FeatureDistillation(attention_distance)

    def output_loss(task: str, target: Any, output: Any) -> Any:
        logits_of = get_task(task).distillation_logits
        if logits_of(target) is None:
            return squared.compute_loss(target, output)
        return softened.compute_loss(logits_of(target), logits_of(output))

    def loss(images: Any, outputs: Any, student_maps: list[Any]) -> Any:
        targets, teacher_maps = teacher_with_maps(images, training=False)
        targets, outputs = by_name(targets), by_name(outputs)
        losses = [output_loss(task, targets[name], outputs[name]) for name, task in by_name(tasks).items()]
        return sum(losses + list(map(attention.compute_loss, teacher_maps, student_maps)))

    return loss


def attention_distance(first: Any, second: Any) -> Any:
    """Return the distance of the attention maps of two feature maps `(batch, height, width, channels)`: `(batch,)`.

    It is `ATTENTION_WEIGHT` times the mean squared difference of their energies by position, each a unit vector.
    """
    energies = (ops.mean(ops.square(ops.cast(maps, "float32")), axis=-1) + SMALLEST_ENERGY for maps in (first, second))
    own, other = (ops.normalize(ops.reshape(energy, (ops.shape(energy)[0], -1))) for energy in energies)
    return ATTENTION_WEIGHT * ops.mean(ops.square(own - other), axis=-1)


def _feature_maps(model: keras.Model, endpoints: list[str]) -> list[keras.KerasTensor]:
    if not endpoints:
        return []
    outputs = feature_extractor(model, endpoints).output
    return [outputs[name] for name in endpoints]


def _check_models(teacher: keras.Model, student: keras.Model, data: ImageData, *, verbose: bool) -> None:
    shared = {id(weight) for weight in teacher.weights} & {id(weight) for weight in student.weights}
    if shared:
        raise InputError("teacher and student share weights; a model cannot teach itself: load it a second time.")
    try:
        describe_model(teacher, data, verbose=verbose)
        check_fit_together(teacher, data)
    except InputError as error:
        raise InputError(f"the teacher: {error}") from error
    check_fit_together(student, data)


def _check_sizes(
    pairs: dict[str, str], student_maps: list[keras.KerasTensor], teacher_maps: list[keras.KerasTensor]
) -> None:
    for (own, theirs), own_map, their_map in zip(pairs.items(), student_maps, teacher_maps, strict=True):
        if len(own_map.shape) != 4 or own_map.shape[1:-1] != their_map.shape[1:-1]:
            raise InputError(
                f"features: the student's {own} is {tuple(own_map.shape[1:])}, the teacher's {theirs} "
                f"{tuple(their_map.shape[1:])}; the feature maps must have the same height and width."
            )
