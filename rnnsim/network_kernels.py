"""The kernels of a network: what each reads, writes and adds to.

A network has each kernel (:mod:`rnnsim.kernels`) as an attribute of :class:`rnnsim.network.Network`;
kernels are called with positional arguments. Letters as in :mod:`rnnsim.network`: T steps, B sequences,
R adjoint rows, m inputs, k outputs, N the size of the state, K that of the drive, P parameters.

Arguments are only read unless they are marked: *written* (overwritten), *added to*, *updated* (read and
overwritten). What they have in common:

* ``params`` and ``grad`` are what :meth:`~rnnsim.network.Network.kernel_params` gives. A trajectory may
  hold copies of the weights in another layout, so ``params`` are those of its last ``forward`` or
  ``prepare``.
* An integer ``row`` is a row of the stream; ``t`` and ``first`` are rows of the trajectory.
* E is the mean over the B sequences of the trajectory (theory.md 1, eq. 4). The factor 1/B is in dE/dy
  (:func:`rnnsim.networks.losses.step_loss_kernel`), and so in ``error``, adjoints and deltas. Gradients
  are sums over the batch of what is already divided by B; losses are never divided.
* Sequences are begin, ..., end - 1 where a kernel takes ``begin`` and ``end``. Where the network
  ``shares``, several threads may call it at once for different sequences.

Kernels are hashable: what is made of them is cached by them. Those that only move data are in
:mod:`rnnsim.network_data`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from rnnsim.network_data import Stream
from rnnsim.typing import Array, Memory, Params, State, Trajectory

# --- kernels of every network ------------------------------------------------------------------------


class Forward(Hashable, Protocol):
    """``forward``: run the network.

    Parameters
    ----------
    params
    state : updated
        The state before the first step, then that after the last.
    stream
        Rows row, ..., row + count - 1 of ``inputs``, ``targets``, ``mask`` and ``resets`` are read;
        those of ``outputs`` and ``losses`` (sums over the batch) are *written*.
    row : int
    trajectory : written
        Rows first, ..., first + count - 1; earlier rows are history and stay.
    first, count : int
    """

    def __call__(
        self, params: Params, state: State, stream: Stream, row: int, trajectory: Trajectory,
        first: int, count: int, /,
    ) -> None: ...  # fmt: skip


class ReadoutGrad(Hashable, Protocol):
    """``readout_grad``: the gradient of the parameters that only the retrieval reads (V and c).

    Rules never compute it.

    Parameters
    ----------
    params
    trajectory
        Rows first, ..., first + count - 1.
    first, count : int
    grad : added to
        The sum over these steps and the batch.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, first: int, count: int, grad: Params, /
    ) -> None: ...


class Constrain(Hashable, Protocol):
    """``constrain``: set the gradient of absent connections to zero.

    Parameters
    ----------
    trajectory
        Its constants only.
    grad : updated
    """

    def __call__(self, trajectory: Trajectory, grad: Params, /) -> None: ...


# --- derivatives of one step -------------------------------------------------------------------------


class Vjp(Hashable, Protocol):
    """``vjp``: one step of the adjoint, by products of row vectors and the step's Jacobians.

    Parameters
    ----------
    params
    trajectory
        Row t.
    t, begin, end : int
        The step, and the sequences begin, ..., end - 1; other threads may process others.
    own_error : bool
        Whether ``error`` of row t, which is divided by B, is added to each adjoint row, at the state
        that the network ``reads``.
    after : (B, R, N) array, updated
        dE/dstate(t) through later steps; its contents may be overwritten.
    delta : (B, R, K) array, written
        dE/d(drive) of the step.
    before : (B, R, N) array, written
        dE/dstate(t-1), zero where the step has a reset. Not the same array as ``after``.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, begin: int, end: int, own_error: bool,
        after: Array, delta: Array, before: Array, /,
    ) -> None: ...  # fmt: skip


class Collect(Hashable, Protocol):
    """``collect``: the gradient of swept steps, as few, large products.

    Parameters
    ----------
    params
    trajectory
        Rows first, ..., first + count - 1.
    first : int
    delta : (count, B, 1, K) array
        Of each step, as ``vjp`` writes it.
    grad : added to
        The sum over the steps and the batch; delta is already divided by B.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, first: int, delta: Array, grad: Params, /
    ) -> None: ...


class CollectInputs(Hashable, Protocol):
    """``collect_inputs``: the gradient with respect to the inputs of swept steps.

    Parameters
    ----------
    params
    trajectory
        Rows first, ..., first + count - 1.
    first, own : int
        Of the last ``own`` steps (all if that is more than ``count``, none if it is not positive), what
        the inputs do to the output directly, through the retrieval, is added too: their errors are
        swept now, those of the others were swept before.
    delta : (count, B, 1, K) array
        Of each step, as ``vjp`` writes it: what the inputs do through the state.
    out : (count, B, m) array, added to
        m is the largest of ``network.columns``: inputs that are shared by several parts of the network
        are counted for each by itself.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, first: int, own: int, delta: Array, out: Array, /
    ) -> None: ...


class CollectRows(Hashable, Protocol):
    """``collect_rows``: as ``collect``, but each adjoint row and sequence apart. Dense sensitivities.

    Parameters
    ----------
    params
    trajectory
        Rows first, ..., first + count - 1.
    first : int
    delta : (count, B, R, K) array
    p : (B, R, P) array, added to
        The sum over the steps, P being ``network.n_columns``.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, first: int, delta: Array, p: Array, /
    ) -> None: ...


