"""The section `optimizer` of a recipe."""

from typing import Annotated, Literal

from pydantic import Field

from .section import NAMED, Count, NonNegative, Positive, Section, Share


class _Optimizer(Section):
    name: str
    lr: Positive
    """Peak learning rate; `schedule` sets the rate over the run."""
    weight_decay: NonNegative = 1e-2
    """Weight decay, decoupled from the gradient (arXiv:1711.05101); not applied to normalization and biases."""
    clip_norm: Positive | None = None
    """Maximum of the gradient norm over all weights; a larger gradient is scaled down to it."""
    accumulate: Count = 1
    """Gradient accumulation: batches per update, which uses their mean gradient."""
    ema: Share | None = None
    """Decay of an exponential moving average of the weights; the averages are validated and saved. 0.999 is usual."""


class SGD(_Optimizer):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: Positive = 0.05


class Momentum(_Optimizer):
    """SGD with momentum (Polyak)."""

    name: Literal["momentum"] = "momentum"
    lr: Positive = 0.05
    momentum: Share = 0.9


class Nesterov(_Optimizer):
    """SGD with Nesterov momentum."""

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
