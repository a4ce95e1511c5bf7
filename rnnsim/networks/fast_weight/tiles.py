# mypy: disable-error-code="no-untyped-call"
"""A tile of traces, carried through several moves while it is in registers.

A tile is the traces of some slow weights, which leave neighbouring units of S for the same hidden unit,
by some fast weights c. At each move s

    grad += gamma(s) . p,      p = decay(s) p + o_i(s) reach(s)        eqs. (23) and (22)

with gamma, decay and reach of each c, and o_i of each slow weight. What the tile's rows share is loaded
once for all of them, p and the sums once for all moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.arrays import LINE
from rnnsim.kernels import native
from rnnsim.typing import Array

ROWS = 4  # of a tile


def carry_of(rows: int, *, apart: bool) -> Any:
    """Make ``carry`` for so many slow weights."""

    @native("trace_tiles.carry", rows, apart)
    def carry(
        p: Array, h: int, gamma: Array, decay: Array, reach: Array, source: Array, i: int,
        moves: int, width: int, tiny: float, grad: Array,
    ) -> None:  # fmt: skip
        """Carry traces p[h], ... by the first fast weights, and add their gradients to grad[h], ....

        p (H, C), gamma, decay and reach (s, C), source (s, A) the activities, of which these weights'
        are i, ...; grad (H,), or (H, C) where gradients are left apart. As many lines of the cache as
        ``width`` numbers need are carried, whole.
        """
        line, own = LINE // p.itemsize, slice(h, h + rows)
        c = slice(-(-width // line) * line)
        for s in range(moves):
            old, o = p[own, c], source[s, i : i + rows, np.newaxis]
            if apart:
                grad[own, c] += gamma[s, c] * old
            else:
                grad[own] += old @ gamma[s, c]
            p[own, c] = decay[s, c] * old + (o * reach[s, c] + tiny)

    return carry


carry_tile, carry_row = carry_of(ROWS, apart=False), carry_of(1, apart=False)
carry_tile_apart, carry_row_apart = carry_of(ROWS, apart=True), carry_of(1, apart=True)
