"""Arguments of every public function: what has another type is refused in a sentence that names it."""

import inspect
import math
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import keras
import numpy as np
import pytest

from pocketzoo import export, training, zoo
from pocketzoo.core.arguments import accepts

VALUES = (None, 3, -1, True, "x", object(), [], {}, ["x"], {"x": 1}, np.zeros(3), b"", math.nan)
NO_PATHS = ("", "a\0b", "x" * 300)
FUNCTIONS = {
    f"{package.__name__.rpartition('.')[2]}.{name}": function
    for package in (zoo, training, export)
    for name in package.__all__
    if inspect.isfunction(function := getattr(package, name))
}
CHECKED_INSIDE = {"zoo.create_model", "zoo.model_card"}
"""Functions whose own checks say more than the types of their annotations."""
PARAMETERS = [
    (name, parameter.name)
    for name, function in FUNCTIONS.items()
    for parameter in inspect.signature(function).parameters.values()
    if parameter.kind is not parameter.VAR_KEYWORD
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=lambda each: each)
def test_value_of_another_type_is_refused_and_named(name, parameter):
    function = FUNCTIONS[name]
    if name not in CHECKED_INSIDE:
        hints = get_type_hints(function, localns={"keras": keras}, include_extras=True)
        assert parameter in hints, "a public function has an annotation for each argument"
        wrong = [value for value in VALUES if not accepts(hints[parameter], value)]
        wrong += NO_PATHS if Path in get_args(hints[parameter]) else ()
    else:
        wrong = [object(), b"", math.nan]
    others = {
        each.name: None
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD and each.name != parameter
    }
    order = list(inspect.signature(function).parameters)
    for value in wrong:
        if name in CHECKED_INSIDE:
            others = dict.fromkeys(others, "lenet5")
            message = "."
        else:
            earlier = [each for each in others if order.index(each) < order.index(parameter)]
            message = "|".join(re.escape(each) for each in (*earlier, parameter))
        with pytest.raises(zoo.InputError, match=message):
            function(**others, **{parameter: value})


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Valid arguments of functions that take no training and no conversion, by name."""
    folder = tmp_path_factory.mktemp("calls")
    image = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(image, outputs, name="net")
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype("uint8")
    data = training.from_arrays(images, np.arange(24) % 3, labels=list("abc"))
    zoo.save_model(model, folder / "net.keras")
    return {
        "zoo.create_model": {"name": "lenet5"},
        "zoo.flatten_model": {"model": model},
        "zoo.layer_table": {"model": model},
        "zoo.count_macs": {"model": model},
        "zoo.replace_head": {"model": model, "head": "regression", "classes": 2},
        "zoo.conv_output_size": {"size": 8, "kernel_size": 3},
        "zoo.receptive_field": {"windows": [(3, 1)]},
        "zoo.list_models": {},
        "zoo.model_card": {"name": "lenet5"},
        "zoo.load_model": {"path": folder / "net.keras"},
        "training.from_arrays": {"images": images, "targets": np.arange(24) % 3},
        "training.load_data": {"source": "digits"},
        "training.survey": {"data": data},
        "training.ready_recipe": {"name": "lenet5"},
        "training.check_gradients": {"model": model, "images": images[:2].astype("float32")},
        "export.load_artifact": {"path": folder / "net.keras"},
        "export.predict": {"artifact_or_model": model, "images": images[:2]},
        "export.benchmark": {"artifact_or_model": model, "runs": 3},
    }


def test_no_value_raises_anything_else(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, arguments in calls.items():
        for parameter in inspect.signature(FUNCTIONS[name]).parameters:
            for value in VALUES if parameter != "overrides" else ():
                try:
                    FUNCTIONS[name](**arguments | {parameter: value})
                except zoo.InputError:
                    continue
                except Exception as error:
                    pytest.fail(f"{name}({parameter}={value!r}) raises {type(error).__name__}: {error}")


def test_message_names_argument_value_and_what_is_allowed():
    with pytest.raises(zoo.InputError, match=r"^path is 3; load_model requires a string or a path\.$"):
        zoo.load_model(3)
    with pytest.raises(zoo.InputError, match=r"^model is 'resnet20'; count_macs requires a keras\.Model\.$"):
        zoo.count_macs("resnet20")
    with pytest.raises(zoo.InputError, match=r"^seed is -1; load_data requires a whole number from 0 to 4294967295\.$"):
        training.load_data("digits", seed=-1)
    with pytest.raises(zoo.InputError, match=r"^unknown on_unreadable 'skipp': did you mean skip\?$"):
        training.load_data("digits", on_unreadable="skipp")


def test_unknown_argument_names_the_function_and_its_arguments():
    with pytest.raises(
        TypeError, match=r"^fit: got an unexpected keyword argument 'x'; the call has the form fit\(model, "
    ):
        training.fit(None, None, x=1)
    with pytest.raises(TypeError, match=r"^prune_channels: too many positional arguments; .*\(model, data, \*, budget"):
        training.prune_channels(None, None, None)


def test_path_in_place_of_a_model_names_the_function_that_opens_it():
    with pytest.raises(zoo.InputError, match=r"; export\.load_artifact or zoo\.load_model opens a file\.$"):
        export.benchmark("net.tflite")
