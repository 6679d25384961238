"""The graph of a flat model, node by node."""

import keras
from keras.src.ops.node import Node


def nodes_in_order(flat: keras.Model) -> list[Node]:
    """Each application of a layer or an operation in a functional model, after those that feed it.

    A layer's own nodes are of every model that it is a part of; these are of `flat` alone.
    """
    by_depth = flat._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
