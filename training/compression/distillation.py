"""Distillation: a student learns from the answers of a trained teacher, besides the labels.

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

from ...core.errors import InputError
from ...core.outputs import by_name
from ...tasks.registry import get_task
from ...zoo.endpoints import feature_extractor
from ...zoo.fingerprint import weights_sha256
from ..compatibility import check_fit_together
from ..data.images import ImageData
from ..engine.fit import Job, RunResult, resolve_precision, run_job
from ..model_outputs import tasks_of
from ..recipe.recipe import Recipe, recipe_for

FAINTEST = 1e-12
"""Energy that every place has, so that a map of zeros has a gradient too."""
ATTENTION = 1000
"""Factor of the difference of two attention maps, as in the code of their paper (arXiv:1612.03928)."""

Lesson = Callable[[Any, Any, list[Any]], Any]
"""Images, the student's answers and its feature maps, to how far they are from the teacher's: a scalar."""


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
    verbose: bool = True,
) -> RunResult:
    """Trains `student` in place to answer as `teacher` does, keeping the epoch of least loss on `data.validation`.

    What is minimised is `(1 - weight) * labels + weight * teacher`. `labels` is the recipe's loss. `teacher` is, of
    classes (an image's, or each place's) and of labels, the Kullback-Leibler divergence between both answers softened
    by `temperature`, times its square; of numbers the mean squared difference. Losses of validation are of the labels
    alone, as in `fit`, so that runs can be compared. Class weights of the recipe weigh the labels' part only.

    The teacher sees the very images that the student sees, in inference mode; nothing of it changes.

    Args:
        student: The model to train: a fresh one, or a pruned one that is to recover.
        teacher: A trained model for the same images and the same answers.
        data: What to learn.
        recipe: How; the defaults of `Recipe` if None.
        temperature: Above 0; the higher, the more counts how unlikely classes compare with one another.
        weight: Share of the teacher in what is minimised, 0..1; with 1 nothing is learned from the labels.
        features: Endpoints (as of `zoo.feature_extractor`) at which the student is also to look where the teacher
            looks, or a dict from the student's to the teacher's, of the same height and width. Each adds the difference
            of where the two maps have their energy, whatever their channels (Zagoruyko, Komodakis: Paying More
            Attention to Attention, arXiv:1612.03928).
        run_dir: As in `fit`.
        resume: As in `fit`; with the same teacher.
        overwrite: As in `fit`.
        verbose: As in `fit`.

    Raises:
        InputError: Student, teacher and data do not fit together, an argument is out of range, an endpoint is unknown
            or its maps are of different sizes, or as in `fit`.
    """
    recipe = recipe_for("distill", recipe, Recipe())
    recipe = resolve_precision(recipe, student, resumed=run_dir if resume else None, verbose=verbose)
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature is {temperature}; it takes a number above 0.")
    if not 0 <= weight <= 1:
        raise InputError(f"weight is {weight}; it takes 0 to 1, the teacher's share in what is minimised.")
    _check_teaches(teacher, student, data)
    names = [features] if isinstance(features, str) else features or ()
    pairs = dict(features) if isinstance(features, Mapping) else dict(zip(names, names, strict=True))
    maps, taught = _maps(student, list(pairs)), _maps(teacher, list(pairs.values()))
    _check_places(pairs, maps, taught)
    lesson = make_lesson(teacher, taught, tasks_of(student), temperature)
    job = Job(
        f"Teaching {student.name}",
        recipe,
        {
            "verb": "distill",
            "teacher": f"{teacher.name} {weights_sha256(teacher)[:12]}",
            "temperature": temperature,
            "weight": weight,
            "features": pairs,
        },
        build_network=partial(Pupil, maps=maps, lesson=lesson, weight=weight),
    )
    return run_job(job, student, data, run_dir=run_dir, resume=resume, overwrite=overwrite, verbose=verbose)


class Pupil(keras.Model):
    """All layers of a student, trained by labels and by a lesson; one pass gives its answers and its feature maps.

    In place of `keras.distillation.Distiller`, which runs the student a second time for features (and so moves its
    BatchNorm statistics twice), keeps the teacher's weights with the student's, and knows no sample weights.

    Args:
        student: Whose layers.
        maps: Tensors of its graph, for the lesson.
        lesson: What the teacher says of a batch.
        weight: Share of the lesson in what is minimised.
    """

    def __init__(self, student: keras.Model, maps: list[keras.KerasTensor], lesson: Lesson, weight: float):
        super().__init__(student.input, (student.output, maps), name=student.name)
        self.output_names = student.output_names  # losses and metrics are of the answers alone
        self._lesson = lesson
        self._weight = weight

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The labels' loss, and in training the teacher's."""
        answers, maps = y_pred
        of_labels = super().compute_loss(x, y, answers, sample_weight, training)
        if not training:
            return of_labels
        return (1 - self._weight) * of_labels + self._weight * self._lesson(x, answers, maps)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Of the answers."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def make_lesson(
    teacher: keras.Model, maps: list[keras.KerasTensor], tasks: str | dict[str, str], temperature: float
) -> Lesson:
    """What `teacher` has to say.

    Args:
        teacher: Runs in inference mode.
        maps: Tensors of its graph, which the student's maps are to be like.
        tasks: What the outputs answer.
        temperature: Of the softened answers.
    """
    teaching = keras.Model(teacher.input, (teacher.output, maps))
    # Named "kl_divergence", which is its default, the divergence would be taken of the logits themselves.
    softened = LogitsDistillation(temperature, keras.losses.KLDivergence())
    squared, attention = FeatureDistillation("mse"), FeatureDistillation(attention_distance)

    def of_answers(task: str, taught, given):
        logits_of = get_task(task).distillation_logits
        if logits_of(taught) is None:
            return squared.compute_loss(taught, given)
        return softened.compute_loss(logits_of(taught), logits_of(given))

    def lesson(images, answers, own_maps):
        taught, taught_maps = teaching(images, training=False)
        taught, answers = by_name(taught), by_name(answers)
        losses = [of_answers(task, taught[name], answers[name]) for name, task in by_name(tasks).items()]
        return sum(losses + list(map(attention.compute_loss, taught_maps, own_maps)))

    return lesson


