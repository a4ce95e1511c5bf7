"""Specialises kernels to the shapes of their arrays.

A kernel reads all sizes from its arrays, so that one serves every network; in a network of three units
a loop's set-up then takes longer than its iterations. A specialised kernel replaces the shapes of its
arguments by constants before anything reads them, so that the compiler unrolls short loops and removes
dead branches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.kernels import native
from rnnsim.typing import Kernel

LONGEST = 100_000  # bytes of an array that may become a constant


def known_about(x: Any) -> Any:
    """What may be compiled in about x.

    The shape of an array, or its contents if it is read-only (the geometry of a network); of a tuple the
    same of its parts; of anything else None.
    """
    if isinstance(x, np.ndarray):
        return x if not x.flags.writeable and 0 < x.nbytes < LONGEST else x.shape
    return tuple(known_about(part) for part in x) if isinstance(x, tuple) else None


def specialise(known: Any) -> Kernel:
    """Make the kernel ``specialised(x) -> x``, which replaces what is known about x by constants.

    ``known`` is the result of :func:`known_about`, with a number in place of None where that is known
    too. The caller guarantees that x matches: memory of another shape would be misread.
    """

    @native("specialise.specialised", known)
    def specialised(x: Any) -> Any:
        return x

    return specialised
