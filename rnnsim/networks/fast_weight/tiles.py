"""A tile of traces, advanced by several updates while it is in registers.

A tile is the traces of some fast weights c with respect to some slow weights, which lead from
neighbouring units of S to the same unit. At each update s

    grad += gamma(s) . p,      p = decay(s) p + o_i(s) reach(s)        eqs. (23) and (22)

with gamma, decay and reach of each c, and o_i of each slow weight. What the rows of the tile share is
loaded once for all of them, p and the sums once for all updates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.arrays import LINE
from rnnsim.kernels import native
from rnnsim.typing import Array

ROWS = 4  # of a tile


def carry_of(rows: int, *, apart: bool) -> Any:
    """Make ``carry`` for ``rows`` slow weights."""

    @native("trace_tiles.carry", rows, apart)
    def carry(
        p: Array, h: int, gamma: Array, decay: Array, reach: Array, source: Array, i: int,
        moves: int, width: int, tiny: float, grad: Array,
    ) -> None:  # fmt: skip
        """Advance traces p[h], ... of the first fast weights, and add their gradients to grad[h], ....

        p (H, C); gamma, decay and reach (S, C); source (S, A), the activities, of which i, ... are those
        of these weights; grad (H,), or (H, C) with the gradient of each c ``apart``. ``width`` fast
        weights are rounded up to whole cache lines.
        """
        line = LINE // p.itemsize
        C = -(-width // line) * line
        for s in range(moves):
            for r in range(rows):
                old, o = p[h + r, :C].copy(), source[s, i + r]
                if apart:
                    grad[h + r, :C] += gamma[s, :C] * old
                else:
                    grad[h + r] += np.sum(gamma[s, :C] * old)
                p[h + r, :C] = decay[s, :C] * old + (o * reach[s, :C] + tiny)

    return carry


carry_tile, carry_row = carry_of(ROWS, apart=False), carry_of(1, apart=False)
carry_tile_apart, carry_row_apart = carry_of(ROWS, apart=True), carry_of(1, apart=True)
