"""Unbiased online recurrent optimization, UORO [Tallec & Ollivier, ICLR 2018] (theory.md 5).

In place of p = dx/dw, a matrix, it carries a tangent s of the state and a row theta of all parameters
whose product is p on average over random signs nu, drawn anew at each step:

    (26) s(t) = rho0 J(t) s(t-1) + rho1 nu,     theta(t) = theta(t-1) / rho0 + nu^T F(t) / rho1
    (27) rho0 = sqrt(|theta(t-1)| / |J s(t-1)|),   rho1 = sqrt(|nu^T F| / |nu|)
    (28) dE(t)/dw ~ (e(t) . s(t)) theta(t)

E[nu nu^T] = I, so that the mean of s theta^T follows the recursion of p, eq. (12); the products of nu
with what was there before are noise of mean 0. The factors rho cancel out in the mean; with them both
terms of s and of theta are equally long, and the noise is least. Each sequence of a batch has an
estimate of its own, from signs of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.fields import add_row, clear, row_as
from rnnsim.numerics.linalg import dot, largest
from rnnsim.numerics.views import as_matrix
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Kernel, Memory, Number, Params, Trajectory


class Errors(NamedTuple):
    """Workspace for the errors of a network whose output reads the state that enters a step.

    Attributes
    ----------
    after : (B, 1, N) array
    delta : (1, B, 1, K) array
    before : (B, 1, N) array
        The error of the state that enters the step.
    """

    after: Array
    delta: Array
    before: Array


class Estimate(NamedTuple):
    """The estimate of p of each sequence, and workspace.

    Attributes
    ----------
    rng : numpy.random.Generator
    s : (1, B, N) array
    theta : (B, n_params) array
    nu : (B, N) array
    Js : (1, B, N) array
        J s.
    direct : (n_params,) array
        nu^T F of one sequence.
    errors : Errors
    """

    rng: np.random.Generator
    s: Array
    theta: Array
    nu: Array
    Js: Array
    direct: Array
    errors: Errors


@kernel(allocates=False)
def sign(memory: Memory) -> float:
    """-1 or 1, with equal probability."""
    return 1.0 if memory.rng.random() < 0.5 else -1.0


@kernel(allocates=False)
def balance(x: Number, y: Number) -> Number:
    """``sqrt(|X| / |Y|)`` from the squares of both norms; 0 if one of them is 0."""
    return np.sqrt(np.sqrt(x / y)) if x > 0 and y > 0 else 0.0


@kernel(allocates=False)
def inverse(rho: Number) -> Number:
    """``1 / rho``, or 0 for a term that is left out."""
    return 1 / rho if rho > 0 else 0.0


@kernel(allocates=False)
def mix(Js: Array, nu: Array, direct: Array, s: Array, theta: Array) -> None:
    """Eqs. (26) and (27), for one sequence.

    After a reset J s is 0: the estimate starts anew, without the old theta, which no credit crosses.
    """
    rho0, rho1 = balance(dot(theta, theta), dot(Js, Js)), balance(dot(direct, direct), dot(nu, nu))
    by_rho0, by_rho1 = theta.dtype.type(inverse(rho0)), theta.dtype.type(inverse(rho1))
    for i in range(s.size):
        s[i] = rho0 * Js[i] + rho1 * nu[i]
    for p in range(theta.size):
        theta[p] = theta[p] * by_rho0 + direct[p] * by_rho1


@kernel(allocates=False)
def contract(error: Array, memory: Estimate, grad: Params) -> None:
    """Eq. (28), for the errors (B, N) of the state that the estimates are of."""
    for b in range(error.shape[0]):
        add_row(dot(error[b], memory.s[0, b]), memory.theta[b], grad)


def advance_kernel(network: Network, sign: Kernel) -> Kernel:
    """Make the kernel that takes the estimates of all sequences through one step, eqs. (26) and (27)."""
    jvp, immediate, constrain = network.jvp, network.immediate, network.constrain

    @kernel(allocates=False)
    def advance(params: Params, trajectory: Trajectory, t: int, memory: Estimate, grad: Params) -> None:
        jvp(params, trajectory, t, memory.s, memory.Js)
        direct = row_as(memory.direct, grad)
        for b in range(memory.theta.shape[0]):
            nu = memory.nu[b]
            for i in range(nu.size):
                nu[i] = sign(memory)
            clear(direct)
            immediate(params, trajectory, t, b, b + 1, memory.nu, direct)
            constrain(trajectory, direct)
            mix(memory.Js[0, b], nu, memory.direct, memory.s[0, b], memory.theta[b])

    return advance


def contract_entering_kernel(network: Network) -> Kernel:
    """Make the contraction for a network whose output reads the state that enters a step.

    ``vjp`` of nothing but the own error gives the error of that state, which is 0 where a reset has set
    it, and as delta what the parameters themselves did to it there.
    """
    vjp, collect = network.vjp, network.collect

    @kernel(allocates=False)
    def contract_entering(
        params: Params, trajectory: Trajectory, t: int, memory: Estimate, grad: Params
    ) -> None:
        after, delta, before = memory.errors
        B, _, N = after.shape
        after[:] = 0
        vjp(params, trajectory, t, 0, B, True, after, delta[0], before)
        if largest(delta) > 0:
            collect(params, trajectory, t, delta, grad)
        contract(as_matrix(before, B, N), memory, grad)

    return contract_entering


def credit_kernel(network: Network, sign: Kernel = sign) -> Kernel:
    """Make ``credit``, from the kernel that draws signs."""
    advance = advance_kernel(network, sign)

    @kernel(allocates=False)
    def credit(
        params: Params, trajectory: Trajectory, window: Window, memory: Estimate, grad: Params
    ) -> None:
        for t in range(window.first, window.first + window.length):
            advance(params, trajectory, t, memory, grad)
            contract(trajectory.error[t], memory, grad)

    if network.reads == "leaving":
        return credit
    contract_entering = contract_entering_kernel(network)

    @kernel(allocates=False)
    def credit_entering(
        params: Params, trajectory: Trajectory, window: Window, memory: Estimate, grad: Params
    ) -> None:
        for t in range(window.first, window.first + window.length):
            contract_entering(params, trajectory, t, memory, grad)
            advance(params, trajectory, t, memory, grad)

    return credit_entering


class UORO(Rule, frozen=True):
    """Unbiased online recurrent optimization: a random estimate of the sensitivities, of rank one.

    Time and memory are those of the network itself: n^2 for the recurrent network. The variance grows
    with the length of the memory that a task needs.
    """

    name = "uoro"
    claim = "unbiased"
    cost = Cost(time="n^2", memory="n^2")
    needs = ("jvp", "immediate")

    def online_window(self, network: Network) -> int | None:
        return 1

    def check_network(self, network: Network) -> None:
        """Refuse a network that lacks a kernel; one that reads the entering state needs two more.

        Raises
        ------
        RnnsimError
        """
        super().check_network(network)
        if network.reads == "entering" and (network.vjp is None or network.collect is None):
            raise RnnsimError(
                f"{self.name} needs vjp and collect of a {network.kind} network, since its output reads "
                "the state that enters a step"
            )

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, network.dtype)

        N, P = network.n_state, network.n_params
        own = batch if network.reads == "entering" else 0
        errors = Errors(zeros(own, 1, N), zeros(1, own, 1, network.n_drive), zeros(own, 1, N))
        return Estimate(
            rng=rng,
            s=zeros(1, batch, N),
            theta=zeros(batch, P),
            nu=zeros(batch, N),
            Js=zeros(1, batch, N),
            direct=zeros(P),
            errors=errors,
        )

    def credit(self, network: Network) -> Kernel:
        return credit_kernel(network)
