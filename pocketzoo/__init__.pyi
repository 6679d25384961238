from . import export as export
from . import layers as layers
from . import tasks as tasks
from . import training as training
from . import zoo as zoo
from .zoo import create_model as create_model
from .zoo import list_models as list_models
from .zoo import load_model as load_model

__version__: str
