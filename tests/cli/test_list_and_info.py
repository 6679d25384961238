"""What the commands tell of the models that there are."""

import json
import re

import pytest

from pocketzoo import zoo
from pocketzoo.cli import console

pytestmark = pytest.mark.fast


def test_list_shows_the_models_that_match(pocketzoo):
    code, out, _ = pocketzoo("list", "resnet??")
    assert code == 0
    assert re.findall(r"^ (resnet\d+) ", out, flags=re.MULTILINE) == zoo.list_models("resnet??")
    assert "271,098" in out
    code, out, _ = pocketzoo("list", "--json")
    assert [card["name"] for card in json.loads(out)] == zoo.list_models()


def test_list_filters_by_size_and_task(pocketzoo):
    _, out, _ = pocketzoo("list", "--task", "segmentation", "--max-params", "1e7", "--json")
    cards = json.loads(out)
    assert cards
    assert all(card["task"] == "segmentation" and card["parameters"] <= 1e7 for card in cards)
    _, out, _ = pocketzoo("list", "--max-macs", 1e6, "--json")
    assert [card["name"] for card in json.loads(out)] == ["lenet5"]


def test_names_stay_whole_on_a_narrow_terminal(pocketzoo, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = pocketzoo("list", "mobilenet*")
    assert re.findall(r"mobilenet_v\w+", out) == zoo.list_models("mobilenet*")


def test_list_reports_that_nothing_matches(pocketzoo):
    assert pocketzoo("list", "nothing*")[1] == "No model matches.\n"


def test_info_shows_the_card_and_the_costs_of_stages(pocketzoo):
    _, out, _ = pocketzoo("info", "resnet20")
    for fact in ("269,722", "32x32x3", "arxiv.org/abs/1512.03385", "stage2_block3", "40,551,040"):
        assert fact in out
    facts = json.loads(pocketzoo("info", "resnet20", "--json")[1])
    assert facts["trainable_parameters"] == 269_722
    assert sum(stage["multiply_adds"] for stage in facts["stages"].values()) == facts["multiply_adds"]
    assert sum(stage["parameters"] for stage in facts["stages"].values()) == facts["parameters"]
    assert facts["receptive_fields"]["stem"] == 3


def test_info_shows_every_layer(pocketzoo):
    _, out, _ = pocketzoo("info", "lenet5", "--layers")
    for fact in ("stage2_conv_conv", "10x10x16", "5x5", "valid", "2,416", "240,000", "whole image"):
        assert fact in out
    layers = json.loads(pocketzoo("info", "lenet5", "--layers", "--json")[1])["layers"]
    assert sum(layer["multiply_adds"] for layer in layers) == 416_520


def test_info_lists_the_weights_with_their_license(pocketzoo):
    out = pocketzoo("info", "resnet50v1")[1]
    assert re.search(r" keras +74\.93% .* MIT ", out)
    assert "resnet50v1" in pocketzoo("list", "--pretrained")[1]
    assert "resnet56" not in pocketzoo("list", "--pretrained")[1]


def test_json_has_null_where_a_number_is_not_finite(capsys):
    console.show_json({"loss": float("nan"), "gains": (1.5, float("-inf"))})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"loss": None, "gains": [1.5, None]}
