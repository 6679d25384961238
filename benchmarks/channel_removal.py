"""Time to remove half of ResNet-50's channels, and the speedup in LiteRT.

    python benchmarks/channel_removal.py             # 3 minutes; thresholds: 3 s, 3.5 times and 10 times as fast
    python benchmarks/channel_removal.py --analysis  # 2 minutes more: the analysis of every model, threshold 5 s each

The weights are random, because neither time nor multiply-adds depend on them. Integer ranges are calibrated with noise.
All artifacts are timed in turn in one run, on one thread; results are ratios of medians. With half of every layer's
channels a quarter of the multiply-adds remains, except for half of the stem's: 1.07 of 4.1 G, as in Torch-Pruning.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import sys
import time

import keras
import numpy as np

from pocketzoo import zoo
from pocketzoo.export.footprint import artifact_costs
from pocketzoo.export.formats import FORMATS
from pocketzoo.training.compression.channels.apply.bias_compensation import compensate
from pocketzoo.training.compression.channels.apply.equivalence import check_equivalence
from pocketzoo.training.compression.channels.apply.rebuild import rebuild
from pocketzoo.training.compression.channels.choose.channel_selection import ChannelSelection
from pocketzoo.training.compression.channels.choose.importance import unit_importance
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.zoo.layer_table import count_macs

KINDS = [FORMATS["tflite-fp32"], FORMATS["tflite-int8"]]
LONGEST_PLANNING, FLOAT_SPEEDUP, INTEGER_SPEEDUP, LONGEST_ANALYSIS = 3.0, 3.5, 10.0, 5.0


def half_of(model: keras.Model) -> tuple[keras.Model, float]:
    """Return `model` with half of every layer's channels, and the seconds of planning and rebuilding."""
    start = time.perf_counter()
    graph = ChannelGraph(model)
    choice = ChannelSelection(pruning_groups(graph), unit_importance(graph, "l1"), "layer", 8)
    keep = choice.keep(int(np.searchsorted(choice.order, 0.5, side="right")))
    compensation = compensate(graph, keep)
    rebuilt = rebuild(graph, keep, compensation).model
    seconds = time.perf_counter() - start
    print(f"difference from the masked original: {check_equivalence(graph, keep, compensation, rebuilt):.1e}")
    return rebuilt, seconds


def resnet50() -> None:
    """Compare ResNet-50 at 224 pixels, dense and with half of the channels, in float32 and in integers."""
    dense = zoo.create_model("resnet50")
    half, seconds = half_of(dense)
    result = f"threshold {LONGEST_PLANNING}: {verdict(seconds <= LONGEST_PLANNING)}"
    print(f"planning and rebuilding: {seconds:.2f} s   {result}")
    print(f"multiply-adds: {count_macs(dense) / 1e9:.2f} to {count_macs(half) / 1e9:.2f} G")
    print(f"parameters: {dense.count_params() / 1e6:.1f} to {half.count_params() / 1e6:.1f} M")
    models = {"dense": dense, "half": half}
    costs = artifact_costs(models, dict.fromkeys(models, KINDS))
    base = costs["dense"]["tflite-fp32"].median_ms
    print(f"{'':6} {'format':12} {'MB':>6} {'ms':>8} {'times as fast':>14}")
    for name, by_format in costs.items():
        for kind, cost in by_format.items():
            megabytes, ms = cost.size.bytes / 1e6, cost.median_ms
            print(f"{name:6} {kind:12} {megabytes:6.1f} {ms:8.2f} {base / ms:14.2f}")
    for kind, threshold in (("tflite-fp32", FLOAT_SPEEDUP), ("tflite-int8", INTEGER_SPEEDUP)):
        times = base / costs["half"][kind].median_ms
        result = f"threshold {threshold}: {verdict(times >= threshold)}"
        print(f"half the channels, {kind}: {times:.2f} times as fast   {result}")


def verdict(holds: bool) -> str:
    return "ok" if holds else "missed"


def analysis() -> None:
    """Measure the seconds to build the channel graph of every model and to find its pruning groups."""
    slowest = ("", 0.0)
    for name in zoo.list_models():
        keras.backend.clear_session()
        model = zoo.create_model(name)
        start = time.perf_counter()
        pools = pruning_groups(ChannelGraph(model))
        seconds = time.perf_counter() - start
        slowest = max(slowest, (name, seconds), key=lambda one: one[1])
        print(f"{name:34} {len(pools):5} pools {seconds:6.2f} s", flush=True)
    name, seconds = slowest
    print(f"slowest: {name}, {seconds:.2f} s   threshold {LONGEST_ANALYSIS}: {verdict(seconds <= LONGEST_ANALYSIS)}")


if __name__ == "__main__":
    resnet50()
    if "--analysis" in sys.argv:
        analysis()
