"""How kernels become machine code.

The rest of the package uses what is named here. Behind it are two back ends: a fast one, made of pieces
that use private parts of Numba (:mod:`rnnsim.compiler.pieces`), and a plain one, which uses public Numba
alone (:mod:`rnnsim.compiler.plain`) and takes the place of each piece that does not fit the Numba that is
installed.
"""

from rnnsim.compiler.binding import bind_arguments
from rnnsim.compiler.compose import compiled
from rnnsim.compiler.listeners import listeners
from rnnsim.compiler.machine import VECTOR
from rnnsim.compiler.pieces import NATIVE, SHARING, in_use
from rnnsim.compiler.specialising import known_about, specialise

__all__ = [
    "NATIVE",
    "SHARING",
    "VECTOR",
    "bind_arguments",
    "compiled",
    "in_use",
    "known_about",
    "listeners",
    "specialise",
]
