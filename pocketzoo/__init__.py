"""Reference convolutional networks by name: train, shrink, export, and validate them on the runtimes they ship to."""

import lazy_loader

__version__ = "0.1.0"

# The names are in `__init__.pyi`, where editors and type checkers read them; Keras is imported at first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
