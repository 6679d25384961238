"""Small models for edge targets, as subjects of checks."""

import subprocess
from pathlib import Path

import keras
import numpy as np

from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks import c_source
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.reference import Reference

from .client_programs import STUBS


def net(*layers, shape=(8, 8, 4), classes=4):
    """A small model with `layers` in its middle."""
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, name="first")(image)
    for layer in layers:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax", name="last")(x), name="net")


def subject_of(model, folder, kind="tflite-int8", pixels=None):
    """As in an export, but with the outputs of the artifact as the reference, since they are not what is tested."""
    form = ExportGraph.from_model(model)
    images = np.random.default_rng(0).integers(0, 256, (4, *form.metadata.image_shape)) if pixels is None else pixels
    path = Path(folder, f"net{FORMATS[kind].file_ending}")
    path.write_bytes(to_tflite(form, kind, Samples(images, None)))
    reference = Reference(Samples(images, None), "noise", load_artifact(path).run(images))
    return Subject(path, FORMATS[kind], form.metadata, reference)


def failed(check):
    return {gate.name: gate.reason for gate in check.gates if gate.status == "failed"}


def check_syntax(project, *files):
    """Compile some files of a C++ project, by default its programs, against stubs of TensorFlow Lite Micro."""
    options = [*c_source.OPTIONS, "-fsyntax-only", f"-I{project}/src", f"-I{STUBS}"]
    for file in files or ("app/main.cpp", f"{project.name}.ino"):
        subprocess.run(["g++", *options, "-x", "c++", project / file], check=True)
