"""The export form to TFLite files."""

import numpy as np
import tensorflow as tf

from .form import ExportForm
from .metadata import embed_in_tflite
from .quiet import quiet
from .samples import Samples


def to_tflite(form: ExportForm, format_name: str, calibration: Samples | None) -> bytes:
    """Converts to `tflite-fp32`, `-fp16`, `-dynamic` (int8 weights) or `-int8` (integers throughout), builtin ops only.

    Args:
        form: What to convert.
        format_name: One of the four.
        calibration: Images that show the ranges of the activations, for `-int8`.
    """
    with quiet():
        # No second argument: with the trackable, the converter can drop all weights and raise nothing.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([form.serve.get_concrete_function()])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if format_name != "tflite-fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format_name == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if format_name == "tflite-int8":
            converter.representative_dataset = lambda: ([np.float32(image)[None]] for image in calibration.images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        content = converter.convert()
    return embed_in_tflite(content, form.metadata)
