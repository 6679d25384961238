"""What removing half of ResNet-50's channels takes, and what it brings in LiteRT.

    python benchmarks/channel_removal.py             # three minutes; bars: 3 s, 3.5 times and 10 times as fast
    python benchmarks/channel_removal.py --analysis  # two minutes more: the analysis of every model, bar 5 s each

The weights are fresh: neither time nor multiply-adds hang on them. Integers have the ranges of noise. All artifacts are
timed in turn in one run, on one thread; the figures are ratios of medians. Half of every layer's channels leave a
quarter of the multiply-adds, but half of the stem's: 4.1 to 1.07 G, as Torch-Pruning has it for the same cut.
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
from pocketzoo.training.compression.channels.apply.bias_compensation import leftovers
from pocketzoo.training.compression.channels.apply.equivalence import prove
from pocketzoo.training.compression.channels.apply.rebuild import rebuild
from pocketzoo.training.compression.channels.choose.channel_selection import Choice
from pocketzoo.training.compression.channels.choose.importance import unit_scores
from pocketzoo.training.compression.channels.choose.pruning_groups import pools_of
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.zoo.layer_table import count_macs

KINDS = [FORMATS["tflite-fp32"], FORMATS["tflite-int8"]]
PLANNING_BAR, FLOAT_BAR, INTEGER_BAR, ANALYSIS_BAR = 3.0, 3.5, 10.0, 5.0


def half_of(model: keras.Model) -> tuple[keras.Model, float]:
    """`model` without half of every layer's channels, and the seconds that planning and rebuilding took."""
    start = time.perf_counter()
    graph = ChannelGraph(model)
    choice = Choice(pools_of(graph), unit_scores(graph, "l1"), "layer", 8)
    keep = choice.keep(int(np.searchsorted(choice.order, 0.5, side="right")))
    left = leftovers(graph, keep)
    rebuilt = rebuild(graph, keep, left).model
    seconds = time.perf_counter() - start
    print(f"difference from the masked original: {prove(graph, keep, left, rebuilt):.1e}")
    return rebuilt, seconds


def resnet50() -> None:
    """ResNet-50 at 224 pixels, dense and with half the channels, in float32 and in integers."""
    dense = zoo.create_model("resnet50")
    half, seconds = half_of(dense)
    print(f"planning and rebuilding: {seconds:.2f} s   bar {PLANNING_BAR}: {verdict(seconds <= PLANNING_BAR)}")
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
    for kind, bar in (("tflite-fp32", FLOAT_BAR), ("tflite-int8", INTEGER_BAR)):
        times = base / costs["half"][kind].median_ms
        print(f"half the channels, {kind}: {times:.2f} times as fast   bar {bar}: {verdict(times >= bar)}")


def verdict(holds: bool) -> str:
    return "ok" if holds else "missed"


def analysis() -> None:
    """Seconds to label the channels of every model and to find its pools."""
    slowest = ("", 0.0)
    for name in zoo.list_models():
        keras.backend.clear_session()
        model = zoo.create_model(name)
        start = time.perf_counter()
        pools = pools_of(ChannelGraph(model))
        seconds = time.perf_counter() - start
        slowest = max(slowest, (name, seconds), key=lambda one: one[1])
        print(f"{name:34} {len(pools):5} pools {seconds:6.2f} s", flush=True)
    name, seconds = slowest
    print(f"slowest: {name}, {seconds:.2f} s   bar {ANALYSIS_BAR}: {verdict(seconds <= ANALYSIS_BAR)}")


if __name__ == "__main__":
    resnet50()
    if "--analysis" in sys.argv:
        analysis()
