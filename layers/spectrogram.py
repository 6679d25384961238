"""The spectrogram of a signal, as convolutions that every runtime has."""

from typing import Any

import keras
import numpy as np

from .composite import CompositeLayer, Shape, build_chain

BREAK_HZ, MEL_FACTOR = 700.0, 1127.0
"""Mel scale of HTK, as in TensorFlow: `1127 ln(1 + f / 700)`."""


@keras.saving.register_keras_serializable("pocketzoo")
class LogMelSpectrogram(CompositeLayer):
    """Logarithm of the power of a signal in mel bands, for each frame of it: what nets for sound take.

    It equals `log(max(mel_matrix @ abs(stft) ** 2, floor))` of `tf.signal.stft`, without padding and with its periodic
    Hann window (which TensorFlow has for frames of an even length), and `tf.signal.linear_to_mel_weight_matrix`. The
    transform is two convolutions with fixed kernels, the cosines and sines under the window, of the frequencies that
    the bands cover: runtimes on devices have no Fourier transform. The kernels are not trained.

    Args:
        sample_rate: Samples per second.
        mels: Number of bands.
        frame_length: Samples of a frame.
        frame_step: Samples from one frame to the next.
        low_hz: Lower edge of the lowest band in Hz.
        high_hz: Upper edge of the highest band; None for half the sample rate.
        floor: Smallest power, which silence has; 8-bit integers show differences down to about 1e-3 of the largest.

    Input `(batch, length, 1)`, output `(batch, frames, mels)` with `frames = 1 + (length - frame_length) //
    frame_step`.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        mels: int = 40,
        frame_length: int | None = None,
        frame_step: int | None = None,
        low_hz: float = 60.0,
        high_hz: float | None = None,
        floor: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        self.mels = mels
        self.frame_length = frame_length or sample_rate // 40  # 25 ms, and a frame every 10 ms, as is usual for speech
        self.frame_step = frame_step or sample_rate // 100
        self.low_hz = low_hz
        self.high_hz = sample_rate / 2 if high_hz is None else high_hz
        self.floor = floor
        if self.dimensions != 1:
            raise ValueError(f"{self.name}: dimensions is {self.dimensions}; a spectrogram is of signals, so 1.")
        if not 0 <= low_hz < self.high_hz <= sample_rate / 2:
            raise ValueError(
                f"{self.name}: low_hz is {low_hz} and high_hz {self.high_hz}; they go from 0 to {sample_rate / 2}."
            )
        if min(mels, self.frame_length, self.frame_step) < 1 or floor <= 0:
            raise ValueError(f"{self.name}: mels, frame_length and frame_step are 1 or more, and floor is above 0.")
        self._matrix = self._mel_matrix()
        self._used = np.flatnonzero(self._matrix.any(axis=1))
        if not self._matrix.any(axis=0).all():
            raise ValueError(
                f"{self.name}: {mels} mels are too many for frames of {self.frame_length} samples: a band has no "
                "frequency of its own."
            )
        part = {"strides": self.frame_step, "use_bias": False, "trainable": False, "dtype": "float32"}
        self.cosine = self.sublayer(keras.layers.Conv2D, "cosine", len(self._used), self.frame_length, **part)
        self.sine = self.sublayer(keras.layers.Conv2D, "sine", len(self._used), self.frame_length, **part)
        # Products, because TFLite squares no integers.
        self.squares = [self.sublayer(keras.layers.Multiply, f"{name}_power", dtype="float32") for name in "ab"]
        self.power = self.sublayer(keras.layers.Add, "power", dtype="float32")
        options: dict[str, Any] = {"use_bias": False, "trainable": False, "dtype": "float32"}
        self.bands = self.sublayer(keras.layers.Conv2D, "bands", mels, 1, **options)

    @property
    def fft_length(self) -> int:
        """Smallest power of 2 that a frame fits into: the number of frequencies, as in TensorFlow."""
        return 2 ** int(np.ceil(np.log2(self.frame_length)))

    def _mel_matrix(self) -> np.ndarray:
        """Return the share of each frequency in each band, `(fft_length // 2 + 1, mels)`: triangles in mel."""
        frequencies = np.linspace(0, self.sample_rate / 2, self.fft_length // 2 + 1)
        edges = np.linspace(_mel(self.low_hz), _mel(self.high_hz), self.mels + 2)
        low, center, high = edges[:-2], edges[1:-1], edges[2:]
        positions = _mel(frequencies)[:, np.newaxis]
        triangles = np.minimum((positions - low) / (center - low), (high - positions) / (high - center))
        matrix: np.ndarray = np.maximum(triangles, 0)
        matrix[0] = 0  # a constant is no sound
        return matrix

    def build(self, input_shape: Shape) -> None:
        """Build the convolutions and set their kernels.

        Raises:
            ValueError: The signal has several channels, or is shorter than a frame.
        """
        if input_shape[-1] != 1:
            raise ValueError(f"{self.name}: the signal has {input_shape[-1]} channels; a spectrogram takes one.")
        if input_shape[1] is not None and input_shape[1] < self.frame_length:
            raise ValueError(f"{self.name}: the signal has {input_shape[1]} samples, a frame {self.frame_length}.")
        shape = build_chain([self.cosine], input_shape)
        build_chain([self.sine], input_shape)
        for square in self.squares:
            square.build([shape, shape])
        self.power.build([shape, shape])
        self.bands.build(shape)
        time = np.arange(self.frame_length)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * time / self.frame_length)
        angles = 2 * np.pi / self.fft_length * time[:, np.newaxis] * self._used
        self.cosine.kernel.assign((window[:, np.newaxis] * np.cos(angles))[:, np.newaxis])
        self.sine.kernel.assign((window[:, np.newaxis] * np.sin(angles))[:, np.newaxis])
        self.bands.kernel.assign(self._matrix[self._used][np.newaxis])

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the logarithms of the powers, in float32: those of silence and of noise differ by many digits."""
        real, imaginary = self.cosine(inputs), self.sine(inputs)
        parts = [square([part, part]) for square, part in zip(self.squares, (real, imaginary), strict=True)]
        bands = self.bands(self.power(parts))
        return keras.ops.cast(keras.ops.log(keras.ops.maximum(bands, self.floor)), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, frames, mels)`."""
        return (*self.cosine.compute_output_shape(input_shape)[:-1], self.mels)


def _mel(hertz: Any) -> Any:
    return MEL_FACTOR * np.log1p(np.asarray(hertz) / BREAK_HZ)
