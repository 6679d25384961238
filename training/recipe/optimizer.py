"""The section `optimizer` of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from .section import NAMED, NonNegative, Positive, Section, Share


class _Optimizer(Section):
    name: str
    lr: Positive
    """The highest learning rate; the schedule says how it rises and falls."""
    weight_decay: NonNegative = 1e-2
    """Decoupled from the gradient (arXiv:1711.05101), whatever the optimizer; norms and biases are spared."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient over all weights; a larger gradient is scaled down to it."""
    accumulate: PositiveInt = 1
    """Batches whose mean gradient makes one update."""
    ema: Share | None = None
    """Decay of an exponential moving average of the weights, which is what is validated and kept; 0.999 is usual."""


class SGD(_Optimizer):
    """Gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 0.05


class Momentum(_Optimizer):
    """Gradient descent with Polyak's heavy ball."""

    name: Literal["momentum"] = "momentum"
    lr: Positive = 0.05
    momentum: Share = 0.9


class Nesterov(_Optimizer):
    """Gradient descent with Nesterov's momentum."""

    name: Literal["nesterov"] = "nesterov"
    lr: Positive = 0.05
    momentum: Share = 0.9


class AdaGrad(_Optimizer):
    """Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization."""

    name: Literal["adagrad"] = "adagrad"
    lr: Positive = 0.02


class RMSProp(_Optimizer):
    """Tieleman, Hinton: Lecture 6.5, rmsprop."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: Positive = 1e-3
    rho: Share = 0.9
    momentum: Share = 0.0


class _Adaptive(_Optimizer):
    lr: Positive = 2e-3
    beta_1: Share = 0.9
    beta_2: Share = 0.999


class Adam(_Adaptive):
    """Kingma, Ba: Adam (arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    weight_decay: NonNegative = 0.0


class AdamW(_Adaptive):
    """Loshchilov, Hutter: Decoupled Weight Decay Regularization (arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"


class Lion(_Adaptive):
    """Chen et al.: Symbolic Discovery of Optimization Algorithms (arXiv:2302.06675)."""

    name: Literal["lion"] = "lion"
    lr: Positive = 3e-4
    beta_2: Share = 0.99


class LAMB(_Adaptive):
    """You et al.: Large Batch Optimization for Deep Learning (arXiv:1904.00962)."""

    name: Literal["lamb"] = "lamb"


Optimizer = Annotated[
    SGD | Momentum | Nesterov | AdaGrad | RMSProp | Adam | AdamW | Lion | LAMB, Field(discriminator="name"), NAMED
]
