"""U-Net and DeepLab: sizes in the papers, odd and variable sizes, and backbones."""

import keras
import numpy as np
import pytest
from support.cards import narrow_model

from pocketzoo import zoo
from pocketzoo.zoo.unet import unet, unet_on_backbone

NARROW = {"widths": (4, 4, 6, 6, 8)}
ON_BACKBONE = ["unet_resnet34", "unet_vgg16", "unet_mobilenet_v2", "unet_efficientnet_b0"]
PADDED = ["unet_same", *ON_BACKBONE, "deeplab_v3_resnet50"]


def height(model: keras.Model, layer: str) -> int:
    return model.get_layer(layer).output.shape[1]


def test_unpadded_unet_has_the_feature_map_sizes_of_the_paper():
    model = zoo.create_model("unet", **NARROW)
    down = [height(model, f"stage{stage}_conv{conv}") for stage in range(1, 6) for conv in (1, 2)]
    assert down == [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    assert [height(model, f"decoder{step}") for step in range(1, 5)] == [52, 100, 196, 388]
    assert model.output_shape == (None, 388, 388, 2)


@pytest.mark.parametrize("size", [188, 204, 572, 700])
def test_unpadded_unet_crops_92_pixels_on_every_side(size):
    features = unet(keras.Input((size, size + 16, 1)), **NARROW)
    assert features.shape[1:3] == (size - 184, size + 16 - 184)


def test_unpadded_unet_accepts_sizes_not_divisible_by_its_pooling():
    assert unet(keras.Input((201, 195, 1)), **NARROW).shape[1:3] == (4, 4)
    with pytest.raises(ValueError, match="padding='valid' needs a fixed height and width"):
        unet(keras.Input((None, None, 1)), **NARROW)


def test_unet_has_dropout_only_in_the_last_encoder_stages():
    drops = [
        layer.name for layer in zoo.create_model("unet", **NARROW).layers if isinstance(layer, keras.layers.Dropout)
    ]
    assert drops == ["stage4_drop", "stage5_drop"]
    without = zoo.create_model("unet", dropout=0.0, **NARROW)
    assert not [layer for layer in without.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize("arguments", [{}, {"up": "transpose"}, {"norm": None}, {"norm": "group"}])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (37, 50)])
def test_padded_unet_preserves_every_size(arguments, size, pixels):
    if arguments.get("norm") == "group":
        arguments = {"norm": {"name": "group", "groups": 2}}
    model = zoo.create_model("unet_same", input_shape=(*size, 3), classes=4, **NARROW, **arguments)
    answers = model(pixels(1, *size, 3)).numpy()
    assert answers.shape == (1, *size, 4)
    np.testing.assert_allclose(answers.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["unet_resnet34", "unet_vgg16"])
@pytest.mark.parametrize("size", [(33, 63), (47, 50)])
def test_decoder_on_a_backbone_covers_odd_sizes(name, size):
    (decoder,) = [layer for layer in narrow_model(name, input_shape=(*size, 3)).layers if layer.name == "decoder5"]
    # Without a skip at stride 1 the last map has twice the size of that of stride 2, one pixel more than an odd image.
    expected = size if name == "unet_vgg16" else tuple(side + side % 2 for side in size)
    assert decoder.output.shape[1:3] == expected


@pytest.mark.parametrize("name", PADDED)
def test_outputs_of_variable_size_match_those_of_fixed_size(name, randomize_batch_norm, pixels):
    stride = 16 if name == "unet_same" else 32
    size = (2 * stride, 3 * stride)
    fixed = randomize_batch_norm(narrow_model(name, input_shape=(*size, 3)))
    opened = narrow_model(name, input_shape=(None, None, 3))
    opened.set_weights(fixed.get_weights())
    images = pixels(2, *size, 3)
    answers = fixed(images, training=False).numpy()
    assert answers.shape == (2, *size, 21)
    np.testing.assert_allclose(opened(images, training=False), answers, atol=1e-6)
    assert opened(pixels(1, stride, 4 * stride, 3)).shape == (1, stride, 4 * stride, 21)


@pytest.mark.parametrize("name", ON_BACKBONE)
def test_decoder_blocks_concatenate_the_deepest_feature_map_of_their_stride(name):
    model = narrow_model(name)
    endpoints = zoo.model_card(name).endpoints
    maps = {at.stride: at.layer for key, at in endpoints.items() if not key.startswith("decoder")}
    for step in range(1, 6):
        stride = 2 ** (5 - step)
        joined = model.get_layer(f"decoder{step}").input
        if stride in maps:
            assert joined[1] is model.get_layer(maps[stride]).output
        else:
            assert not isinstance(joined, list)


