"""Model zoo: architectures by name, their cards, saving and loading, and the flattened form."""

import lazy_loader

# The names are in `__init__.pyi`, where editors and type checkers read them; Keras is imported at first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
