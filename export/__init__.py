"""From a `keras.Model` to artifacts that are validated on their target runtimes."""

import lazy_loader

# The names are in `__init__.pyi`, where editors and type checkers read them; heavy libraries are imported at first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
