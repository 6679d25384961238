"""Names that other packages do not promise to keep; each is used in one module of `core` alone.

`keras_private`, `tensorflow_private`, `tfmot_private`, `tf2onnx_private` and `onnxruntime_private` wrap them, and
`tests/core/test_private_names.py` tells which release of a package broke what. A new minor release is tried by raising
the cap in `pyproject.toml` and `tested` here.
"""

from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class PrivateName:
    """A private name of another package, and what depends on it."""

    package: str
    """As in `pip install`."""
    tested: str
    """The version of the package that pocketzoo was tested with."""
    name: str
    """Dotted, from the package or from the class that has it."""
    needed_for: str
    """What in pocketzoo fails without it."""

    def failure(self, error: BaseException) -> str:
        """Describe what a release of the package broke: `error` was raised in using the name."""
        return (
            f"{self.name} of {self.package} {version(self.package)} does not work as in {self.tested}, with which "
            f"pocketzoo was tested: {type(error).__name__}: {error}. {self.needed_for} needs it."
        )
