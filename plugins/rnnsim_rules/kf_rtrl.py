"""Kronecker-factored RTRL, KF-RTRL [Mujika, Meier & Steger, NeurIPS 2018] (theory.md 5).

For networks whose immediate influence is a Kronecker product, F(t) = z (x) D: dx_i/dw_ij = D_i z_j of
the step alone, and 0 for all other units. Sensitivities p are then estimated by one such product,
u (x) A, which is p on average over two random signs at each step:

    (29) u(t) = c1 p1 u(t-1) + c2 p2 z(t),     A(t) = c1 J(t) A(t-1) / p1 + c2 D(t) / p2
    (30) p1 = sqrt(|J A| / |u|),  p2 = sqrt(|D| / |z|)          dE(t)/dw_ij ~ (e(t)^T A(t))_i u_j(t)

c1 c2 is 0 on average, which leaves J (u (x) A) + z (x) D, eq. (12). The noise is far less than UORO's,
since only two terms are mixed and not n. Each sequence of a batch has an estimate and signs of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.fields import add_row
from rnnsim.numerics.linalg import Wt_times_x, dot, x_times_W
from rnnsim.numerics.views import as_vector
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, Trajectory
from rnnsim_rules.uoro import balance, inverse, sign


class Factors(NamedTuple):
    """The estimate of p of each sequence, and workspace.

    Attributes
    ----------
    rng : numpy.random.Generator
    u : (B, q) array
    A : (B, N, N) array
    z : (q,) array
    D : (N,) array
    J, JA : (N, N) arrays
    row : (N,) array
        e^T A.
    total : (n_params,) array
        The gradient of a window.
    owner, column : (n_params,) int arrays
        i and j of each parameter w_ij.
    """

    rng: np.random.Generator
    u: Array
    A: Array
    z: Array
    D: Array
    J: Array
    JA: Array
    row: Array
    total: Array
    owner: Integers
    column: Integers


@kernel(allocates=False)
def mix(memory: Factors, b: int, c1: float, c2: float) -> None:
    """Eqs. (29) and (30), for one sequence.

    After a reset J A is 0: the estimate starts anew, without the old u.
    """
    u, A, z, D, JA = memory.u[b], memory.A[b], memory.z, memory.D, memory.JA
    p1 = balance(dot(as_vector(JA), as_vector(JA)), dot(u, u))
    p2 = balance(dot(D, D), dot(z, z))
    old, new = c1 * p1, c2 * p2
    for j in range(u.size):
        u[j] = old * u[j] + new * z[j]
    old, new = A.dtype.type(c1 * inverse(p1)), A.dtype.type(c2 * inverse(p2))
    for i in range(D.size):
        for j in range(D.size):
            A[i, j] = old * JA[i, j]
        A[i, i] += new * D[i]


@kernel(allocates=False)
def contract(memory: Factors, b: int, error: Array) -> None:
    """The gradient of one sequence, eq. (30): (e^T A)_i u_j."""
    owner, column, u, row, total = memory.owner, memory.column, memory.u[b], memory.row, memory.total
    Wt_times_x(memory.A[b], error, row)
    for p in range(owner.size):
        if owner[p] >= 0:
            total[p] += row[owner[p]] * u[column[p]]


def credit_kernel(network: Network, sign: Kernel = sign) -> Kernel:
    """Make ``credit``, from the kernel that draws signs."""
    jacobian, immediate_factors = network.jacobian, network.immediate_factors

    @kernel(allocates=False)
    def credit(
        params: Params, trajectory: Trajectory, window: Window, memory: Factors, grad: Params
    ) -> None:
        for p in range(memory.total.size):
            memory.total[p] = 0
        for t in range(window.first, window.first + window.length):
            for b in range(memory.u.shape[0]):
                jacobian(params, trajectory, t, b, memory.J)
                immediate_factors(params, trajectory, t, b, memory.z, memory.D)
                x_times_W(memory.J, memory.A[b], memory.JA)
                c1 = sign(memory)
                c2 = sign(memory)
                mix(memory, b, c1, c2)
                contract(memory, b, trajectory.error[t, b])
        add_row(1.0, memory.total, grad)

    return credit


class KFRTRL(Rule, frozen=True):
    """Kronecker-factored RTRL: a random estimate of the sensitivities, a Kronecker product."""

    name = "kf-rtrl"
    claim = "unbiased"
    cost = Cost(time="n^3", memory="n^2")
    needs = ("jacobian", "immediate_factors", "owner", "column", "n_factor")
    reads = ("leaving",)  # errors are taken to be of the state after a step

    def online_window(self, network: Network) -> int | None:
        return 1

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, network.dtype)

        N, q = network.n_state, network.n_factor
        return Factors(
            rng=rng,
            u=zeros(batch, q),
            A=zeros(batch, N, N),
            z=zeros(q),
            D=zeros(N),
            J=zeros(N, N),
            JA=zeros(N, N),
            row=zeros(N),
            total=zeros(network.n_params),
            owner=network.owner.copy(),
            column=network.column.copy(),
        )

    def credit(self, network: Network) -> Kernel:
        return credit_kernel(network)
