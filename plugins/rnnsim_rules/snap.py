"""Sparse n-step approximation, SnAp-n [Menick et al., ICLR 2021] (theory.md 5).

RTRL, eqs. (11)-(13), of which only those entries of p are kept that a weight can reach within n steps:
the pattern of the immediate influence F for n = 1, of ``(I + |J|)^(n-1) F`` in general. SnAp-1 keeps
those of each unit to its own weights:

    p_ij(t) = J_ii p_ij(t-1) + alpha f'(a_i) z_j(t),      dE(t)/dw_ij ~ e_i(t) p_ij(t)

All weights of one unit reach the same units, so that p is a block for each unit: as many rows as there
are units within its reach, and a column for each of its weights. A block is multiplied by those entries
of J that connect its rows. With sparse connections (the network's ``connectivity``) there are few.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.fields import add_row
from rnnsim.numerics.linalg import copy
from rnnsim.numerics.views import as_matrix, as_vector
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Bools, Integers, Kernel, Memory, Params, Trajectory


class Pattern(NamedTuple):
    """Which entries of p are kept, and which of J are read; N units, one after the other.

    Attributes
    ----------
    weights : (owned,) int array
        The parameters of each unit: indices into the flat parameters.
    first_weight : (N + 1,) int array
        Where those of each unit begin.
    reached : (rows,) int array
        The units within reach of each unit's weights.
    first_row : (N + 1,) int array
        Where those of each unit begin.
    own_row : (N,) int array
        The place of the unit itself among them.
    source : (entries,) int array
        For each row of a block, the rows from which J leads there: their places in the block.
    first_source : (rows + 1,) int array
        Where those of each row begin.
    first_entry : (N + 1,) int array
        Where the block of each unit begins in p.
    """

    weights: Integers
    first_weight: Integers
    reached: Integers
    first_row: Integers
    own_row: Integers
    source: Integers
    first_source: Integers
    first_entry: Integers


class Blocks(NamedTuple):
    """The kept entries of p of each sequence, and workspace.

    Attributes
    ----------
    p : (B, entries) array
        The blocks of all units, one after the other.
    pattern : Pattern
    fresh : (largest block,) array
    J : (N, N) array
    immediate : (n_params,) array
    total : (owned,) array
        The gradient of a window, in the order of ``pattern.weights``.
    row : (n_params,) array
        The same in the order of the parameters.
    """

    p: Array
    pattern: Pattern
    fresh: Array
    J: Array
    immediate: Array
    total: Array
    row: Array


def within_reach(jacobian: Bools, n: int) -> Bools:
    """The pattern of ``(I + |J|)^(n-1)``: whether unit l is reached from unit i, [l, i]."""
    found, steps = np.eye(len(jacobian), dtype=np.bool_), jacobian.astype(np.float32)
    for _ in range(n - 1):
        more = found | (steps @ found.astype(np.float32) > 0)
        if (more == found).all():
            break
        found = more
    return found


def starts(counts: list[int]) -> Integers:
    """Where parts of these sizes begin that follow one another, and where the last one ends."""
    return np.cumsum([0, *counts], dtype=np.int64)


def pattern_of(network: Network, n: int) -> Pattern:
    """The pattern for a network."""
    J, owner = network.jacobian_pattern, network.owner
    order = np.argsort(owner, kind="stable")
    weights = order[owner[order] >= 0]
    reach, units = within_reach(J, n), range(network.n_state)
    widths = np.bincount(owner[weights], minlength=network.n_state).tolist()
    reached = [np.flatnonzero(reach[:, i]) for i in units]
    sources = [np.flatnonzero(row) for own in reached for row in J[np.ix_(own, own)]]
    return Pattern(
        weights=weights,
        first_weight=starts(widths),
        reached=np.concatenate(reached),
        first_row=starts([own.size for own in reached]),
        own_row=np.array([np.searchsorted(own, i) for i, own in zip(units, reached)]),
        source=np.concatenate(sources),
        first_source=starts([source.size for source in sources]),
        first_entry=starts([own.size * width for own, width in zip(reached, widths)]),
    )


@kernel(allocates=False)
def advance_block(memory: Blocks, b: int, i: int, error: Array) -> None:
    """Take the block of unit i through a step, eq. (12) with J's entries within it, and contract it."""
    p, pattern, J, immediate = memory.p[b], memory.pattern, memory.J, memory.immediate
    first_weight, first_row = pattern.first_weight[i], pattern.first_row[i]
    width, rows = pattern.first_weight[i + 1] - first_weight, pattern.first_row[i + 1] - first_row
    begin, end = pattern.first_entry[i], pattern.first_entry[i + 1]
    old, new = as_matrix(p[begin:end], rows, width), as_matrix(memory.fresh[: end - begin], rows, width)
    reached = pattern.reached[first_row : first_row + rows]
    for l in range(rows):  # noqa: E741 (p^l, as in eq. 12)
        new_l = new[l]
        for w in range(width):
            new_l[w] = 0
        for s in range(pattern.first_source[first_row + l], pattern.first_source[first_row + l + 1]):
            r = pattern.source[s]
            J_lr, old_r = J[reached[l], reached[r]], old[r]
            for w in range(width):
                new_l[w] += J_lr * old_r[w]
    own, weights = new[pattern.own_row[i]], pattern.weights[first_weight : first_weight + width]
    for w in range(width):
        own[w] += immediate[weights[w]]
    total = memory.total[first_weight : first_weight + width]
    for l in range(rows):  # noqa: E741
        e_l, new_l = error[reached[l]], new[l]
        for w in range(width):
            total[w] += e_l * new_l[w]
    copy(as_vector(new), as_vector(old))


class SnAp(Rule, frozen=True):
    """Sparse n-step approximation: RTRL with what a weight reaches within n steps.

    With s units within reach of each weight the time of a step grows with their connections, at most
    s^2 n^2, and memory with s n^2; the costs named here are those of n = 1, where s is 1.
    """

    name = "snap"
    claim = "approximate"
    cost = Cost(time="n^2", memory="n^2")
    needs = ("jacobian", "jacobian_pattern", "owner", "immediate_entries")
    reads = ("leaving",)  # errors are taken to be of the state after a step

    n: Annotated[
        int, msgspec.Meta(ge=1, description="within how many steps a weight reaches a unit")
    ] = 1

    def online_window(self, network: Network) -> int | None:
        return 1

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, network.dtype)

        pattern, N, P = pattern_of(network, self.n), network.n_state, network.n_params
        return Blocks(
            p=zeros(batch, int(pattern.first_entry[-1])),
            pattern=pattern,
            fresh=zeros(int(np.diff(pattern.first_entry).max())),
            J=zeros(N, N),
            immediate=zeros(P),
            total=zeros(pattern.weights.size),
            row=zeros(P),
        )

    def credit(self, network: Network) -> Kernel:
        jacobian, immediate_entries = network.jacobian, network.immediate_entries

        @kernel(allocates=False)
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Blocks, grad: Params
        ) -> None:
            total, weights = memory.total, memory.pattern.weights
            for w in range(total.size):
                total[w] = 0
            for t in range(window.first, window.first + window.length):
                for b in range(memory.p.shape[0]):
                    jacobian(params, trajectory, t, b, memory.J)  # 0 after a reset: p starts anew
                    immediate_entries(params, trajectory, t, b, memory.immediate)
                    for i in range(memory.J.shape[0]):
                        advance_block(memory, b, i, trajectory.error[t, b])
            for w in range(total.size):
                memory.row[weights[w]] = total[w]
            add_row(1.0, memory.row, grad)

        return credit
