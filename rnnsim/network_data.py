"""What the kernels of a network read and write: streams of data, trajectories, and states.

With the kernels that only move such data; the others are in :mod:`rnnsim.network_kernels`, where it says
what all have in common.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim.typing import Array, Bools, Number, Params, State, Trajectory


class Stream(NamedTuple):
    """Data in rows of time steps, with the outputs and losses that the network computes.

    Attributes
    ----------
    inputs : (T, B, m) array
        u(t).
    targets : (T, B, k) array
        d(t).
    mask : (T, B) array
        The weight of each target; 0 where there is none.
    resets : (T, B) bool array
        Whether the state is set to its initial value before the step.
    ends : (T,) bool array
        Whether a window ends after the step, as an episode does.
    legal : (T, B, k) or (0, B, k) bool array
        Every output that counts as right, where several may; without rows otherwise.
    outputs : (T, B, k) array
        y(t), written by ``forward``.
    losses : (T,) float64 array
        mask * loss summed over the batch, written by ``forward``.
    output_mask : (T, B, k) or (0, B, k) array
        The weight of each output within a target; read where ``masks_outputs``.
    masks_outputs : (1,) bool array
        Whether outputs have weights of their own.
    gives_error : (T,) bool array
        Where set, the step's target is dE/dy of each sequence, and its loss counts as 0.
    """

    inputs: Array
    targets: Array
    mask: Array
    resets: Bools
    ends: Bools
    legal: Bools
    outputs: Array
    losses: Array
    output_mask: Array
    masks_outputs: Bools
    gives_error: Bools


def empty_stream(
    rows: int,
    batch: int,
    n_in: int,
    n_out: int,
    dtype: Any,
    *,
    legal: bool = False,
    output_mask: bool = False,
) -> Stream:
    """Allocate a stream of ``rows`` steps: a target at each, no resets, no ends."""
    return Stream(
        inputs=np.zeros((rows, batch, n_in), dtype),
        targets=np.zeros((rows, batch, n_out), dtype),
        mask=np.ones((rows, batch), dtype),
        resets=np.zeros((rows, batch), np.bool_),
        ends=np.zeros(rows, np.bool_),
        legal=np.zeros((rows if legal else 0, batch, n_out), np.bool_),
        outputs=np.zeros((rows, batch, n_out), dtype),
        losses=np.zeros(rows),
        output_mask=np.zeros((rows if output_mask else 0, batch, n_out), dtype),
        masks_outputs=np.zeros(1, np.bool_),
        gives_error=np.zeros(rows, np.bool_),
    )


class TrajectoryFields(Protocol):
    """What the trajectory of every network offers: a NamedTuple of arrays and numbers, a row a step.

    Its other fields are the network's own, for its kernels.

    Attributes
    ----------
    entering : (rows, B, N) array
        state(t-1), or the initial state where there is a reset before the step.
    states : (rows, B, N) array
        state(t).
    error : (rows, B, N) array
        dE(t)/dstate, the direct part, through y(t) alone and divided by B: of ``states`` where the
        network ``reads`` the state that leaves the step, of ``entering`` where that which enters it.
    """

    @property
    def entering(self) -> Array: ...
    @property
    def states(self) -> Array: ...
    @property
    def error(self) -> Array: ...


class SharedTrajectoryFields(TrajectoryFields, Protocol):
    """What the trajectory of a network that ``shares`` offers besides.

    Attributes
    ----------
    single_threaded : (1,) bool array
        Where it is set, ``forward``, ``readout_grad``, ``collect`` and, of one adjoint row, ``vjp``
        start no threads: other threads run other shards of the batch (:mod:`rnnsim.numerics.shards`).
    """

    @property
    def single_threaded(self) -> Bools: ...


class SettlingTrajectoryFields(TrajectoryFields, Protocol):
    """What the trajectory of a network that settles offers besides.

    :mod:`rnnsim.numerics.fixed_points` reads these.

    Attributes
    ----------
    inputs : (rows, B, m) array
    resets : (rows, B) bool array
    losses : (rows, B) array
        mask * loss of each sequence, not divided by B.
    leak : float
        alpha of theory.md 1, eq. (2): the residual of a steady state is max |F(x) - x| / alpha.
    """

    @property
    def inputs(self) -> Array: ...
    @property
    def resets(self) -> Bools: ...
    @property
    def losses(self) -> Array: ...
    @property
    def leak(self) -> Number: ...


# --- kernels that only move such data ------------------------------------------------------------------


class KeepHistory(Hashable, Protocol):
    """``keep_history``: move rows to the front, as the history of the next window.

    Parameters
    ----------
    trajectory : updated
        Rows first, ..., first + count - 1 of all fields that the derivatives read are copied to rows
        0, ..., count - 1; the two may overlap.
    first, count : int
    """

    def __call__(self, trajectory: Trajectory, first: int, count: int, /) -> None: ...


class Save(Hashable, Protocol):
    """``save``: copy a state into an array of states.

    Parameters
    ----------
    state
    states : written
        At index i, of what ``network.states(count, batch)`` allocates.
    i : int
    """

    def __call__(self, state: State, states: State, i: int, /) -> None: ...


class Restore(Hashable, Protocol):
    """``restore``: copy a saved state back.

    Parameters
    ----------
    states
        Index i is read.
    i : int
    state : written
    """

    def __call__(self, states: State, i: int, state: State, /) -> None: ...


class SwapSequences(Hashable, Protocol):
    """``swap_sequences``: exchange two sequences in all that ``step`` and ``vjp`` read and write.

    Parameters
    ----------
    trajectory : updated
        Row t, and the drive of the first step of the last ``project``.
    t, b, other : int
    """

    def __call__(self, trajectory: Trajectory, t: int, b: int, other: int, /) -> None: ...


class Convert(Hashable, Protocol):
    """``convert``: copy what ``vjp`` reads of a step into arrays of another dtype.

    Parameters
    ----------
    params
    trajectory
        Row t.
    t : int
    other_params, other : written
        Parameters and a trajectory of the other dtype, of which row 0 is written.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, other_params: Params,
        other: Trajectory, /,
    ) -> None: ...  # fmt: skip
