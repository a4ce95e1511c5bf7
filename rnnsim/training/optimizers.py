"""Optimizers (SGD, momentum, RMSProp, Adam) and gradient clipping.

An optimizer is a kernel ``update(theta, grad, memory, rate)``. Parameters and gradient are one flat
array each, so that it is a single loop over numbers.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.checks import known_name
from rnnsim.errors import RnnsimError, shown
from rnnsim.kernels import kernel
from rnnsim.options import Options, Positive
from rnnsim.typing import Array, Kernel, Memory

Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Optimizer(Options, frozen=True):
    """An optimizer; its fields are its options, validated on construction."""

    @abstractmethod
    def memory(self, size: int, dtype: Any) -> Memory:
        """Allocate the optimizer's state for ``size`` parameters."""

    @abstractmethod
    def update(self) -> Kernel:
        """Make the kernel ``update(theta, grad, memory, rate)``, which updates ``theta`` in place."""


class SGDMemory(NamedTuple):
    updates: Array  # (1,) number of updates so far


class SGD(Optimizer, frozen=True):
    """Gradient descent: theta -= rate * grad."""

    name = "sgd"

    def memory(self, size: int, dtype: Any) -> SGDMemory:
        return SGDMemory(np.zeros(1, np.int64))

    def update(self) -> Kernel:
        return sgd


@kernel(allocates=False)
def sgd(theta: Array, grad: Array, memory: SGDMemory, rate: float) -> None:
    memory.updates[0] += 1
    for i in range(theta.size):
        theta[i] -= rate * grad[i]


class MomentumMemory(NamedTuple):
    velocity: Array
    decay: float


class Momentum(Optimizer, frozen=True):
    """Gradient descent with momentum: v = decay v + grad, theta -= rate v [Polyak 1964]."""

    name = "momentum"

    decay: Decay = 0.9

    def memory(self, size: int, dtype: Any) -> MomentumMemory:
        return MomentumMemory(aligned_zeros((size,), dtype), self.decay)

    def update(self) -> Kernel:
        return momentum


@kernel(allocates=False)
def momentum(theta: Array, grad: Array, memory: MomentumMemory, rate: float) -> None:
    for i in range(theta.size):
        memory.velocity[i] = memory.decay * memory.velocity[i] + grad[i]
        theta[i] -= rate * memory.velocity[i]


class RMSPropMemory(NamedTuple):
    square: Array
    decay: float
    epsilon: float


class RMSProp(Optimizer, frozen=True):
    """RMSProp: the gradient divided by its running root mean square [Tieleman & Hinton 2012]."""

    name = "rmsprop"

    decay: Decay = 0.9
    epsilon: Positive = 1e-8

    def memory(self, size: int, dtype: Any) -> RMSPropMemory:
        return RMSPropMemory(aligned_zeros((size,), dtype), self.decay, self.epsilon)

    def update(self) -> Kernel:
        return rmsprop


@kernel(allocates=False)
def rmsprop(theta: Array, grad: Array, memory: RMSPropMemory, rate: float) -> None:
    decay = memory.decay
    for i in range(theta.size):
        memory.square[i] = decay * memory.square[i] + (1 - decay) * grad[i] * grad[i]
        theta[i] -= rate * grad[i] / (math.sqrt(memory.square[i]) + memory.epsilon)


class AdamMemory(NamedTuple):
    mean: Array
    square: Array
    updates: Array  # (1,) number of updates so far
    beta1: float
    beta2: float
    epsilon: float


class Adam(Optimizer, frozen=True):
    """Adam: running means of the gradient and its square [Kingma & Ba 2015]."""

    name = "adam"

    beta1: Decay = 0.9
    beta2: Decay = 0.999
    epsilon: Positive = 1e-8

    def memory(self, size: int, dtype: Any) -> AdamMemory:
        return AdamMemory(
            aligned_zeros((size,), dtype), aligned_zeros((size,), dtype), np.zeros(1, np.int64),
            self.beta1, self.beta2, self.epsilon,
        )  # fmt: skip

    def update(self) -> Kernel:
        return adam


@kernel(allocates=False)
def adam(theta: Array, grad: Array, memory: AdamMemory, rate: float) -> None:
    memory.updates[0] += 1
    beta1, beta2 = memory.beta1, memory.beta2
    step = rate / (1 - beta1 ** memory.updates[0])
    unbias = 1 / math.sqrt(1 - beta2 ** memory.updates[0])
    for i in range(theta.size):
        memory.mean[i] = beta1 * memory.mean[i] + (1 - beta1) * grad[i]
        memory.square[i] = beta2 * memory.square[i] + (1 - beta2) * grad[i] * grad[i]
        theta[i] -= step * memory.mean[i] / (math.sqrt(memory.square[i]) * unbias + memory.epsilon)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Momentum, RMSProp, Adam)
}


def optimizer_type(name: str) -> type[Optimizer]:
    """Look up an optimizer by name.

    Raises
    ------
    UnknownName
        If there is none.
    """
    return OPTIMIZERS[known_name("optimizer", name, OPTIMIZERS)]


def make_optimizer(optimizer: str | Optimizer, options: Mapping[str, Any]) -> Optimizer:
    """Make an optimizer from its name and options; an object is passed through.

    Raises
    ------
    RnnsimError
        If it is neither a name nor an optimizer, or an option is invalid.
    """
    if isinstance(optimizer, str):
        return optimizer_type(optimizer).from_options(options)
    if not isinstance(optimizer, Optimizer):
        raise RnnsimError(f"optimizer is one of {', '.join(OPTIMIZERS)}, not {shown(optimizer)}")
    optimizer.check()
    return optimizer


@kernel(allocates=False)
def clip_norm(grad: Array, largest: float) -> float:
    """Scale a gradient down to the norm ``largest`` if it exceeds it [Pascanu et al. 2013].

    Returns
    -------
    float
        By what it was multiplied.
    """
    if math.isinf(largest):
        return 1.0
    square = sum_of_squares(grad)
    if not square > largest * largest:
        return 1.0
    top = 1.0
    if math.isinf(square):  # the squares overflow, perhaps not the entries: divide by the largest first
        top = 0.0
        for i in range(grad.size):
            top = max(top, abs(grad[i]))
        for i in range(grad.size):
            grad[i] /= top
        square = sum_of_squares(grad)
    factor = largest / math.sqrt(square)
    for i in range(grad.size):
        grad[i] *= factor
    return factor / top


@kernel(allocates=False, reassociates=True)
def sum_of_squares(x: Array) -> float:
    """``sum_i x_i^2``, in float64."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return total
