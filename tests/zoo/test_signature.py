import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.zoo.contract import state_contract
from pocketzoo.zoo.output_form import activations_of, compiled_losses
from pocketzoo.zoo.signature import arrange_inputs, name_outputs, named_inputs, named_outputs

IMAGE = (4, 4, 3)


def net(*, in_dicts):
    """Names whose order is neither alphabetical nor that in which the layers are made."""
    inputs = {name: keras.Input(IMAGE if name == "m" else (2,), name=name) for name in ("b", "z", "m", "a")}
    inputs = {name: inputs[name] for name in ("z", "a", "m", "b")}
    features = keras.layers.Concatenate()([keras.layers.Flatten()(tensor) for tensor in inputs.values()])
    outputs = {
        "dog": keras.layers.Dense(3, name="layer_b", activation="sigmoid")(features),
        "cat": keras.layers.Dense(3, name="layer_c", activation="softmax")(features),
        "elk": keras.layers.Dense(3, name="layer_a")(features),
    }
    if in_dicts:
        return keras.Model(inputs, outputs)
    return keras.Model(list(inputs.values()), tuple(outputs.values()))


@pytest.mark.parametrize("in_dicts", [True, False])
def test_inputs_and_outputs_are_in_the_order_of_the_model(in_dicts):
    model = net(in_dicts=in_dicts)
    inputs, outputs = named_inputs(model), named_outputs(model)
    assert list(inputs) == ["z", "a", "m", "b"]
    assert list(outputs) == (["dog", "cat", "elk"] if in_dicts else ["layer_b", "layer_c", "layer_a"])
    assert [tensor.name for tensor in inputs.values()] == ["z", "a", "m", "b"]
    random = np.random.default_rng(0)
    values = {name: random.random((2, *tensor.shape[1:]), "float32") for name, tensor in inputs.items()}
    result = model(arrange_inputs(model, values))
    expected = [result[name] for name in outputs] if in_dicts else result
    for given, wanted in zip(name_outputs(model, result).values(), expected, strict=True):
        assert np.array_equal(given, wanted)


@pytest.mark.parametrize("in_dicts", [True, False])
def test_activation_of_an_output_is_not_that_of_another_in_a_different_order(in_dicts):
    model = net(in_dicts=in_dicts)
    tasks = [output.task_name for output in state_contract(model, report=False).outputs.values()]
    assert tasks[:2] == ["multi_label", "classification"]


def test_losses_in_a_dict_belong_to_the_outputs_of_these_names():
    model = net(in_dicts=True)
    model.compile(loss={"elk": "mse", "dog": "binary_crossentropy"})
    assert compiled_losses(model) == {"dog": "binary_crossentropy", "cat": None, "elk": "mse"}


def test_sequential_models_have_one_activation():
    model = keras.Sequential([keras.Input(IMAGE), keras.layers.Flatten(), keras.layers.Dense(2, activation="sigmoid")])
    assert list(activations_of(model).values()) == ["sigmoid"]


def test_outputs_of_a_shared_layer_have_different_names():
    dense = keras.layers.Dense(2, name="shared")
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    pair = [dense(keras.layers.Flatten()(image)) for image in (first, second)]
    model = keras.Model([first, second], [*pair, keras.layers.Dense(1, name="shared_1")(pair[0])])
    assert list(named_outputs(model)) == ["shared", "shared_2", "shared_1"]


def test_several_outputs_under_one_key_are_refused_with_the_key():
    image = keras.Input(IMAGE)
    model = keras.Model(image, {"pair": [image + 1, image + 2]}, name="net")
    with pytest.raises(zoo.InputError, match="net returns several tensors under 'pair'"):
        named_outputs(model)


def test_pixel_range_is_inferred_for_each_image():
    color, depth = keras.Input(IMAGE, name="color"), keras.Input(IMAGE, name="depth")
    scaled = keras.layers.Rescaling(1 / 255)(color)
    features = keras.layers.Flatten()(scaled + depth)
    model = keras.Model([color, depth], keras.layers.Dense(2, activation="softmax")(features))
    assert state_contract(model, likely_range=(0, 1), report=False).pixels == {"color": (0, 255), "depth": (0, 1)}
    assert state_contract(model, pixels={"depth": "-1..1"}, report=False).pixels["depth"] == (-1, 1)
    with pytest.raises(zoo.InputError, match="takes images as color, depth"):
        state_contract(model, pixels={"deep": "0..1"})
