"""What training minimises and what it measures, by the heads of the model."""

from typing import Any

import keras


def objectives(model: keras.Model) -> dict[str, Any]:
    """The `loss` and the `metrics` that `keras.Model.compile` takes."""
    return {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