def test_decoder_on_a_backbone_needs_one_width_per_factor_of_2():
    maps = {2: keras.Input((8, 8, 3)), 8: keras.Input((2, 2, 3))}
    assert unet_on_backbone(maps, widths=(4, 4, 4)).shape == (None, 16, 16, 4)
    with pytest.raises(ValueError, match="widths has 2 entries; give one for each factor of 2 in the stride 8"):
        unet_on_backbone(maps, widths=(4, 4))


def test_deeplab_dilates_the_last_stage_instead_of_striding():
    model = narrow_model("deeplab_v3_resnet50", input_shape=(64, 64, 3))
    assert height(model, "stage3_block6") == height(model, "stage4_block3") == height(model, "aspp_refine") == 4
    rates = {name: model.get_layer(name).conv2.dilation_rate for name in ("stage3_block6", "stage4_block1")}
    assert rates == {"stage3_block6": 1, "stage4_block1": 2}
    assert model.get_layer("aspp").rates == [6, 12, 18]


def test_deeplab_at_output_stride_8_dilates_two_stages():
    arguments = {"output_stride": 8}
    model = zoo.create_model("deeplab_v3_resnet50", input_shape=(64, 64, 3), backbone_arguments=arguments, filters=8)
    assert height(model, "aspp_refine") == 8
    blocks = ("stage2_block4", "stage3_block6", "stage4_block1", "stage4_block2", "stage4_block3")
    # Dilation 2 and 4 by stage, multiplied by 1, 2 and 4 in the blocks of the last stage: the paper's multi-grid.
    assert [model.get_layer(block).conv2.dilation_rate for block in blocks] == [1, 2, 4, 8, 16]
    assert model.output_shape == (None, 64, 64, 21)


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [1, 1, 1, 2, 2]), (8, [1, 2, 2, 4, 4])])
def test_dilation_without_a_multi_grid_is_torchvisions(output_stride, rates):
    """The convolution that had the stride keeps the rate of the stage before."""
    model = narrow_model("resnet50", deep=True, output_stride=output_stride, input_shape=(64, 64, 3))
    blocks = ("stage3_block1", "stage3_block2", "stage4_block1", "stage4_block2", "stage4_block3")
    assert [model.get_layer(block).conv2.dilation_rate for block in blocks] == rates


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("resnet18", {}), ("resnet50", {}), ("resnet50v1", {}), ("resnext50_32x4d", {"groups": 2, "group_width": 1})],
)
def test_dilated_network_has_the_outputs_of_the_undilated_one_at_its_positions(name, arguments, output_stride, pixels):
    narrow = {"widths": (2, 4, 8, 16), "stem_width": 4, "input_shape": (64, 64, 3), **arguments}
    undilated = zoo.create_model(name, **narrow)
    dilated = zoo.create_model(name, output_stride=output_stride, **narrow)
    dilated.set_weights(undilated.get_weights())
    images, step = pixels(1, 64, 64, 3), 32 // output_stride
    expected, maps = (zoo.feature_extractor(model, ["stage4"])(images)["stage4"] for model in (undilated, dilated))
    np.testing.assert_allclose(maps[:, ::step, ::step], expected, rtol=1e-4, atol=1e-4)


def test_deeplab_accepts_a_backbone_with_its_own_last_layer_name():
    model = zoo.create_model("deeplab_v3_resnet50", backbone="mobilenet_v2", input_shape=(65, 97, 3), filters=8)
    assert model.output_shape == (None, 65, 97, 21)


def test_unet_learns_to_segment_a_square():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    images = random.uniform(0, 80, (32, 24, 24, 1)).astype("float32")
    masks = np.zeros((32, 24, 24), "int32")
    for image, mask, (row, column) in zip(images, masks, random.integers(0, 14, (32, 2)), strict=True):
        image[row : row + 10, column : column + 10] += 100
        mask[row : row + 10, column : column + 10] = 1
    model = zoo.create_model("unet_same", input_shape=(24, 24, 1), classes=2, widths=(4, 8, 8), dropout=0.0)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(images, masks, batch_size=8, epochs=10, verbose=0)
    found = model.predict(images, verbose=0).argmax(axis=-1)
    overlap = np.sum((found == 1) & (masks == 1)) / np.sum((found == 1) | (masks == 1))
    assert overlap > 0.9
