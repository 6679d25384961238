"""The export form to TFLite files."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from ..zoo.errors import InputError
from .form import ExportForm
from .integer_tflite import check_integers, fit_for_16_bits
from .layer_names import chosen_layers, matching
from .making import artifact_metadata
from .metadata import embed_in_tflite
from .quantization_noise import computed_tensors, noisiest_layers
from .quiet import quiet
from .samples import Samples

OpsSet = tf.lite.OpsSet
INTEGERS = {"tflite-int8": 8, "tflite-int8-float": 8, "tflite-int16x8": 16}
"""Bits of the activations."""
TENSOR_TYPES = {"tflite-int8": tf.int8, "tflite-int8-float": tf.float32, "tflite-int16x8": tf.int16}
"""Of the input and the output."""


def to_tflite(form: ExportForm, format_name: str, calibration: Samples | None, keep_float: Sequence[str] = ()) -> bytes:
    """Converts to `tflite-fp32`, `-sparse` (without the zeros of kernels that have many), `-fp16`, `-dynamic` (int8
    weights), `-int8` (integers throughout), `-int8-float` (but for the input and the output) or `-int16x8` (16-bit
    activations), builtin ops only.

    Args:
        form: What to convert.
        format_name: One of the seven.
        calibration: Images that show the ranges of the activations, for the last three; not needed where the model was
            trained for integers.
        keep_float: Patterns of names of layers that `tflite-int8` and `-int8-float` leave in floats.

    Raises:
        InputError: The model was trained for other integers, or for integers at all, and is to be something else.
        RuntimeError: It was trained for integers, and the converter leaves floats.
    """
    if form.activation_bits not in (None, INTEGERS.get(format_name)):
        raise InputError(
            f"{form.metadata.model} was trained for integers with {form.activation_bits}-bit activations; it is not "
            f"converted to {format_name}."
        )
    with quiet():
        # No second argument: with the trackable, the converter can drop all weights and raise nothing.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([form.serve.get_concrete_function()])
        converter._freeze_concrete_function = lambda: form.frozen  # once for all formats
        converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS]
        if format_name != "tflite-fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format_name == "tflite-sparse":
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        if format_name == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if format_name in INTEGERS:
            _ask_for_integers(converter, format_name, form, calibration)
        if INTEGERS.get(format_name) == 8 and form.activation_bits is None:
            return _calibrated(converter, format_name, form, calibration, keep_float)
        content = converter.convert()
    if form.activation_bits == 16:
        content = fit_for_16_bits(content)
    if form.activation_bits is not None:
        check_integers(content)
    calibrated = format_name in INTEGERS and form.activation_bits is None
    return embed_in_tflite(content, artifact_metadata(form, format_name, calibration if calibrated else None))


def _calibrated(
    converter: tf.lite.TFLiteConverter,
    format_name: str,
    form: ExportForm,
    calibration: Samples,
    keep_float: Sequence[str],
) -> bytes:
    """Integers by the ranges of the calibration images, and in the metadata which layers suffer most from them."""
    converter._experimental_calibrate_only = True
    floats = converter.convert()
    kept = chosen_layers([layer.name for layer in form.flat.layers], keep_float)
    tensors = computed_tensors(floats)
    kept_tensors = matching(tensors, kept)
    if form.flat.layers[-1].name in kept:
        kept_tensors.append(tensors[-1])  # which has no layer's name
    ends = TENSOR_TYPES[format_name]
    content = mlir_quantize(floats, input_data_type=ends, output_data_type=ends, denylisted_nodes=kept_tensors)
    noise = noisiest_layers(floats, content, calibration.images)
    metadata = artifact_metadata(form, format_name, calibration, float_layers=tuple(sorted(kept)), noise_db=noise)
    return embed_in_tflite(content, metadata)


def _ask_for_integers(
    converter: tf.lite.TFLiteConverter, format_name: str, form: ExportForm, calibration: Samples | None
) -> None:
    bits = INTEGERS[format_name]
    converter.inference_input_type = converter.inference_output_type = TENSOR_TYPES[format_name]
    int8, int16x8 = OpsSet.TFLITE_BUILTINS_INT8, OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    if bits == 16:
        converter.target_spec.supported_ops = [int16x8]
    if form.activation_bits is not None:
        # Dense kernels were trained with one step for all of them.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return
    if bits == 8:  # with which the converter would ask for images though a model knows its ranges
        converter.target_spec.supported_ops = [int8]
    converter.representative_dataset = lambda: ([np.float32(image)[None]] for image in calibration.images)
