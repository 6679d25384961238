import json

import keras
import numpy as np

from pocketzoo import zoo

BRIEF = ("--set", "epochs=1", "--set", "batch_size=200")


def test_clustered_model_has_few_distinct_weights_and_compresses_better(pocketzoo, trained_file, tmp_path):
    run = tmp_path / "run"
    code, out, _ = pocketzoo(
        "cluster", trained_file, "--data", "digits", "--clusters", 8, "--run-dir", run, *BRIEF, "--json"
    )
    facts = json.loads(out)
    before, after = (row["footprint"]["artifacts"]["tflite-fp32"]["size"] for row in facts["comparison"])
    assert code == 0
    assert facts["run"]["clusters"] == 8
    assert after["gzip_bytes"] < 0.5 * before["gzip_bytes"]
    assert different_weights(zoo.load_model(facts["model"])) == 8


def test_compression_clusters_after_pruning(pocketzoo, trained_file, tmp_path):
    spec = tmp_path / "spec.yaml"
    recipe = "recipe: {epochs: 1, batch_size: 200}"
    spec.write_text(f"sparsity: {{target: 0.8, end: 1.0, {recipe}}}\nclusters: {{clusters: 8, {recipe}}}\n")
    run = tmp_path / "run"
    code, out, _ = pocketzoo("compress", trained_file, "--data", "digits", "--spec", spec, "--run-dir", run, "--json")
    assert code == 0
    _, sparse, clustered = json.loads(out)["comparison"]
    assert [sparse["model"], clustered["model"]] == ["sparsity", "clusters"]
    assert clustered["footprint"]["nonzero"] <= sparse["footprint"]["nonzero"]
    assert different_weights(zoo.load_model(run / "4-clusters.keras")) == 8


def different_weights(model):
    """The most in a kernel of `prune`'s kind."""
    kernels = [layer.kernel for layer in zoo.flatten_model(model).layers if isinstance(layer, keras.layers.Conv2D)]
    return max(len(np.unique(kernel.numpy())) for kernel in kernels)
