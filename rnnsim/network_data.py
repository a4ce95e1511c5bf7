"""What the kernels of a network read and write: streams of data, and trajectories."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim.typing import Array, Bools, Number


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
