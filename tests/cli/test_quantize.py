import json


def test_quantized_model_is_exported_to_integers(pocketzoo, trained_file, tmp_path):
    run = tmp_path / "run"
    code, out, _ = pocketzoo(
        "quantize", trained_file, "--data", "digits", "--run-dir", run, "--set", "epochs=1", "--set", "batch_size=200",
        "--json",
    )  # fmt: skip
    facts = json.loads(out)
    assert code == 0
    assert facts["run"]["epochs"] == 1
    before, after = (list(row["footprint"]["artifacts"]) for row in facts["comparison"])
    assert before == ["tflite-fp32", "onnx-fp32"]
    assert after == ["tflite-int8", "onnx-int8"]
    code, out, _ = pocketzoo("export", facts["model"], "--out", tmp_path / "bundle", "--targets", "edge", "--json")
    assert code == 0
    assert [artifact["format"] for artifact in json.loads(out)["artifacts"]] == ["tflite-int8"]


def test_invalid_activation_bits_are_reported(pocketzoo, trained_file, tmp_path):
    run = tmp_path / "run"
    code, _, err = pocketzoo("quantize", trained_file, "--data", "digits", "--run-dir", run, "--activation-bits", 4)
    assert code == 2
    assert "activation_bits: must be 8 or 16 (got 4)" in err
