"""`pocketzoo compress`: several compression methods and the export in one go."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..zoo.model_files import check_model_file
from . import console
from .inputs import check_images, load_images, load_seeded
from .option_groups import DataReading, RunControl
from .options import AllowCode, Data, Json, TrainedModel
from .results import compare, show_comparison, show_manifest
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..export import Manifest
    from ..training import ImageData
    from ..training.compression.pipeline.spec import CompressionSpec, ExportStage


def compress(
    model: TrainedModel,
    data: Data,
    spec: Annotated[
        Path,
        typer.Option(
            help="YAML file with one section per stage to run: channels, distillation, sparsity, clusters, "
            "quantization, export."
        ),
    ],
    run_dir: Annotated[Path, typer.Option(help="Directory for the files of all stages.")],
    *,
    reading: DataReading,
    run: RunControl,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Remove channels, distill, set weights to zero, cluster, quantize and export: the stages of a spec, in order."""
    from ..training.compression.pipeline.spec import CompressionSpec

    stages = CompressionSpec.load(spec, allow_code=allow_code)
    _check_export(stages)
    check_model_file(model)
    check_images(data, reading)
    import_tensorflow()
    from .. import training
    from ..export.footprint import milliseconds
    from ..zoo.signature import image_shape

    original = load_seeded(model, training.Recipe().seed)
    images = load_images(data, image_shape(original), reading)
    result = training.compress(original, images, stages, run_dir=run_dir, measure=milliseconds, **vars(run))
    comparison = compare(result.models, images)
    comparison.write(run_dir / "comparison")
    manifest = stages.export and _export(result.model, images, stages.export, run_dir / "bundle")
    file = [model, *result.files.values()][-1]
    if as_json:
        facts = {"comparison": comparison.to_dict(), "model": str(file)}
        console.show_json(facts | {"bundle": manifest and manifest.model_dump(mode="json")})
        return
    show_comparison(comparison, f"{original.name} on the test split of {images.source}, after each stage")
    if manifest:
        show_manifest(manifest)
        typer.echo(f"Bundle: {run_dir / 'bundle'}")
    typer.echo(f"Model: {file}\nPlot: {run_dir / 'comparison.png'}")


def _check_export(spec: "CompressionSpec") -> None:
    """Raise InputError where the result cannot be exported to the targets."""
    from ..export.targets import formats_of, integer_formats, targets_of

    if spec.export:
        formats = formats_of(targets_of(spec.export.targets))
        if spec.quantization:
            integer_formats(formats, spec.quantization.activation_bits)


def _export(model: "keras.Model", images: "ImageData", settings: "ExportStage", bundle: Path) -> "Manifest":
    """Return the manifest of a finished bundle, or export one."""
    from .. import export

    if (bundle / "manifest.json").exists():
        return export.Manifest.load(bundle / "manifest.json")
    with console.status("Converting and validating"):
        return export.export_model(
            model, bundle, targets=settings.targets, calibration=images.train, evaluation=images.test
        )
