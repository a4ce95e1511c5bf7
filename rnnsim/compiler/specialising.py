# mypy: disable-error-code="no-untyped-call"
"""Sizes that the compiler knows.

A kernel reads all sizes from its arrays, so that one serves every network; a loop over the three units
of a small one then takes longer to begin than to run. A *tailored* kernel is for arrays of the very
shapes that it was compiled for: they are put in place of those that it is given, as constants, before
anything else looks at them. The compiler then unrolls what is short and drops what never happens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Kernel

LONGEST = 100_000  # bytes of an array that machine code may hold


def known_about(x: Any) -> Any:
    """What the compiler may know of x, whatever numbers it holds.

    Of an array its shape, or all of it where it is read-only (the geometry of a network); of a tuple
    what it may know of its parts; of anything else None.
    """
    if isinstance(x, np.ndarray):
        return x if not x.flags.writeable and 0 < x.nbytes < LONGEST else x.shape
    return tuple(known_about(part) for part in x) if isinstance(x, tuple) else None


def specialise(known: Any) -> Kernel:
    """Make the kernel ``tailored(x) -> x``, which tells the compiler what is known of x.

    ``known`` is what :func:`known_about` gives, with a number in place of None where that is known too.
    Whoever calls it answers for it that x is like that: memory of another shape would be misread.
    """

    @native("specialise.specialised", known)
    def specialised(x: Any) -> Any:
        return x

    return specialised
