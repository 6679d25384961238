"""The pages in docs/ are what their commands write."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_page_of_the_models_is_made_from_the_cards_as_they_are():
    spec = importlib.util.spec_from_file_location("make_models", DOCS / "make_models.py")
    make_models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_models)
    assert (DOCS / "models.md").read_text(encoding="utf-8") == make_models.page(), "run `make docs`"
