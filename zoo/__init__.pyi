import pocketzoo.core.errors as _errors

from .cards import Endpoint as Endpoint
from .cards import ModelCard as ModelCard
from .creation import create_model as create_model
from .endpoints import feature_extractor as feature_extractor
from .flat import flatten_model as flatten_model
from .geometry import conv_output_size as conv_output_size
from .geometry import receptive_field as receptive_field
from .heads import replace_head as replace_head
from .image_files import read_image as read_image
from .inception import with_auxiliary_heads as with_auxiliary_heads
from .layer_table import LayerRow as LayerRow
from .layer_table import count_macs as count_macs
from .layer_table import layer_table as layer_table
from .pretrained.native_format import save_weights as save_weights
from .registry import list_models as list_models
from .registry import model_card as model_card
from .saving import load_model as load_model
from .saving import save_model as save_model

InputError = _errors.InputError
