"""The export graph: the model as converters take it, flat, with static shapes and for inference only."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...layers import PixelNormalization
from ...zoo.contract import contract_of
from ...zoo.fingerprint import weights_sha256
from ...zoo.flat import flatten_model
from ...zoo.signature import check_single_output, image_shape
from ..artifact.metadata import Metadata
from ..artifact.tensors import matches_shape
from .layer_scopes import LayerScopes
from .tracing import TracedFunction, trace_function
from .trained_integers import activation_bits, with_rounded_kernels


@dataclass(frozen=True)
class ExportGraph:
    """The common input of all converters."""

    flat: keras.Model
    image: tf.TensorSpec
    """Input specification, `(1 or open, height, width, channels)`."""
    metadata: Metadata
    activation_bits: int | None = None
    """8 or 16 for a quantization-aware model, which has its own activation ranges."""

    @classmethod
    def from_model(
        cls,
        model: keras.Model,
        *,
        input_size: tuple[int, int] | None = None,
        open_size: bool = False,
        open_batch: bool = False,
    ) -> "ExportGraph":
        """Build the export graph of a model with one image input and one output.

        Args:
            model: The model; it is not changed.
            input_size: Height and width, where the model leaves them open.
            open_size: Whether sizes that the model leaves open may stay open.
            open_batch: Whether the graph takes any number of images at once instead of one.

        Raises:
            InputError: `model` has other inputs or outputs, leaves its height or width open where they must be fixed,
                has another size than `input_size`, or computes in reduced precision.
        """
        shape = _export_shape(model, input_size, open_size)
        flat = flatten_model(model)
        reduced = [layer.name for layer in flat.layers if layer.compute_dtype != "float32"]
        if reduced:
            raise InputError(
                f"{model.name} computes in reduced precision, first in {reduced[0]}; export it in float32."
            )
        bits = activation_bits(flat)
        if bits is not None:
            flat = with_rounded_kernels(flat)
        metadata = model_metadata(model).model_copy(update={"image_shape": shape})
        image = tf.TensorSpec((None if open_batch else 1, *shape), tf.float32, name="image")
        graph = cls(flat, image, metadata, bits)
        if None in shape:
            graph._check_open_size()
        return graph

    def trace(self, patch: AbstractContextManager[None] | None = None) -> TracedFunction:
        """Trace the function from an image to its output, by name, in inference mode, with weights as constants.

        Args:
            patch: Context that is active while Keras traces, such as `rescaling_as_convolution()`.

        Raises:
            InputError: A layer captures a tensor whose value is not known.
        """

        def call(image: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = self.flat(image, training=False)
            return outputs if isinstance(outputs, dict) else {self.metadata.output_name: outputs}

        return trace_function(call, self.image, self.flat, self.scopes, patch)

    @cached_property
    def scopes(self) -> LayerScopes:
        """The name scopes that tell which layer a tensor of a converted graph belongs to."""
        return LayerScopes(self.flat)

    def _check_open_size(self) -> None:
        try:
            self.trace()
        except tf.errors.OperatorNotAllowedInGraphError as error:  # a layer compares a size with 0
            raise InputError(
                f"{self.metadata.model} has a layer that needs a fixed map size; give input_size, or --input-size."
            ) from error

    @property
    def kernels(self) -> list[np.ndarray]:
        """All weights with more than one axis, which no converter can fold away."""
        return [keras.ops.convert_to_numpy(weight) for weight in self.flat.weights if len(weight.shape) > 1]

    @property
    def kernel_weights(self) -> int:
        """Number of values in all kernels."""
        return sum(kernel.size for kernel in self.kernels)

    @property
    def sparsity(self) -> float:
        """Share of exact zeros in the kernels, 0..1."""
        return 1 - sum(np.count_nonzero(kernel) for kernel in self.kernels) / self.kernel_weights


def model_metadata(model: keras.Model) -> Metadata:
    """Collect the metadata that every artifact of `model` shares."""
    contract = contract_of(model)
    output = contract.outputs
    pixels = [layer for layer in model.layers if isinstance(layer, PixelNormalization)]
    return Metadata(
        model=model.name,
        task=output.task_name,
        labels=output.names,
        image_shape=model.inputs[0].shape[1:],
        pixel_range=contract.pixels,
        from_logits=output.from_logits,
        inferred=(*output.inferred, *contract.inferred),
        mean=tuple(keras.ops.convert_to_numpy(pixels[0].mean_weight).tolist()) if pixels else None,
        scale=tuple(keras.ops.convert_to_numpy(pixels[0].scale_weight).tolist()) if pixels else None,
        weights_sha256=weights_sha256(model),
    )


def _export_shape(
    model: keras.Model, input_size: tuple[int, int] | None, open_size: bool
) -> tuple[int | None, int | None, int]:
    """Height, width and channels of the exported input."""
    shape = image_shape(model)
    check_single_output(model)
    if input_size is not None:
        if not matches_shape(input_size, shape[:2]):
            raise InputError(f"{model.name} takes images of {shape[0]}x{shape[1]}, not of {input_size}.")
        shape = (*input_size, shape[2])
    if shape[2] is None or (None in shape and not open_size):
        raise InputError(
            f"{model.name} leaves its size open, {shape}; create it with a fixed input_shape, or set the size of the "
            "artifacts with input_size, or --input-size."
        )
    return shape