def attention_distance(first, second):
    """How far two maps `(batch, height, width, channels)` are from looking at the same places: `(batch,)`.

    `ATTENTION` times the mean squared difference of their energies by place, each a vector of norm 1.
    """
    by_place = (ops.mean(ops.square(ops.cast(maps, "float32")), axis=-1) + FAINTEST for maps in (first, second))
    own, other = (ops.normalize(ops.reshape(energy, (ops.shape(energy)[0], -1))) for energy in by_place)
    return ATTENTION * ops.mean(ops.square(own - other), axis=-1)


def _maps(model: keras.Model, endpoints: list[str]) -> list[keras.KerasTensor]:
    if not endpoints:
        return []
    found = feature_extractor(model, endpoints).output
    return [found[name] for name in endpoints]


def _check_teaches(teacher: keras.Model, student: keras.Model, data: ImageData) -> None:
    shared = {id(weight) for weight in teacher.weights} & {id(weight) for weight in student.weights}
    if shared:
        raise InputError("teacher and student share weights; a model cannot be its own teacher, load it a second time.")
    try:
        check_fit_together(teacher, data)
    except InputError as error:
        raise InputError(f"the teacher: {error}") from error
    check_fit_together(student, data)


def _check_places(pairs: dict[str, str], maps: list[keras.KerasTensor], taught: list[keras.KerasTensor]) -> None:
    for (own, theirs), map_, other in zip(pairs.items(), maps, taught, strict=True):
        if len(map_.shape) != 4 or map_.shape[1:-1] != other.shape[1:-1]:
            raise InputError(
                f"features: the student's {own} is {tuple(map_.shape[1:])}, the teacher's {theirs} "
                f"{tuple(other.shape[1:])}; endpoints with maps of the same height and width can be compared."
            )
