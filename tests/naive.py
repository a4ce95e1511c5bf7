"""The equations of theory.md, section 1, again in plain NumPy: slow, literal, one sequence at a time.

Nothing here imports rnnsim: an error there cannot hide here. Equation numbers are those of theory.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Gradient = dict[str, Array]
Function = Callable[[Any], Any]

ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "tanh": (np.tanh, lambda a: 1 / np.cosh(a) ** 2),
    "logistic": (lambda a: 1 / (1 + np.exp(-a)), lambda a: 1 / (2 + np.exp(a) + np.exp(-a))),
    "relu": (lambda a: np.where(a > 0, a, 0.0), lambda a: np.where(a > 0, 1.0, 0.0)),
    "softplus": (lambda a: np.logaddexp(0, a), lambda a: 1 / (1 + np.exp(-a))),
    "identity": (lambda a: a, np.ones_like),
}


# value and derivative of the loss of one output row y against its target d
LOSSES: dict[str, tuple[Function, Function]] = {
    "squared-error": (lambda y, d: ((y - d) ** 2).sum() / 2, lambda y, d: y - d),
    "softmax-cross-entropy": (
        lambda y, d: (d * (np.logaddexp.reduce(y) - y)).sum(),
        lambda y, d: d.sum() * np.exp(y - np.logaddexp.reduce(y)) - d,
    ),
    "logistic-cross-entropy": (
        lambda y, d: (d * np.logaddexp(0, -y) + (1 - d) * np.logaddexp(0, y)).sum(),
        lambda y, d: 1 / (1 + np.exp(-y)) - d,
    ),
}


class Net(NamedTuple):
    """A recurrent network; V and c are None where chosen units are the outputs."""

    W: Array
    U: Array
    b: Array
    V: Array | None
    c: Array | None
    units: list[int] | None
    f: Function
    df: Function
    alpha: float
    loss: Function
    dloss: Function


class Data(NamedTuple):
    """Sequences, time-major; row 0 is step 1."""

    inputs: Array  # (T, B, m)
    targets: Array  # (T, B, k)
    mask: Array  # (T, B)
    resets: Array  # (T, B)
    initial: Array  # (B, n), after a reset
    start: Array  # (B, n), before the first step


class Path(NamedTuple):
    """What the network did."""

    before: Array  # (T, B, n) the state that entered the step, after the reset if there was one
    a: Array  # (T, B, n)
    x: Array  # (T, B, n)
    y: Array  # (T, B, k)
    dy: Array  # (T, B, k) dE/dy
    dx: Array  # (T, B, n) dE/dx, the direct part
    loss: float


def run(net: Net, data: Data, start: Array | None = None) -> Path:
    """Eqs. (1)-(4); ``start`` is the state that enters step 1 where that is not ``data.start``."""
    T, B, _ = data.inputs.shape
    n, k = len(net.b), data.targets.shape[2]
    before, a, x = np.zeros((T, B, n)), np.zeros((T, B, n)), np.zeros((T, B, n))
    for b in range(B):
        state = data.start[b] if start is None else start[b]
        for t in range(T):
            if data.resets[t, b]:
                state = data.initial[b]
            before[t, b] = state
            a[t, b] = net.W @ state + net.U @ data.inputs[t, b] + net.b
            state = (1 - net.alpha) * state + net.alpha * net.f(a[t, b])
            x[t, b] = state
    y, dy, dx, total = np.zeros((T, B, k)), np.zeros((T, B, k)), np.zeros((T, B, n)), 0.0
    for t in range(T):
        for b in range(B):
            y[t, b], dy[t, b], dx[t, b], error = read(net, data, t, b, x[t, b])
            total += error
    return Path(before, a, x, y, dy, dx, total)


def read(net: Net, data: Data, t: int, b: int, x: Array) -> tuple[Array, Array, Array, float]:
    """Give y, dE/dy, dE/dx and this step's share of E: eqs. (3) and (4)."""
    y = x[net.units] if net.V is None else net.V @ x + net.c
    if data.mask[t, b] == 0:
        return y, np.zeros_like(y), np.zeros_like(x), 0.0
    weight = data.mask[t, b] / data.inputs.shape[1]
    dy = weight * net.dloss(y, data.targets[t, b])
    dx = np.zeros_like(x)
    if net.V is None:
        dx[net.units] = dy
    else:
        dx = net.V.T @ dy
    return y, dy, dx, float(weight * net.loss(y, data.targets[t, b]))


def readout_gradient(net: Net, path: Path) -> Gradient:
    """dE/dV and dE/dc, which no rule truncates."""
    if net.V is None:
        return {}
    return {"V": np.einsum("tbk,tbn->kn", path.dy, path.x), "c": path.dy.sum((0, 1))}


def no_gradient(net: Net) -> Gradient:
    return {"W": np.zeros_like(net.W), "U": np.zeros_like(net.U), "b": np.zeros_like(net.b)}


def add_step(grad: Gradient, s: Array, before: Array, inputs: Array) -> None:
    """One term of eq. (9)."""
    grad["W"] += np.outer(s, before)
    grad["U"] += np.outer(s, inputs)
    grad["b"] += s


def bptt(net: Net, data: Data, start: Array | None = None) -> Gradient:
    """Back-propagation through time, the recursion (10) and the sums (9)."""
    path = run(net, data, start)
    return bptt_of_errors(net, data, path) | readout_gradient(net, path)


