"""Imitate a fixed random recurrent network [Marschall, Cho & Savin]."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.kernels import kernel
from rnnsim.networks.initial_weights import draw_weights
from rnnsim.options import Count
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Integers, Kernel
from rnnsim_tasks.draw import coin
from rnnsim_tasks.online import SMALLER

CHAINS, STEPS, SETTLING = 256, 500, 100  # of the simulation that measures the variance of the targets


class Teacher(NamedTuple):
    """The weights of the network that is imitated, in rows of the unit from which each leads.

    Attributes
    ----------
    W : (n, n) array
    U : (m, n) array
    V : (n, k) array
    """

    W: Array
    U: Array
    V: Array


class MimicSource(NamedTuple):
    """All that the data depend on.

    Attributes
    ----------
    rng : numpy.random.Generator
    teacher : Teacher
    bits : (B, m) array
        The inputs that are being held.
    x : (B, n) array
        The state of the teacher.
    net : (n,) array
        Workspace: its net inputs.
    steps : (B,) int array
        The number of steps so far.
    tau : int
    """

    rng: np.random.Generator
    teacher: Teacher
    bits: Array
    x: Array
    net: Array
    steps: Integers
    tau: int


class Mimic(StreamTask, frozen=True):
    """Imitate a fixed random recurrent network that sees the same bits (Marschall et al. 2020).

    The inputs are fair random bits, each held for tau steps. They go into a recurrent network with fixed
    random weights, x(t) = tanh(W x(t-1) + U u(t)), and its linear outputs V x(t) are the targets. W is
    orthogonal, so that the past fades slowly; the variance of the entries of U and V is one over their
    fan-in. The weights depend on ``network_seed`` alone, and not on the seed of a run. There are no
    episodes.

    Solved means that a tenth of the variance of the targets is left. A constant answer leaves all of it.

    O. Marschall, K. Cho, C. Savin, *A unified framework of online learning algorithms for training
    recurrent neural networks*, Journal of Machine Learning Research 21(135):1-34, 2020.
    """

    name = "mimic"
    reached = "by rtrl 20 of 20 seeds, at step 5,845 in the median; by bptt 20, at 7,881"
    score = "squared"

    inputs: Annotated[Count, msgspec.Meta(description="inputs of the network that is imitated")] = 4
    units: Annotated[Count, msgspec.Meta(description="its units")] = 16
    outputs: Annotated[Count, msgspec.Meta(description="its outputs")] = 4
    network_seed: Annotated[int, msgspec.Meta(ge=0, description="the seed of its weights")] = 0
    tau: Annotated[Count, msgspec.Meta(description="steps for which the inputs are held")] = 1

    @property
    def n_in(self) -> int:
        return self.inputs

    @property
    def n_out(self) -> int:
        return self.outputs

    @property
    def baseline(self) -> float:
        """Half the variance of the targets, as measured."""
        return variance(self.inputs, self.units, self.outputs, self.network_seed, self.tau) / 2

    @property
    def criterion(self) -> Criterion:
        return Average("squared", 0.1 * 2 * self.baseline, 1000 * self.tau)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="rtrl", hidden=32, learning_rate=0.003, optimizer_options=SMALLER,
            steps=200_000 * self.tau,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> MimicSource:
        bits, x, net = (np.zeros(shape) for shape in
                        ((batch, self.inputs), (batch, self.units), self.units))  # fmt: skip
        teacher = weights(self.inputs, self.units, self.outputs, self.network_seed)
        return MimicSource(rng, teacher, bits, x, net, np.zeros(batch, np.int64), self.tau)

    def step(self) -> Kernel:
        return step


@lru_cache(maxsize=8)
def weights(inputs: int, units: int, outputs: int, seed: int) -> Teacher:
    """Draw the weights of the network that is imitated."""
    rng = np.random.default_rng(seed)
    W = draw_weights(rng, "orthogonal", 1.0, (units, units))
    U = draw_weights(rng, "scaled-normal", 1.0, (units, inputs))
    V = draw_weights(rng, "scaled-normal", 1.0, (outputs, units))
    return Teacher(*(np.ascontiguousarray(matrix.T) for matrix in (W, U, V)))


@lru_cache(maxsize=8)
def variance(inputs: int, units: int, outputs: int, seed: int, tau: int) -> float:
    """Measure the variance of the targets, summed over the outputs, along many paths side by side."""
    W, U, V = weights(inputs, units, outputs, seed)
    rng = np.random.default_rng([seed, 1])
    phase = rng.integers(0, tau, CHAINS)
    x, bits = np.zeros((CHAINS, units)), rng.integers(0, 2, (CHAINS, inputs))
    shown = []
    for t in range(STEPS):
        drawn = rng.integers(0, 2, (CHAINS, inputs))
        bits = np.where(((phase + t) % tau == 0)[:, None], drawn, bits)
        x = np.tanh(x @ W + bits @ U)
        if t >= SETTLING:
            shown.append(x @ V)
    return float(np.concatenate(shown).var(axis=0).sum())


@kernel(allocates=False)
def step(source: MimicSource, b: int, u: Array, d: Array) -> float:
    if source.steps[b] % source.tau == 0:
        for j in range(u.size):
            source.bits[b, j] = coin(source.rng)
    source.steps[b] += 1
    for j in range(u.size):
        u[j] = source.bits[b, j]
    follow(source.teacher, source.bits[b], source.x[b], source.net, d)
    return 1.0


def follow(teacher: Teacher, bits: Array, x: Array, net: Array, y: Array) -> None:
    """One step of the network that is imitated: x = tanh(W x + U u), y = V x.

    It is no kernel, so that no product and sum are rounded together: the data are the same to the last
    bit when they are drawn without compilation.
    """
    n = net.size
    for i in range(n):
        net[i] = 0.0
    for j in range(bits.size):
        if bits[j] > 0:
            for i in range(n):
                net[i] += teacher.U[j, i]
    for j in range(n):
        for i in range(n):
            net[i] += teacher.W[j, i] * x[j]
    for i in range(n):
        x[i] = math.tanh(net[i])
    for o in range(y.size):
        total = 0.0
        for i in range(n):
            total += teacher.V[i, o] * x[i]
        y[o] = total
