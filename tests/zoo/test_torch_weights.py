"""State dicts of timm and torchvision: the zoo's models have PyTorch's outputs with them, and use every tensor.

What PyTorch answered, and what tensors its nets have, stands in `tests/peers`.
"""

import json
import re

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from support import peers
from support.cards import by_default

from pocketzoo import zoo
from pocketzoo.core.keras_private import without_values
from pocketzoo.zoo.pretrained.torch_layout import pairs
from pocketzoo.zoo.pretrained.weight_conversion import PIXELS, convert
from pocketzoo.zoo.pretrained.weighted_layers import named_weights, weighted_layers

ANSWERS = json.loads(peers.ANSWERS.read_text())
LISTS = {peer: path for path in peers.STATE_DICTS.glob("*.txt") for peer in peers.read_state_dict(path)[0]}
"""Files with the list of tensors, by peer."""
PIXEL_WEIGHTS = {"pixels/mean", "pixels/scale"}
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


COVERED = ("timm/inception_resnet_v2", "timm/resnet50.")
"""The same blocks forty times, whose architecture test_keras_weights.py has; and those of seresnet50."""


def peer_of(case: str) -> str:
    return case.split(".")[0]


def peer_of_entry(name: str, tag: str) -> str:
    """Return the peer's name, such as `timm/tf_efficientnet_b0` or `torchvision/efficientnet_b0`."""
    entry = zoo.model_card(name).pretrained[tag]
    return f"torchvision/{name}" if entry.layout == "torchvision" else peer_of(entry.source.removeprefix("hf://"))


def entries() -> list:
    """Return model and tag of the entries on cards; one of those that differ only in the values in the file."""
    found = {}
    for name in zoo.list_models(pretrained=True):
        for tag, entry in zoo.model_card(name).pretrained.items():
            if entry.layout in ("timm", "torchvision"):
                kind = (name, peer_of_entry(name, tag), entry.epsilon, str(entry.arguments))
                found.setdefault(kind, (name, tag))
    every_card = pytest.mark.every_card
    return [pytest.param(*key, marks=() if by_default(key[0]) else every_card) for key in found.values()]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.every_card if case.startswith(COVERED) else ()) for case in peers.CASES],
)
def test_outputs_match_the_peer_with_its_weights(case, tmp_path):
    name, size, gain = peers.CASES[case]
    file = write_state_dict(case, gain, tmp_path)
    model = zoo.create_model(name, weights=f"{tag_of(case)}={file}", input_shape=(size, size, 3))
    assert_outputs_match(model, case, size)


@pytest.mark.parametrize("case", ["timm/resnet18.tv_in1k", "torchvision/mobilenet_v3_small.IMAGENET1K_V1"])
def test_layout_of_a_local_file_is_inferred_from_tensor_names(case, tmp_path):
    name, size, gain = peers.CASES[case]
    file = write_state_dict(case, gain, tmp_path)
    assert_outputs_match(zoo.create_model(name, weights=file, input_shape=(size, size, 3)), case, size)


@pytest.mark.parametrize("case", peers.NARROW_CASES)
def test_vgg_dense_layers_flatten_as_in_the_peer(case):
    name, size, gain = peers.NARROW_CASES[case]
    layout, card = case.split("/")[0], zoo.model_card(name)
    model = zoo.create_model(name, widths=peers.VGG_WIDTHS, hidden=peers.VGG_HIDDEN)
    tensors = drawn_state_dict(f"narrow/{peer_of(case)}", gain)
    converted = convert(tensors, layout, card, model, pixels=PIXELS["imagenet"], epsilon=None)
    for key, weight in named_weights(model).items():
        weight.assign(converted[key])
    assert_outputs_match(model, case, size)


@pytest.mark.parametrize(("name", "tag"), entries())
def test_card_entries_match_tensors_epsilon_and_padding_of_the_peer(name, tag):
    entry, peer = zoo.model_card(name).pretrained[tag], peer_of_entry(name, tag)
    facts, shapes = peers.read_state_dict(LISTS[peer])
    with without_values():
        model = zoo.create_model(name, **entry.arguments)
    parts = weighted_layers(model)
    found = pairs(hollow_tensors(shapes), parts, entry.layout, zoo.model_card(name))
    assert {pair.ours for pair in found if not pair.absorbed} == named_weights(model).keys() - PIXEL_WEIGHTS
    epsilons = {part.layer.epsilon for part in parts.values() if part.is_norm} or {None}
    assert entry.epsilon is None  # which corrects inference only
    assert epsilons == {facts[peer]["epsilon"]}
    assert padding(model) == facts[peer]["padding"]


def test_auxiliary_head_of_torchvision_is_ignored():
    _, shapes = peers.read_state_dict(LISTS["torchvision/inception_v3"])
    assert any(name.startswith("AuxLogits.") for name in shapes)
    arguments = zoo.model_card("inception_v3").pretrained["tv_in1k"].arguments
    with without_values():
        parts = weighted_layers(zoo.create_model("inception_v3", **arguments))
    for layout in ("timm", "torchvision"):
        found = pairs(hollow_tensors(shapes), parts, layout, zoo.model_card("inception_v3"))
        assert {pair.ours.partition("/")[0] for pair in found} == parts.keys()


def test_densenet_loads_the_old_names_in_torchvision_files():
    _, shapes = peers.read_state_dict(LISTS["torchvision/densenet121"])
    old = {re.sub(r"(denselayer\d+\.[a-z]+)(\d)", r"\1.\2", name): shape for name, shape in shapes.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    with without_values():
        parts = weighted_layers(zoo.create_model("densenet121"))
    found = pairs(hollow_tensors(old), parts, "torchvision", zoo.model_card("densenet121"))
    assert {pair.ours.partition("/")[0] for pair in found} == parts.keys()


def tag_of(case: str) -> str:
    """Return the tag, on the zoo's card, of the weights of a case."""
    peer, tag = case.split(".")
    if peer.startswith("torchvision/"):
        return tag
    entries = zoo.model_card(peers.CASES[case].model).pretrained.items()
    return next(tag for tag, entry in entries if entry.source == f"hf://{case}")


def drawn_state_dict(peer: str, gain: float) -> dict[str, np.ndarray]:
    _, shapes = peers.read_state_dict(LISTS[peer])
    return {name: peers.drawn_tensor(name, shape, gain) for name, shape in shapes.items()}


def write_state_dict(case: str, gain: float, folder):
    file = folder / "peer.safetensors"
    save_file(drawn_state_dict(peer_of(case), gain), file)
    return file


def hollow_tensors(shapes: dict[str, peers.Shape]) -> dict[str, np.ndarray]:
    """Return zeros that need no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def padding(model: keras.Model) -> str:
    """Return the padding of the convolutions with a stride."""
    convolutions = [layer for layer in zoo.flatten_model(model).layers if isinstance(layer, CONVOLUTIONS)]
    steps = [layer for layer in convolutions if max(layer.strides) > 1 and max(layer.kernel_size) > 1]
    return "same" if any(layer.padding == "same" for layer in steps) else "symmetric"


def assert_outputs_match(model: keras.Model, case: str, size: int) -> None:
    expected = np.array(ANSWERS[case])
    probabilities = model(peers.images(size), training=False).numpy()[:, : peers.CLASSES]
    assert np.abs(np.log(probabilities) - expected).max() < 1e-4 * np.ptp(expected)
