"""The lists of operators of edge targets: they fit the releases that they are of."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from support.edge import net, subject_of

from pocketzoo.export.tflite_schema import operator_support
from pocketzoo.export.tflite_schema.nodes import OPERATOR_NAMES

LISTS = ("gpu_delegate", "tflite_micro", "ethos_u55_u65", "ethos_u85", "edge_tpu")


@pytest.mark.parametrize("name", LISTS)
def test_operator_lists_name_existing_operators_and_their_source(name):
    operators = operator_support.operator_list(name)
    assert set(operators.operators) <= set(OPERATOR_NAMES.values())
    assert operators.source


def test_fixes_are_for_existing_operators():
    assert set(operator_support._fixes()) <= set(OPERATOR_NAMES.values())


@pytest.mark.skipif(sys.platform != "linux", reason="there is no tflite-micro for other systems")
def test_list_of_micro_matches_its_release():
    import tflite_micro as installed

    (library,) = Path(installed.__file__).parent.rglob("_runtime.so")
    content = library.read_bytes()
    rules = operator_support.operator_list("tflite_micro").operators
    assert [name for name in rules if f"Register_{name}E".encode() not in content] == []
    assert len({rule.added_by for rule in rules.values()}) == len(rules)


def test_lists_of_ethos_u_match_the_release_of_vela(tmp_path):
    command = [sys.executable, "-m", "ethosu.vela", "--supported-ops-report"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    for title, name in (("Ethos-U55 and Ethos-U65", "ethos_u55_u65"), ("Ethos-U85", "ethos_u85")):
        table = report.partition(f"## {title} TFLite Summary Table")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| ([A-Z0-9_]+) \|", table, re.MULTILINE)) == set(
            operator_support.operator_list(name).operators
        )


def test_gpu_delegate_refuses_tensors_of_five_axes(tmp_path):
    subject = subject_of(net(keras.layers.UpSampling2D(2, name="nearest")), tmp_path, kind="tflite-fp16")
    refused = list(operator_support.operator_list("gpu_delegate").refused(subject.path.read_bytes()))
    assert {refusal.node.layers for refusal in refused} == {("nearest",)}
    assert {refusal.reason for refusal in refused} == {"tensors of 5 axes, 4 at most"}
    assert "bilinear" in next(refusal.fix for refusal in refused if refusal.node.operator == "TILE")
