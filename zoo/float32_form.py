"""The float32 form: a model that computes in another precision, as one that computes in float32."""

from typing import Any

import keras

from ..core.errors import InputError, first_line
from ..core.keras_private import all_layers
from .contract import copy_contract


def float32_form(model: keras.Model) -> keras.Model:
    """Return a copy of a functional `model` that computes in float32, with the same weights; itself if it does already.

    Raises:
        InputError: A layer cannot be made anew from its config.
    """
    parts = all_layers(model)
    if not any(is_other_float(part.compute_dtype) for part in parts):
        return model
    classes = {type(part).__name__: type(part) for part in parts}
    try:
        with keras.saving.custom_object_scope(classes):  # type: ignore[attr-defined]
            form = keras.models.clone_model(
                keras.Model(model.input, model.output, name=model.name), clone_function=_in_float32, recursive=True
            )
        form.set_weights([keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")) for weight in model.weights])
        copy_contract(model, form)
    except Exception as error:  # anything that a user's layers raise
        raise InputError(
            f"{model.name} computes in another precision and cannot be copied in float32: {first_line(error)}; create "
            "it under the policy float32, with the same weights."
        ) from error
    return form


def is_other_float(dtype: str | None) -> bool:
    """Whether numbers are floats of another type than float32."""
    return dtype in ("float16", "bfloat16", "float64")


def _in_float32(layer: keras.Layer) -> keras.Layer:
    config = _with_float32(layer.get_config())
    if isinstance(layer, keras.layers.Lambda):  # the function of a model in memory, not of a file
        return type(layer).from_config(config, safe_mode=False)
    return type(layer).from_config(config)


def _with_float32(config: Any, key: str | None = None) -> Any:
    """Return a config whose dtypes and policies of floats are float32, at any depth."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and is_other_float(
            config["config"]["name"].removeprefix("mixed_")
        ):
            return "float32"
        return {name: _with_float32(value, name) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(value, key) for value in config)
    is_dtype = key is not None and "dtype" in key and isinstance(config, str)
    return "float32" if is_dtype and is_other_float(config.removeprefix("mixed_")) else config
