"""How kernels become machine code.

This is the interface that the rest of the package uses. Behind it are two back ends. The fast one is
made of pieces that depend on private parts of Numba (:mod:`rnnsim.compiler.pieces`). The plain one uses
public Numba alone (:mod:`rnnsim.compiler.plain`), and replaces each piece that the installed Numba does
not support.
"""

from rnnsim.compiler.binding import NUMBERS, Bound, bind_arguments, is_plain, rebind
from rnnsim.compiler.bounds import checked, checking_bounds
from rnnsim.compiler.compose import compiled
from rnnsim.compiler.environment import is_uncompiled, uncompiled
from rnnsim.compiler.guard import Guard
from rnnsim.compiler.listeners import listeners
from rnnsim.compiler.machine import VECTOR
from rnnsim.compiler.pieces import NATIVE, SHARING, in_use
from rnnsim.compiler.sharing import is_forked
from rnnsim.compiler.sharing import state as sharing_state
from rnnsim.compiler.snapshot import frozen
from rnnsim.compiler.specialising import known_about, specialise

__all__ = [
    "NATIVE",
    "NUMBERS",
    "SHARING",
    "VECTOR",
    "Bound",
    "Guard",
    "bind_arguments",
    "checked",
    "checking_bounds",
    "compiled",
    "frozen",
    "in_use",
    "is_forked",
    "is_plain",
    "is_uncompiled",
    "known_about",
    "listeners",
    "rebind",
    "sharing_state",
    "specialise",
    "uncompiled",
]
