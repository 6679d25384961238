"""By what a model's weights are known again."""

import hashlib

import keras


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of all the weights of `model`, in order, as hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()
