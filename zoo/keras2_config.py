"""Repair of configs that Keras 2 wrote, so that Keras 3 takes them. What cannot be repaired is refused."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

from ..core.errors import InputError

Config = dict[str, Any]

FUNCTIONAL = {"Functional", "Model"}
RENAMED = {
    "Functional": "Model",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
"""Classes under other names in Keras 3."""
WITHOUT_EFFECT: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("groups",), lambda value: value == 1),
    **dict.fromkeys(("time_major", "ragged", "renorm"), lambda value: not value),
    **dict.fromkeys(("virtual_batch_size", "adjustment"), lambda value: value is None),
    **dict.fromkeys(("kernel_initializer", "kernel_regularizer", "kernel_constraint"), lambda value: True),
    **dict.fromkeys(
        ("implementation", "fused", "renorm_clipping", "renorm_momentum", "experimental_autocast", "dtype", "optional"),
        lambda value: True,
    ),
}
"""Arguments that Keras 3 no longer has, and whether a value of theirs changes nothing."""
ARITHMETIC = {
    "math.add": ("Add", lambda number: (1, number)),
    "__operators__.add": ("Add", lambda number: (1, number)),
    "nn.bias_add": ("Add", lambda number: (1, number)),
    "math.subtract": ("Subtract", lambda number: (1, _map(lambda each: -each, number))),
    "math.multiply": ("Multiply", lambda number: (number, 0)),
    "math.truediv": (None, lambda number: (_map(lambda each: 1 / each, number), 0)),
}
"""By operation of TensorFlow: the layer for two tensors, and scale and offset for a tensor and a number."""
FUNCTIONS: dict[str, tuple[str, Config]] = {
    "nn.relu": ("ReLU", {}),
    "nn.relu6": ("ReLU", {"max_value": 6.0}),
    "nn.softmax": ("Softmax", {}),
    "nn.sigmoid": ("Activation", {"activation": "sigmoid"}),
    "math.sigmoid": ("Activation", {"activation": "sigmoid"}),
    "math.tanh": ("Activation", {"activation": "tanh"}),
    "nn.silu": ("Activation", {"activation": "silu"}),
}
"""By function of TensorFlow of one tensor: the layer that computes it."""


def repair(config: Config) -> Config:
    """Return the config of a model of Keras 2, at any depth as Keras 3 takes it.

    Raises:
        InputError: It contains code (a Lambda layer), or something that Keras 3 does not have.
    """
    config = _repaired(config)
    names = {name: name.replace("/", "_") for name in _layer_names(config) if "/" in name}
    return _renamed(config, names) if names else config


def _repaired(value: Any) -> Any:
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("class_name"), str) or "config" not in value:
        return {name: _repaired(item) for name, item in value.items()}
    kind = value["class_name"]
    if kind in ("Policy", "PolicyV1"):
        return value["config"]["name"]
    if kind == "Lambda":
        raise InputError(
            f"its layer {_name(value)} is a Lambda, which contains code that loading would execute; save the model "
            "with a layer in its place, or its weights only."
        )
    if kind in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
        return _from_operation(value)
    entry = {name: item for name, item in value.items() if name not in ("build_config", "compile_config")}
    if str(entry.get("module")).split(".")[-1] not in ("layers", "initializers", "regularizers", "constraints"):
        entry.pop("module", None)
        entry.pop("registered_name", None)
    entry["class_name"] = RENAMED.get(kind, kind)
    if isinstance(value["config"], list):  # a Sequential model of the first versions
        entry["config"] = {"name": "sequential", "layers": value["config"]}
    if kind == "Sequential":
        entry["config"] = {**entry["config"], "layers": _with_input_layer(entry["config"]["layers"])}
    if kind in FUNCTIONAL and isinstance(entry["config"], dict) and "layers" in entry["config"]:
        entry["config"] = _with_graph(entry["config"])
    entry = {name: _repaired(item) for name, item in entry.items()}
    if isinstance(entry["config"], dict) and kind not in FUNCTIONAL | {"Sequential"}:
        entry["config"] = _arguments(entry)
    return entry


def _arguments(entry: Config) -> Config:
    """Return the arguments of a layer or another object, without those that Keras 3 does not have."""
    kind, config = entry["class_name"], dict(entry["config"])
    shape = config.pop("batch_input_shape", None)
    if kind == "InputLayer" and shape is not None:
        config["batch_shape"] = shape
    if kind == "BatchNormalization" and isinstance(config.get("axis"), list):
        if len(config["axis"]) != 1:
            raise InputError(f"its layer {_name(entry)} normalizes over the axes {config['axis']}; Keras 3 takes one.")
        (config["axis"],) = config["axis"]
    if kind == "VarianceScaling" and config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    known = _parameters(kind)
    for argument in [] if known is None else [name for name in config if name not in known]:
        value = config.pop(argument)
        if argument not in WITHOUT_EFFECT or not WITHOUT_EFFECT[argument](value):
            raise InputError(f"its layer {_name(entry)} has {argument}={value!r}, which Keras 3 does not have.")
    return config


def _parameters(kind: str) -> set[str] | None:
    """Return the arguments of a class of Keras 3; None if it has no such class."""
    for namespace in (keras.layers, keras.initializers, keras.regularizers, keras.constraints):
        stock = getattr(namespace, kind, None)
        if inspect.isclass(stock):
            constructors = [vars(ancestor)["__init__"] for ancestor in stock.__mro__ if "__init__" in vars(ancestor)]
            return {name for each in constructors[:-1] for name in inspect.signature(each).parameters}
    return None


def _with_graph(config: Config) -> Config:
    """Return the config of a functional model with references to tensors as Keras 3 numbers them.

    In Keras 2, the first call of a nested model has the number 1 where the model was made by a call of its own; and a
    single input or output is a list of one.
    """
    nested = {_name(layer) for layer in config["layers"] if layer["class_name"] in FUNCTIONAL | {"Sequential"}}
    functional = {_name(layer) for layer in config["layers"] if layer["class_name"] in FUNCTIONAL}
    references = list(_references([layer.get("inbound_nodes") for layer in config["layers"]]))
    references += _references(config["output_layers"])
    first = {name: min((number for layer, number in references if layer == name), default=0) for name in nested}

    def renumber(value: Any) -> Any:
        if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            rest = [renumber(item) for item in value[2:]]
            return [value[0], value[1] - first.get(value[0], 0), *rest]
        if isinstance(value, list):
            return [renumber(item) for item in value]
        return {name: renumber(item) for name, item in value.items()} if isinstance(value, dict) else value

    def single(ends: list[Any]) -> list[Any]:
        return ends[0] if len(ends) == 1 and isinstance(ends[0], list) else ends

    layers = [
        {**layer, "inbound_nodes": renumber(layer["inbound_nodes"])} if "inbound_nodes" in layer else layer
        for layer in config["layers"]
    ]
    outputs = [
        [name, number - first.get(name, 0) + (name in functional), *rest]  # from which Keras 3 subtracts 1
        for name, number, *rest in (
            config["output_layers"] if isinstance(config["output_layers"][0], list) else [config["output_layers"]]
        )
    ]
    return {
        **config,
        "layers": layers,
        "input_layers": single(config["input_layers"]),
        "output_layers": single(outputs),
    }


def _references(value: Any) -> Iterator[tuple[str, int]]:
    """Yield the layer and the number of the call of each reference to a tensor."""
    if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
        yield value[0], value[1]
        value = value[3:]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _references(item)


def _with_input_layer(entries: list[Config]) -> list[Config]:
    """Return the layers of a Sequential model after an input layer, where the first one only has an input shape."""
    config = entries[0]["config"] if entries else None
    shape = config.get("batch_input_shape") if isinstance(config, dict) else None
    if shape is None or entries[0]["class_name"] == "InputLayer":
        return entries
    name = f"{_name(entries[0])}_input"
    return [{"class_name": "InputLayer", "config": {"batch_shape": shape, "name": name}}, *entries]


def _from_operation(entry: Config) -> Config:
    """Return a layer for an operation of TensorFlow between the layers of a functional model."""
    function, name = entry["config"].get("function"), _name(entry)
    (call, *further) = entry.get("inbound_nodes") or [None]
    tensor, _, number, arguments = call if call and len(call) == 4 and not isinstance(call[0], list) else (None,) * 4
    given = {
        argument: value for argument, value in (arguments or {}).items() if value is not None and argument != "name"
    }
    other = given.pop("y", given.pop("bias", None))
    if given:  # such as an axis
        tensor = None
    if function in FUNCTIONS and tensor and not further:
        kind, config = FUNCTIONS[function]
        return _layer(kind, {**config, "name": name}, [call[:3]])
    if function in ARITHMETIC and tensor and not further and other is not None:
        join, scaling = ARITHMETIC[function]
        if _is_reference(other) and tensor != "_CONSTANT_VALUE" and join:
            return _layer(join, {"name": name}, [call[:3], other])
        if not _is_reference(other):
            scale, offset = scaling(other)
            return _layer("Rescaling", {"name": name, "scale": scale, "offset": offset}, [call[:3]])
        if tensor == "_CONSTANT_VALUE" and function != "math.truediv":
            scale, offset = (-1, number) if function == "math.subtract" else scaling(number)
            return _layer("Rescaling", {"name": name, "scale": scale, "offset": offset}, [other])
    raise InputError(
        f"its layer {name} is the operation {function or 'of TensorFlow'} between layers, which Keras 3 does not have; "
        "save the model with a layer in its place."
    )


def _layer(kind: str, config: Config, inputs: list[list[Any]]) -> Config:
    return {
        "class_name": kind,
        "config": config,
        "name": config["name"],
        "inbound_nodes": [[[*tensor, {}] for tensor in inputs]],
    }


def _is_reference(value: Any) -> bool:
    """Whether a value is an output of another layer: its name, the number of the call, the number of the tensor."""
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)


def _map(function: Callable[[float], float], number: Any) -> Any:
    return [_map(function, each) for each in number] if isinstance(number, list) else function(number)


def _name(entry: Config) -> str:
    config = entry.get("config")
    return str(entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or entry["class_name"])


def _layer_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict) and "name" in value["config"]:
            yield value["config"]["name"]
        for item in value.values():
            yield from _layer_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _layer_names(item)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Return a config in which layers have other names, and references to them too."""
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
