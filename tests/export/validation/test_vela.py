"""Arm's compiler for the Ethos-U NPUs."""

import dataclasses

import keras
import numpy as np
from support.edge import failed, net, subject_of

from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema import operator_support
from pocketzoo.export.validation.checks import vela
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.layers import InvertedResidual, SpatialAttention


def test_vela_reports_operators_on_the_cpu(tmp_path):
    subject = subject_of(net(keras.layers.UpSampling2D((4, 8), interpolation="bilinear", name="uneven")), tmp_path)
    check = vela.compile_and_validate("Ethos-U55", subject)
    assert failed(check) == {
        "operators on the CPU": f"RESIZE_BILINEAR (uneven): left to the CPU; instead: {operator_support.UNKNOWN_FIX}"
    }
    assert not failed(vela.compile_and_validate("Ethos-U85", subject))
    tolerant = Subject(*list(vars(subject).values())[:4], {"operators_on_cpu": 1})
    tolerated = vela.compile_and_validate("Ethos-U55", tolerant)
    assert not failed(tolerated)
    assert "<= 1 (set; 0 by default)" in {gate.requirement for gate in tolerated.gates}


def test_spatial_attention_is_rewritten_for_the_npu_and_validated(tmp_path):
    """Vela leaves means over the channels to the CPU."""
    check = vela.compile_and_validate("Ethos-U55", subject_of(net(SpatialAttention(name="attention")), tmp_path))
    gates = {gate.name: gate for gate in check.gates}
    assert gates["operators on the CPU"].figure == 0
    assert gates["finite share"].status == "passed"


def test_file_that_vela_cannot_compile_fails_with_its_error(tmp_path, monkeypatch):
    nowhere = dataclasses.replace(vela.ACCELERATORS["Ethos-U85"], system="Nowhere")
    monkeypatch.setitem(vela.ACCELERATORS, "Ethos-U85", nowhere)
    check = vela.compile_and_validate("Ethos-U85", subject_of(net(), tmp_path))
    assert list(failed(check)) == ["compiles"]
    assert "Nowhere" in failed(check)["compiles"]
    assert check.files == ()


def test_chaining_is_disabled_where_chains_do_not_fit():
    """Blocks of EfficientNet-B7, for which Vela plans chains that need 397 kB of 393."""
    keras.utils.set_random_seed(0)
    image = keras.Input((19, 19, 3))
    maps = keras.layers.Conv2D(80, 1)(image)
    for filters, expanded, kernel, strides in 4 * [(80, 480, 5, 1)] + [(160, 480, 3, 2), (160, 960, 3, 1)]:
        squeezed = {"squeeze_filters": expanded // 24, "squeeze_activation": "swish", "gate": "sigmoid"}
        shapes = {"kernel_size": kernel, "strides": strides, "shortcut": filters == maps.shape[-1]}
        maps = InvertedResidual(filters, expanded_filters=expanded, **shapes, **squeezed, activation="swish")(maps)
    model = keras.Model(image, keras.layers.Dense(4, "softmax")(keras.layers.GlobalAveragePooling2D()(maps)))
    images = np.random.default_rng(0).integers(0, 256, (2, 19, 19, 3)).astype("float32")
    content = to_tflite(ExportGraph.from_model(model), "tflite-int8", Samples(images, None))
    compiled = vela.compile_for(vela.ACCELERATORS["Ethos-U85"], content)
    assert compiled.options == ("--disable-chaining",)
    assert compiled.figures["sram_bytes"] <= 384 * 1024
    assert compiled.on_cpu == []
