"""Gain of transfer learning with few images: a resnet20 trained on digits 0-4 learns 5-9, compared with random weights.

python benchmarks/transfer.py                    # 20 minutes on 2 idle cores; writes docs/transfer.md

Both models are trained with the same call, `training.fine_tune`, for the same number of steps on the same images. Only
the initial weights and the learning rate differ, which was tuned for each on the validation splits of seeds 10 to 13.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import math
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages

SEEDS = range(5)
"""Seeds of the split, the selection and order of the images, and the random weights."""
SIZES = (5, 10, 20)
"""Training images per class of the digits 5-9."""
BUDGETS = (12, 25, 100)
"""Training steps, rounded to whole epochs."""
PRETRAINING = training.Recipe(
    epochs=30,
    optimizer={"lr": 3e-3},
    augmentation=[
        {"name": "translate", "height": 0.15, "width": 0.15},
        {"name": "rotate", "degrees": 36},
        {"name": "zoom", "factor": 0.3},
        {"name": "shear", "factor": 0.2},
    ],
)
"""Augmentation stronger than the digits 0 to 4 need: with `light` the features transfer less well."""
SHARED = training.FineTuneRecipe(batch_size=8, head_epochs=0, batch_norm="train")
RECIPES = {
    "transfer": {
        12: SHARED.changed(optimizer={"lr": 3e-3}, layer_decay=0.85),
        25: SHARED.changed(optimizer={"lr": 3e-3}, layer_decay=0.85),
        100: SHARED.changed(optimizer={"lr": 5e-3}, layer_decay=0.7),
    },
    "scratch": {
        12: SHARED.changed(optimizer={"lr": 2e-3}, layer_decay=1.0),
        25: SHARED.changed(optimizer={"lr": 2e-3}, layer_decay=1.0),
        100: SHARED.changed(optimizer={"lr": 5e-3}, layer_decay=1.0),
    },
}
PAGE = Path(__file__).parents[1] / "docs" / "transfer.md"

Accuracies = dict[tuple[str, int, int], list[float]]
"""Test accuracy of every seed, by initial weights, steps and images per class."""


def main() -> None:
    start = time.monotonic()
    accuracies: Accuracies = {
        (side, steps, size): [] for steps in BUDGETS for size in SIZES for side in ("transfer", "scratch")
    }
    with TemporaryDirectory() as folder:
        for seed in SEEDS:
            pretrained = zoo.save_model(pretrain(seed), Path(folder, f"{seed}.keras"))
            for side, steps, size in accuracies:
                accuracy = learn(pretrained if side == "transfer" else None, RECIPES[side][steps], steps, size, seed)
                accuracies[side, steps, size].append(accuracy)
                print(f"seed {seed}, {steps} steps, {size} images per class, {side}: {accuracy:.2%}", flush=True)
    page = as_page(accuracies)
    PAGE.write_text(page, encoding="utf-8")
    print(f"{page}\n{(time.monotonic() - start) / 60:.0f} minutes")


def pretrain(seed: int) -> keras.Model:
    """Return a resnet20 trained on the digits 0-4."""
    data = digits(range(5), seed)
    return training.fit(new_model(data, seed), data, PRETRAINING.changed(seed=seed), verbose=False).model


def learn(pretrained: Path | None, recipe: training.FineTuneRecipe, steps: int, size: int, seed: int) -> float:
    """Return the test accuracy on 5-9 after about `steps` steps on `size` images per class."""
    data = digits(range(5, 10), seed, size)
    model = new_model(data, seed)
    if pretrained is not None:
        model = zoo.replace_head(zoo.load_model(pretrained), "classification", labels=data.labels)
    epochs = round(steps / math.ceil(len(data.train) / recipe.batch_size))
    training.fine_tune(model, data, recipe.changed(epochs=epochs, seed=seed), verbose=False)
    return training.evaluate(model, data).accuracy


def new_model(data: training.ImageData, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model("resnet20", labels=data.labels, input_shape=data.image_shape)


def digits(classes: range, seed: int, size: int | None = None) -> training.ImageData:
    """Return the digits of some classes, 16x16 pixels, with `size` training images per class, or all."""
    data = training.load_data("digits", image_size=16, seed=seed)
    random = np.random.default_rng(seed)

    def of_classes(split: training.ImageSplit, size: int | None = None) -> training.ImageSplit:
        images, labels = split.arrays()
        chosen = np.concatenate([random.permutation(np.flatnonzero(labels == label))[:size] for label in classes])
        return training.ImageSplit(ArrayImages(images[chosen]), labels[chosen] - classes.start)

    return replace(
        data,
        labels=data.labels[classes.start : classes.stop],
        train=of_classes(data.train, size),
        validation=of_classes(data.validation),
        test=of_classes(data.test),
    )


def as_page(accuracies: Accuracies) -> str:
    """Return the page of the documentation."""
    rows = []
    for steps in BUDGETS:
        for size in SIZES:
            ours, theirs = (accuracies[side, steps, size] for side in ("transfer", "scratch"))
            gains = [a - b for a, b in zip(ours, theirs, strict=True)]
            cells = [
                f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"
                for values in (ours, theirs, gains)
            ]
            rows.append(
                f"| {steps} | {size} | {' | '.join(cells)} | {sum(gain > 0 for gain in gains)} of {len(gains)} |"
            )
    return TEXT.format(rows="\n".join(rows), seeds=len(SEEDS))


TEXT = """# Gain of transfer learning

Generated by `python benchmarks/transfer.py`.

A `resnet20` is trained on the handwritten digits 0 to 4 (16x16 pixels, 30 epochs, strong augmentation), then adapted
to the digits 5 to 9 with a few images per class. It is compared with the same network with random initial weights.
Both make the same call,

```python
recipe = training.FineTuneRecipe(epochs=..., head_epochs=0, batch_norm="train", batch_size=8, optimizer={{"lr": ...}})
training.fine_tune(model, data, recipe)
```

for the same number of steps on the same images with the same augmentation. Each side has its own learning rate, the
best on the validation splits of other seeds. The network from scratch has the same rate in all stages, the adapted
one a lower rate in each stage closer to the input. On both sides the epoch with the lowest loss on the validation
split, about 90 images, is evaluated. Accuracy, in percent, is on the test split of the digits 5 to 9, about 180
images: mean and standard deviation over {seeds} seeds of split, images, initial weights and order. The gain is
computed for each seed.

| steps | images per class | transfer | from scratch | gain | seeds with a gain |
|---:|---:|---:|---:|---:|---:|
{rows}

The shorter the training and the fewer the images, the larger the gain; with enough steps, a network of this size
learns these digits from scratch as well.
"""


if __name__ == "__main__":
    main()
