"""The decoded form of a model: raw pixels in, outputs in the form of their tasks out."""

from typing import Any

import keras
from keras import ops

from ..core.outputs import by_name, map_outputs
from .contract import Contract, contract_of
from .flat import without_optimizer
from .output_contract import OutputContract
from .pixel_range import RAW, Range
from .signature import arrange_inputs, named_inputs


def decoded_form(model: keras.Model) -> keras.Model:
    """Return `model` as a function of raw pixels 0..255 to the outputs of its tasks, with the same layers.

    The model itself, if it is one already, as all models of the zoo are.
    """
    contract = contract_of(model)
    return with_decoded_outputs(with_raw_pixels(model, contract), contract)


def with_raw_pixels(network: keras.Model, contract: Contract) -> keras.Model:
    """Return a network that takes raw pixels, of one that takes images in the range of the contract.

    Several inputs are a dict by name.
    """
    if isinstance(contract.pixels, dict):
        return _with_named_inputs(network, contract.pixels)
    if contract.pixels == RAW:
        return network
    image = keras.Input(network.inputs[0].shape[1:], name="raw_pixels")
    return keras.Model(image, network(_scaled(image, contract.pixels)), name=network.name)


def _with_named_inputs(network: keras.Model, ranges: dict[str, Range]) -> keras.Model:
    if all(limits == RAW for limits in ranges.values()):
        is_named = isinstance(network.input, dict)
        return network if is_named else keras.Model(named_inputs(network), network.output, name=network.name)
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in named_inputs(network).items()
    }
    scaled = {name: _scaled(tensor, ranges.get(name, RAW)) for name, tensor in inputs.items()}
    return keras.Model(inputs, network(arrange_inputs(network, scaled)), name=network.name)


def _scaled(image: keras.KerasTensor, limits: Range) -> keras.KerasTensor:
    """Return raw pixels as the values of a range."""
    low, high = limits
    return image if limits == RAW else keras.layers.Rescaling((high - low) / 255, low, dtype="float32")(image)


def with_decoded_outputs(network: keras.Model, contract: Contract) -> keras.Model:
    """Return a network that ends in outputs of the tasks, of one that ends in the outputs of the contract."""
    network = without_optimizer(network) if isinstance(network, keras.Sequential) else network
    if isinstance(network.output, dict):
        outputs: Any = network.output
    elif isinstance(contract.outputs, dict):
        outputs = dict(zip(contract.outputs, network.outputs, strict=True))
    else:
        outputs = network.outputs[0]
    decoded = map_outputs(_decode, outputs, contract.outputs)
    same = all(new is old for new, old in zip(by_name(decoded).values(), network.outputs, strict=True))
    if same and isinstance(network.output, dict) == isinstance(contract.outputs, dict):
        return network
    return keras.Model(network.inputs[0] if len(network.inputs) == 1 else network.input, decoded, name=network.name)


def _decode(output: keras.KerasTensor, contract: OutputContract) -> Any:
    """Return the output in the form of its task, as `Task.decode_outputs` does in NumPy."""
    activation = contract.task.activation
    is_single = activation == "softmax" and output.shape[-1] == 1
    if contract.from_logits:
        activation = "sigmoid" if is_single else activation
        output = keras.layers.Activation(activation, dtype="float32")(output)
    return ops.concatenate([1 - output, output], axis=-1) if is_single else output
