"""How well embeddings find images of classes that training never saw, against the features of a classifier.

Fashion-MNIST (`apt install dataset-fashion-mnist`, or downloaded by Keras). Each of five seeds holds two other classes
out of training. Each of their test images is compared with all 10,000; recall@1 is the share whose nearest image is of
their class. All nets are LeNet-5 with the same recipe; the features of the classifier are those before its last layer.

    python benchmarks/embedding.py --epochs 6 --images 16000
"""

import argparse
from dataclasses import replace

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.tasks.retrieval import Retrieval

SEEDS = 5


def kept(split: training.ImageSplit, held_out: tuple[int, int], most: int, seed: int) -> training.ImageSplit:
    """Return at most that many images of the other classes, which are numbered anew."""
    rows = np.flatnonzero(~np.isin(split.labels, held_out))
    rows = np.random.default_rng(seed).permutation(rows)[:most]
    part = split.at(rows)
    numbers = np.cumsum(~np.isin(np.arange(10), held_out)) - 1
    return replace(part, labels=numbers[part.labels].astype("int32"), names=None)


def recall(model: keras.Model, test: training.ImageSplit, held_out: tuple[int, int]) -> float:
    """Return the recall@1 of the test images of the classes held out, among all test images."""
    images, labels = test.arrays()
    vectors = model.predict(images.astype("float32"), batch_size=500, verbose=0)
    found = Retrieval.of(labels, vectors)
    return float((found.rank[np.isin(labels, held_out)] == 1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    data = training.load_data("keras:fashion_mnist", image_size=32)
    columns: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        held_out = (2 * seed, 2 * seed + 1)
        names = tuple(name for number, name in enumerate(data.labels) if number not in held_out)
        train, validation = (
            kept(split, held_out, most, seed)
            for split, most in ((data.train, arguments.images), (data.validation, arguments.images // 10))
        )
        known = training.ImageData("fashion_mnist", names, train, validation, validation)
        recipe = training.Recipe(epochs=arguments.epochs, batch_size=64, seed=seed, augmentation="none")
        for name in ("classifier", "triplet", "contrastive", "arcface"):
            keras.utils.set_random_seed(seed)
            if name == "classifier":
                model = zoo.create_model("lenet5", labels=names)
            else:
                model = zoo.create_model("lenet5", head="embedding", embedding_size=arguments.size)
            chosen = recipe if name == "classifier" else recipe.changed(loss={"name": name})
            training.fit(model, known, chosen, verbose=False)
            model = zoo.replace_head(model, "embedding") if name == "classifier" else model
            columns.setdefault(name, []).append(recall(model, data.test, held_out))
        held = " and ".join(data.labels[number] for number in held_out)
        print(f"{held}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in columns.items()), flush=True)
    for name, values in columns.items():
        print(f"{name}: {np.mean(values):.3f} (standard deviation {np.std(values, ddof=1):.3f})")


if __name__ == "__main__":
    main()
