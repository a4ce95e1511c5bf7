"""Gradients with respect to inputs and initial state in plain NumPy, each error by itself.

Nothing here imports rnnsim. With h of at least T steps truncation leaves everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import naive
import naive_fast_weights as fast
import numpy as np

Array = np.ndarray


class DataGradient(NamedTuple):
    """The derivative of E of eq. (4)."""

    inputs: Any  # of the shape of the inputs, or a pair (slow, fast)
    start: Array  # (B, N) by the state before step 1


def sweeps(T: int, h: int, h_prime: int) -> Iterator[tuple[int, int]]:
    """Of each error's step tau, from 1: the first step that BPTT(h, h') of 1.3 sweeps it back to."""
    for tau in range(1, T + 1):
        t = next(s for s in range(tau, T + 1) if s % h_prime == 0 or s == T)
        yield tau, max(1, t - h + 1)


def recurrent(net: naive.Net, data: naive.Data, h: int, h_prime: int) -> DataGradient:
    """Eq. (10) backwards, and dE/du = U^T s of eq. (1)."""
    path = naive.run(net, data)
    T, B, _ = data.inputs.shape
    inputs, start = np.zeros(data.inputs.shape), np.zeros((B, len(net.b)))
    for b in range(B):
        for tau, last in sweeps(T, h, h_prime):
            lam = path.dx[tau - 1, b]
            for step in range(tau, last - 1, -1):
                s = net.alpha * net.df(path.a[step - 1, b]) * lam
                inputs[step - 1, b] += net.U.T @ s
                lam = (1 - net.alpha) * lam + net.W.T @ s
                if data.resets[step - 1, b]:
                    break
                if step == 1:
                    start[b] += lam
    return DataGradient(inputs, start)


def equilibrium(net: naive.Net, data: naive.Data) -> Array:
    """U^T s at the steady state of each row, s by eq. (6)."""
    grad = np.zeros(data.inputs.shape)
    for t, b in np.ndindex(data.inputs.shape[:2]):
        u = data.inputs[t, b]
        x = naive.steady_state(net, u, data.initial[b])
        D = np.diag(net.df(net.W @ x + net.U @ u + net.b))
        s = np.linalg.solve(np.linalg.inv(D) - net.W.T, naive.read(net, data, t, b, x)[2])
        grad[t, b] = net.U.T @ s
    return grad


def fast_weights(
    net: fast.FastWeights, params: naive.Gradient, data: fast.Data, h: int, h_prime: int
) -> DataGradient:
    """Through Box w to the inputs of S; of each error through F, eq. (21), to the inputs of F."""
    path = fast.run(net, params, data)
    S = fast.matrix_of(net.slow, fast.slow_connections(net.slow), fast.flatten(net.slow, params))
    T, B, _ = data.targets.shape
    of_slow, of_fast = np.zeros(data.slow.shape), np.zeros(data.fast.shape)
    start = np.zeros((B, path.states.shape[2]))
    m, m_fast = net.slow.sizes[0], net.fast.sizes[0]
    set_by_slow = net.initial == "slow" and data.initial is None
    for b in range(B):
        for tau, last in sweeps(T, h, h_prime):
            step = path.steps[tau - 1][b]
            F = fast.matrix_of(net.fast, fast.fast_connections(net.fast), step.entering)
            delta = fast.back_propagate(net.fast, F, step.fast[0], step.dy)
            of_fast[tau - 1, b] = (F[:, :m_fast]).T @ delta
            after, own = np.zeros(start.shape[1]), fast.gamma_of(net, step)
            for number in range(tau, last - 1, -1):
                step = path.steps[number - 1][b]
                after, blame, goes_on = fast.blame_back(net, step, after, own)
                of_slow[number - 1, b] += S[:, :m].T @ fast.slow_delta(net, S, step, blame)
                own = np.zeros_like(own)
                if number == 1 and not data.resets[0, b] and not set_by_slow:
                    start[b] += after
                if not goes_on:
                    break
    return DataGradient((of_slow, of_fast), start)
