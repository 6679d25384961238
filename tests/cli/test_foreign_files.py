"""Commands on files that other tools wrote."""

import csv
import io
import json

import numpy as np
import onnx
import pytest
from PIL import Image
from support import foreign_files as files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files and a picture."""
    root = tmp_path_factory.mktemp("foreign")
    files.convert_to_tflite(files.classifier(), root / "soft.tflite")
    files.detector(root / "detector.onnx")
    files.text_reader(root / "ocr.onnx")
    files.segmenter(root / "maps.onnx", axis=1)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")
    Image.fromarray(pixels).save(root / "a.png")
    return root


def test_info_shows_what_a_file_says_and_asks_for_the_rest(folder, pocketzoo):
    code, out, _ = pocketzoo("info", folder / "soft.tflite")
    words = " ".join(out.split())
    assert code == 0
    for shown in (
        "photo: anyx16x16x3 NHWC float32",
        "pixels not known: state --pixels",
        "task classification",
        "3 without names: state --labels",
        "CONV_2D v1 1",
        "pocketzoo did not export this file",
    ):
        assert shown in words
    words = " ".join(pocketzoo("info", folder / "detector.onnx")[1].split())
    for shown in ("pytorch 2.3.0", "ai.onnx 17", "selected: anyx3 int64", "task of boxes raw", "Transpose 17 2"):
        assert shown in words


def test_info_has_the_same_as_json(folder, pocketzoo):
    facts = json.loads(pocketzoo("info", folder / "detector.onnx", "--json")[1])
    assert (facts["metadata"], facts["proof"], facts["unchanged_since_proof"]) == (None, None, None)
    assert facts["inputs"][0] | {"name": "images", "shape": [None, 3, 32, 32], "layout": "NCHW"} == facts["inputs"][0]
    assert [output["task"] for output in facts["outputs"]] == ["raw"] * 3
    assert facts["operators"]["NonMaxSuppression 17"] == 1
    assert facts["bytes"] == (folder / "detector.onnx").stat().st_size
    facts = json.loads(pocketzoo("info", folder / "soft.tflite", "--json")[1])
    assert facts["outputs"][0] | {"task": "classification", "labels": ["0", "1", "2"]} == facts["outputs"][0]
    assert facts["inputs"][0]["pixels"] is None


def test_predict_asks_for_pixels_in_one_sentence_and_takes_statements(folder, pocketzoo):
    code, out, error = pocketzoo("predict", folder / "soft.tflite", folder / "a.png")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "soft.tflite does not say what its pixels are; state the pixel range that it expects: --pixels 0..1" in error
    stated = ("--pixels", "0..1", "--labels", "cat,dog,fox")
    code, out, error = pocketzoo("predict", folder / "soft.tflite", folder / "a.png", *stated, "--json")
    assert code == 0
    assert {row["label"] for row in json.loads(out)[0]["top"]} == {"cat", "dog", "fox"}
    assert "Inferred for " in error


def test_outputs_of_no_task_are_shown_as_numbers(folder, pocketzoo):
    arguments = ("predict", folder / "detector.onnx", folder / "a.png", "--pixels", "0..1")
    code, out, _ = pocketzoo(*arguments)
    assert code == 0
    assert out.split()[:8] == ["image", "output", "shape", "type", "min", "max", "mean", "first"]
    assert "16x4  float32" in out
    outputs = json.loads(pocketzoo(*arguments, "--json")[1])[0]["outputs"]
    boxes = outputs["boxes"]["numbers"]
    assert (boxes["task"], boxes["shape"], boxes["dtype"]) == ("raw", [16, 4], "float32")
    assert np.shape(boxes["values"]) == (16, 4)
    assert boxes["min"] == pytest.approx(np.min(boxes["values"]))
    rows = list(csv.DictReader(io.StringIO(pocketzoo(*arguments, "--csv")[1])))
    assert [(row["output"], row["shape"]) for row in rows][:2] == [("boxes", "16x4"), ("scores", "2x16")]
    only = json.loads(pocketzoo("predict", folder / "ocr.onnx", folder / "a.png", "--pixels", "0..1", "--json")[1])[0]
    assert only["numbers"]["shape"] == [7, 10]  # a step for every four columns of the picture


def test_masks_of_a_foreign_segmenter_are_written(folder, pocketzoo, tmp_path):
    arguments = ("predict", folder / "maps.onnx", folder / "a.png", "--pixels", "0..1", "--labels", "sky,sea,land")
    code, out, _ = pocketzoo(*arguments, "--masks", tmp_path / "masks")
    assert code == 0
    assert "share" in out
    assert Image.open(tmp_path / "masks" / "a.png").size == (16, 16)
    code, _, error = pocketzoo(
        "predict", folder / "ocr.onnx", folder / "a.png", "--pixels", "0..1", "--masks", tmp_path / "none"
    )
    assert code == 2
    assert "the outputs of a raw are no pictures" in error


def test_benchmark_runs_any_file(folder, pocketzoo):
    code, out, _ = pocketzoo("benchmark", *folder.glob("*.onnx"), "--runs", 3, "--json")
    assert code == 0
    assert len(json.loads(out)) == 3


def test_evaluate_asks_and_refuses_before_it_is_wrong(folder, pocketzoo):
    code, _, error = pocketzoo("evaluate", folder / "soft.tflite", "--data", "digits")
    assert code == 2
    assert "does not say what its pixels are" in error
    code, _, error = pocketzoo("evaluate", folder / "soft.tflite", "--data", "digits", "--pixels", "0..1")
    assert code == 2
    assert "the output has 3 values, but the data has 10 labels" in error
    code, _, error = pocketzoo("evaluate", folder / "detector.onnx", "--data", "digits", "--pixels", "0..1")
    assert code == 2
    assert "has the outputs boxes, scores, selected" in error


def test_sequence_is_a_list_and_a_fixed_batch_is_noted(folder, pocketzoo):
    def save(path, node, batch, output):
        image = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 3, 8, 8])
        graph = onnx.helper.make_graph([node], "g", [image], [output])
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)

    tensors = onnx.helper.make_tensor_sequence_value_info("y", onnx.TensorProto.FLOAT, None)
    save(folder / "sequence.onnx", onnx.helper.make_node("SequenceConstruct", ["x"], ["y"]), 1, tensors)
    code, out, err = pocketzoo("predict", folder / "sequence.onnx", folder / "a.png", "--pixels", "0..1", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["numbers"]["dtype"] == "list"
    four = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 3, 8, 8])
    save(folder / "four.onnx", onnx.helper.make_node("Relu", ["x"], ["y"]), 4, four)
    code, _, err = pocketzoo("benchmark", folder / "four.onnx", "--runs", 3)
    assert (code, "four.onnx takes 4 images at once; its times are those of all of them" in err) == (0, True), err
