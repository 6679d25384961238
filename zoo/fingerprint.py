"""Fingerprint of a model's weights."""

import hashlib

import keras


def weights_sha256(model: keras.Model) -> str:
    """Return the SHA-256 of all weights of `model`, in order, as hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()
