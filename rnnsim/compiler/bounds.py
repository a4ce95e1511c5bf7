"""Indices that are checked: ``RNNSIM_CHECK_BOUNDS=1`` compiles kernels so, to find one out of bounds.

Numba checks indices if it is told to, but its error names no line, which
:mod:`rnnsim.compiler.located` adds. Native code checks nothing: its bodies in Python are compiled in its
place, and one thread does all the work.
"""

from __future__ import annotations

import os
import traceback

from rnnsim.errors import RnnsimError

CHECK = "RNNSIM_CHECK_BOUNDS"


def checked() -> bool:
    """Whether indices are checked."""
    return os.environ.get(CHECK, "0") not in ("", "0")


def explained(error: IndexError) -> RnnsimError:
    """The error of an index, with the line that it was used in."""
    _, *kernels = traceback.extract_tb(error.__traceback__)  # the first line is that of the call
    where = "".join(f"{at.filename}, line {at.lineno}, in {at.name}: " for at in kernels[-1:])
    return RnnsimError(f"{where}{error}")
