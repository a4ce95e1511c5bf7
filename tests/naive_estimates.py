"""The rules of theory.md, section 5, again in plain NumPy: slow, literal, one sequence at a time.

Nothing here imports rnnsim. Sensitivities are whole matrices, F(t) and J(t) are written out, and the
parameters are in the order of W, U, b. A ``path`` may be given, whose ``dx`` are then the
errors. Equation numbers are those of theory.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import naive
import numpy as np
from naive import Array, Data, Gradient, Net, Path


class Step(NamedTuple):
    """What a rule may know of one step of one sequence."""

    b: int
    starts: bool  # whether nothing comes before it: after a reset
    J: Array  # (n, n) dx(t)/dx(t-1), 0 after a reset
    F: Array  # (n, P) the immediate influence
    z: Array  # (q,)
    D: Array  # (n,) alpha f'(a)
    e: Array  # (n,) dE(t)/dx(t)


def steps(net: Net, data: Data, exists: Array | None, path: Path | None) -> Iterator[Step]:
    """Each step, and of each all sequences: the order in which signs are drawn."""
    path, (T, B, _) = path or naive.run(net, data), data.inputs.shape
    n, m = net.U.shape
    for t in range(T):
        for b in range(B):
            D = net.alpha * net.df(path.a[t, b])
            J = (1 - net.alpha) * np.eye(n) + D[:, None] * net.W
            z = np.concatenate([path.before[t, b], data.inputs[t, b], [1.0]])
            there = np.ones((n, n + m + 1))
            if exists is not None:
                there[:, :n] = exists
            F = np.zeros((n, n, n + m + 1))
            for i in range(n):
                F[i, i] = D[i] * z * there[i]
            starts = bool(data.resets[t, b])
            J = np.zeros((n, n)) if starts else J
            yield Step(b, starts, J, flat(F), z, D, path.dx[t, b])


def flat(F: Array) -> Array:
    """From (..., n, q) to (..., P), in the order of W, U, b."""
    n = F.shape[-2]
    parts = F[..., :n], F[..., n:-1], F[..., -1:]
    return np.concatenate([part.reshape(*F.shape[:-2], -1) for part in parts], axis=-1)


def owners(net: Net) -> Array:
    """The unit i of each parameter w_ij."""
    n, m = net.U.shape
    return flat(np.broadcast_to(np.arange(n)[:, None], (n, n + m + 1)))


def gradient(net: Net, data: Data, row: Array) -> Gradient:
    """A row of all parameters as the gradient, with what the readout always gets."""
    n, m = net.U.shape
    W, U, b = np.split(row, [n * n, n * n + n * m])
    own = {"W": W.reshape(n, n), "U": U.reshape(n, m), "b": b}
    return own | naive.readout_gradient(net, naive.run(net, data))


def fair(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def length(x: Array) -> float:
    return float(np.sqrt((x**2).sum()))


def uoro(
    net: Net, data: Data, exists: Array | None = None, *, seed: int = 0, path: Path | None = None
) -> Gradient:
    """Eqs. (26)-(28)."""
    rng, B, n = np.random.default_rng(seed), data.inputs.shape[1], len(net.b)
    P = n * (n + net.U.shape[1] + 1)
    s, theta, total = np.zeros((B, n)), np.zeros((B, P)), np.zeros(P)
    for step in steps(net, data, exists, path):
        b = step.b
        nu = np.array([fair(rng) for _ in range(n)])
        Js, direct, old = step.J @ s[b], nu @ step.F, theta[b].copy()
        s[b], theta[b] = 0, 0
        if Js.any() and old.any():
            rho0 = np.sqrt(length(old) / length(Js))
            s[b], theta[b] = rho0 * Js, old / rho0
        if direct.any():
            rho1 = np.sqrt(length(direct) / length(nu))
            s[b], theta[b] = s[b] + rho1 * nu, theta[b] + direct / rho1
        total += (step.e @ s[b]) * theta[b]
    return gradient(net, data, total)


def kf_rtrl(
    net: Net, data: Data, exists: Array | None = None, *, seed: int = 0, path: Path | None = None
) -> Gradient:
    """Eqs. (29) and (30)."""
    rng, B, n = np.random.default_rng(seed), data.inputs.shape[1], len(net.b)
    q = n + net.U.shape[1] + 1
    u, A, total = np.zeros((B, q)), np.zeros((B, n, n)), np.zeros((n, q))
    for step in steps(net, data, exists, path):
        b, z, D = step.b, step.z, np.diag(step.D)
        c1, c2 = fair(rng), fair(rng)
        JA, old = step.J @ A[b], u[b].copy()
        u[b], A[b] = 0, 0
        if JA.any() and old.any():
            p1 = np.sqrt(length(JA) / length(old))
            u[b], A[b] = c1 * p1 * old, c1 * JA / p1
        if D.any():
            p2 = np.sqrt(length(D) / length(z))
            u[b], A[b] = u[b] + c2 * p2 * z, A[b] + c2 * D / p2
        total += np.outer(step.e @ A[b], u[b])
    return gradient(net, data, flat(total))


def rflo(net: Net, data: Data, exists: Array | None = None, *, path: Path | None = None) -> Gradient:
    """Eq. (31)."""
    B = data.inputs.shape[1]
    owner = owners(net)
    p, total = np.zeros((B, owner.size)), np.zeros(owner.size)
    for step in steps(net, data, exists, path):
        carried = 0.0 if step.starts else 1 - net.alpha
        p[step.b] = carried * p[step.b] + step.F.sum(0)
        total += step.e[owner] * p[step.b]
    return gradient(net, data, total)


def snap(
    net: Net, data: Data, exists: Array | None = None, *, n: int = 1, path: Path | None = None
) -> Gradient:
    """RTRL, eqs. (11)-(13), with all entries of p set to 0 that lie outside the pattern at each step."""
    B, units = data.inputs.shape[1], len(net.b)
    everywhere = np.ones((units, units)) if exists is None else exists
    reach = np.linalg.matrix_power(np.eye(units) + everywhere, n - 1) > 0
    owner = owners(net)
    kept = reach[:, owner]  # (n, P): whether the owner of a parameter reaches unit l
    p, total = np.zeros((B, units, owner.size)), np.zeros(owner.size)
    for step in steps(net, data, exists, path):
        p[step.b] = kept * (step.J @ p[step.b] + step.F)
        total += step.e @ p[step.b]
    return gradient(net, data, total)
