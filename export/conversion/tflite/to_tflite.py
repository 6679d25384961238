"""The export form to TFLite files."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from ....core.errors import InputError
from ....core.output_capture import suppress_output
from ...artifact.metadata import embed_in_tflite
from ...sample_images import Samples
from ...tflite_schema.layer_names import chosen_layers, matching
from ..export_graph import ExportForm, Traced
from ..provenance import artifact_metadata
from ..quantization_noise import noisiest_layers
from .calibration import with_ranges
from .convolved_pixels import convolved_pixels
from .float_layers import check_integers, check_ranges, fit_for_16_bits
from .intermediate_tensors import TappedTFLite, computed_tensors
from .mirrored_hard_sigmoid import mirrored_hard_sigmoid

OpsSet = tf.lite.OpsSet
INTEGERS = {"tflite-int8": 8, "tflite-int8-float": 8, "tflite-int16x8": 16}
"""Bits of the activations."""
TENSOR_TYPES = {"tflite-int8": tf.int8, "tflite-int8-float": tf.float32, "tflite-int16x8": tf.int16}
"""Of the input and the output."""
SUPPORTED = {8: OpsSet.TFLITE_BUILTINS_INT8, 16: OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8}
"""By bits of the activations, where images show their ranges."""


def to_tflite(form: ExportForm, format_name: str, calibration: Samples | None, keep_float: Sequence[str] = ()) -> bytes:
    """One file; see `TfliteFiles`."""
    return TfliteFiles(form, calibration, keep_float).content(format_name)


class TfliteFiles:
    """TFLite files of one model; the images that show the ranges of activations are run once for all in int8.

    Args:
        form: What to convert.
        calibration: Images that show the ranges of the activations, for integers; not needed where the model was
            trained for them.
        keep_float: Patterns of names of layers that `tflite-int8` and `-int8-float` leave in floats.
    """

    def __init__(self, form: ExportForm, calibration: Samples | None, keep_float: Sequence[str] = ()):
        self.form, self.calibration, self.keep_float = form, calibration, keep_float

    def content(self, format_name: str) -> bytes:
        """Converts to `tflite-fp32`, `-sparse` (without the zeros of kernels that have many), `-fp16`, `-dynamic` (int8
        weights), `-int8` (integers throughout), `-int8-float` (but for the input and the output) or `-int16x8` (16-bit
        activations), builtin ops only.

        Raises:
            InputError: The model was trained for other integers, or for integers at all, and is to be something else;
                or a tensor has values without end.
            RuntimeError: It was trained for integers, and the converter leaves floats.
        """
        form, bits = self.form, INTEGERS.get(format_name)
        if form.activation_bits not in (None, bits):
            raise InputError(
                f"{form.metadata.model} was trained for integers with {form.activation_bits}-bit activations; it is "
                f"not converted to {format_name}."
            )
        if bits == 8 and form.activation_bits is None:
            return self._calibrated(format_name)
        with suppress_output():
            content = self._converter(format_name).convert()
        if form.activation_bits == 16:
            content = fit_for_16_bits(content)
        if form.activation_bits is not None:
            check_integers(content)
        calibration = self.calibration if bits and form.activation_bits is None else None
        return embed_in_tflite(content, artifact_metadata(form, format_name, calibration))

    def _calibrated(self, format_name: str) -> bytes:
        """Integers by the ranges of the calibration images, and in the metadata which layers suffer most from them."""
        floats, form = self._floats_with_ranges, self.form
        kept = chosen_layers([layer.name for layer in form.flat.layers], self.keep_float)
        tensors = computed_tensors(floats)
        kept_tensors = matching(tensors, kept)
        if form.flat.layers[-1].name in kept:
            kept_tensors.append(tensors[-1])  # which has no layer's name
        ends = TENSOR_TYPES[format_name]
        with suppress_output():
            content = mlir_quantize(floats, input_data_type=ends, output_data_type=ends, denylisted_nodes=kept_tensors)
            noise = noisiest_layers(TappedTFLite(floats), TappedTFLite(content), self.calibration.images)
        metadata = artifact_metadata(
            form, format_name, self.calibration, float_layers=tuple(sorted(kept)), noise_db=noise
        )
        return embed_in_tflite(content, metadata)

    @cached_property
    def _floats_with_ranges(self) -> bytes:
        with suppress_output():
            converter = self._converter("tflite-int8")
            converter._quantize = lambda floats, *_, **__: floats  # as they are before TensorFlow's own calibration
            floats = with_ranges(converter.convert(), self.calibration.images)
        check_ranges(floats)
        return floats

    @cached_property
    def _traced(self) -> Traced:
        # A model that was trained for integers has no grid for the kernel of such a convolution.
        return self.form.traced(convolved_pixels() if self.form.activation_bits is None else None)

    @cached_property
    def _traced_for_16_bits(self) -> Traced:
        return self.form.traced(mirrored_hard_sigmoid()) if self.form.activation_bits is None else self._traced

    def _converter(self, format_name: str) -> tf.lite.TFLiteConverter:
        traced = self._traced_for_16_bits if INTEGERS.get(format_name) == 16 else self._traced
        graph, function = traced.graph, traced.function
        # No second argument: with the trackable, the converter can drop all weights and raise nothing.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        converter._freeze_concrete_function = lambda: (graph, function.inputs, function.outputs, function)
        converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS]
        if format_name != "tflite-fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format_name == "tflite-sparse":
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        if format_name == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if format_name in INTEGERS:
            self._ask_for_integers(converter, format_name)
        return converter

    def _ask_for_integers(self, converter: tf.lite.TFLiteConverter, format_name: str) -> None:
        converter.inference_input_type = converter.inference_output_type = TENSOR_TYPES[format_name]
        bits = INTEGERS[format_name]
        if self.form.activation_bits is None or bits == 16:
            converter.target_spec.supported_ops = [SUPPORTED[bits]]
        if self.form.activation_bits is None:
            images = self.calibration.images
            converter.representative_dataset = lambda: ([np.float32(image)[None]] for image in images)
        else:  # without images, which the converter would ask for with int8 alone
            # Dense kernels were trained with one step for all of them.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
