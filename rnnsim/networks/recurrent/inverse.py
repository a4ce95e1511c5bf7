"""The inverse problem: the input that makes given states steady, or a given path a trajectory.

It is unique [Seung] (theory.md 1.1, eq. 5): ``b = f^-1(x) - W x`` for a steady state, and
``b(t) = f^-1(x(t)) - W x(t-1)`` for a path; with a leak, the argument of f^-1 is
``(x(t) - (1-alpha) x(t-1)) / alpha``, which for a steady state is x itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, reports_memory, shown
from rnnsim.network import Network
from rnnsim.networks.activations import INVERSES
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.typing import Array, Params


@reports_memory
def input_for(
    network: RecurrentNetwork,
    params: Params,
    states: Array,
    *,
    steady_state: bool = False,
    initial_state: Array | None = None,
    inverse: Any = None,
) -> Array:
    """Give the unique input that makes given states steady states, or a given path a trajectory.

    Parameters
    ----------
    network : RecurrentNetwork
    params : NamedTuple of arrays
        Only W is read.
    states : (T, B, n) or (T, n) array
        The path x(1), ..., x(T), or T x B steady states.
    steady_state : bool
        Which of the two they are.
    initial_state : (B, n) or (n,) array, optional
        x(0) of a path; zero by default.
    inverse : callable, optional
        f^-1 of the user's own activation, on arrays.

    Returns
    -------
    (T, B, n) array
        The input ``U u(t) + b`` of each step, or of each steady state.

    Raises
    ------
    RnnsimError
        If a state is outside the range of f, naming the first one and the range; or f is the user's
        own and its inverse is not given.
    """
    if not isinstance(network, RecurrentNetwork):
        other = f"a {network.kind} network" if isinstance(network, Network) else shown(network)
        raise RnnsimError(f"input_for is for a recurrent network, not {other}")
    p = network.views(network.pack(params))
    x = checks.finite("states", checks.over_time("states", states, network.n_hidden, network.dtype))
    if checks.boolean("steady_state", steady_state):
        before, reached = x, x  # at a steady state, the leak cancels
    else:
        before = np.empty_like(x)
        before[0] = network.state(x.shape[1], initial_state).x
        before[1:] = x[:-1]
        reached = (x - (1 - network.leak) * before) / network.leak
    return np.asarray(_net_input(network, reached, inverse) - before @ p.W.T, network.dtype)


def _net_input(network: RecurrentNetwork, f: Array, inverse: Any) -> Array:
    """Invert the activation; refuse values outside its range."""
    if inverse is not None and not callable(inverse):
        raise RnnsimError(f"inverse is a function on arrays, f^-1, not {shown(inverse)}")
    if inverse is None:
        if not isinstance(network.activation, str):
            raise RnnsimError("the activation is a function of your own; give its inverse as inverse=")
        inverse, low, high = INVERSES[network.activation]
        outside = ~((f > low) & (f < high))
        if outside.any():
            t, b, i = (int(index) for index in np.argwhere(outside)[0])
            raise RnnsimError(
                f"states need f(a) = {f[t, b, i]:.6g} of unit {i} at row {t}, sequence {b}; "
                f"the range of {network.activation} is ({low:g}, {high:g})"
                + (", f^-1 being unique above 0" if network.activation == "relu" else "")
            )
    with np.errstate(all="ignore"):
        a = checks.numbers("the inverse of the activation", inverse(f))
    if a.shape != f.shape:
        raise RnnsimError(
            f"inverse gives an array of shape {a.shape}; that of its argument is {f.shape}"
        )
    return checks.finite("the inverse of the activation", a)
