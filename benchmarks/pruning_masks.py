"""Cost of pruning during training: mask updates of ResNet-50, compared with TF-MOT's implementation.

    python benchmarks/pruning_masks.py           # thresholds: 0.5 s per update, 2 % of an epoch; 4 minutes on 2 cores
    python benchmarks/pruning_masks.py --update  # the mask update only; one minute

An update computes the masks of all kernels and sets masked weights to zero. Both implementations start from the same
weights, and their masks must be identical. TF-MOT's runs in a `tf.function`, as in its wrappers.

Between updates every step applies the masks. The epoch is that of a small dataset, where pruning costs the most: 1000
images, with the default of two mask updates.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl, pruning_schedule

from pocketzoo import training, zoo
from pocketzoo.core.layer_traits import main_kernel
from pocketzoo.training.compression.weights.layer_selection import prunable_layers
from pocketzoo.training.compression.weights.masks import Masked, Masks

ROUNDS, STEPS = 5, 2
BATCH, SIDE, IMAGES, UPDATES_IN_AN_EPOCH = 16, 224, 1000, 2
SPARSITIES = (0.5, 0.8, 0.95)
LONGEST_UPDATE, LARGEST_SHARE = 0.5, 0.02


class Theirs:
    """TF-MOT's `Pruning` on the same kernels."""

    def __init__(self, kernels: list[keras.Variable], sparsity: float):
        self.masks = [tf.Variable(tf.ones(kernel.shape)) for kernel in kernels]
        triples = [(kernel.value, mask, tf.Variable(0.0)) for kernel, mask in zip(kernels, self.masks, strict=True)]
        schedule = pruning_schedule.ConstantSparsity(sparsity, 0, frequency=1)
        step = tf.Variable(1, dtype=tf.int64)
        self._engine = pruning_impl.Pruning(lambda: step.value(), triples, schedule, (1, 1), "AVG")

    @tf.function
    def update(self) -> None:
        """Do what its wrappers do in every step in which an update is due."""
        self._engine.conditional_mask_update()
        self._engine.weight_mask_op()


def updates() -> float:
    """Print one row per sparsity; return the longest median of pocketzoo, in seconds."""
    kernels = [main_kernel(layer) for layer in prunable_layers(zoo.create_model("resnet50", weights=None)).values()]
    weights = [kernel.numpy() for kernel in kernels]
    total = sum(values.size for values in weights)
    print(f"mask update of {len(kernels)} kernels, {total:,} weights; medians of {ROUNDS} rounds in turn, seconds")
    longest = 0.0
    for sparsity in SPARSITIES:
        theirs, ours = Theirs(kernels, sparsity), Masks(kernels, training.Sparsity())
        sides = {"TF-MOT": theirs.update, "ours": lambda: ours.update([sparsity] * len(kernels))}  # noqa: B023
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS + 1):
            for name, update in sides.items():
                for kernel, values in zip(kernels, weights, strict=True):
                    kernel.assign(values)
                times[name].append(seconds(update))
        same = all(
            np.array_equal(mask.numpy(), other.numpy() == 1)
            for mask, other in zip(ours.variables, theirs.masks, strict=True)
        )
        medians = {name: statistics.median(kept[1:]) for name, kept in times.items()}  # the first round traces
        longest = max(longest, medians["ours"])
        print(
            f"{sparsity:5.0%}  TF-MOT {medians['TF-MOT']:.3f}  ours {medians['ours']:.3f}  "
            f"ratio {medians['ours'] / medians['TF-MOT']:.2f}  masks {'identical' if same else 'DIFFER'}",
            flush=True,
        )
    print(f"threshold {LONGEST_UPDATE} s: {'ok' if longest <= LONGEST_UPDATE else 'over'}")
    return longest


def epoch(update: float) -> None:
    """Print the share of an epoch that pruning adds: masks in every step, and updates of `update` seconds."""
    model = zoo.create_model("resnet50", weights=None, classes=100, input_shape=(SIDE, SIDE, 3))
    kernels = [main_kernel(layer) for layer in prunable_layers(model).values()]
    masks = Masks(kernels, training.Sparsity())
    masks.update([0.8] * len(kernels))
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype("float32"), random.integers(0, 100, BATCH)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()

    @tf.function
    def apply_masks() -> None:
        for kernel in kernels:
            kernel.assign(kernel.constraint(kernel))

    for kernel, mask in zip(kernels, masks.variables, strict=True):
        kernel.constraint = Masked(mask, None)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    sides = {
        "step": lambda: model.fit(batches, steps_per_epoch=STEPS, verbose=0),
        "masks of a step": lambda: [apply_masks() for _ in range(STEPS)],
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):
        for name, side in sides.items():
            times[name].append(seconds(side) / STEPS)
    step, masked = (statistics.median(kept[1:]) for kept in times.values())
    steps = IMAGES / BATCH
    added = masked * steps + update * UPDATES_IN_AN_EPOCH
    share = added / (step * steps - masked * steps)
    print(f"step of {BATCH} images of {SIDE} pixels {1000 * step:.0f} ms, of that the masks {1000 * masked:.1f} ms")
    verdict = "ok" if share <= LARGEST_SHARE else "over"
    print(f"pruning adds {share:.2%} to an epoch of {IMAGES} images   threshold {LARGEST_SHARE:.0%}: {verdict}")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    longest = updates()
    if "--update" not in sys.argv:
        epoch(longest)


if __name__ == "__main__":
    main()
