"""Opening and running what was exported. Imports no TensorFlow, but for `.keras` files."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, first_line
from ..core.output_capture import suppress_output
from .artifact.metadata import Metadata
from .artifact.tensors import TensorInfo

if TYPE_CHECKING:
    import keras

    from .artifact.certificate import Certificate


@dataclass(frozen=True)
class Artifact:
    """An exported model, opened in its runtime."""

    path: Path
    input: TensorInfo
    output: TensorInfo
    metadata: Metadata | None
    """What the artifact says of itself, or None if another tool made it."""
    invoke: Callable[[np.ndarray], np.ndarray]
    """The bare runtime call: one input tensor as `input` says, one output tensor as `output` says."""
    certificate: "Certificate | None" = None
    """What was proven of it when it was exported, or None if its file does not say."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Runs images, pixels 0..255 of shape `(count, height, width, channels)`, one after another.

        Returns:
            Float32 of shape `(count, outputs)`, or of maps `(count, height, width, outputs)`.
        """
        return np.concatenate(
            [self.output.to_real(self.invoke(self.input.from_real(np.float32(image)[None]))) for image in images]
        )


def opened(artifact_or_model: "Artifact | keras.Model") -> Artifact:
    """The artifact itself, or a Keras model to be run as one."""
    if isinstance(artifact_or_model, Artifact):
        return artifact_or_model
    from .runtimes.keras import as_artifact

    return as_artifact(artifact_or_model)


def load_artifact(path: str | Path, *, threads: int = 1) -> Artifact:
    """Opens a `.tflite` file in LiteRT, an `.onnx` file in ONNX Runtime, or a `.keras` file in Keras.

    The file may be anybody's. LiteRT ends the process on some damaged files, so it first runs the file in a process of
    its own, which takes half a second and the time of one image. The first two kinds need no TensorFlow.

    Args:
        path: The file.
        threads: How many CPU threads the runtime may use; Keras uses those that TensorFlow was started with.

    Raises:
        InputError: There is no such file, it is of another kind, it is damaged, or it is no image model of one input
            with a batch of 1 and one output. Running the artifact raises it too, where its graph cannot be run.
    """
    from .runtimes.litert import open_unknown_tflite
    from .runtimes.onnx_runtime import open_onnx

    path = Path(path)
    if path.suffix == ".keras":
        return _open_keras(path)
    openers = {".tflite": open_unknown_tflite, ".onnx": open_onnx}
    if path.suffix not in openers:
        raise InputError(f"{path} is no artifact: its name must end in {', '.join(openers)} or .keras.")
    artifact = open_with(openers[path.suffix], path, threads=threads)
    return replace(artifact, invoke=_with_clear_errors(path, artifact.invoke))


def open_own(path: Path) -> Artifact:
    """Opens a `.tflite` or `.onnx` file that was just made here, so with nothing to fear; on one thread.

    Raises:
        RuntimeError: Its runtime does not take it, so what made it has failed.
    """
    from .runtimes.litert import open_tflite
    from .runtimes.onnx_runtime import open_onnx

    try:
        return open_with(open_tflite if path.suffix == ".tflite" else open_onnx, path)
    except InputError as error:
        raise RuntimeError(f"{path.name} was made, and does not open: {first_line(error.__cause__)}") from error


def _open_keras(path: Path) -> Artifact:
    from ..zoo.saving import load_model
    from .runtimes.keras import as_artifact

    return replace(as_artifact(load_model(path)), path=path)


def _with_clear_errors(path: Path, invoke: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def named(tensor: np.ndarray) -> np.ndarray:
        try:
            return invoke(tensor)
        except Exception as error:  # of the runtimes' own kinds
            raise InputError(f"{path} cannot be run: {first_line(error)}") from error

    return named


def open_with(opener: Callable[..., Artifact], path: Path, **how) -> Artifact:
    """Opens the file in a runtime.

    Args:
        opener: The runtime's function, which takes the path, what is in the file, and `how`.
        path: The file.
        how: Options of the runtime.

    Raises:
        InputError: The file cannot be read, or the runtime does not take it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        with suppress_output():
            artifact = opener(path, content, **how)
        _check_labels(artifact)
        return artifact
    except Exception as error:  # the runtimes raise their own kinds, from ValueError to ONNX Runtime's Fail
        raise InputError(f"{path} cannot be opened as a model: {first_line(error)}") from error


def _check_labels(artifact: Artifact) -> None:
    """Raises InputError where the artifact names more or fewer outputs than it has."""
    answers = artifact.output.image_shape if len(artifact.output.shape) == 4 else artifact.output.shape
    if artifact.metadata and answers[-1] not in (None, len(artifact.metadata.labels)):
        raise InputError(f"it has {len(artifact.metadata.labels)} labels for {answers[-1]} outputs.")
