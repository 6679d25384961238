"""Segmentation of digits on photographs by a narrow U-Net: mean IoU over background and ten digits, test split.

python benchmarks/digit_scenes.py           # about 12 minutes on 2 cores
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import time

import keras

from pocketzoo import training, zoo

RECIPE = training.Recipe(
    epochs=30,
    batch_size=8,
    optimizer={"name": "adamw", "lr": 3e-3},
    loss=["cross_entropy", "dice"],
    augmentation=["rotate", "zoom", "color"],
    xla=False,
)
WIDTHS = (16, 32, 64, 128)
THRESHOLD = 0.85


def main() -> None:
    data = training.load_data("digit-scenes")
    keras.utils.set_random_seed(RECIPE.seed)
    head = {"head": data.task, "labels": data.labels, "input_shape": data.image_shape}
    model = zoo.create_model("unet_same", widths=WIDTHS, dropout=0.0, **head)
    start = time.perf_counter()
    training.fit(model, data, RECIPE)
    minutes = (time.perf_counter() - start) / 60
    evaluation = training.evaluate(model, data)
    for name, value in evaluation.summary.items():
        print(f"{name}: {value:.4f}")
    print(f"threshold {THRESHOLD} for mean IoU: {'ok' if evaluation.mean_iou >= THRESHOLD else 'below'}")
    print(f"{model.count_params():,} parameters, {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
