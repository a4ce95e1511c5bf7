"""Gradient, loss and simulation of whole sequences with fixed parameters."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks, registry
from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled
from rnnsim.errors import Diverged, RnnsimError, RnnsimWarning
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Rule, Settler, Window
from rnnsim.training.evaluation import plain_forward
from rnnsim.typing import Array, Inputs, Params, Trajectory


class Gradient(NamedTuple):
    """The result of :func:`gradient`."""

    loss: float
    grads: Params
    spectral_radius: float | None = None  # the largest over steady states; below 1 they are stable


class Simulation(NamedTuple):
    """The result of :func:`simulate`: time-major arrays."""

    states: Array  # (T, B, N), after each step: activations, or fast weights
    outputs: Array  # (T, B, k)
    spectral_radius: float | None = None  # the largest over steady states; below 1 they are stable


def gradient(
    network: Network,
    params: Params,
    inputs: Inputs,
    targets: Array,
    rule: str | Rule = "bptt",
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    initial_state: Array | None = None,
    window: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Gradient:
    """Compute the loss and its gradient by a learning rule, with fixed parameters.

    Parameters
    ----------
    network : Network
    params : NamedTuple of arrays
        In the form that ``network.init`` returns.
    inputs : (T, B, m) or (T, m) array
        For rules that settle, each row is a pattern held fixed until the network reaches a steady
        state. For a fast-weight network, one array that both nets see, or a pair (slow, fast).
    targets : (T, B, k) or (T, k) array
    rule : str or Rule
        The name of a rule, whose options are given by keyword, or a rule object.
    mask : (T, B) or (T,) array of bool or float, optional
        The weight of each target; 1 everywhere by default.
    resets : (T, B) or (T,) array of bool, optional
        The steps before which the state is reset to its initial value.
    initial_state : (B, N) or (N,) array, optional
        By default the network's own, which is zero for a recurrent network.
    window : int, optional
        Number of steps that the rule sees at a time (as in on-line learning, but without updates);
        all of them by default. The gradient is the sum over the windows.
    seed : int
        Seed of rules that draw random numbers.
    **options
        Options of the rule.

    Returns
    -------
    Gradient
        ``loss``, theory.md 1 eq. (4); ``grads``, of the same type, names and shapes as ``params``;
        ``spectral_radius`` for rules that settle.

    Raises
    ------
    RnnsimError
        If an argument has a wrong shape, type, name or value.
    NoSteadyState
        If the network or its adjoint does not converge to a steady state.
    Diverged
        If the loss or the gradient is not finite.
    """
    chosen = registry.make_rule(rule, options)
    chosen.check_network(network)
    flat = network.pack(params)
    stream = make_stream(network, inputs, targets, mask, resets)
    steps, batch = stream.mask.shape
    width = min(checks.whole("window", window, 1), steps) if window is not None else steps
    history = min(chosen.history(width), steps - 1)  # the last window may be one step long
    rows = min(history + chosen.rows(width), steps)
    state = network.state(batch, initial_state)
    trajectory = network.trajectory(rows, batch)
    memory = chosen.memory(network, batch, width, np.random.default_rng(checks.whole("seed", seed, 0)))
    grad = aligned_zeros(flat.shape, flat.dtype)
    learn = compiled(chosen.learn(network), chosen.name)
    keep_history = compiled(network.keep_history, network.kind) if width < steps else None
    kernel_params, flat_grad = network.kernel_params(flat), network.kernel_params(grad)
    held = 0
    with shared_work():
        for row in range(0, steps, width):
            count = min(width, steps - row)
            now = Window(held, count, row, row + count == steps, True)
            code = learn(kernel_params, state, stream, row, trajectory, now, memory, flat_grad)
            if code:
                raise chosen.explain(code, memory, row + 1)
            filled, held = held + count, min(history, held + count)
            if held and keep_history:
                keep_history(trajectory, filled - held, held)
    raise_if_diverged(stream, grad)
    radius = report_stability(network, kernel_params, trajectory) if chosen.settles else None
    return Gradient(float(stream.losses.sum() / batch), network.views(grad), radius)


def loss(
    network: Network,
    params: Params,
    inputs: Inputs,
    targets: Array,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    initial_state: Array | None = None,
    steady_state: bool = False,
    solver: str = "relaxation",
) -> float:
    """Compute the loss of theory.md 1, eq. (4), by a forward pass.

    Parameters
    ----------
    network, params, inputs, targets, mask, resets, initial_state
        As for :func:`gradient`.
    steady_state : bool
        Whether each input row is held fixed until the network reaches a steady state.
    solver : "relaxation", "anderson" or "newton"
        How the steady state is found.

    Returns
    -------
    float

    Raises
    ------
    RnnsimError
        As for :func:`gradient`.
    """
    stream = make_stream(network, inputs, targets, mask, resets)
    _run(network, params, stream, initial_state, steady_state, solver)
    raise_if_diverged(stream)
    return float(stream.losses.sum() / stream.mask.shape[1])


def simulate(
    network: Network,
    params: Params,
    inputs: Inputs,
    *,
    resets: Array | None = None,
    initial_state: Array | None = None,
    steady_state: bool = False,
    solver: str = "relaxation",
) -> Simulation:
    """Run a network forward and record its states and outputs.

    Parameters
    ----------
    network, params, inputs, resets, initial_state, steady_state, solver
        As for :func:`loss`.

    Returns
    -------
    Simulation
        ``states`` (T, B, N), ``outputs`` (T, B, k), and for steady states ``spectral_radius``.

    Raises
    ------
    RnnsimError
        As for :func:`gradient`.
    """
    stream = make_stream(network, inputs, None, None, resets)
    trajectory = _run(network, params, stream, initial_state, steady_state, solver)
    radius = report_stability(network, params, trajectory) if steady_state else None
    return Simulation(trajectory.states.copy(), stream.outputs, radius)


def make_stream(
    network: Network,
    inputs: Inputs,
    targets: Array | None,
    mask: Array | None,
    resets: Array | None,
) -> Stream:
    """Validate arrays and assemble them into a stream; without targets the mask is zero.

    Raises
    ------
    RnnsimError
        If an array has a wrong shape, type or value.
    """
    u = network.check_inputs(inputs)
    steps, batch = u.shape[:2]
    if targets is None:
        d = np.zeros((steps, batch, network.n_out), network.dtype)
    else:
        d = checks.over_time("targets", targets, network.n_out, network.dtype)
        if d.shape[:2] != (steps, batch):
            raise RnnsimError(f"targets are (T, B) = {d.shape[:2]}; the inputs {(steps, batch)}")
    if mask is not None:
        weight = checks.per_step("mask", mask, steps, batch, network.dtype)
    else:
        weight = np.full((steps, batch), targets is not None, network.dtype)
    checks.finite("targets", np.where(weight[..., None] == 0, 0, d))  # masked targets may be nan
    reset = np.zeros((steps, batch), np.bool_)
    if resets is not None:
        reset = checks.per_step("resets", resets, steps, batch, np.bool_)
    stream = empty_stream(steps, batch, 0, network.n_out, network.dtype)
    return stream._replace(inputs=u, targets=d, mask=weight, resets=reset)


def raise_if_diverged(stream: Stream, grad: Array | None = None) -> None:
    """Raise if the loss or the gradient is not finite.

    Raises
    ------
    Diverged
        With the first step whose loss is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(stream.losses))
    if bad.size:
        raise Diverged(
            f"the loss is {stream.losses[bad[0]]} at step {bad[0] + 1}; "
            "smaller weights or inputs keep it finite"
        )
    if grad is not None and not np.isfinite(grad).all():
        raise Diverged(
            f"the gradient is not finite over {len(stream.losses)} steps though the loss is; "
            "smaller weights or shorter sequences keep it finite"
        )


def report_stability(network: Network, params: Params, trajectory: Trajectory) -> float:
    """Return the largest spectral radius of a trajectory's steady states; warn if it is at least 1."""
    radius = spectral_radius(network, params, trajectory)
    if radius >= 1:
        warnings.warn(f"a steady state is unstable: the spectral radius there is {radius:.4g}; it is a "
                      "steady state all the same", RnnsimWarning, stacklevel=3)  # fmt: skip
    return radius


def _run(
    network: Network,
    params: Params,
    stream: Stream,
    initial_state: Array | None,
    steady_state: bool,
    solver: str,
) -> Trajectory:
    """Run a network over a stream, writing the outputs and losses into it."""
    steps, batch = stream.mask.shape
    kernel_params = network.kernel_params(network.pack(params))
    state, trajectory = network.state(batch, initial_state), network.trajectory(steps, batch)
    forward_pass = plain_forward(network, Settler(solver) if steady_state else None)
    with shared_work():
        forward_pass(kernel_params, state, stream, trajectory)
    return trajectory
