"""Whether a kernel may share its calls between threads: what machine code asks before it does.

Numba's threading layer ``workqueue`` aborts the process where two Python threads use it at once, ``omp``
ends a child that was forked after its first use, and all layers are slow where more threads work than
there are cores. So one call at a time uses the layer, and takes it without waiting; a call that finds it
taken does all the work itself. Python threads that run kernels at the same time divide the layer's
threads. In a forked child the layer is taken for ever.

Machine code finds :data:`state` by a name and not by its address, since it is kept on disk.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

from rnnsim.compiler.environment import load_numba
from rnnsim.compiler.pieces import SHARING, in_use

STATE = "rnnsim_sharing_state"  # the symbol; its fields are in the order of State's


class State(ctypes.Structure):
    """What machine code reads."""

    _fields_ = (
        ("callers", ctypes.c_int64),  # Python threads that run kernels; written by Python alone
        ("taken", ctypes.c_int64),  # 1 while a call uses the threading layer
    )

    callers: int
    taken: int


state = State()
_forked = False  # from a process that had started the layer


@cache
def start_threading_layer() -> None:
    """Start Numba's threading layer, and define what machine code that uses it refers to.

    Raises
    ------
    RnnsimError
        If a setting in the environment cannot be used.
    """
    load_numba()
    if in_use(SHARING):
        from llvmlite.binding import add_symbol

        add_symbol(STATE, ctypes.addressof(state))


def is_forked() -> bool:
    """Whether this process was forked from one that had started the threading layer."""
    return _forked


def _started() -> bool:
    numba = sys.modules.get("numba")
    try:
        return numba is not None and bool(numba.threading_layer())
    except (AttributeError, ValueError):  # it is not started, or Numba is just being imported
        return False


def _leave_the_layer() -> None:
    """In a forked child: there are no other threads, and the layer is not to be touched."""
    global _forked
    _forked = _forked or _started()
    state.callers, state.taken = 0, int(_forked)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_the_layer)