class Contract(Hashable, Protocol):
    """``contract``: a row times dense sensitivities.

    Parameters
    ----------
    trajectory
    row : (B, N) array
        dE/dstate, divided by B.
    p : (B, N, P) array
        dstate/dparams of each sequence.
    grad : added to
        ``row . p``, summed over the batch.
    """

    def __call__(self, trajectory: Trajectory, row: Array, p: Array, grad: Params, /) -> None: ...


class Propagate(Hashable, Protocol):
    """``propagate``: carry the sensitivities p = dstate/dparams through steps, with their gradient.

    Parameters
    ----------
    params
    trajectory
        Rows first, ..., first + count - 1.
    first, count : int
    sensitivities : updated
        What ``network.sensitivities`` allocates, in the network's own structure (structural zeros are
        not stored): p before the first step, then p after the last. At a reset p becomes that of the
        initial state.
    grad : added to
        The sum over the steps and the batch of ``error . p``, p being that of the state at which the
        network reads its output.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, first: int, count: int, sensitivities: Memory,
        grad: Params, /,
    ) -> None: ...  # fmt: skip


class Jvp(Hashable, Protocol):
    """``jvp``: ``out = J v`` for tangents v, J = dstate(t)/dstate(t-1).

    Parameters
    ----------
    params
    trajectory
        Row t.
    t : int
    v : (R, B, N) array
    out : (R, B, N) array, written
        Zero where the step has a reset. Not the same array as v.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, v: Array, out: Array, /
    ) -> None: ...


class Jacobian(Hashable, Protocol):
    """``jacobian``: the entries of J = dstate(t)/dstate(t-1).

    Parameters
    ----------
    params
    trajectory
        Row t.
    t, b : int
        The step and the sequence.
    J : (N, N) array, written
        Zero where the step has a reset.
    """

    def __call__(self, params: Params, trajectory: Trajectory, t: int, b: int, J: Array, /) -> None: ...


class Immediate(Hashable, Protocol):
    """``immediate``: a row times dstate(t)/dparams of step t alone, state(t-1) being held constant.

    Parameters
    ----------
    params
    trajectory
        Row t.
    t, begin, end : int
        The step, and the sequences begin, ..., end - 1: only these are read and added.
    row : (B, N) array
    grad : added to
        The sum over these sequences. Absent connections get a number, too: ``constrain`` clears them.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, begin: int, end: int, row: Array,
        grad: Params, /,
    ) -> None: ...  # fmt: skip


class ImmediateEntries(Hashable, Protocol):
    """``immediate_entries``: the entries of dstate(t)/dparams of step t alone, one for each parameter.

    For networks where a parameter acts on a single unit within a step, ``network.owner``. Row i of
    the immediate influence F(t) of theory.md 5 then has entries for the parameters of unit i alone.

    Parameters
    ----------
    params
    trajectory
        Row t.
    t, b : int
        The step and the sequence.
    out : (n_params,) array, written
        dstate_owner[p](t)/dparam_p, state(t-1) being held constant; 0 where the owner is -1.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, b: int, out: Array, /
    ) -> None: ...


class ImmediateFactors(Hashable, Protocol):
    """``immediate_factors``: the same entries as a Kronecker product, dstate_i/dw_ij = D_i z_j.

    That of parameter p is ``D[network.owner[p]] * z[network.column[p]]``, unless these are -1.

    Parameters
    ----------
    params
    trajectory
        Row t.
    t, b : int
        The step and the sequence.
    z : (q,) array, written
        q is ``network.n_factor``.
    D : (N,) array, written
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, b: int, z: Array, D: Array, /
    ) -> None: ...


# --- the parts of forward, for networks that settle --------------------------------------------------


class Prepare(Hashable, Protocol):
    """``prepare``: choose the layout of the weights; before the other parts, whenever params changed.

    Parameters
    ----------
    params
    trajectory : updated
    rows : int
        How many rows, steps times sequences, are processed until the next call.
    """

    def __call__(self, params: Params, trajectory: Trajectory, rows: int, /) -> None: ...


class Project(Hashable, Protocol):
    """``project``: the part of the drive that the inputs give.

    Parameters
    ----------
    params
    trajectory : updated
        ``inputs`` of rows t, ..., t + count - 1 are read; the drive of these steps is written.
    t, count, begin, end : int
        One step (count 1), or several of all sequences.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, count: int, begin: int, end: int, /
    ) -> None: ...


class Step(Hashable, Protocol):
    """``step``: one step, from ``entering`` to ``states``.

    Parameters
    ----------
    params
    trajectory : updated
        ``entering`` of row t is read; ``states`` and what the derivatives need are written there.
    t, index, begin, end : int
        Row t is step number ``index``, from 0, of the last ``project``.
    """

    def __call__(
        self, params: Params, trajectory: Trajectory, t: int, index: int, begin: int, end: int, /
    ) -> None: ...


class Readout(Hashable, Protocol):
    """``readout``: outputs, losses and errors of steps whose ``states`` are there.

    Parameters
    ----------
    params
    stream
        ``targets`` and ``mask`` of rows row, ..., row + count - 1 are read, ``outputs`` *written*.
    row : int
    trajectory : updated
        ``losses`` and ``error`` of rows t, ..., t + count - 1 are written.
    t, count, begin, end : int
        One step (count 1), or several of all sequences.
    """

    def __call__(
        self, params: Params, stream: Stream, row: int, trajectory: Trajectory, t: int, count: int,
        begin: int, end: int, /,
    ) -> None: ...  # fmt: skip
