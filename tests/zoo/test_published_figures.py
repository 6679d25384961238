"""Cards compared with the models at full width and with published figures."""

import math

import keras
import pytest
from support.cards import all_cards

from pocketzoo import zoo
from pocketzoo.core.keras_private import without_values
from pocketzoo.layers import PixelNormalization
from pocketzoo.zoo.feature_builder import FeatureBuilder

PUBLISHED = {
    "alexnet": 60_965_224,  # Caffe's bvlc_alexnet, the two-group original
    "vgg11": 132_863_336,  # torchvision, as all of VGG
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,  # torchvision, trainable, as all of v1.5 to wide
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "wide_resnet50_2": 68_883_240,
    "seresnet50": 28_088_024,  # timm
    "inception_v3": 23_851_784,  # Keras, in all
    "inception_v4": 42_679_816,  # timm
    "inception_resnet_v2": 55_873_736,  # Keras, in all, as the three below
    "xception": 22_910_480,
    "densenet121": 8_062_504,
    "densenet169": 14_307_880,
    "densenet201": 20_242_984,
    "mobilenet_v1": 4_253_864,  # Keras, in all
    "mobilenet_v2": 3_538_984,
    "efficientnet_lite0": 4_652_008,  # timm, trainable, as all of lite
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "efficientnet_lite3": 8_197_096,
    "efficientnet_lite4": 13_006_568,
    "squeezenet1_0": 1_248_424,  # torchvision
    "squeezenet1_1": 1_235_496,
    "unet": 31_030_658,
}
"""Trainable or total parameters for 1000 classes as published; cards with different counts explain why."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_on_the_card_are_those_published(name):
    card = zoo.model_card(name)
    assert PUBLISHED[name] in (card.trainable_parameters, card.parameters)


@pytest.fixture(scope="module", params=all_cards())
def model(request):
    """Each model as on its card, at full width and with its default input."""
    keras.backend.clear_session(free_memory=False)  # there are no values
    with without_values():
        return zoo.create_model(request.param)


@pytest.fixture(scope="module")
def flat(model):
    """Its flat form, in which layers are counted."""
    return zoo.flatten_model(model)


def test_parameters_match_the_card(model):
    card = zoo.model_card(model.name)
    normalization = [
        weight for layer in model.layers if isinstance(layer, PixelNormalization) for weight in layer.weights
    ]
    seeds = [weight for weight in model.weights if "seed_generator" in weight.path]
    assert count(model.trainable_weights) == card.trainable_parameters
    assert count(model.weights) - count(normalization) - count(seeds) == card.parameters


def test_multiply_adds_match_the_card_and_the_paper(model, flat):
    card = zoo.model_card(model.name)
    assert zoo.count_macs(flat) == card.multiply_adds
    if card.published_multiply_adds:
        assert card.multiply_adds == pytest.approx(card.published_multiply_adds.value, rel=0.03)


def test_endpoints_match_the_card(model):
    card = zoo.model_card(model.name)
    maps = zoo.feature_extractor(model).output
    assert maps.keys() == card.endpoints.keys()
    for name, endpoint in card.endpoints.items():
        height = maps[name].shape[1]
        assert maps[name].shape[3] == endpoint.channels
        # The card's stride is nominal; unpadded convolutions also crop the border.
        assert card.input_shape[0] / (2 * endpoint.stride) < height <= math.ceil(card.input_shape[0] / endpoint.stride)


def test_last_endpoint_is_the_input_of_the_head_or_neck(model):
    card = zoo.model_card(model.name)
    last = list(card.endpoints.values())[-1]
    if card.neck is None:
        *_, features = keras.tree.flatten(model.get_layer("head").input)  # of a pyramid the last map
        assert features is model.get_layer(last.layer).output
    else:
        image = keras.Input(card.input_shape)
        assert FeatureBuilder(card).feature_map(image, image)._keras_history.operation.name == last.layer


def test_flattened_model_has_only_uniquely_named_stock_layers(flat):
    assert {type(layer).__module__.split(".")[0] for layer in flat.layers} == {"keras"}
    assert len({layer.name for layer in flat.layers}) == len(flat.layers)


def count(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
