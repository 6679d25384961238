"""How good LeNet-5 is on the digits as the quickstart trains it, over seeds of split and start.

python benchmarks/digits_accuracy.py             # about 2 minutes on 2 cores
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import statistics

import keras

from pocketzoo import training, zoo
from pocketzoo.cli.quickstart import FULL, OPTIMIZER

SEEDS = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
"""Of the split, and of the first weights and the order of the images."""


def main() -> None:
    accuracies = []
    for split, start in SEEDS:
        data = training.load_data("digits", seed=split)
        keras.utils.set_random_seed(start)
        model = zoo.create_model("lenet5")
        training.fit(model, data, training.Recipe(epochs=FULL.epochs, seed=start, **OPTIMIZER), verbose=False)
        accuracies.append(training.evaluate(model, data).accuracy)
        print(f"split {split}, start {start}: {accuracies[-1]:.2%}", flush=True)
    print(f"mean {statistics.mean(accuracies):.2%}, least {min(accuracies):.2%}")


if __name__ == "__main__":
    main()
