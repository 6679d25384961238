"""Which feature maps of a model anomaly detectors compare."""

from collections.abc import Sequence
from contextlib import suppress

import keras

from ...core.errors import InputError, unknown
from ...core.flat_graph import FlatGraph, Node
from ...layers import Head, PixelNormalization
from ...zoo.flat import flatten_model
from ...zoo.registry import card_of

MOST_POSITIONS = 32
"""Positions a side of the largest map by default: 28 of an image of 224 pixels, those of stride 8."""


def feature_maps(model: keras.Model, endpoints: Sequence[str] | None) -> tuple[FlatGraph, tuple[Node, ...]]:
    """Return the graph of a model, and the layers in it whose outputs are compared, the largest map first.

    Args:
        model: The model, whose image has a fixed size.
        endpoints: Names of layers or of endpoints on the model's card; None for the last layer of each of two sizes.

    Raises:
        InputError: There is no such layer, or it has no map of features.
    """
    graph = FlatGraph(model)
    if any(isinstance(node.operation, keras.Model) for node in graph.nodes):
        graph = FlatGraph(flatten_model(model))
    maps = {node.name: node for node in graph.nodes if _is_map(node)}
    if endpoints is None:
        chosen = _last_of_sizes(list(maps.values()))
        if not chosen:
            raise InputError(
                f"{model.name} has no layer with a map of features of 2x2 to {MOST_POSITIONS}x{MOST_POSITIONS} "
                "positions, in which anomalies have a place; name others with endpoints, or take a convolutional "
                "network."
            )
    else:
        known: dict[str, str] = {}
        with suppress(InputError):  # not of the zoo
            known = {name: endpoint.layer for name, endpoint in card_of(model.name).endpoints.items()}
        names = [known.get(name, name) for name in endpoints]
        for name in names:
            if name not in maps:
                raise unknown(f"layer with a map of features of {model.name}", name, known | maps)
        chosen = [maps[name] for name in dict.fromkeys(names)]
    return graph, tuple(sorted(chosen, key=lambda node: -node.outputs[0].shape[1]))


def _is_map(node: Node) -> bool:
    is_feature = node.is_layer and not isinstance(node.operation, Head | PixelNormalization)
    return is_feature and len(node.outputs) == 1 and len(node.outputs[0].shape) == 4


def _last_of_sizes(nodes: Sequence[Node]) -> list[Node]:
    """Return the last layer of the largest size that is not too large, and that of the next size."""
    by_size = {node.outputs[0].shape[1:3]: node for node in nodes}
    sizes = [size for size in by_size if min(size) >= 2 and max(size) <= MOST_POSITIONS]
    return [by_size[size] for size in sorted(sizes, reverse=True)[:2]]
