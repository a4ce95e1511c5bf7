"""A network run forward over whole sequences with fixed parameters: its loss, states and outputs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import Guard, bind_arguments, checked, checking_bounds, is_uncompiled
from rnnsim.errors import reports_memory
from rnnsim.kernels import kernel
from rnnsim.network import KERNELS, Network, Stream, check_is_network, empty_stream
from rnnsim.numerics.fixed_points import SOLVERS
from rnnsim.numerics.linalg import copy
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work, work_context
from rnnsim.rule import DONE, Settler, nbytes
from rnnsim.training.divergence import bounds_hint, raise_if_diverged, warn_if_unstable
from rnnsim.training.evaluation import plain_forward
from rnnsim.training.kept import Kept
from rnnsim.training.schedules import REDUCTIONS
from rnnsim.training.sequences import NOT_FINITE, are_finite
from rnnsim.training.streams import begin, copy_params, data_as_it_is, make_stream
from rnnsim.typing import Array, Inputs, Kernel, Params, State, Trajectory

LEAST_ROWS = 64  # rows of a trajectory that a long sequence goes through
CACHED = 1 << 19  # bytes of a trajectory that stay in a core's cache


class Simulation(NamedTuple):
    """The result of :func:`simulate`: time-major arrays of its own."""

    states: Array  # (T, B, N), after each step: activations, or fast weights
    outputs: Array  # (T, B, k)
    spectral_radius: float | None = None  # the largest over steady states; below 1 they are stable


class ForwardWork(NamedTuple):
    """The arrays of a forward pass."""

    flat_params: Array
    params: Params
    state: State
    trajectory: Trajectory


def forward_kernel(network: Network) -> Kernel:
    """Make ``run(work, stream, states, looks) -> code``: as many rows at a time as the trajectory has.

    The states are copied to ``states`` (T, B, N), or left out if it has no rows. With ``looks``, nothing
    is done where parameters, inputs or targets are not finite.
    """
    forward = network.forward

    @kernel(allocates=False)
    def run(work: ForwardWork, stream: Stream, states: Array, looks: bool) -> int:
        flat_params, params, state, trajectory = work
        if looks and not are_finite(flat_params, stream):
            return NOT_FINITE
        steps, most = stream.losses.size, trajectory.states.shape[0]
        for row in range(0, steps, most):
            count = min(most, steps - row)
            forward(params, state, stream, row, trajectory, 0, count)
            if states.shape[0] > 0:
                copy(trajectory.states[:count], states[row : row + count])
        return DONE

    return run


class ForwardPass:
    """A network's forward pass over sequences of one shape: its arrays, and the compiled kernel.

    Attributes
    ----------
    views : NamedTuple of arrays
        The parameters, in the form that users give them.
    stream : Stream
        Without targets, and where losses are written.
    begin : State
        Where sequences begin by default.
    """

    def __init__(self, network: Network, steps: int, batch: int) -> None:
        flat = aligned_zeros((network.n_params,), network.dtype)
        rows = min(steps, max(LEAST_ROWS, CACHED // nbytes(network.trajectory(1, batch))))
        self.views = network.views(flat)
        self.stream = empty_stream(steps, batch, 0, network.n_out, network.dtype)
        self.stream.mask[:] = 0
        self.begin = network.state(batch)
        self.ones = np.ones_like(self.stream.mask)
        self.work = ForwardWork(
            flat, network.kernel_params(flat), network.state(batch), network.trajectory(rows, batch)
        )
        kernel = forward_kernel(network)
        self.guard = Guard(kernel, network, KERNELS)
        self.run = bind_arguments(kernel, self.work, owner=network.kind)
        self.context = work_context(steps * batch * network.n_params)
        self.nbytes = sum(map(nbytes, (self.work, self.stream)))


_passes: Kept[ForwardPass] = Kept()


def _arrays(network: Network, steps: int, batch: int) -> ForwardPass:
    """The arrays of this thread for a shape, made if there are none that are still right."""
    key = (id(network), steps, batch, checked(), is_uncompiled())
    return _passes.guarded(
        key, lambda: ForwardPass(network, steps, batch), lambda found: found.guard.holds()
    )


def _run(
    network: Network, params: Params, inputs: Inputs, targets: Array | None, mask: Array | None,
    resets: Array | None, initial_state: Array | None, reset_state: Array | None, keeps_states: bool,
) -> tuple[Stream, Array]:  # fmt: skip
    """Run over the data; the stream with outputs and losses, and the states (T, B, N) or none."""
    as_it_is = data_as_it_is(check_is_network(network), inputs, targets, mask, resets)
    if as_it_is is None:
        stream = make_stream(network, inputs, targets, mask, resets)
        steps, batch = stream.mask.shape
    else:
        steps, batch = as_it_is[0].shape[:2]
    arrays = _arrays(network, steps, batch)
    state = arrays.begin
    if initial_state is not None or reset_state is not None:
        state = begin(network, batch, initial_state, reset_state, False)
    copy_params(network, params, arrays.work.flat_params, arrays.views)
    states = np.empty((steps if keeps_states else 0, batch, network.n_state), network.dtype)
    if as_it_is is not None:
        u, d = as_it_is
        stream = arrays.stream._replace(inputs=u)
        if d is not None:
            stream = stream._replace(targets=d, mask=arrays.ones)
        if keeps_states:
            stream = stream._replace(outputs=np.empty_like(stream.outputs))
    if _pass(arrays, state, stream, states, as_it_is is not None) == NOT_FINITE:
        network.pack(params)
        stream = make_stream(network, inputs, targets, mask, resets)  # an error, or padding
        _pass(arrays, state, stream, states, False)
    return stream, states


def _pass(arrays: ForwardPass, state: State, stream: Stream, states: Array, looks: bool) -> int:
    for own, value in zip(arrays.work.state, state):
        own[...] = value
    with arrays.context:
        code: int = arrays.run(stream, states, looks)
    return code


def _run_settling(
    network: Network, params: Params, stream: Stream, initial_state: Array | None,
    reset_state: Array | None, solver: str,
) -> tuple[Params, Trajectory]:  # fmt: skip
    """Let each row of a stream settle; the parameters as kernels take them, and the trajectory."""
    steps, batch = stream.mask.shape
    state = begin(network, batch, initial_state, reset_state, True)
    kernel_params = network.kernel_params(network.pack(params))
    trajectory = network.trajectory(steps, batch)
    with shared_work():
        plain_forward(network, Settler(solver))(kernel_params, state, stream, trajectory)
    return kernel_params, trajectory


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
    reduction: str = "sum",
    check_bounds: bool = False,
) -> float:
    """Compute the loss of theory.md 1, eq. (4), by a forward pass.

    Parameters
    ----------
    network, params, inputs, targets, mask, resets, initial_state, reset_state, reduction
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
    checks.known_name("solver", solver, SOLVERS)
    is_mean = checks.known_name("reduction", reduction, REDUCTIONS) == "mean"
    with checking_bounds(check_bounds):
        if checks.boolean("steady_state", steady_state):
            stream = make_stream(network, inputs, targets, mask, resets, settles=True)
            _run_settling(network, params, stream, initial_state, reset_state, solver)
        else:
            stream, _ = _run(
                network, params, inputs, targets, mask, resets, initial_state, reset_state, False
            )
    batch = stream.mask.shape[1]
    total = float(stream.losses.sum()) / batch
    if not math.isfinite(total):
        raise_if_diverged(stream, bounds_hint(network))
    weight = float(stream.mask.sum()) / batch if is_mean else 1.0
    return float(total / weight if weight else total)


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
    checks.known_name("solver", solver, SOLVERS)
    with checking_bounds(check_bounds):
        if not checks.boolean("steady_state", steady_state):
            stream, states = _run(
                network, params, inputs, None, None, resets, initial_state, reset_state, True
            )
            return Simulation(states, stream.outputs)
        stream = make_stream(network, inputs, None, None, resets)
        stream.mask[:] = 1  # each pattern counts
        kernel_params, trajectory = _run_settling(
            network, params, stream, initial_state, reset_state, solver
        )
        radius = spectral_radius(network, kernel_params, trajectory, stream.mask != 0)
    return Simulation(trajectory.states, stream.outputs, warn_if_unstable(radius))
