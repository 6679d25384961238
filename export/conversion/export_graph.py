"""The export form: the model as converters take it, flat, static and inference-only."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...layers import Head, PixelNormalization
from ...zoo.fingerprint import weights_sha256
from ...zoo.flat import flatten_model
from ...zoo.signature import check_single_output, image_shape
from ..artifact.metadata import Metadata
from ..artifact.tensors import fits
from .keras_patches import plain_convolutions
from .trained_integers import activation_bits, with_rounded_kernels


@dataclass(frozen=True)
class Traced:
    """A function of TensorFlow's, for converters."""

    function: tf.types.experimental.ConcreteFunction

    @cached_property
    def graph(self) -> tf.compat.v1.GraphDef:
        """That of `function`."""
        return self.function.graph.as_graph_def()


@dataclass(frozen=True)
class ExportForm:
    """What every converter starts from."""

    flat: keras.Model
    image: tf.TensorSpec
    """What it takes: `(1 or any, height, width, channels)`."""
    metadata: Metadata
    activation_bits: int | None = None
    """8 or 16 where the model was trained for integers, and so knows the ranges of its activations."""

    @classmethod
    def of(
        cls,
        model: keras.Model,
        *,
        input_size: tuple[int, int] | None = None,
        open_size: bool = False,
        open_batch: bool = False,
    ) -> "ExportForm":
        """The export form of a model that takes images and has one answer.

        Args:
            model: It is not changed.
            input_size: Height and width, where the model leaves them open.
            open_size: What it leaves open may stay so.
            open_batch: It takes any number of images at once; else one.

        Raises:
            InputError: `model` takes or gives something else, leaves height or width open and they may not stay so,
                has another size than `input_size`, or computes in reduced precision.
        """
        shape = image_shape(model)
        check_single_output(model)
        if input_size is not None:
            if not fits(input_size, shape[:2]):
                raise InputError(f"{model.name} takes images of {shape[0]}x{shape[1]}, not of {input_size}.")
            shape = (*input_size, shape[2])
        if shape[2] is None or (None in shape and not open_size):
            raise InputError(
                f"{model.name} leaves its size open, {shape}; create it with a fixed input_shape, or give the size "
                "that the artifacts shall have with input_size, or --input-size."
            )
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

        form = cls(flat, image, metadata, bits)
        if None in shape:
            try:
                form.traced()  # to see whether it can be
            except tf.errors.OperatorNotAllowedInGraphError as error:  # where a layer asks of a size whether it is 0
                raise InputError(
                    f"{model.name} has a layer that takes maps of known size only; give input_size, or --input-size."
                ) from error
        return form

    def traced(self, way: AbstractContextManager[None] | None = None) -> "Traced":
        """The function from an image to its answer, by name, in inference mode; its weights are constants.

        Traced with constants it needs no freezing, which takes longer than a conversion and a copy of all weights.

        Args:
            way: What is in force while Keras traces, such as `convolved_pixels()`.
        """
        weights = [(variable, variable.numpy()) for variable in self.flat.variables]

        @tf.function(input_signature=[self.image], autograph=False)
        def serve(image):
            constants = [(variable, tf.constant(value, name=variable.path)) for variable, value in weights]
            with plain_convolutions(), way or nullcontext(), keras.StatelessScope(constants):
                answers = self.flat(image, training=False)
            return answers if isinstance(answers, dict) else {self.metadata.answer: answers}

        return Traced(serve.get_concrete_function())

    @property
    def kernels(self) -> list[np.ndarray]:
        """The weights of more than one axis: what no converter can fold away."""
        return [keras.ops.convert_to_numpy(weight) for weight in self.flat.weights if len(weight.shape) > 1]

    @property
    def kernel_weights(self) -> int:
        """How many numbers there are in the kernels."""
        return sum(kernel.size for kernel in self.kernels)

    @property
    def sparsity(self) -> float:
        """Share of exact zeros in the kernels, 0..1."""
        return 1 - sum(np.count_nonzero(kernel) for kernel in self.kernels) / self.kernel_weights


def model_metadata(model: keras.Model) -> Metadata:
    """What an artifact made of `model` says of itself."""
    last = model.outputs[0]._keras_history.operation
    labels = last.labels if isinstance(last, Head) else None
    pixels = [layer for layer in model.layers if isinstance(layer, PixelNormalization)]
    classes = model.output_shape[-1]
    return Metadata(
        model=model.name,
        task=last.TASK if isinstance(last, Head) else _likely_task(model.outputs[0], last),
        labels=tuple(labels or map(str, range(classes))),
        image_shape=model.input_shape[1:],
        mean=tuple(keras.ops.convert_to_numpy(pixels[0].mean_weight).tolist()) if pixels else None,
        scale=tuple(keras.ops.convert_to_numpy(pixels[0].scale_weight).tolist()) if pixels else None,
        weights_sha256=weights_sha256(model),
    )


def _likely_task(output: keras.KerasTensor, last: keras.Operation) -> str:
    """Of an answer that comes from no head of the zoo."""
    if len(output.shape) == 4:
        return "segmentation"
    if getattr(last, "activation", None) is keras.activations.sigmoid:
        return "multi_label"
    return "classification" if output.shape[-1] > 1 else "regression"
