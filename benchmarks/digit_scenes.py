"""How well a narrow U-Net segments digits on photographs: mean IoU over background and ten digits, on the test split.

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
    augmentation=["rotate", "zoom", "colour"],
    xla=False,
)
WIDTHS = (16, 32, 64, 128)
BAR = 0.85


def main() -> None:
    data = training.load_data("digit-scenes")
    keras.utils.set_random_seed(RECIPE.seed)
    asked = {"head": data.task, "labels": data.labels, "input_shape": data.image_shape}
    model = zoo.create_model("unet_same", widths=WIDTHS, dropout=0.0, **asked)
    start = time.perf_counter()
    training.fit(model, data, RECIPE)
    minutes = (time.perf_counter() - start) / 60
    evaluation = training.evaluate(model, data)
    for name, figure in evaluation.summary.items():
        print(f"{name}: {figure:.4f}")
    print(f"bar {BAR} for mean IoU: {'ok' if evaluation.mean_iou >= BAR else 'under'}")
    print(f"{model.count_params():,} parameters, {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
