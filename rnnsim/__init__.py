"""rnnsim: recurrent learning rules by name, compiled by Numba.

>>> import rnnsim
>>> run = rnnsim.run("rtrl", "delayed-xor", seed=0)     # doctest: +SKIP
>>> run.solved_at                                       # doctest: +SKIP
"""

from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, RnnsimWarning, UnknownName
from rnnsim.fast_weight import FastWeightNetwork
from rnnsim.files import load
from rnnsim.gradient import gradient, loss, simulate
from rnnsim.inverse import input_for
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.registry import rules, tasks
from rnnsim.run import Run, run

__version__ = "0.1.0"

__all__ = [
    "Diverged",
    "FastWeightNetwork",
    "NoSteadyState",
    "RecurrentNetwork",
    "RnnsimError",
    "RnnsimWarning",
    "Run",
    "UnknownName",
    "gradient",
    "input_for",
    "load",
    "loss",
    "rules",
    "run",
    "simulate",
    "tasks",
]
