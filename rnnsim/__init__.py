"""rnnsim: recurrent learning rules by name, compiled by Numba.

>>> import rnnsim
>>> run = rnnsim.run("rtrl", "delayed-xor", seed=0)     # doctest: +SKIP
>>> run.solved_at                                       # doctest: +SKIP
"""

from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, RnnsimWarning, UnknownName
from rnnsim.hookspecs import hookimpl
from rnnsim.networks.fast_weight.network import FastWeightNetwork
from rnnsim.networks.recurrent.inverse import input_for
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import rules, tasks
from rnnsim.runs.comparing import compare
from rnnsim.runs.fixed_points import fixed_points
from rnnsim.runs.loading import load
from rnnsim.runs.result import Run
from rnnsim.runs.running import repeat, run
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.sweeping import sweep
from rnnsim.training.forward import loss, simulate
from rnnsim.training.gradients import gradient, gradient_function
from rnnsim.training.learner import Learner
from rnnsim.version import __version__

__all__ = [
    "Diverged",
    "FastWeightNetwork",
    "Learner",
    "NoSteadyState",
    "RecurrentNetwork",
    "RnnsimError",
    "RnnsimWarning",
    "Run",
    "Sweep",
    "UnknownName",
    "__version__",
    "compare",
    "fixed_points",
    "gradient",
    "gradient_function",
    "hookimpl",
    "input_for",
    "load",
    "loss",
    "repeat",
    "rules",
    "run",
    "simulate",
    "sweep",
    "tasks",
]
