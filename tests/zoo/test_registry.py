from pathlib import Path

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pocketzoo import zoo
from pocketzoo.zoo.cards import CARDS, Pretrained, load_cards

pytestmark = pytest.mark.fast


def test_list_models_accepts_wildcards():
    assert zoo.list_models("lenet?") == ["lenet5"]
    assert zoo.list_models("vgg1[69]") == ["vgg16", "vgg19"]
    assert zoo.list_models("nothing*") == []


def test_list_models_sorts_numbers_by_value():
    names = zoo.list_models()
    assert names.index("resnet56") < names.index("resnet110")


def test_list_models_filters_by_task_and_weights():
    by_task = {task: zoo.list_models(task=task) for task in {zoo.model_card(name).task for name in zoo.list_models()}}
    assert {"classification", "segmentation", "image_to_image"} <= by_task.keys()
    assert all(zoo.model_card(name).task == task for task, names in by_task.items() for name in names)
    assert sorted(name for names in by_task.values() for name in names) == sorted(zoo.list_models())
    with_weights, without = (set(zoo.list_models(pretrained=wanted)) for wanted in (True, False))
    assert "resnet50" in with_weights
    assert "resnet56" in without
    assert with_weights | without == set(zoo.list_models())
    with pytest.raises(zoo.InputError, match="unknown task 'sculpture': there are classification, "):
        zoo.list_models(task="sculpture")


@given(st.floats(1e4, 2e8), st.floats(1e5, 2e11))
def test_list_models_filters_by_parameters_and_macs(max_params, max_macs):
    chosen = zoo.list_models(max_params=max_params, max_macs=max_macs)
    for name in zoo.list_models():
        card = zoo.model_card(name)
        assert (name in chosen) == (card.parameters <= max_params and card.multiply_adds <= max_macs)


def test_unknown_model_suggests_the_nearest():
    with pytest.raises(zoo.InputError, match=r"unknown model 'lenet': did you mean lenet5"):
        zoo.model_card("lenet")


def test_cards_are_immutable():
    with pytest.raises(ValueError, match="frozen"):
        zoo.model_card("lenet5").classes = 3


def test_modified_copy_does_not_change_the_card():
    zoo.model_card("resnet18").arguments["blocks"].append(1)
    assert zoo.model_card("resnet18").arguments["blocks"] == [2, 2, 2, 2]


LENET = (CARDS / "lenet.toml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            LENET.replace("classes = 10", "clases = 10"),
            "broken.toml, model 'lenet5': classes: Field required; clases: Extra inputs",
        ),
        (LENET.replace("classes = 10", "classes = 0"), "classes: Input should be greater than 0"),
        (LENET.replace("classes = 10", ""), "classes: Field required"),
        (LENET.replace("smallest_input = 16", "smallest_input = 64"), "below smallest_input 64"),
        (LENET.replace("classes = 10", "classes = = 10"), "broken.toml is not valid TOML"),
        (LENET.replace("classes = 10", "classes = '\udcff'"), "broken.toml is not valid TOML"),
        ("models = " + "[" * 5000, "broken.toml has more levels than can be read; the limit is"),
        ("models = 3", "broken.toml: models is 3; it takes a table"),
        ("[models]\nlenet5 = 3", "broken.toml: model 'lenet5' is 3; it takes a table"),
        (LENET.replace("lenet:lenet5", "lenet.lenet5"), "builder: String should match pattern"),
        (LENET.replace("stride = 4", "strides = 4"), "endpoints.stage2.stride: Field required"),
    ],
)
def test_invalid_card_is_reported_with_file_model_and_field(text, message, tmp_path):
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(zoo.InputError, match=message):
        load_cards(tmp_path)


def test_duplicate_model_name_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text(LENET)
    (tmp_path / "b.toml").write_text(LENET)
    with pytest.raises(zoo.InputError, match=r"b\.toml: the model name 'lenet5' is already taken"):
        load_cards(tmp_path)


@given(st.text(max_size=30))
def test_any_text_is_a_model_name_or_an_input_error(name):
    if name in zoo.list_models():
        assert zoo.model_card(name).name == name
    else:
        with pytest.raises(zoo.InputError, match="unknown model"):
            zoo.model_card(name)


def test_hash_on_every_card_is_the_published_one():
    """Keras publishes MD5 in its code, PyTorch the first digits of SHA-256 in the names of files."""
    applications = Path(keras.__file__).parent / "src" / "applications"
    published = "".join(path.read_text() for path in applications.glob("*.py"))
    entries = [entry for card in load_cards().values() for entry in card.pretrained.values()]
    hashes = {entry.source: entry.hash for entry in entries if entry.layout in ("keras", "torchvision")}
    assert len(hashes) > 50
    for source, value in hashes.items():
        if source.startswith("https://download.pytorch.org/"):
            assert value == f"sha256:{source.rpartition('-')[2].removesuffix('.pth')}"
        elif "/mobilenet/" in source or "/mobilenet_v2/" in source:
            assert value is None
            assert "hash" not in (applications / f"{source.split('/')[-2]}.py").read_text()
        else:
            assert value.removeprefix("md5:") in published


def test_commit_is_only_for_the_hub():
    entry = load_cards()["resnet50"].pretrained["a1_in1k"]
    assert entry.source == "hf://timm/resnet50.a1_in1k"
    assert entry.commit
    with pytest.raises(ValidationError, match="commit is only for a repository on the hub, not for https://a/b"):
        Pretrained(source="https://a/b", layout="keras", pixels="unit", commit="0" * 40)
