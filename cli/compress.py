"""`pocketzoo compress`: all that makes a model smaller and faster, in one go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Data, Json, Overwrite, Resume, SkipUnreadable

if TYPE_CHECKING:
    import keras

    from ..export import Manifest
    from ..training import ImageData
    from .compression_spec import Export


def compress(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    data: Data,
    spec: Annotated[
        Path,
        typer.Option(
            help="YAML file with a section for each stage that is wanted: channels, distillation, sparsity, "
            "clusters, quantization, export."
        ),
    ],
    run_dir: Annotated[Path, typer.Option(help="Where the stages keep their files.")],
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Remove channels, let the dense model teach what is left, set weights to zero, cluster, quantise, export."""
    from ..export.targets import formats_of, integer_formats, targets_of
    from .compression_spec import Spec
    from .stages import check_stages, open_folder, run_stages

    what = Spec.load(spec)
    if what.export:  # what cannot be is said before the hours of training
        formats = formats_of(targets_of(what.export.targets))
        if what.quantization:
            integer_formats(formats, what.quantization.activation_bits)

    import_tensorflow()
    from .. import zoo
    from ..zoo.fingerprint import weights_sha256
    from ..zoo.signature import image_shape
    from .comparison import compare

    dense = zoo.load_model(model)
    check_stages(what, dense)
    images = options.load(data, image_shape(dense), skip_unreadable)
    sections = {f"spec.{name}": section for name, section in what.model_dump(mode="json").items()}
    made_from = {"model": weights_sha256(dense), "data": images.source, "images": images.fingerprint()}
    open_folder(run_dir, made_from | sections, resume=resume, overwrite=overwrite)
    files = run_stages(what, model, images, run_dir)
    models = {stage: zoo.load_model(file) for stage, file in files.items()}
    comparison = compare(models, images)
    comparison.write(run_dir / "comparison")
    *_, (last, file) = files.items()
    manifest = what.export and _export(models[last], images, what.export, run_dir / "bundle")
    if as_json:
        facts = {"comparison": comparison.to_dict(), "model": str(file)}
        console.show_json(facts | {"bundle": manifest and manifest.model_dump(mode="json")})
        return
    comparison.show(f"{dense.name} on the test split of {images.source}, stage by stage")
    if manifest:
        console.show_manifest(manifest)
        typer.echo(f"Bundle: {run_dir / 'bundle'}")
    typer.echo(f"Model: {file}\nPicture: {run_dir / 'comparison.png'}")


def _export(model: "keras.Model", images: "ImageData", how: "Export", folder: Path) -> "Manifest":
    from .. import export

    if (folder / "manifest.json").exists():
        return export.Manifest.load(folder / "manifest.json")
    with console.status("Converting and proving"):
        given = {"targets": how.targets, "calibration": images.train, "evaluation": images.test}
        return export.export_model(model, folder, **given)
