"""Exact gradients in blocks, at O(n^3) a step [S92b] (theory.md 1.5).

The same p as in ``rtrl``, advanced by a block of h steps at a time:

    (14) p(t0+h) = J p(t0) + local,   J = dx(t0+h)/dx(t0),   local = each step's direct contribution
                                      pushed to the block's end
    (15) dE_block/dw = (BPTT within the block) + (dE_block/dx(t0)) p(t0)

J and the pushed contributions come from n adjoint rows that start as the identity at the block's end
and are swept back together. Exact at any h; cheap from h about n: 2n^3 + 2n^2 q + 2n^3 q / h
operations a step.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.linalg import x_times_W
from rnnsim.numerics.views import as_matrix
from rnnsim.options import Count
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, Trajectory
from rnnsim_rules.bptt import Sweep, sweep_kernel, sweep_memory


class Block(NamedTuple):
    """The sensitivities p, which are kept from block to block, and the workspace.

    Attributes
    ----------
    p : (2, B, n, P) array
        Two buffers for dstate/dparams: at the start of the block, and at its end.
    current : (1,) int array
        Which buffer is that of the start.
    rows : (2, B, n, n) array
        The n adjoint rows at t and t-1, alternating; after the sweep they are J.
    delta : (h, B, n, n) array
        Their delta at each step.
    sweep : Sweep
        Of the errors of the block.
    h : int
    """

    p: Array
    current: Integers
    rows: Array
    delta: Array
    sweep: Sweep
    h: int


class BlockRTRL(Rule, frozen=True):
    """RTRL's exact gradient in blocks of h steps, at O(n^3) a step."""

    name = "rtrl-block"
    claim = "exact"
    cost = Cost(time="n^3", memory="n^3")
    needs = ("vjp", "collect", "collect_rows", "contract")

    h: Annotated[
        Count | None, msgspec.Meta(description="the length of a block (default: n, the units)")
    ] = None

    def online_window(self, network: Network) -> int | None:
        return self.h or network.n_state

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        n, P, dtype = network.n_state, network.n_columns, network.dtype
        h = min(self.h or n, window)
        return Block(
            p=aligned_zeros((2, batch, n, P), dtype),
            current=np.zeros(1, np.int64),
            rows=aligned_zeros((2, batch, n, n), dtype),
            delta=aligned_zeros((h, batch, n, network.n_drive), dtype),
            sweep=sweep_memory(network, batch, h),
            h=h,
        )

    def credit(self, network: Network) -> Kernel:
        vjp, collect_rows, contract = network.vjp, network.collect_rows, network.contract
        sweep = sweep_kernel(network)

        @kernel(allocates=False)
        def advance(
            params: Params, trajectory: Trajectory, first: int, count: int, memory: Block
        ) -> None:
            """Advance p to the end of the block, eq. (14)."""
            rows, delta = memory.rows, memory.delta[:count]
            B, n = rows.shape[1:3]
            rows[0] = 0
            for b in range(B):
                for l in range(n):  # noqa: E741 (p^l, as in the source)
                    rows[0, b, l, l] = 1
            for back in range(count):  # rows[0] and rows[1] alternate
                i, after, before = count - 1 - back, rows[back % 2], rows[1 - back % 2]
                vjp(params, trajectory, first + i, 0, B, False, after, delta[i], before)
            old, new = memory.p[memory.current[0]], memory.p[1 - memory.current[0]]
            for b in range(B):
                x_times_W(rows[count % 2, b], old[b], new[b])
            collect_rows(params, trajectory, first, delta, new)
            memory.current[0] = 1 - memory.current[0]

        @kernel(allocates=False)
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Block, grad: Params
        ) -> None:
            for start in range(0, window.length, memory.h):
                first = window.first + start
                count = min(memory.h, window.length - start)
                memory.sweep.adjoint[0] = 0
                sweep(params, trajectory, first, count, count, memory.sweep, grad)
                B, n = memory.rows.shape[1:3]
                entering = as_matrix(memory.sweep.adjoint[0], B, n)
                p = memory.p[memory.current[0]]
                contract(trajectory, entering, p, grad)  # eq. (15)
                advance(params, trajectory, first, count, memory)

        return credit
