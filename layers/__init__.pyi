from .composite import CompositeLayer as CompositeLayer
from .conv import ConvNormAct as ConvNormAct
from .heads import ClassificationHead as ClassificationHead
from .normalization import PixelNormalization as PixelNormalization
from .residual import ResidualBlock as ResidualBlock
