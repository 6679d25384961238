"""Clients that read our files: OpenCV DNN, MNN, ncnn, tract, and ONNX Runtime in Node.js."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...artifact.manifest import Check
from ...formats import FP16, Format
from ...loading import open_converted
from ...runtimes.client_environment import client_python, install_command
from ...runtimes.clients import ClientRun, run_in_client
from ...runtimes.onnxruntime_node import INSTALL, find_package, run_in_node
from ..comparison import compare_outputs
from ..reference import Reference
from .artifact_check import ArtifactCheck, Requirement, Subject

MAX_IMAGES, MAX_BYTES = 400, 2**26
"""At most so many images, and so many bytes of inputs or outputs."""


@dataclass(frozen=True)
class Client:
    """A client of the environment of clients."""

    name: str
    """Name of its check, and of its program in `runtimes/client_programs/`."""
    title: str
    module: str
    """The Python module that it is."""
    packages: str
    """What pip installs for it."""
    written: tuple[tuple[str, str], ...] = ()
    """For one with a format of its own: argument of the program, and ending of the file that is kept in the bundle."""
    converter: str = ""
    """A package that it needs beside its own, without the requirements of that package."""
    half: bool = False
    """Whether it computes float32 files in float16 by default, where the processor can."""

    def check(self) -> ArtifactCheck:
        """The check that runs it."""
        modules = (self.module, *filter(None, (self.converter,)))
        requirement = Requirement(
            " with ".join((self.title, *modules[1:])),
            install_command(self.packages, without_requirements=self.converter),
            lambda: all(map(client_python, modules)),
        )
        return ArtifactCheck(self.name, self.title, self._run, (requirement,))

    def _run(self, subject: Subject) -> Check:
        files = {name: subject.path.with_name(subject.path.stem + ending) for name, ending in self.written}
        settings = {name: str(path.absolute()) for name, path in files.items()}
        check = run_images(
            self.title,
            replace(subject, format=_as_half(subject.format)) if self.half else subject,
            lambda name, tensors: run_in_client(
                self.module, f"{self.name}.py", subject.path, {name: tensors}, **settings
            ),
        )
        written = () if check.skipped else tuple(path.name for path in files.values())
        return check.model_copy(update={"files": written})


def run_images(title: str, subject: Subject, run: Callable[[str, np.ndarray], ClientRun]) -> Check:
    """Run a client on images, one by one, and compare its outputs with those of the Keras model.

    Args:
        title: Name of the client.
        subject: The artifact.
        run: Runs the client, given the name of the input and its tensors, one row for each image.
    """
    artifact = open_converted(subject.path)
    if None in artifact.input.shape:
        reason = f"{subject.metadata.model} leaves its size or batch open; set input_size, or --input-size, and batch 1"
        return Check(name=title, skipped=reason)
    reference = _within_limits(subject.reference, artifact.input.example_shape)
    batches = map(reference.samples.batch, reference.batches())
    tensors = np.concatenate([artifact.to_tensors(image) for images in batches for image in images])
    made = run(artifact.input.name, tensors)
    (outputs,) = made.outputs.values()
    if None not in artifact.output.shape and outputs.shape[1:] != artifact.output.shape[1:]:
        raise RuntimeError(f"{title} returns outputs of shape {outputs.shape[1:]}, not {artifact.output.shape[1:]}")
    comparison = compare_outputs(outputs, reference, artifact.output.to_real)
    check = comparison.check(title, made.version, subject.format, made.median_ms)
    facts = {"images": len(reference)} if len(reference) < len(subject.reference) else {}
    return check.model_copy(update={"facts": check.facts | facts})


def _as_half(fmt: Format) -> Format:
    """Return a format with the tolerance of float16, unless its own is larger."""
    if fmt.relative_difference is None or fmt.relative_difference >= FP16["relative_difference"]:
        return fmt
    return replace(fmt, **{name: FP16[name] for name in ("relative_difference", "rounding")})


def _within_limits(reference: Reference, image_shape: tuple[int, ...]) -> Reference:
    largest = 4 * max(int(np.prod(image_shape)), int(np.prod(reference.outputs.shape[1:])))
    return reference.at_most(min(MAX_IMAGES, max(1, MAX_BYTES // largest)))


NODE = "ONNX Runtime in Node.js"


def run_on_node(subject: Subject) -> Check:
    """Run the file in Node.js."""
    return run_images(NODE, subject, partial(run_in_node, subject.path))


CLIENTS = (
    Client("opencv", "OpenCV DNN", "cv2", "opencv-python-headless"),
    Client("mnn", "MNN", "MNN", "MNN", (("converted", ".mnn"),)),
    Client("ncnn", "ncnn", "ncnn", "ncnn", (("param", ".ncnn.param"), ("weights", ".ncnn.bin")), "pnnx", half=True),
    Client("tract", "tract", "tract", "tract"),
)
CHECKS = (
    *(client.check() for client in CLIENTS),
    ArtifactCheck(
        "onnxruntime-node",
        NODE,
        run_on_node,
        (Requirement("onnxruntime-node", INSTALL, lambda: find_package() is not None),),
    ),
)
