"""What transfer learning gains on few images: digits 5-9 by a resnet20 that knows 0-4, against one from scratch.

python benchmarks/transfer.py                    # 20 minutes on 2 idle cores; writes docs/transfer.md

Both sides make the very same call, `training.fine_tune`, for the same steps on the same images; only the weights that
they start from differ, and the learning rate, each side's best on the validation splits of seeds 10 to 13.
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
"""Of the split, the choice of the images, the fresh weights and the order."""
SIZES = (5, 10, 20)
"""Images a class to learn 5-9 from."""
BUDGETS = (12, 25, 100)
"""Steps to learn them in, as near as whole epochs come."""
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
"""More than the digits 0 to 4 need for themselves: what is learned of them under `light` helps less with others."""
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
"""Of every seed, on the test split, by side, steps and images a class."""


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
                print(f"seed {seed}, {steps} steps, {size} images a class, {side}: {accuracy:.2%}", flush=True)
    page = as_page(accuracies)
    PAGE.write_text(page, encoding="utf-8")
    print(f"{page}\n{(time.monotonic() - start) / 60:.0f} minutes")


def pretrain(seed: int) -> keras.Model:
    """A resnet20 that knows the digits 0-4."""
    data = digits(range(5), seed)
    return training.fit(fresh(data, seed), data, PRETRAINING.changed(seed=seed), verbose=False).model


def learn(pretrained: Path | None, recipe: training.FineTuneRecipe, steps: int, size: int, seed: int) -> float:
    """Accuracy on the test split of 5-9 after about so many steps on so many images a class."""
    data = digits(range(5, 10), seed, size)
    model = fresh(data, seed)
    if pretrained is not None:
        model = zoo.replace_head(zoo.load_model(pretrained), "classification", labels=data.labels)
    epochs = round(steps / math.ceil(len(data.train) / recipe.batch_size))
    training.fine_tune(model, data, recipe.changed(epochs=epochs, seed=seed), verbose=False)
    return training.evaluate(model, data).accuracy


def fresh(data: training.ImageData, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model("resnet20", labels=data.labels, input_shape=data.image_shape)


def digits(classes: range, seed: int, size: int | None = None) -> training.ImageData:
    """The digits of some classes, 16 pixels a side; from the training split that many of each class, or all."""
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
    """The page of the documentation."""
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


TEXT = """# What transfer learning gains

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
