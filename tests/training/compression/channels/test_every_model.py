"""Channel removal from every model of the zoo, at small widths."""

import keras
import numpy as np
import pytest
from support.cards import COMPOSITES_OF_OTHERS, narrow_model

from pocketzoo import zoo
from pocketzoo.training.compression.channels.apply.bias_compensation import compensate
from pocketzoo.training.compression.channels.apply.equivalence import TOLERANCE, check_equivalence
from pocketzoo.training.compression.channels.apply.rebuild import rebuild
from pocketzoo.training.compression.channels.choose.channel_selection import ChannelSelection
from pocketzoo.training.compression.channels.choose.costs import Costs
from pocketzoo.training.compression.channels.choose.importance import unit_importance
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.zoo.layer_table import count_macs


def cards() -> list:
    """Every model; marked are those that differ from a cheaper one in depth, backbone or padding alone."""
    cheapest: dict[tuple, str] = {}
    for card in sorted(map(zoo.model_card, zoo.list_models()), key=lambda card: card.multiply_adds):
        kind = card.builder, "groups" in card.arguments, *map(card.arguments.get, ("attention", "bottleneck"))
        cheapest.setdefault(kind, card.name)
    chosen = set(cheapest.values()) - set(COMPOSITES_OF_OTHERS)
    return [pytest.param(name, marks=[] if name in chosen else pytest.mark.every_card) for name in zoo.list_models()]


@pytest.fixture(scope="module", params=cards())
def removal(request, randomize_batch_norm):
    """A model with BatchNorms like a trained one's, and the model without about half of every layer's channels."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = randomize_batch_norm(narrow_model(request.param))
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith("/bias"):
            weight.assign(random.normal(scale=0.1, size=weight.shape))
    graph = ChannelGraph(model)
    choice = ChannelSelection(pruning_groups(graph), unit_importance(graph, "random"), "layer", 1)
    keep = choice.keep(len(choice.order) // 2)
    compensation = compensate(graph, keep)
    return graph, keep, compensation, rebuild(graph, keep, compensation)


def test_rebuilt_model_equals_the_masked_original(removal):
    graph, keep, compensation, rebuilt = removal
    assert not keep.all()
    assert check_equivalence(graph, keep, compensation, rebuilt.model) <= TOLERANCE


def test_composite_models_stay_composite(removal):
    graph, _, _, rebuilt = removal
    assert rebuilt.form == "composite"
    assert [type(layer) for layer in rebuilt.model.layers] == [type(layer) for layer in graph.model.layers]


def test_costs_are_those_of_the_rebuilt_model(removal):
    graph, keep, _, rebuilt = removal
    costs = Costs(graph)
    assert costs.macs(keep) == count_macs(rebuilt.model) < count_macs(graph.model)
    assert costs.parameters(keep) == rebuilt.model.count_params()


def test_rebuilt_model_can_be_saved_and_flattened(removal, tmp_path, pixels):
    *_, rebuilt = removal
    images = pixels(1, *rebuilt.model.input_shape[1:])
    outputs = rebuilt.model(images, training=False)
    loaded = zoo.load_model(zoo.save_model(rebuilt.model, tmp_path / "narrow.keras"))
    np.testing.assert_array_equal(loaded(images, training=False), outputs)
    np.testing.assert_array_equal(zoo.flatten_model(loaded)(images, training=False), outputs)
