"""The export graph as TFLite files of all formats."""

import re
from collections.abc import Sequence
from functools import cached_property

import keras
import tensorflow as tf

from ....core.errors import InputError
from ....core.output_capture import suppress_output
from ....core.tensorflow_private import (
    quantize_dense_per_tensor,
    quantize_tflite,
    skip_quantization,
    use_frozen_graph,
)
from ...artifact.metadata import Metadata
from ...artifact.tflite_embedding import embed_in_tflite
from ...graph_rewrites.integer_kernels import with_integer_kernels
from ...sample_images import Samples
from ...tflite_schema.flatbuffer import unpack_model
from ..export_graph import ExportGraph
from ..provenance import artifact_metadata
from ..quantization_noise import noisiest_layers
from ..tracing import TracedFunction
from ..unsupported import LOOPS, check_own_quantization, unsupported
from .byte_images import with_byte_images
from .calibration import with_ranges
from .float_weights import with_float_weights
from .intermediate_tensors import TFLiteIntermediates, computed_tensors
from .quantized_graph import check_integers, check_kept, check_order, check_ranges, fix_16_bit_tensors
from .traced_layers import fused_unit_normalization, mirrored_hard_sigmoid, rescaling_as_convolution

OpsSet = tf.lite.OpsSet
BYTES, DYNAMIC = "tflite-uint8", "tflite-dynamic"
ACTIVATION_BITS = {"tflite-int8": 8, "tflite-int8-float": 8, BYTES: 8, "tflite-int16x8": 16}
TENSOR_TYPES = {"tflite-int8": tf.int8, "tflite-int8-float": tf.float32, BYTES: tf.float32, "tflite-int16x8": tf.int16}
"""Types of the input and the output as the converter makes them; then images become bytes in `tflite-uint8`."""
MISSING_OPERATOR = re.compile(r"'tf\.(\w+)' op is neither|not yet supported for op: '(\w+)'")
OPS_SETS = {8: OpsSet.TFLITE_BUILTINS_INT8, 16: OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8}
"""By bits of the activations, for quantization by calibration."""


def to_tflite(
    graph: ExportGraph, format_name: str, calibration: Samples | None, keep_float: Sequence[str] = ()
) -> bytes:
    """Convert to a single format; see `TFLiteFiles`."""
    return TFLiteFiles(graph, calibration, keep_float).content(format_name)


