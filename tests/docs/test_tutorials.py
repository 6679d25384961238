"""The tutorials run as they stand, and print what they show."""

from pathlib import Path

import keras
import pytest
from support.markdown_blocks import run_page

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["by_name", "photos_to_phone", "microcontroller", "own_model"])
def test_tutorial_runs_and_prints_what_it_shows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    run_page((TUTORIALS / f"{name}.md").read_text(encoding="utf-8"))
