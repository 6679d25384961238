"""Opening exported files in the runtime of their format. Imports no TensorFlow, except for `.keras` files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arguments import check_arguments
from ..core.errors import InputError, first_line
from ..core.input_files import read_file
from ..core.limits import MODEL_BYTES
from ..core.output_capture import suppress_output
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name
from ..tasks.registry import get_task
from .artifact.artifact import Artifact
from .artifact.directories import LAYOUTS, graph_file, is_own_directory

if TYPE_CHECKING:
    import keras


def to_artifact(artifact_or_model: "Artifact | keras.Model") -> Artifact:
    """Return an artifact as it is, and wrap a Keras model as one."""
    if isinstance(artifact_or_model, Artifact):
        return artifact_or_model
    from .runtimes.keras import as_artifact

    return as_artifact(artifact_or_model)


@check_arguments
def load_artifact(
    path: str | Path,
    *,
    threads: int = 1,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> Artifact:
    """Open a `.tflite` file in LiteRT, an `.onnx` file in ONNX Runtime, or a model file in Keras.

    A `.savedmodel` folder of an export opens in TensorFlow.

    The file may be of another tool, with any inputs and outputs. What it does not say, and its graph does not show, is
    to be stated: the range of the pixels, unless all images are given as floats in that range, and the task of an
    output, which is raw numbers otherwise.

    The file may come from an untrusted source. Some files crash a runtime, or take any time or memory, so a TFLite or
    ONNX file first runs in a subprocess, which takes half a second plus the time of one image. They need no TensorFlow.
    An ONNX file may have data in other files of its folder, but nowhere else.

    Args:
        path: The file; for Keras also an `.h5` file or the folder of a SavedModel, as `zoo.load_model` takes them.
        threads: Maximum number of CPU threads of the runtime; Keras uses those that TensorFlow was started with.
        task: Task of the output of another tool's file, such as `"classification"` or `"raw"`, or a dict by name of
            the output; so are the others.
        labels: Names of the classes or values, in order.
        pixels: Range of pixel values that it expects, such as `"0..1"`; a dict by name of the input.
        from_logits: Whether the output is logits.

    Raises:
        InputError: The file does not exist, has another format, is damaged, or states itself what is stated here, or
            its inputs and outputs do not fit. Running the artifact raises it too, where its graph cannot be run.
    """
    path = Path(path)
    stated: dict[str, Any] = {"task": task, "labels": labels, "pixels": pixels, "from_logits": from_logits}
    if path.suffix in (".keras", ".h5", ".hdf5") or (path.is_dir() and not is_own_directory(path)):
        return _open_keras(path, stated)
    openers = _openers(untrusted=True)
    if path.suffix not in openers:
        suffixes = ", ".join(suffix for suffix in openers if suffix not in LAYOUTS)
        raise InputError(
            f"{path} is not an artifact: its name must end in {suffixes} or .keras, or it is an "
            ".h5 file or a SavedModel folder."
        )
    artifact = open_with(openers[path.suffix], path, threads=threads).state(**stated)
    return replace(artifact, invoke=_with_clear_errors(path, artifact.invoke))


def open_converted(path: Path) -> Artifact:
    """Open an artifact that was just converted, which can be trusted, on one thread.

    Raises:
        RuntimeError: The runtime rejects it, so its conversion has failed.
    """
    try:
        return open_with(_openers()[path.suffix], path)
    except InputError as error:
        message = first_line(error.__cause__ or error)
        raise RuntimeError(f"{path.name} was written but cannot be opened: {message}") from error


def _openers(*, untrusted: bool = False) -> dict[str, Callable[..., Artifact]]:
    """The functions that open artifacts, by suffix."""
    from .runtimes.core_ml import open_core_ml
    from .runtimes.litert import open_tflite, open_untrusted_tflite
    from .runtimes.onnx_runtime import open_onnx, open_untrusted_onnx
    from .runtimes.saved_model import open_saved_model

    return {
        ".tflite": open_untrusted_tflite if untrusted else open_tflite,
        ".onnx": open_untrusted_onnx if untrusted else open_onnx,
        ".savedmodel": open_saved_model,
        ".mlpackage": open_core_ml,
    }


def open_with(opener: Callable[..., Artifact], path: Path, **options: Any) -> Artifact:
    """Open a file in a given runtime.

    Args:
        opener: The runtime's function, which is called with the path, the content of the file and `options`.
        path: The file, or a directory with a file that holds the graph.
        options: Options of the runtime.

    Raises:
        InputError: The file cannot be read, or the runtime rejects it.
    """
    content = read_file(graph_file(path), MODEL_BYTES)
    try:
        with suppress_output():
            artifact = opener(path, content, **options)
        _check_labels(artifact)
        return artifact
    except Exception as error:  # the runtimes raise anything from ValueError to ONNX Runtime's Fail
        raise InputError(f"{path} cannot be opened as a model: {first_line(error)}") from error


def _open_keras(path: Path, stated: dict[str, Any]) -> Artifact:
    from ..zoo.contract import state_contract
    from ..zoo.saving import load_model
    from .runtimes.keras import as_artifact

    model = load_model(path)
    if any(value is not None for value in stated.values()):
        state_contract(model, **stated)
    return replace(as_artifact(model), path=path)


def _with_clear_errors(path: Path, invoke: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def invoke_or_raise(tensors: Any) -> Any:
        try:
            return invoke(tensors)
        except Exception as error:  # each runtime has its own error types
            raise InputError(f"{path} cannot be run: {first_line(error)}") from error

    return invoke_or_raise


def _check_labels(artifact: Artifact) -> None:
    """Raise InputError where the metadata has other names or another number of outputs than the graph."""
    if artifact.metadata is None:
        return
    forms = by_name(artifact.metadata.output_forms)
    for names, tensors in ((artifact.metadata.input_forms, artifact.inputs), (forms, artifact.outputs)):
        if list(names) != list(tensors):
            raise InputError(f"its metadata names {', '.join(names)}, its graph {', '.join(tensors)}.")
    for name, form in forms.items():
        tensor = artifact.outputs[name]
        size = get_task(form.task).count_named(tensor.image_shape if tensor.is_image else tensor.value_shape)
        has_none = not form.labels and get_task(form.task).figure_name is None  # embeddings, and numbers of any kind
        if has_none or size is None:
            continue
        if form.decode(np.zeros((1, size), "float32")).shape[-1] != len(form.labels):
            raise InputError(f"it has {len(form.labels)} labels for {size} outputs.")
