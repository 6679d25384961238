import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training, zoo
from pocketzoo.training.engine.callbacks.diagnostics import gradient_norm, rectified_outputs
from pocketzoo.training.engine.callbacks.progress import ProgressBar, Throughput
from pocketzoo.training.engine.callbacks.tensorboard import TensorBoardLog
from pocketzoo.training.engine.history import History


def with_dead_units(dead: int) -> keras.Model:
    """A classifier with a layer of 8 ReLUs, of which the first few are dead."""
    image = keras.Input((16, 16, 1))
    hidden = keras.layers.Dense(8, "relu", name="hidden")
    outputs = keras.layers.Dense(10, "softmax")(hidden(keras.layers.Flatten()(image)))
    model = keras.Model(image, outputs, name="net")
    hidden.bias.assign([-1e9] * dead + [1e4] * (8 - dead))
    return model


def test_diagnostics_are_in_history_and_log(small_digits, tmp_path):
    recipe = training.Recipe(epochs=1, batch_size=40, optimizer={"lr": 1e-9}, monitor=True)
    result = training.fit(with_dead_units(3), small_digits, recipe, run_dir=tmp_path, verbose=False)
    (epoch,) = result.history
    assert epoch["dead_units"] == epoch["dead_units/hidden"] == 3 / 8
    assert epoch["gradient_norm"] > 0
    with open(tmp_path / "log.csv") as log:
        (row,) = csv.DictReader(log)
    assert float(row["dead_units/hidden"]) == 3 / 8


def test_rectified_outputs_include_relus_inside_composite_layers():
    model = zoo.create_model("resnet20", input_shape=(16, 16, 1))
    rectified = rectified_outputs(model)
    assert len(rectified.output) == 1 + 2 * 9  # the stem's, and two in each block
    images = np.zeros((2, 16, 16, 1), "float32")
    assert all(map_.shape[0] == 2 for map_ in rectified.predict_on_batch(images).values())
    assert rectified_outputs(zoo.create_model("lenet5")) is None  # tanh


def test_gradient_norm_is_over_all_weights():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    inputs, targets = np.array([[1.0, 2.0]], "float32"), np.array([[0.0]], "float32")
    error = model.predict(inputs, verbose=0)[0, 0]
    expected = 2 * abs(error) * np.sqrt(1 + 4 + 1)  # by the two weights and the bias
    assert float(gradient_norm(model, inputs, targets)) == pytest.approx(expected, rel=1e-5)


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for file in folder.iterdir():
        for event in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(event.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def test_tensorboard_log_has_every_epoch_once_after_resuming(tmp_path):
    history = History([{"loss": 2.0, "val_loss": 3.0}])
    for losses in ({"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.0}):
        log = TensorBoardLog(tmp_path / "tensorboard", history)
        log.on_train_begin()
        history.epochs.append(losses)
        log.on_epoch_end(0)
        log.on_train_end()
    assert scalars(tmp_path / "tensorboard" / "train") == {"loss": [(1, 2.0), (2, 1.0), (3, 0.5)]}
    assert scalars(tmp_path / "tensorboard" / "validation") == {"loss": [(1, 3.0), (2, 2.0), (3, 1.0)]}


def test_throughput_is_measured_from_the_first_batch_to_the_last(monkeypatch):
    clock = iter([100.0, 101.0, 104.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    speed = Throughput(32)
    assert str(speed) == ""
    speed.update(1)
    assert str(speed) == ""
    speed.update(2)
    speed.update(6)
    assert str(speed) == "40 images/s"  # 5 batches of 32 in 4 seconds


def test_progress_lines_without_a_terminal_have_epoch_metrics_and_throughput(capsys):
    with ProgressBar("Training", epochs=2, steps=2, done=0, images=40) as bar:
        for epoch in range(2):
            bar.on_epoch_begin(epoch)
            for batch in range(2):
                bar.on_train_batch_end(batch)
            bar.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0, "val_accuracy": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[:4] for line in lines] == [
        [f"Training: epoch {epoch}/2", "loss 1.000", "val_loss 2.000", "val_accuracy 0.500"] for epoch in (1, 2)
    ]
    assert all(line.endswith("images/s") for line in lines)
