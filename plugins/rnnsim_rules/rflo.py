"""Random feedback local online learning, RFLO [Murray, eLife 2019;8:e43299] (theory.md 5).

Of the sensitivities p it keeps those of a unit to its own weights, and forgets that units act on one
another:

    (31) p_ij(t) = (1-alpha) p_ij(t-1) + alpha f'(a_i) z_j(t),      dE(t)/dw_ij ~ e_i(t) p_ij(t)

Each connection needs only what is present at its ends, and the error e_i of its unit. With
``feedback=random`` that error comes through a fixed random matrix, as in the source; it is an option of
the network. Without recurrent weights (W = 0) and with exact feedback the gradient is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.fields import add_row
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, Trajectory


class Traces(NamedTuple):
    """p of each sequence, and workspace.

    Attributes
    ----------
    p : (B, n_params) array
    entries : (n_params,) array
        alpha f'(a_i) z_j.
    total : (n_params,) array
        The gradient of a window.
    unit : (stretches,) int array
        The unit i of each stretch of parameters.
    begin : (stretches + 1,) int array
        Where stretches begin, and the last one ends.
    """

    p: Array
    entries: Array
    total: Array
    unit: Integers
    begin: Integers


def stretches(owner: Integers) -> tuple[Integers, Integers]:
    """The units of successive parameters that one unit owns, and where each stretch begins and ends.

    Absent connections, which have no owner and p = 0, are within the stretch before them.
    """
    owned = np.flatnonzero(owner >= 0)
    changes = np.flatnonzero(np.diff(owner[owned], prepend=-1))
    begin = owned[changes]
    return owner[begin], np.append(begin, owned[-1:] + 1)


@kernel(allocates=False)
def advance(memory: Traces, b: int, kept: float, error: Array) -> None:
    """Eq. (31), for one sequence."""
    p, entries, total = memory.p[b], memory.entries, memory.total
    for s in range(memory.unit.size):
        own_error = error[memory.unit[s]]
        for w in range(memory.begin[s], memory.begin[s + 1]):
            p[w] = kept * p[w] + entries[w]
            total[w] += own_error * p[w]


class RFLO(Rule, frozen=True):
    """Random feedback local online learning: each unit's sensitivity to its own weights."""

    name = "rflo"
    claim = "approximate"
    cost = Cost(time="n^2", memory="n^2")
    needs = ("owner", "immediate_entries")
    networks = ("recurrent",)  # whose trajectory has alpha, and the resets

    def online_window(self, network: Network) -> int | None:
        return 1

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, network.dtype)

        P = network.n_params
        return Traces(zeros(batch, P), zeros(P), zeros(P), *stretches(network.owner))

    def credit(self, network: Network) -> Kernel:
        immediate_entries = network.immediate_entries

        @kernel(allocates=False)
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Traces, grad: Params
        ) -> None:
            for w in range(memory.total.size):
                memory.total[w] = 0
            none = memory.total.dtype.type(0)
            for t in range(window.first, window.first + window.length):
                for b in range(memory.p.shape[0]):
                    immediate_entries(params, trajectory, t, b, memory.entries)
                    kept = none if trajectory.resets[t, b] else 1 - trajectory.leak
                    advance(memory, b, kept, trajectory.error[t, b])
            add_row(1.0, memory.total, grad)

        return credit
