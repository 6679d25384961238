"""Architectures by name: cards, builders, load and save, and the flat form."""

import lazy_loader

from ..core.errors import InputError

# The names are in `__init__.pyi`, where editors and type checkers read them; Keras is imported at first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["InputError"]
