"""Gradient, loss and simulation of whole sequences with fixed parameters."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks, registry
from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import checking_bounds, compiled
from rnnsim.errors import Diverged, RnnsimError, RnnsimWarning, reports_memory
from rnnsim.network import Network, Stream, check_is_network
from rnnsim.numerics.fixed_points import SOLVERS
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Rule, Settler, Window
from rnnsim.training.divergence import bounds_hint
from rnnsim.training.evaluation import plain_forward
from rnnsim.training.streams import make_stream
from rnnsim.typing import Array, Inputs, Memory, Params, State, Trajectory


@dataclass
class Carried:
    """What a rule keeps of a sequence for the steps that follow; ``memory`` of :class:`Gradient`.

    Attributes
    ----------
    rule : Rule
    batch : int
        B.
    window : int
        The number of steps that the rule sees at a time.
    memory : NamedTuple
        The rule's own.
    trajectory : NamedTuple
        With ``held`` rows of history.
    held : int
    steps : int
        The number of steps so far.
    """

    rule: Rule
    batch: int
    window: int
    memory: Memory
    trajectory: Trajectory
    held: int = 0
    steps: int = 0


class Gradient(NamedTuple):
    """The result of :func:`gradient`.

    Attributes
    ----------
    loss : float
        Theory.md 1, eq. (4).
    grads : NamedTuple of arrays
        Of the type, names and shapes of the parameters.
    spectral_radius : float or None
        The largest over steady states; below 1 they are stable.
    state : (B, N) array or None
        The state after the last step: ``initial_state`` of a sequence that goes on. None for rules that
        settle.
    memory : Carried
        What the rule keeps, for the steps that follow.
    """

    loss: float
    grads: Params
    spectral_radius: float | None
    state: Array | None
    memory: Carried


class Simulation(NamedTuple):
    """The result of :func:`simulate`: time-major arrays."""

    states: Array  # (T, B, N), after each step: activations, or fast weights
    outputs: Array  # (T, B, k)
    spectral_radius: float | None = None  # the largest over steady states; below 1 they are stable


@reports_memory
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
    reset_state: Array | None = None,
    memory: Carried | None = None,
    window: int | None = None,
    seed: int = 0,
    check_bounds: bool = False,
    **options: Any,
) -> Gradient:
    """Compute the loss and its gradient by a learning rule, with fixed parameters.

    A sequence may be given in pieces: with ``state`` of a result as ``initial_state`` and its ``memory``
    as ``memory``, the next call goes on where it ended. The losses of the pieces add up to that of the
    whole, and so do the gradients of rules that carry memory (rtrl and its like; truncated-bptt where
    pieces end at multiples of h').

    Parameters
    ----------
    network : Network
    params : NamedTuple of arrays
        In the form that ``network.init`` returns.
    inputs : (T, B, m) or (T, m) array
        For rules that settle, each row is a pattern held fixed until the network reaches a steady
        state. For a fast-weight network, one array that both nets see, or a pair (slow, fast). Rows
        after the last target of their sequence may hold anything.
    targets : (T, B, k) or (T, k) array
        A masked array of NumPy leaves out what it masks.
    rule : str or Rule
        The name of a rule, whose options are given by keyword, or a rule object.
    mask : (T, B) or (T,) array of bool or float, optional
        The weight of each target; 1 everywhere by default. Or, where the loss is a sum over outputs,
        (T, B, k): that of each output.
    resets : (T, B) or (T,) array of bool, optional
        The steps before which the state is reset. Rules that settle do so from ``reset_state`` anyway.
    initial_state : (B, N) or (N,) array, optional
        Where the sequences begin; by default at ``reset_state``.
    reset_state : (B, N) or (N,) array, optional
        Where a reset leads, and from which rules that settle do so: by default the network's own state,
        zero for a recurrent network (for rules that settle, ``initial_state`` if that is given).
    memory : Carried, optional
        That of the result for the steps before, by the same rule.
    window : int, optional
        Number of steps that the rule sees at a time (as in on-line learning, but without updates);
        all of them by default, or as in ``memory``. The gradient is the sum over the windows.
    seed : int
        Seed of rules that draw random numbers.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule.

    Returns
    -------
    Gradient
        ``loss``, theory.md 1 eq. (4); ``grads``, of the same type, names and shapes as ``params``;
        ``spectral_radius`` for rules that settle; ``state`` and ``memory``.

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
    chosen.check_network(check_is_network(network))
    flat = network.pack(params)
    stream = make_stream(network, inputs, targets, mask, resets, settles=chosen.settles)
    steps, batch = stream.mask.shape
    state = begin(network, batch, initial_state, reset_state, chosen.settles)
    carried = carry_on(memory, chosen, network, batch, steps, window, seed)
    grad = aligned_zeros(flat.shape, flat.dtype)
    kernel_params, flat_grad = network.kernel_params(flat), network.kernel_params(grad)
    radius = 0.0
    with checking_bounds(check_bounds), shared_work():
        learn = compiled(chosen.learn(network), chosen.name)
        for row, now in windows_of(carried, network, steps):
            trajectory = carried.trajectory
            code = learn(kernel_params, state, stream, row, trajectory, now, carried.memory, flat_grad)
            if code:
                raise chosen.explain(code, carried.memory, row + 1)
            if chosen.settles:
                counts = stream.mask[row : row + now.length] != 0
                radius = max(radius, spectral_radius(network, kernel_params, trajectory, counts))
    raise_if_diverged(stream, bounds_hint(network, chosen), grad)
    mean, grads = float(stream.losses.sum() / batch), network.views(grad)
    if chosen.settles:
        return Gradient(mean, grads, warn_if_unstable(radius), None, carried)
    return Gradient(mean, grads, None, state[0].copy(), carried)


def carry_on(
    before: Carried | None,
    rule: Rule,
    network: Network,
    batch: int,
    steps: int,
    window: int | None,
    seed: int,
) -> Carried:
    """Allocate what a rule needs for some steps; with ``before``, a copy of what it has kept.

    Raises
    ------
    RnnsimError
        If the memory is another rule's, of another batch or another window.
    """
    width = min(checks.whole("window", window, 1), steps) if window is not None else steps
    if before is not None:
        check_carried(before, rule, batch)
        if rule.carries:  # its memory has the size of its window
            if window not in (None, before.window):
                raise RnnsimError(f"window is {window}; that of the memory is {before.window}")
            width = before.window
    done = before.steps if before is not None else 0
    history = min(rule.history(width), done + steps - 1)  # the last window may be one step long
    trajectory = network.trajectory(min(history + rule.rows(width), done + steps), batch)
    if before is not None and rule.carries:
        copy_rows(before.trajectory, trajectory, before.held)
        memory = copy.deepcopy(before.memory)
        return Carried(rule, batch, width, memory, trajectory, before.held, done)
    rng = np.random.default_rng(checks.whole("seed", seed, 0))
    return Carried(rule, batch, width, rule.memory(network, batch, width, rng), trajectory, 0, done)


def check_carried(before: Any, rule: Rule, batch: int) -> None:
    """Refuse memory that is not that of a rule and a batch.

    Raises
    ------
    RnnsimError
    """
    if not isinstance(before, Carried):
        raise RnnsimError(f"memory is that of an earlier result, not {type(before).__name__}")
    if before.rule != rule:
        raise RnnsimError(f"the memory is that of {before.rule}; the rule is {rule}")
    if before.batch != batch:
        raise RnnsimError(f"the memory is of {before.batch} sequences; there are {batch}")


def copy_rows(old: Trajectory, new: Trajectory, count: int) -> None:
    """Copy the first rows of a trajectory to one of another length."""
    rows, others = len(old.states), len(new.states)
    for x, y in zip(old, new):
        if isinstance(x, np.ndarray) and x.shape == (rows, *y.shape[1:]) and len(y) == others:
            y[:count] = x[:count]


def windows_of(carried: Carried, network: Network, steps: int) -> Iterator[tuple[int, Window]]:
    """Go through the windows of some steps; the first row of each, and the window.

    Between windows, rows that the rule reads as history are moved to the front.
    """
    history = carried.rule.history(carried.window)
    keep_history = compiled(network.keep_history, network.kind) if history else None
    for row in range(0, steps, carried.window):
        count = min(carried.window, steps - row)
        yield row, Window(carried.held, count, carried.steps, row + count == steps, True)
        filled, carried.held = carried.held + count, min(history, carried.held + count)
        carried.steps += count
        if keep_history:
            keep_history(carried.trajectory, filled - carried.held, carried.held)


def begin(
    network: Network,
    batch: int,
    initial_state: Array | None,
    reset_state: Array | None,
    settles: bool,
) -> State:
    """Allocate the state at which sequences begin, or from which the network settles."""
    if settles and reset_state is None and initial_state is not None:
        reset_state = checks.state("initial_state", initial_state, batch, network.n_state, network.dtype)
        initial_state = None
    if initial_state is None and reset_state is None:
        return network.state(batch)
    return network.state(batch, initial_state, reset_state)


@reports_memory
def loss(
    network: Network,
    params: Params,
    inputs: Inputs,
    targets: Array,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    initial_state: Array | None = None,
    reset_state: Array | None = None,
    steady_state: bool = False,
    solver: str = "relaxation",
    check_bounds: bool = False,
) -> float:
    """Compute the loss of theory.md 1, eq. (4), by a forward pass.

    Parameters
    ----------
    network, params, inputs, targets, mask, resets, initial_state, reset_state
        As for :func:`gradient`.
    steady_state : bool
        Whether each input row is held fixed until the network reaches a steady state.
    solver : "relaxation", "anderson" or "newton"
        How the steady state is found.
    check_bounds : bool
        As for :func:`gradient`.

    Returns
    -------
    float

    Raises
    ------
    RnnsimError
        As for :func:`gradient`.
    """
    checks.boolean("steady_state", steady_state)
    stream = make_stream(network, inputs, targets, mask, resets, settles=steady_state)
    state = begin(network, stream.mask.shape[1], initial_state, reset_state, steady_state)
    kernel_params = network.kernel_params(network.pack(params))
    with checking_bounds(check_bounds):
        _run(network, kernel_params, stream, state, steady_state, solver)
    raise_if_diverged(stream, bounds_hint(network))
    return float(stream.losses.sum() / stream.mask.shape[1])


@reports_memory
def simulate(
    network: Network,
    params: Params,
    inputs: Inputs,
    *,
    resets: Array | None = None,
    initial_state: Array | None = None,
    reset_state: Array | None = None,
    steady_state: bool = False,
    solver: str = "relaxation",
    check_bounds: bool = False,
) -> Simulation:
    """Run a network forward and record its states and outputs.

    Parameters
    ----------
    network, params, inputs, resets, initial_state, reset_state, steady_state, solver, check_bounds
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
    checks.boolean("steady_state", steady_state)
    stream = make_stream(network, inputs, None, None, resets)
    state = begin(network, stream.mask.shape[1], initial_state, reset_state, steady_state)
    kernel_params = network.kernel_params(network.pack(params))
    if steady_state:
        stream.mask[:] = 1  # each pattern counts
    with checking_bounds(check_bounds):
        trajectory = _run(network, kernel_params, stream, state, steady_state, solver)
    if not steady_state:
        return Simulation(trajectory.states, stream.outputs, None)
    radius = spectral_radius(network, kernel_params, trajectory, stream.mask != 0)
    return Simulation(trajectory.states, stream.outputs, warn_if_unstable(radius))


def raise_if_diverged(stream: Stream, hint: str, grad: Array | None = None) -> None:
    """Raise if the loss or the gradient is not finite; ``hint`` is added to the message.

    Raises
    ------
    Diverged
        With the first step whose loss is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(stream.losses))
    if bad.size:
        raise Diverged(
            f"the loss is {stream.losses[bad[0]]} at step {bad[0] + 1}; "
            f"smaller weights or inputs keep it finite{hint}"
        )
    if grad is not None and not np.isfinite(grad).all():
        raise Diverged(
            f"the gradient is not finite over {len(stream.losses)} steps though the loss is; "
            f"smaller weights or shorter sequences keep it finite{hint}"
        )


def warn_if_unstable(radius: float) -> float:
    """Warn of a spectral radius that is at least 1, and return it."""
    if radius >= 1:
        warnings.warn(f"a steady state is unstable: the spectral radius there is {radius:.4g}; it is a "
                      "steady state all the same", RnnsimWarning, stacklevel=3)  # fmt: skip
    return radius


def _run(
    network: Network, params: Params, stream: Stream, state: State, steady_state: bool, solver: str
) -> Trajectory:
    """Run a network over a stream, writing the outputs and losses into it."""
    steps, batch = stream.mask.shape
    trajectory = network.trajectory(steps, batch)
    checks.known_name("solver", solver, SOLVERS)
    forward_pass = plain_forward(network, Settler(solver) if steady_state else None)
    with shared_work():
        forward_pass(params, state, stream, trajectory)
    return trajectory
