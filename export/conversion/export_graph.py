"""The export graph: the model as converters take it, flat, with static shapes and for inference only."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...core.outputs import by_name
from ...layers import PixelNormalization
from ...zoo.contract import contract_of
from ...zoo.fingerprint import weights_sha256
from ...zoo.flat import flatten_model
from ...zoo.float32_form import is_other_float
from ...zoo.pixel_range import Range
from ...zoo.signature import (
    arrange_inputs,
    check_image_inputs,
    image_among,
    named_inputs,
    named_outputs,
    returns_dict,
)
from ..artifact.metadata import InputForm, Metadata, OutputForm, TensorNames
from ..artifact.tensors import matches_shape
from .layer_scopes import LayerScopes
from .rgb_to_gray import check_grayscale, rgb_to_gray
from .tracing import TracedFunction, trace_function
from .trained_integers import activation_bits, with_rounded_kernels

DTYPES = {
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), "float32"),
    **dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32"), "int32"),
    **dict.fromkeys(("uint32", "int64"), "int64"),
    "bool": "bool",
}
"""Types of inputs in files, by their types in the model; images are float32."""


@dataclass(frozen=True)
class ExportGraph:
    """The common input of all converters."""

    flat: keras.Model
    image: tf.TensorSpec | dict[str, tf.TensorSpec]
    """Input specification, `(1 or open, height, width, channels)`; by name if there are several."""
    metadata: Metadata
    activation_bits: int | None = None
    """8 or 16 for a quantization-aware model, which has its own activation ranges."""
    takes_rgb: bool = False
    """Whether it takes RGB images, of which it computes the gray levels that the model takes."""

    @classmethod
    def from_model(
        cls,
        model: keras.Model,
        *,
        input_size: tuple[int, int] | None = None,
        open_size: bool = False,
        open_batch: bool = False,
        rgb: bool = False,
    ) -> "ExportGraph":
        """Build the export graph of a functional model that takes images.

        Args:
            model: The model; it is not changed.
            input_size: Height and width, where the model leaves them open.
            open_size: Whether sizes that the model leaves open may stay open.
            open_batch: Whether the graph takes any number of images at once instead of one.
            rgb: Whether the graph of a model of grayscale images takes RGB images.

        Raises:
            InputError: `model` takes no images, leaves its height or width open where they must be fixed, has another
                size than `input_size`, or computes in another precision.
        """
        check_image_inputs(model)
        metadata = _with_size(model_metadata(model), input_size, open_size)
        _check_tensors(model, metadata)
        flat = flatten_model(model)
        reduced = [layer.name for layer in flat.layers if is_other_float(layer.compute_dtype)]
        if reduced:
            raise InputError(
                f"{model.name} computes in another precision than float32, first in {reduced[0]}; export it in float32."
            )
        bits = activation_bits(flat)
        if bits is not None:
            flat = with_rounded_kernels(flat)
        if rgb:
            check_grayscale(model, metadata, bits)
            metadata = metadata.model_copy(update={"image_shape": (*metadata.image_shape[:2], 3)})
        batch = None if open_batch else 1
        specs = {
            name: tf.TensorSpec((batch, *form.shape), form.dtype, name=f"input_{number}" if name else "image")
            for number, (name, form) in enumerate(metadata.input_forms.items())
        }
        graph = cls(flat, specs.get("", specs), metadata, bits, rgb)
        if None in metadata.image_shape:
            graph._check_open_size()
        return graph

    @property
    def model_metadata(self) -> Metadata:
        """The metadata with the shape of the images that the Keras model takes."""
        height, width, channels = self.metadata.image_shape
        return self.metadata.model_copy(update={"image_shape": (height, width, 1 if self.takes_rgb else channels)})

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """The specifications of all inputs, in the order of the model."""
        return list(by_name(self.image).values())

    @property
    def names(self) -> TensorNames:
        """Names of the inputs and of the outputs in files, in the order of the model."""
        if self.metadata.outputs is not None:
            outputs = list(self.metadata.outputs)
        else:
            outputs = sorted(self.flat.output) if returns_dict(self.flat) else [self.metadata.output_name]
        return ["image"] if self.metadata.is_plain else list(named_inputs(self.flat)), outputs

    def with_open_batch(self) -> "ExportGraph":
        """Return the graph that takes any number of images at once."""
        specs = {
            name: tf.TensorSpec((None, *spec.shape[1:]), spec.dtype, name=spec.name)
            for name, spec in by_name(self.image).items()
        }
        return replace(self, image=specs.get("", specs))

    def trace(self, patch: AbstractContextManager[None] | None = None) -> TracedFunction:
        """Trace the function from the inputs to the outputs, in inference mode, with weights as constants.

        Args:
            patch: Context that is active while Keras traces, such as `rescaling_as_convolution()`.

        Raises:
            InputError: A layer captures a tensor whose value is not known.
        """

        def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
            values = map(rgb_to_gray, tensors) if self.takes_rgb else tensors
            inputs = dict(zip(named_inputs(self.flat), values, strict=True))
            outputs = self.flat(arrange_inputs(self.flat, inputs), training=False)
            return self._in_order(outputs)

        return trace_function(call, self.specs, self.flat, self.scopes, patch)

    def _in_order(self, outputs: Any) -> list[Any]:
        """Return what the flat model returned, or what belongs to it, in the order of `names`."""
        return [outputs[name] for name in self.names[1]] if returns_dict(self.flat) else keras.tree.flatten(outputs)

    @property
    def output_scopes(self) -> list[str]:
        """The scopes of the layers or operations that compute the outputs, in the order of `names`."""
        return self.scopes.outputs(lambda flat: self._in_order(flat.output))

    @cached_property
    def scopes(self) -> LayerScopes:
        """The name scopes that tell which layer a tensor of a converted graph belongs to."""
        return LayerScopes(self.flat)

    def _check_open_size(self) -> None:
        try:
            self.trace()
        except tf.errors.OperatorNotAllowedInGraphError as error:  # a layer compares a size with 0
            found = re.search(r"when calling (\w+)\.call", str(error))
            layers = [layer.name for layer in self.flat.layers if found and type(layer).__name__ == found[1]]
            which = f", {layers[0]} ({found[1]})" if found and layers else ""
            raise InputError(
                f"{self.metadata.model} has a layer that needs a fixed map size{which}; give input_size, or "
                "--input-size."
            ) from error

    @property
    def kernels(self) -> list[np.ndarray]:
        """All weights with more than one axis."""
        return [keras.ops.convert_to_numpy(weight) for weight in self.flat.weights if len(weight.shape) > 1]

    @cached_property
    def kernel_weights(self) -> int:
        """Number of values in the kernels of layers that every file holds.

        Converters fold a kernel that is one number throughout, and store equal ones once; of other weights, such as
        position embeddings, they keep what is used.
        """
        kernels = [weight for weight in self.flat.weights if weight.name.endswith("kernel") and len(weight.shape) > 1]
        arrays = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
        different = {blake2b(array.tobytes()).digest(): array.size for array in arrays if np.ptp(array)}
        return sum(different.values())

    @property
    def sparsity(self) -> float:
        """Share of exact zeros in the kernels, 0..1; 0 where there are none."""
        kernels = self.kernels
        total = sum(kernel.size for kernel in kernels)
        return 1 - sum(np.count_nonzero(kernel) for kernel in kernels) / total if total else 0.0


def model_metadata(model: keras.Model) -> Metadata:
    """Collect the metadata that every artifact of `model` shares."""
    contract = contract_of(model)
    outputs = by_name(contract.outputs)
    only = outputs.get("")
    pixels = [layer for layer in model.layers if isinstance(layer, PixelNormalization)]
    inferred = dict.fromkeys(argument for output in outputs.values() for argument in output.inferred)
    several = isinstance(contract.pixels, dict)
    image = image_among(model.inputs)
    if image is None or len(image.shape) != 4:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
        raise InputError(f"{model.name} takes no images and not one signal but {shapes}; no target has files for that.")
    return Metadata(
        model=model.name,
        task=only.task_name if only else "raw",
        labels=only.names if only else (),
        image_shape=image.shape[1:],
        pixel_range=next(iter(by_name(contract.pixels).values())),
        from_logits=bool(only and only.from_logits),
        inferred=(*inferred, *contract.inferred),
        mean=tuple(keras.ops.convert_to_numpy(pixels[0].mean_weight).tolist()) if pixels and not several else None,
        scale=tuple(keras.ops.convert_to_numpy(pixels[0].scale_weight).tolist()) if pixels and not several else None,
        weights_sha256=weights_sha256(model),
        origin=pixels[0].origin.get("source") if pixels else None,
        license=pixels[0].origin.get("license") if pixels else None,
        inputs=_input_forms(model, contract.pixels) if several else None,
        outputs=None
        if only
        else {
            name: OutputForm(task=output.task_name, labels=output.names, from_logits=output.from_logits)
            for name, output in outputs.items()
        },
    )


def _input_forms(model: keras.Model, ranges: dict[str, Range]) -> dict[str, InputForm]:
    forms: dict[str, InputForm] = {}
    for name, tensor in named_inputs(model).items():
        if None in tensor.shape[1:]:
            raise InputError(
                f"the input {name!r} of {model.name} leaves its size open, {tuple(tensor.shape)}; models with several "
                "inputs are exported with fixed sizes, so create it with a fixed shape."
            )
        dtype = "float32" if len(tensor.shape) == 4 else DTYPES.get(tensor.dtype)
        if dtype is None:
            raise InputError(
                f"the input {name!r} of {model.name} has type {tensor.dtype}; exported are {', '.join(DTYPES)}."
            )
        forms[name] = InputForm(shape=tensor.shape[1:], dtype=dtype, pixel_range=ranges.get(name))
    return forms


def _check_tensors(model: keras.Model, metadata: Metadata) -> None:
    """Raise InputError where inputs and outputs cannot be told apart in a file."""
    inputs, outputs = named_inputs(model), named_outputs(model)
    names = {id(tensor): f"the input {name!r}" for name, tensor in inputs.items()}
    for name, tensor in outputs.items():
        if id(tensor) in names:
            raise InputError(
                f"the output {name!r} of {model.name} is {names[id(tensor)]} itself; leave it out, or compute it by a "
                "layer of its own."
            )
        names[id(tensor)] = f"the output {name!r}"
        if name in inputs and not metadata.is_plain:
            raise InputError(
                f"{model.name} has an input and an output of the name {name!r}, which ONNX does not allow; rename one."
            )


def _with_size(metadata: Metadata, input_size: tuple[int, int] | None, open_size: bool) -> Metadata:
    """Return the metadata with height, width and channels of the exported input."""
    shape, name = metadata.image_shape, metadata.model
    if metadata.inputs is not None:
        if input_size is not None:
            raise InputError(
                f"input_size is {input_size!r}, but {name} has several inputs of fixed sizes; leave it out."
            )
        return metadata
    if input_size is not None:
        if not matches_shape(input_size, shape[:2]):
            raise InputError(f"{name} takes images of {shape[0]}x{shape[1]}, not of {input_size}.")
        shape = (*input_size, shape[2])
    if shape[2] is None or (None in shape and not open_size):
        raise InputError(
            f"{name} leaves its size open, {shape}; create it with a fixed input_shape, or set the size of the "
            "artifacts with input_size, or --input-size."
        )
    return metadata.model_copy(update={"image_shape": shape})
