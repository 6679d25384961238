"""Float16 files in float16 arithmetic: CPUs compute them in float32, in which nothing overflows."""

from collections.abc import Callable, Iterable
from importlib.metadata import version

import numpy as np

from ...artifact.artifact import Artifact
from ...artifact.manifest import Check
from ...artifact.tflite_embedding import append_labels_of
from ...runtimes.litert import open_tflite
from ...runtimes.onnx_runtime import open_onnx
from ...tflite_schema.layer_names import layers_of
from ..reduced_precision import validate_reduced_precision
from .artifact_check import ArtifactCheck, Subject

LITERT_TITLE, ONNX_TITLE = "LiteRT in float16", "ONNX Runtime in float16"
LARGEST = float(np.finfo("float16").max)
SECONDS = 20
"""Time for all images, which have already run in float32."""
SEARCHED = 4
"""Images in which the layer that overflows is searched."""
REMEDY = "normalize its values, or choose targets with float32 arithmetic, such as mobile-cpu or openvino"

Rounded = Iterable[tuple[str, np.ndarray, np.ndarray]]
"""For each operator, in their order: its name, its result, and that in float16."""


def validate_tflite(subject: Subject) -> Check:
    """Validate a TFLite file with all results rounded to float16, as GPU delegates compute by default."""
    from ...conversion.tflite.float16_arithmetic import rounded_tensors, with_float16_rounding

    source = subject.path.read_bytes()
    content = with_float16_rounding(source)
    artifact = open_tflite(subject.path, append_labels_of(source, content))
    release = version("ai-edge-litert")
    return _validate(LITERT_TITLE, release, artifact, subject, lambda values: rounded_tensors(content, *values))


def validate_onnx(subject: Subject) -> Check:
    """Validate an ONNX file with all results rounded to float16, as GPUs compute it."""
    import onnx

    from ...conversion.onnx.float16_arithmetic import rounded_tensors, with_float16_rounding

    model = with_float16_rounding(onnx.load(subject.path))
    artifact = open_onnx(subject.path, model.SerializeToString())
    release = version("onnxruntime")
    return _validate(ONNX_TITLE, release, artifact, subject, lambda values: rounded_tensors(model, *values))


def _validate(
    title: str, release: str, artifact: Artifact, subject: Subject, rounded: Callable[[tuple[np.ndarray, ...]], Rounded]
) -> Check:
    def explain() -> str:
        samples = subject.reference.at_most(SEARCHED).samples
        overflows = filter(None, (_first_overflow(rounded(values)) for values in samples.values()))
        return next(overflows, "the result of every operator is rounded to float16")

    return validate_reduced_precision(
        title, release, artifact, subject, precision="float16", seconds=SECONDS, explain=explain
    )


def _first_overflow(tensors: Rounded) -> str | None:
    for name, exact, rounded in tensors:
        if np.isfinite(exact).all() and not np.isfinite(rounded).all():
            layer = " + ".join(layers_of(name)) or name
            return f"values of {layer} reach {np.abs(exact).max():,.0f}, and float16 ends at {LARGEST:,.0f}; {REMEDY}"
    return None


CHECKS = (
    ArtifactCheck("litert-float16", LITERT_TITLE, validate_tflite, timed=False, named_tensors=True),
    ArtifactCheck("onnxruntime-float16", ONNX_TITLE, validate_onnx, timed=False, named_tensors=True),
)
