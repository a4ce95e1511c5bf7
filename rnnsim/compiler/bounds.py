"""Indices that are checked: ``RNNSIM_CHECK_BOUNDS=1`` compiles kernels so, to find one out of bounds.

Numba checks indices if it is told to, but its error names no line, which
:mod:`rnnsim.compiler.located` adds. Native code checks nothing: its bodies in Python are compiled in its
place, and one thread does all the work.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rnnsim import checks
from rnnsim.errors import RnnsimError

CHECK = "RNNSIM_CHECK_BOUNDS"

_asked_for: ContextVar[bool] = ContextVar("checks of bounds", default=False)


def checked() -> bool:
    """Whether indices are checked."""
    return _asked_for.get() or os.environ.get(CHECK, "0") not in ("", "0")


@contextmanager
def checking_bounds(asked_for: bool) -> Iterator[None]:
    """Check indices in this context, if that is asked for; explain an error of one.

    Raises
    ------
    RnnsimError
        If an index is out of bounds and that is noticed: it is checked, or kernels are not compiled.
    """
    token = _asked_for.set(checks.boolean("check_bounds", asked_for))
    try:
        yield
    except IndexError as error:
        raise explained(error) from error
    finally:
        _asked_for.reset(token)


def explained(error: IndexError) -> RnnsimError:
    """The error of an index, with the line that it was used in."""
    _, *kernels = traceback.extract_tb(error.__traceback__)  # the first line is that of the call
    where = "".join(f"{at.filename}, line {at.lineno}, in {at.name}: " for at in kernels[-1:])
    return RnnsimError(f"{where}{error}")
