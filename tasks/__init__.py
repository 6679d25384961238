"""Tasks: one file for each kind of output that a model can have, with all that depends on it."""

import lazy_loader

# The names are in `__init__.pyi`, where editors and type checkers read them; NumPy is imported at first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
