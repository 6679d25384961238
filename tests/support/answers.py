"""Artifacts with given outputs, and their validation."""

from pathlib import Path

import numpy as np

from pocketzoo.export.artifact.artifact import Artifact
from pocketzoo.export.artifact.tensors import TensorInfo
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.comparison import validate_artifact
from pocketzoo.export.validation.reference import Reference


class Answers(Artifact):
    """An artifact with given outputs."""

    def __init__(self, outputs):
        tensor = TensorInfo("x", (1, 2, 2, 1), "float32")
        super().__init__(Path("x.onnx"), tensor, tensor, None, lambda image: image)
        object.__setattr__(self, "given", outputs)

    def run(self, images):
        return self.given


def gate(outputs, reference, kind, name):
    check = validate_artifact("made up", "1", Answers(outputs), kind, reference)
    return next(gate for gate in check.gates if gate.name == name)


def of_task(task, outputs, labels):
    return Reference(Samples(np.zeros((len(outputs), 2, 2, 1)), labels), "evaluation images", outputs, task)
