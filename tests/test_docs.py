"""The pages in docs/ are what their commands write, and what they show runs."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("page", "maker"), [("models.md", "make_models"), ("recipe.md", "make_recipe")])
def test_page_is_made_from_cards_and_schema_as_they_are(page, maker):
    spec = importlib.util.spec_from_file_location(maker, DOCS / f"{maker}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / page).read_text(encoding="utf-8") == module.page(), "run `make docs`"


def test_channels_are_removed_as_the_page_on_compression_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "compression.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out == "composite True\n"