def bptt_of_errors(net: Net, data: Data, path: Path) -> Gradient:
    """The gradient of W, U and b, from the path's own ``dx`` as the errors of its states."""
    grad = no_gradient(net)
    T, B, _ = data.inputs.shape
    for b in range(B):
        later = np.zeros(len(net.b))  # what lambda(t+1) hands back to x(t)
        for t in reversed(range(T)):
            lam = path.dx[t, b] + later
            D = np.diag(net.df(path.a[t, b]))
            add_step(grad, net.alpha * D @ lam, path.before[t, b], data.inputs[t, b])
            later = (1 - net.alpha) * lam + net.alpha * net.W.T @ D @ lam
            if data.resets[t, b]:
                later = np.zeros_like(later)
    return grad


def bptt_in_windows(net: Net, data: Data, width: int) -> Gradient:
    """BPTT of each window by itself, the states running on."""
    total, start = None, data.start
    for first in range(0, len(data.inputs), width):
        window = Data(*(part[first : first + width] for part in data[:4]), data.initial, start)
        grad = bptt(net, window, start)
        total = grad if total is None else {name: total[name] + grad[name] for name in grad}
        start = run(net, window, start).x[-1]
    assert total is not None
    return total


def bptt_by_jacobian(net: Net, data: Data) -> Gradient:
    """Solve the transpose of the block-bidiagonal Jacobian of 1.1: alpha = 1, f' != 0, no resets."""
    assert net.alpha == 1
    assert not data.resets.any()
    path = run(net, data)
    grad = no_gradient(net)
    T, B, _ = data.inputs.shape
    n = len(net.b)
    for b in range(B):
        J = np.zeros((T, n, T, n))  # db(t)/dx(t')
        for t in range(T):
            J[t, :, t, :] = np.diag(1 / net.df(path.a[t, b]))
            if t > 0:
                J[t, :, t - 1, :] = -net.W
        s = np.linalg.solve(J.reshape(T * n, T * n).T, path.dx[:, b].ravel()).reshape(T, n)
        for t in range(T):
            add_step(grad, s[t], path.before[t, b], data.inputs[t, b])
    return grad | readout_gradient(net, path)


def rtrl(net: Net, data: Data) -> Gradient:
    """Real-time recurrent learning with the whole of p, eqs. (11)-(13)."""
    path = run(net, data)
    T, B, m = data.inputs.shape
    n = len(net.b)
    total = np.zeros((n, n + m + 1))
    for b in range(B):
        p = np.zeros((n, n, n + m + 1))  # p[l, i, j] = dx_l/dw_ij
        for t in range(T):
            if data.resets[t, b]:
                p = np.zeros_like(p)
            z = np.concatenate([path.before[t, b], data.inputs[t, b], [1.0]])
            inner = np.einsum("lr,rij->lij", net.W, p)
            for i in range(n):
                inner[i, i] += z
            slope = net.df(path.a[t, b])
            p = (1 - net.alpha) * p + net.alpha * np.einsum("l,lij->lij", slope, inner)
            total += np.einsum("l,lij->ij", path.dx[t, b], p)
    grad = {"W": total[:, :n], "U": total[:, n : n + m], "b": total[:, n + m]}
    return grad | readout_gradient(net, path)


def truncated_bptt(net: Net, data: Data, h: int, h_prime: int) -> Gradient:
    """BPTT(h, h') of 1.3, each error by itself.

    The error of step tau waits for the sweep at t, the next multiple of h' or the end, and passes back
    through tau, tau-1, ...: h - (t - tau) steps.
    """
    path = run(net, data)
    grad = no_gradient(net)
    T, B, _ = data.inputs.shape
    for b in range(B):
        for tau in range(1, T + 1):
            t = next(s for s in range(tau, T + 1) if s % h_prime == 0 or s == T)
            lam = path.dx[tau - 1, b]
            for step in range(tau, max(0, tau - (h - (t - tau))), -1):
                s = net.alpha * net.df(path.a[step - 1, b]) * lam
                add_step(grad, s, path.before[step - 1, b], data.inputs[step - 1, b])
                if data.resets[step - 1, b]:
                    break
                lam = (1 - net.alpha) * lam + net.W.T @ s
    return grad | readout_gradient(net, path)


def steady_state(net: Net, inputs: Array, start: Array, steps: int = 5000) -> Array:
    """Relax x = f(W x + U u + b) of a contracting network."""
    x = start
    for _ in range(steps):
        x = net.f(net.W @ x + net.U @ inputs + net.b)
    return x


def recurrent_backprop(net: Net, data: Data) -> tuple[float, Gradient]:
    """The loss and the gradient at the steady state of each row, eqs. (5)-(7)."""
    grad = no_gradient(net)
    T, B, _ = data.inputs.shape
    total = 0.0
    if net.V is not None:
        grad |= {"V": np.zeros_like(net.V), "c": np.zeros_like(net.c)}
    for t in range(T):
        for b in range(B):
            u = data.inputs[t, b]
            x = steady_state(net, u, data.initial[b])
            _, dy, dx, error = read(net, data, t, b, x)
            D = np.diag(net.df(net.W @ x + net.U @ u + net.b))
            s = np.linalg.solve(np.linalg.inv(D) - net.W.T, dx)
            add_step(grad, s, x, u)
            if net.V is not None:
                grad["V"] += np.outer(dy, x)
                grad["c"] += dy
            total += error
    return total, grad


def finite_differences(function: Callable[[Array], float], x: Array, step: float = 1e-4) -> Array:
    """The gradient of a scalar function by central differences, of fourth order."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        values = []
        for shift in (-2, -1, 1, 2):
            moved = x.copy()
            moved[i] += shift * step
            values.append(function(moved))
        gradient[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return gradient
