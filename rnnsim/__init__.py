"""rnnsim: recurrent learning rules by name, compiled by Numba."""

__version__ = "0.1.0"
from rnnsim.gradient import gradient, loss, simulate
from rnnsim.recurrent import RecurrentNetwork