class TFLiteFiles:
    """TFLite files of one model; the calibration images run once for all int8 formats.

    Args:
        graph: The export graph.
        calibration: Images that determine activation ranges, for quantized formats; not used for a quantization-aware
            model.
        keep_float: Patterns of names of layers that `tflite-int8`, `-int8-float`, `-uint8` and `-dynamic` leave in
            floating point.
    """

    def __init__(self, graph: ExportGraph, calibration: Samples | None, keep_float: Sequence[str] = ()):
        self.graph, self.calibration, self.keep_float = graph, calibration, keep_float

    def content(self, format_name: str) -> bytes:
        """Convert to `tflite-fp32`, `-sparse` (kernels with many zeros stored without them), `-fp16`, `-dynamic` (int8
        weights), `-int8` (integers throughout), `-int8-float` (the same with float input and output), `-uint8` (the
        same with images in bytes) or `-int16x8` (16-bit activations), with builtin operators only.

        Raises:
            InputError: A quantization-aware model does not support this format, a layer computes what TFLite does not
                have, was quantized by Keras, or has a tensor with infinite values.
            RuntimeError: The converter left a layer of `keep_float` in integers.
        """
        graph, bits = self.graph, ACTIVATION_BITS.get(format_name)
        if graph.activation_bits not in (None, bits):
            raise InputError(
                f"{graph.metadata.model} was trained for integers with {graph.activation_bits}-bit activations; it is "
                f"not converted to {format_name}."
            )
        check_own_quantization(graph.flat, ("int8", "float8"), "TFLite")
        if bits == 8 and graph.activation_bits is None:
            return self._quantize(format_name)
        if format_name == DYNAMIC and self.keep_float:
            return self._quantize_weights()
        with suppress_output():
            content = self._convert(format_name)
        if graph.activation_bits == 16:
            content = fix_16_bit_tensors(content)
        if graph.activation_bits is not None:
            check_integers(content, graph.scopes)
        calibration = self.calibration if bits and graph.activation_bits is None else None
        return self._finished(content, format_name, artifact_metadata(graph, format_name, calibration))

    def _quantize(self, format_name: str) -> bytes:
        """Quantize with calibrated ranges, and list the layers most affected in the metadata."""
        float_model, graph = self._float_model_with_ranges, self.graph
        kept = graph.scopes.locate(
            graph.scopes.match(self.keep_float), computed_tensors(float_model, graph.output_scopes)
        )
        ends, kept_tensors = TENSOR_TYPES[format_name], sorted(set().union(*kept.values()))
        with suppress_output():
            content = quantize_tflite(float_model, input_type=ends, output_type=ends, float_tensors=kept_tensors)
            noise = noisiest_layers(
                TFLiteIntermediates(float_model),
                TFLiteIntermediates(content),
                self.calibration,
                graph.scopes.layers_of,
            )
        check_kept(content, kept)
        metadata = artifact_metadata(
            graph, format_name, self.calibration, float_layers=tuple(sorted(kept)), noise_db=noise
        )
        return self._finished(content, format_name, metadata)

    def _quantize_weights(self) -> bytes:
        """Quantize the weights of all layers but some."""
        graph = self.graph
        with suppress_output():
            content, floats = self._convert(DYNAMIC), self._convert("tflite-fp32")
        kept = graph.scopes.locate(graph.scopes.match(self.keep_float), computed_tensors(floats, graph.output_scopes))
        content = with_float_weights(content, floats, set().union(*kept.values()))
        return self._finished(content, DYNAMIC, artifact_metadata(graph, DYNAMIC, float_layers=tuple(sorted(kept))))

    def _finished(self, content: bytes, format_name: str, metadata: Metadata) -> bytes:
        """Make images bytes where the format has them, name inputs and outputs, and embed the metadata.

        Raises:
            RuntimeError: The converter changed the order of several inputs or outputs.
        """
        if not metadata.is_plain:
            traced = self._traced_for(format_name)
            check_order(content, traced.function, traced.graph.node)
        if format_name == BYTES:
            content = with_byte_images(content, self._pixel_ranges)
        return embed_in_tflite(content, metadata, self.graph.names)

    @property
    def _pixel_ranges(self) -> list[tuple[float, float] | None]:
        return [form.pixel_range for form in self.graph.metadata.input_forms.values()]

    @cached_property
    def _float_model_with_ranges(self) -> bytes:
        with suppress_output():
            content = self._convert("tflite-int8", quantize=False)
        if len(unpack_model(content).subgraphs) > 1:
            raise self._refusal(LOOPS, "tflite-int8")
        with suppress_output():
            content = with_integer_kernels(content)
            content = with_ranges(content, self.calibration, self._pixel_ranges)
        check_ranges(content, self.graph.scopes)
        return content

    @cached_property
    def _traced(self) -> TracedFunction:
        # A quantization-aware model has no range for the kernel of such a convolution.
        return self.graph.trace(rescaling_as_convolution() if self.graph.activation_bits is None else None)

    @cached_property
    def _traced_for_8_bits(self) -> TracedFunction:
        if not any(isinstance(layer, keras.layers.UnitNormalization) for layer in self.graph.flat.layers):
            return self._traced
        with fused_unit_normalization():
            return self.graph.trace(rescaling_as_convolution() if self.graph.activation_bits is None else None)

    @cached_property
    def _traced_for_16_bits(self) -> TracedFunction:
        return self.graph.trace(mirrored_hard_sigmoid()) if self.graph.activation_bits is None else self._traced

    def _convert(self, format_name: str, *, quantize: bool = True) -> bytes:
        converter = self._converter(format_name)
        if not quantize:
            skip_quantization(converter)
        try:
            content: bytes = converter.convert()
        except Exception as error:  # the converter has no class of its own for this
            found = MISSING_OPERATOR.search(str(error))
            if found is None:
                raise
            raise self._refusal([found[1] or found[2]], format_name) from error
        return content

    def _refusal(self, operators: Sequence[str], format_name: str) -> InputError:
        """Return the error that a format does not have some operators, with the layers that compute the first of them.

        Args:
            operators: Their names in TensorFlow or TFLite.
            format_name: The format.
        """
        kinds = [operator.replace("_", "").upper() for operator in operators]
        nodes = [node for node in self._traced.graph.node if node.op.upper() in kinds]
        kind = nodes[0].op if nodes else operators[0]
        names = [node.name for node in nodes if node.op == kind]
        return unsupported(kind, names, self.graph.scopes, self.graph.metadata.model, format_name)

    def _traced_for(self, format_name: str) -> TracedFunction:
        bits = ACTIVATION_BITS.get(format_name)
        return self._traced_for_8_bits if bits == 8 else self._traced_for_16_bits if bits == 16 else self._traced

    def _converter(self, format_name: str) -> tf.lite.TFLiteConverter:
        traced = self._traced_for(format_name)
        graph, function = traced.graph, traced.function
        # No second argument: with the trackable, the converter can drop all weights without an error.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        use_frozen_graph(converter, graph, function)
        converter.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS]
        if format_name != "tflite-fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format_name == "tflite-sparse":
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        if format_name == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if format_name in ACTIVATION_BITS:
            self._configure_integers(converter, format_name)
        return converter

    def _configure_integers(self, converter: tf.lite.TFLiteConverter, format_name: str) -> None:
        converter.inference_input_type = converter.inference_output_type = TENSOR_TYPES[format_name]
        bits = ACTIVATION_BITS[format_name]
        if self.graph.activation_bits is None or bits == 16:
            converter.target_spec.supported_ops = [OPS_SETS[bits]]
        if self.graph.activation_bits is None:
            samples = self.calibration
            converter.representative_dataset = lambda: ([each[None] for each in values] for values in samples.values())
        else:  # without images, which the converter requires with OPS_SETS[8]
            # Dense kernels were trained with one scale each.
            quantize_dense_per_tensor(converter)
