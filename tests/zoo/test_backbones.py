"""Decoders and pyramids on any backbone of the zoo."""

import math

import pytest
from support.cards import NARROW, by_default

from pocketzoo import zoo
from pocketzoo.core.keras_private import without_values

BACKBONES = [
    pytest.param(name, marks=[] if by_default(name) else pytest.mark.every_card)
    for name in zoo.list_models(task="classification")
    if zoo.model_card(name).backbone is None
]


UNPADDED = ("alexnet", "inception_resnet_v2", "inception_v3", "inception_v4", "lenet5", "spp", "squeezenet", "xception")


@pytest.mark.parametrize("name", BACKBONES)
def test_unet_accepts_any_padded_backbone(name):
    card = zoo.model_card(name)
    stride = max(endpoint.stride for endpoint in card.endpoints.values())
    size = stride * math.ceil(max(32, card.smallest_input) / stride)
    arguments = {
        "backbone": name,
        "backbone_arguments": narrow_backbone(card),
        "widths": (8,) * int(math.log2(stride)),
        "input_shape": (size, size, 3),
        "classes": 3,
    }
    if name.startswith(UNPADDED):
        with pytest.raises(zoo.InputError, match=f"the convolutions of {name} are not padded"):
            zoo.create_model("unet_resnet34", **arguments)
        return
    with without_values():
        assert zoo.create_model("unet_resnet34", **arguments).output_shape == (None, size, size, 3)


def narrow_backbone(card: zoo.ModelCard) -> dict:
    return {key: value for key, value in NARROW.get(card.builder, {}).items() if key != "hidden"}


def test_output_covers_an_image_of_odd_size():
    model = zoo.create_model("unet_resnet34", input_shape=(45, 33, 3), backbone_arguments={"widths": (8, 8, 8, 8)})
    assert model.output_shape[1:3] == (45, 33)


def test_output_of_variable_size_has_the_stride_of_the_chosen_backbone(pixels):
    arguments = {"input_shape": (None, None, 3), "filters": 8, "classes": 2}
    for backbone in ("resnet50", "mobilenet_v2"):
        model = zoo.create_model("deeplab_v3_resnet50", backbone=backbone, **arguments)
        assert model(pixels(1, 64, 96, 3)).shape == (1, 64, 96, 2)


def test_endpoints_of_a_replaced_backbone_are_those_on_its_own_card():
    model = zoo.create_model("unet_resnet34", backbone="mobilenet_v2", input_shape=(64, 64, 3))
    assert model.name == "unet_resnet34_on_mobilenet_v2"
    maps = zoo.feature_extractor(model).output
    backbone = zoo.model_card("mobilenet_v2").endpoints
    assert [name for name in maps if name not in backbone] == [f"decoder{step}" for step in range(1, 6)]
    for name in maps.keys() & backbone.keys():
        assert maps[name].shape[1:] == (
            64 // backbone[name].stride,
            64 // backbone[name].stride,
            backbone[name].channels,
        )
    assert zoo.replace_head(model, "embedding").output_shape == (None, 16)


def test_skip_connections_match_measured_strides():
    model = zoo.create_model(
        "unet_resnet34", backbone_arguments={"output_stride": 16}, widths=(8, 8, 8, 8), input_shape=(64, 64, 3)
    )
    assert [zoo.feature_extractor(model).output[f"decoder{n}"].shape[1] for n in (1, 2, 3, 4)] == [8, 16, 32, 64]


def test_spatial_pyramid_accepts_another_backbone():
    model = zoo.create_model("spp_resnet18", backbone="mobilenet_v2", input_shape=(192, 192, 3), classes=4)
    assert model.output_shape == (None, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("unet_resnet34", {"backbone": "resnet35"}, "unknown backbone for unet_resnet34 'resnet35': did you mean"),
        ("unet_resnet34", {"backbone": "unet"}, "unknown backbone for unet_resnet34 'unet'"),
        ("unet_resnet34", {"backbone_arguments": {"width": 2}}, "unknown argument of resnet34 'width'"),
        ("unet_resnet34", {"widths": (8, 8)}, "widths has 2 entries"),
        ("resnet18", {"backbone": "resnet34"}, "unknown argument of resnet18 'backbone'"),
        ("resnext50_32x4d", {"widths": (10, 20, 40, 80)}, "resnext50_32x4d cannot be built with .*groups"),
        ("deeplab_v3_resnet50", {"backbone_arguments": {"output_stride": 12}}, "allowed are 8, 16 and 32"),
    ],
)
def test_invalid_backbone_is_refused(name, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model(name, **arguments)


@pytest.mark.parametrize(
    ("make", "endpoints", "message"),
    [
        (lambda model: model, [], "endpoints is empty; resnet20 has stem"),
        (lambda model: model, "stage9", "unknown endpoint of resnet20 'stage9': did you mean stage"),
        (zoo.flatten_model, None, "resnet20 has none of its card's endpoints"),
    ],
)
def test_unknown_endpoint_is_refused(make, endpoints, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.feature_extractor(make(zoo.create_model("resnet20")), endpoints)
