"""SPP-net: feature map sizes of the paper, and one set of weights for every input size."""

import keras
import numpy as np
import pytest
from support.cards import narrow_model

from pocketzoo import zoo
from pocketzoo.zoo.spp_net import on_backbone


def test_zf5_has_the_feature_map_sizes_of_the_paper():
    model = zoo.create_model("spp_zf5", widths=(4, 4, 4, 4, 4), hidden=(8,))
    names = ["stage1_conv", "stage1_pool", "stage2_conv", "stage2_pool", "stage3_conv", "stage4_conv", "stage5_conv"]
    assert [model.get_layer(name).output.shape[1] for name in names] == [110, 55, 27, 13, 13, 13, 13]
    assert model.get_layer("pyramid").output.shape == (None, 4 * 50)


@pytest.mark.parametrize("name", ["spp_zf5", "spp_resnet18"])
def test_weights_of_one_size_load_at_another(name, randomize_batch_norm, pixels, tmp_path):
    small = randomize_batch_norm(narrow_model(name))
    file = zoo.save_model(small, tmp_path / "small.keras")
    size = (zoo.model_card(name).smallest_input + 27, zoo.model_card(name).smallest_input + 66)
    large = narrow_model(name, weights=file, input_shape=(*size, 3))
    for loaded, saved in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)

    pyramid = large.get_layer("pyramid")
    features = keras.Model(large.input, [pyramid.input, pyramid.output])(pixels(1, *size, 3), training=False)
    map_, vector = (feature.numpy() for feature in features)
    assert map_.shape[1] != map_.shape[2]
    expected = []
    for n in (6, 3, 2, 1):
        tall, wide = map_.shape[1] // n, map_.shape[2] // n
        bottom, right = map_.shape[1] - (n - 1) * tall, map_.shape[2] - (n - 1) * wide
        windows = [map_[:, i * tall :, j * wide :][:, :bottom, :right] for i in range(n) for j in range(n)]
        expected += [window.max(axis=(1, 2)) for window in windows]
    np.testing.assert_array_equal(vector, np.concatenate(expected, axis=-1))


def test_weights_of_another_pyramid_are_refused(tmp_path):
    file = zoo.save_model(narrow_model("spp_zf5"), tmp_path / "small.keras")
    with pytest.raises(zoo.InputError, match="does not contain the weights of spp_zf5"):
        narrow_model("spp_zf5", weights=file, bins=(4, 2, 1))


@pytest.mark.parametrize("name", ["spp_zf5", "alexnet"])
def test_local_response_normalization_is_an_option_without_weights(name):
    plain, normalized = narrow_model(name), narrow_model(name, lrn=True)
    assert [weight.shape for weight in normalized.weights] == [weight.shape for weight in plain.weights]
    added = {layer.name for layer in normalized.layers} - {layer.name for layer in plain.layers}
    assert added == {"stage1_lrn", "stage2_lrn"}


def test_pyramid_takes_the_feature_map_of_the_requested_stride():
    maps = {stride: keras.Input((64 // stride, 64 // stride, 3)) for stride in (4, 8, 16)}
    assert on_backbone(maps) is maps[16]
    assert on_backbone(maps, stride=8) is maps[8]
    with pytest.raises(ValueError, match=r"stride is 32; the backbone has feature maps of strides \[4, 8, 16\]"):
        on_backbone(maps, stride=32)


def test_pyramid_with_too_many_bins_is_refused():
    with pytest.raises(zoo.InputError, match=r"the feature map is \(6, 6\), too small for 7 bins"):
        narrow_model("spp_zf5", bins=(7,))
