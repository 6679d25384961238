"""`pocketzoo distill`: a student learns from a trained teacher."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import InputError
from . import options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable


def distill(
    student: Annotated[str, typer.Argument(help="A name from `pocketzoo list`, or a .keras file.")],
    teacher: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    temperature: Annotated[float, typer.Option(help="Softens the answers; above 0.")] = 4.0,
    weight: Annotated[float, typer.Option(help="Share of the teacher in what is minimised, 0 to 1.")] = 0.9,
    features: Annotated[
        str | None,
        typer.Option(help="Endpoints to be like the teacher's too: 'stage1,stage2', or 'stage2=stage3' by its name."),
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a student to answer as a trained teacher does; RUN_DIR/best.keras is the result."""
    pairs = endpoint_pairs(features)
    import_tensorflow()
    import keras

    from .. import training, zoo
    from ..zoo.signature import image_shape

    how = options.recipe(recipe, changes, training.Recipe())
    master = zoo.load_model(teacher)
    images = runs.load(data, how, image_shape(master), None, skip_unreadable)
    keras.utils.set_random_seed(how.seed)
    if student.endswith(".keras"):
        pupil = zoo.load_model(student)
    else:
        pupil = zoo.create_model(student, head=images.task, labels=images.labels, input_shape=images.image_shape)
    result = training.distill(
        pupil,
        master,
        images,
        how,
        temperature=temperature,
        weight=weight,
        features=pairs,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    models = {f"teacher {master.name}": master, f"student {pupil.name}": pupil}
    title = f"On the test split of {images.source}"
    runs.show_change(models, images, result, run_dir, title, as_json=as_json)


def endpoint_pairs(text: str | None) -> dict[str, str]:
    """`stage1,stage2=stage3` as the student's endpoints, each with the teacher's."""
    pairs = {}
    for part in text.split(",") if text else ():
        own, _, theirs = (name.strip() for name in part.partition("="))
        if not own or (not theirs and "=" in part):
            raise InputError(f"--features {text!r} is no list of endpoints; 'stage1,stage2' or 'stage2=stage3' is.")
        pairs[own] = theirs or own
    return pairs
