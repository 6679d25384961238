"""The pages in docs/ are what their commands write, what they show runs, and what they name exists."""

import ast
import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from pocketzoo.cli.main import app
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.targets import TARGETS
from pocketzoo.tasks.registry import get_task
from pocketzoo.zoo import list_models

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*GUIDES, *sorted(DOCS.rglob("*.md"))]
FOLDERS = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("build", "runs", ".venv"))
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def make(name):
    """The module of docs/ with that name, which writes pages."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "maker"),
    [
        ("models.md", "make_models"),
        ("recipe.md", "make_recipe"),
        ("commands.md", "make_commands"),
        ("limits.md", "make_limits"),
        ("clients.md", "make_clients"),
    ],
)
def test_page_is_made_from_cards_schema_commands_limits_and_measurements_as_they_are(page, maker):
    assert (DOCS / page).read_text(encoding="utf-8") == make(maker).page(), "run `make docs`"


def test_page_on_clients_has_every_net_and_client():
    maker = make("make_clients")
    formats = {name: list(kinds) for name, kinds in maker.CLIENTS.items()}
    for name in maker.NETS:
        results = json.loads(maker.net_file(name).read_text(encoding="utf-8"))["results"]
        measured = {client: sorted(of) for client, of in results.items()}
        assert measured == {client: sorted(kinds) for client, kinds in formats.items()}, name


def test_pictures_are_drawn_by_their_script():
    for name, picture in make("make_pictures").pictures().items():
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8") == picture, "run `make docs`"


def test_channels_are_removed_as_the_page_on_compression_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "compression.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out == "composite True\n"


@pytest.mark.parametrize("package", ["zoo", "tasks", "training", "export", "layers"])
def test_reference_has_every_public_name_once(package):
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    imported = [name for statement in stub.body if isinstance(statement, ast.ImportFrom) for name in statement.names]
    page = (DOCS / "reference" / f"{package}.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^::: pocketzoo\.{package}\.(\w+)$", page, flags=re.MULTILINE)
    assert sorted(shown) == sorted(name.asname or name.name for name in imported)


@pytest.mark.parametrize("package", ["zoo", "tasks", "training", "export", "layers"])
def test_every_public_name_has_a_docstring(package):
    module = importlib.import_module(f"pocketzoo.{package}")
    public = {name: getattr(module, name) for name in module.__all__}
    assert [name for name, thing in public.items() if callable(thing) and not inspect.getdoc(thing)] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=["README", "index"])
def test_models_and_targets_are_counted(page):
    text = page.read_text(encoding="utf-8")
    assert f"**{len(list_models())} models" in text
    assert f"{len(TARGETS)} targets**" in text


def test_page_on_export_has_every_target_and_the_thresholds_as_they_are():
    page = (DOCS / "export.md").read_text(encoding="utf-8")
    for target in TARGETS:
        assert f"`{target}`" in page or f"`-{target.rpartition('-')[2]}`" in page
    columns = {
        "relative difference": lambda kind: kind.relative_difference,
        "agreement": lambda kind: kind.agreement,
        "accuracy drop": lambda kind: kind.allowed_loss(get_task("classification")),
    }
    for gate, threshold in columns.items():
        cells = re.search(rf"^\| {gate} \|.*$", page, flags=re.MULTILINE)[0].split("|")[-4:-1]
        shown = [cell.strip(" ≥≤") for cell in cells]
        formats = (FORMATS[name] for name in ("tflite-fp32", "tflite-fp16", "tflite-int8"))
        assert shown == ["-" if (bar := threshold(kind)) is None else f"{bar:f}".rstrip("0") for kind in formats]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_path_that_a_page_names_exists(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    spans = (word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split())
    paths = {word.rstrip(".,:;") for word in spans if word.startswith(tuple(f"{name}/" for name in FOLDERS))}
    paths = {path.partition("::")[0] for path in paths}
    assert [path for path in sorted(paths) if not any(ROOT.glob(path.replace("NAME", "*").rstrip("/")))] == []
    if page in GUIDES:  # mkdocs checks the links of the others
        links = (link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text))
        assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_that_a_page_shows_exists_with_its_options(page):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = re.findall(r"(?:^ *(?:\$ )?|`)pocketzoo ((?:--offline )?[a-z][^`#\n]*)", text, flags=re.MULTILINE)
    commands = get_command(app).commands
    for line in shown:
        name, *words = line.removeprefix("--offline ").split()
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if re.match("--[a-z]", word)} <= options, line


def test_workflow_calls_targets_of_the_makefile_on_every_python_that_is_supported():
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    called = [step["run"].removeprefix("make ") for step in job["steps"] if "run" in step]
    assert set(called) <= set(targets)
    assert [f"make {name}" for name in called] == (ROOT / ".ci" / "run").read_text().splitlines()[-len(called) :]
    for step in job["steps"]:
        assert "run" in step or re.search(r"@[0-9a-f]{40}$", step["uses"]), "an action is pinned by its commit"
