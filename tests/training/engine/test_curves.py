from PIL import Image

from pocketzoo.training.engine.history import History

LOSSES = [3.0, 2.0, 1.0, 2.5, 1.5]
EPOCHS = [{"loss": loss, "val_loss": loss, "learning_rate": 0.1} for loss in LOSSES]


def marks(history):
    """Texts of each panel, and where its vertical lines are."""
    found = []
    for axes in history.figure().axes:
        places = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() != "-"]
        found.append(([text.get_text() for text in axes.texts], places))
    return found


def test_curves_mark_phases_and_the_best_epoch():
    assert marks(History(EPOCHS, phases=[0, 2])) == [(["phase 1", "phase 2"], [0.5, 2.5, 3])] * 2


def test_curves_of_one_phase_mark_the_best_epoch_alone():
    assert marks(History(EPOCHS)) == [([], [3])] * 2


def test_curves_without_validation_are_drawn(tmp_path):
    history = History([{"loss": 1.0, "learning_rate": 0.1}], phases=[0, 1])
    assert marks(history) == [(["phase 1", "phase 2"], [0.5, 1.5])]
    history.plot(tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 400
