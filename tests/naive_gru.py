"""The GRU of theory.md 6 in plain NumPy, and its gradients without any derivative written down.

Every function here is analytic, so that the derivative of a function f of real numbers is the imaginary
part of f(x + ih) / h for a tiny h, without the rounding of a difference ("complex step"). Nothing here
imports rnnsim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from naive import Data
from naive_data import DataGradient, sweeps

Array = np.ndarray
Params = dict[str, Array]
TINY = 1e-30

# of one output row y and its target d
LOSSES: dict[str, Callable[[Array, Array], Any]] = {
    "squared-error": lambda y, d: ((y - d) ** 2).sum(-1) / 2,
    "softmax-cross-entropy": lambda y, d: np.log(np.exp(y).sum(-1)) * d.sum(-1) - (d * y).sum(-1),
    "logistic-cross-entropy": lambda y, d: (np.log(1 + np.exp(y)) - d * y).sum(-1),
}


def sig(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def step(p: Params, x: Array, u: Array) -> Array:
    """Eq. (32), of sequences side by side: x (B, n), u (B, m)."""
    r = sig(x @ p["W_r"].T + u @ p["U_r"].T + p["b_r"])
    z = sig(x @ p["W_z"].T + u @ p["U_z"].T + p["b_z"])
    c = np.tanh(u @ p["U_c"].T + p["b_c"] + r * (x @ p["W_c"].T + p["b_n"]))
    return (1 - z) * c + z * x


def run(p: Params, data: Data, first: int = 0, last: int | None = None, x: Array | None = None) -> Array:
    """The states after rows first, ..., last - 1, from the state x before them."""
    states, x = [], data.start if x is None else x
    for t in range(first, len(data.inputs) if last is None else last):
        x = np.where(data.resets[t, :, None], data.initial, x)
        x = step(p, x, data.inputs[t])
        states.append(x)
    return np.array(states)


def outputs(p: Params, states: Array) -> Array:
    """Eq. (3)."""
    return states @ p["V"].T + p["c"]


def losses(p: Params, data: Data, states: Array, first: int, loss: str) -> Array:
    """Eq. (4) of rows first, ...; (rows, B), divided by B."""
    rows = slice(first, first + len(states))
    of_rows = LOSSES[loss](outputs(p, states), data.targets[rows])
    return data.mask[rows] * of_rows / data.inputs.shape[1]


def total_loss(p: Params, data: Data, loss: str = "squared-error") -> Any:
    return losses(p, data, run(p, data), 0, loss).sum()


def derivative(f: Callable[[Array], Any], x: Array) -> Array:
    """df/dx: of each entry of x, with the shape of f in front."""
    columns = []
    for i in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[i] += 1j * TINY
        columns.append(np.imag(f(moved)) / TINY)
    shape = np.shape(f(x))
    return np.moveaxis(np.array(columns), 0, -1).reshape(*shape, *x.shape)


def gradient(p: Params, data: Data, loss: str = "squared-error") -> Params:
    """dE/dparams, of all that E depends on."""
    return {
        name: derivative(lambda w, name=name: total_loss({**p, name: w}, data, loss), p[name])
        for name in p
    }


def swept_loss(p: Params, data: Data, path: Array, h: int, h_prime: int) -> Any:
    """E, each error of step tau as a function of the steps that BPTT(h, h') of 1.3 sweeps it through.

    The state before these steps is that of the path, which does not depend on p.
    """
    total: Any = 0.0
    for tau, back in sweeps(len(data.inputs), h, h_prime):
        before = data.start if back == 1 else path[back - 2]
        states = run(p, data, back - 1, tau, before)
        total += losses(p, data, states[-1:], tau - 1, "squared-error").sum()
    return total


def truncated(p: Params, data: Data, h: int, h_prime: int) -> Params:
    path, reach = run(p, data), (h, h_prime)
    return {
        name: derivative(lambda w, name=name: swept_loss({**p, name: w}, data, path, *reach), p[name])
        for name in p
    }


def data_gradient(p: Params, data: Data, h: int = 1000, h_prime: int = 1) -> DataGradient:
    """By inputs and initial state."""
    path = run(p, data)

    def by(name: str) -> Array:
        def f(x: Array) -> Any:
            return swept_loss(p, data._replace(**{name: x}), path, h, h_prime)

        return derivative(f, getattr(data, name))

    return DataGradient(by("inputs"), by("start"))


# --- one step -----------------------------------------------------------------------------------------


def jacobian(p: Params, x: Array, u: Array) -> Array:
    """dx(t)/dx(t-1) of one sequence; x (n,), u (m,)."""
    return derivative(lambda x: step(p, x[None], u[None])[0], x)


def influence(p: Params, x: Array, u: Array) -> Array:
    """dx(t)/dparams of one step and sequence, x held constant: (n, P), parameters in their order."""
    n = len(x)
    return np.concatenate(
        [
            derivative(lambda w, name=name: step({**p, name: w}, x[None], u[None])[0], p[name]).reshape(
                n, -1
            )
            for name in p
        ],
        axis=1,
    )
