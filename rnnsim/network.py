"""The contract of a network: what a learning rule may ask of it.

A network is a memory function and a retrieval function with parameters,

    state(t) = memory(state(t-1), input(t)),      output(t) = retrieval(state, input(t)),

and a learning rule needs only their one-step derivatives. A network gives them as *kernels*
(:mod:`rnnsim.kernels`), of which each rule names those that it needs. One alphabet throughout:

    T steps, B sequences side by side, R adjoint rows, m inputs, k outputs,
    N the size of the state, K the size of the *drive*: that through which the parameters act within
    one step (the net inputs of a recurrent network). dE/d(drive) is the step's *delta*.

A trajectory holds the last steps in rows; ``t`` is always such a row. Its ``error`` is dE(t)/dstate,
the direct part, of the state at which the network reads its output: the one that leaves step t in a
recurrent network, the one that enters it in a fast-weight network (``reads``). The kernels:

``forward(params, state, stream, row, trajectory, first, count)``
    Run ``count`` steps from row ``row`` of the stream and write them into the trajectory from row
    ``first`` on; outputs and losses go into the stream. ``state`` is carried on.
``readout_grad(params, trajectory, first, count, grad)``
    Add the gradient of the parameters that only the retrieval reads (V and c): no rule's business.
``constrain(trajectory, grad)``
    Take back what belongs to no parameter (absent connections).
``keep_history(trajectory, first, count)``
    Move ``count`` rows from row ``first`` to the front: the history of the next window.

``save(state, states, i)``, ``restore(states, i, state)``
    Keep a state in place ``i`` of ``network.states(count, batch)``, and take it back.

``vjp(params, trajectory, t, begin, end, own_error, after, delta, before)``
    One step of the adjoint, of the sequences begin, ..., end - 1. ``after`` (B, R, N) is dE/dstate(t)
    by the later steps; with ``own_error`` the step's own error joins, wherever the network reads it (so
    ``after`` may be changed). Writes ``delta`` (B, R, K) and ``before`` (B, R, N), dE/dstate(t-1);
    nothing crosses a reset.
``collect(params, trajectory, first, delta, grad)``
    Add the gradient of swept steps; delta (count, B, 1, K), as few, large products.
``collect_rows(params, trajectory, first, delta, p)``
    The same for each adjoint row and sequence apart: add to p (B, R, P). Dense sensitivities only.
``contract(trajectory, row, p, grad)``
    Add ``row . p``, row (B, N), p (B, N, P), to the gradient. Dense sensitivities only.
``propagate(params, trajectory, first, count, sensitivities, grad)``
    Carry p = dstate/dparams over ``count`` steps and add each step's dE/dstate . p to the gradient,
    in the same pass; the sensitivities are the network's own (``network.sensitivities``), so that
    structured zeros are never stored.
``jvp(params, trajectory, t, v, out)``
    ``out = J v`` for tangents v (R, B, N), J = dstate(t)/dstate(t-1).
``jacobian(params, trajectory, t, b, J)``
    The entries of J (N, N) for sequence b.
``immediate(params, trajectory, t, row, grad)``
    Add ``row . (dstate(t)/dparams of this step alone)``; row (B, N).

Cores may share a batch of a network that ``shares``: its parameters, state and trajectory are arrays
and numbers, and no two sequences write to one place. The trajectory then has ``single_threaded`` (1,): where it is
set, ``forward``, ``readout_grad`` and ``collect`` leave the other cores alone, which have shards of the batch
by themselves (:mod:`rnnsim.numerics.shards`).

``prepare``, ``project``, ``step`` and ``readout`` are the parts of ``forward`` for networks that can
settle (:mod:`rnnsim.numerics.fixed_points`): ``prepare(params, trajectory, rows)`` of so many rows in all; then, of
the sequences begin, ..., end - 1, ``project(params, trajectory, t, count, begin, end)``, which takes the
inputs of ``count`` steps in (one, or those of all sequences), ``step(params, trajectory, t, place,
begin, end)``, t being the ``place``-th of them, and ``readout(params, stream, row, trajectory, t, count,
begin, end)``, which leaves ``losses`` (R, B) in the trajectory.
``swap_sequences(trajectory, t, b, other)`` has two of them change places in all that ``step`` and ``vjp``
read and write; ``convert(params, trajectory, t, other_params, other)`` copies what ``vjp`` reads of
step t to row 0 of a trajectory of another dtype.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError
from rnnsim.options import Options
from rnnsim.typing import Array, Bools, Kernel, Memory, Params, State, Trajectory


class Stream(NamedTuple):
    """Data in rows of time steps, and what the network made of it.

    ``mask`` weighs each target (0: there is none); ``resets`` puts the state back before the step;
    ``ends`` closes a window after the step (the end of an episode). ``legal`` marks every output
    that counts as right where several do; it has no rows otherwise.
    """

    inputs: Array  # (T, B, m)
    targets: Array  # (T, B, k)
    mask: Array  # (T, B)
    resets: Bools  # (T, B)
    ends: Bools  # (T,)
    legal: Bools  # (T, B, k) or (0, B, k)
    outputs: Array  # (T, B, k), written by forward
    losses: Array  # (T,) float64, written by forward: sum over the batch of mask * loss


def empty_stream(
    rows: int, batch: int, n_in: int, n_out: int, dtype: Any, *, legal: bool = False
) -> Stream:
    """Allocate a stream of ``rows`` steps: a target splat, no resets, no ends."""
    return Stream(
        inputs=np.zeros((rows, batch, n_in), dtype),
        targets=np.zeros((rows, batch, n_out), dtype),
        mask=np.ones((rows, batch), dtype),
        resets=np.zeros((rows, batch), np.bool_),
        ends=np.zeros(rows, np.bool_),
        legal=np.zeros((rows if legal else 0, batch, n_out), np.bool_),
        outputs=np.zeros((rows, batch, n_out), dtype),
        losses=np.zeros(rows),
    )


class Network(ABC):
    """What every network offers. Kernels that it lacks are None, and rules that need them refuse."""

    kind: ClassVar[str]
    choices: ClassVar[type[Options]] = Options  # what users may choose by name beside the sizes
    reads: ClassVar[Literal["leaving", "entering"]] = "leaving"  # the state that the output is of
    shares: ClassVar[bool] = False  # whether cores may share a batch, see above

    n_in: int
    n_out: int
    dtype: np.dtype[Any]

    forward: Kernel
    readout_grad: Kernel
    constrain: Kernel
    keep_history: Kernel
    save: Kernel
    restore: Kernel

    # Any and not Kernel | None: a rule that names a kernel in ``needs`` may rely on it.
    vjp: Any = None
    collect: Any = None
    collect_rows: Any = None
    contract: Any = None
    propagate: Any = None
    jvp: Any = None
    jacobian: Any = None
    immediate: Any = None
    prepare: Any = None
    project: Any = None
    step: Any = None
    swap_sequences: Any = None
    convert: Any = None
    readout: Any = None

    @property
    def columns(self) -> tuple[int, ...]:
        """How many columns its inputs may have."""
        return (self.n_in,)

    def check_inputs(self, inputs: Any) -> Array:
        """Give inputs as one array (T, B, columns).

        Raises
        ------
        RnnsimError
            If they have another shape or are not finite.
        """
        return checks.finite("inputs", checks.over_time("inputs", inputs, self.n_in, self.dtype))

    @property
    @abstractmethod
    def n_state(self) -> int:
        """N, the size of the state of one sequence."""

    @property
    @abstractmethod
    def n_drive(self) -> int:
        """K, the size of the drive of one sequence."""

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The names and shapes of the parameters, in order."""

    @property
    @abstractmethod
    def params_type(self) -> Any:
        """The NamedTuple of the parameters."""

    @classmethod
    @abstractmethod
    def sized(cls, n_in: int, hidden: int, n_out: int, **options: Any) -> Self:
        """Make the network that fits a task, ``hidden`` being the size that users choose."""

    @abstractmethod
    def init(self, seed: int = 0) -> Params:
        """Draw initial parameters."""

    @abstractmethod
    def state(self, batch: int, initial_state: Array | None = None) -> State:
        """Allocate the state of ``batch`` sequences, at its initial value."""

    @abstractmethod
    def states(self, count: int, batch: int) -> State:
        """Allocate room for ``count`` states, for ``save``."""

    @abstractmethod
    def trajectory(self, rows: int, batch: int) -> Trajectory:
        """Allocate the rows of a trajectory."""

    def sensitivities(self, batch: int, window: int) -> Memory:
        """Allocate p = dstate/dparams = 0, in the structure that ``propagate`` carries.

        ``window`` is the most steps that it is to carry them at a time.
        """
        raise RnnsimError(f"a {self.kind} network has no sensitivities")

    def state_names(self, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """What each number of the state is, for figures, where the inputs and outputs have names."""
        return tuple(f"unit {i + 1}" for i in range(self.n_state))

    def check_params(self, params: Params) -> None:
        """Refuse parameters whose values this network cannot have (shapes are checked already)."""

    @property
    def n_columns(self) -> int:
        """P, how many columns dense sensitivities have (networks with ``collect_rows``)."""
        raise RnnsimError(f"a {self.kind} network has no dense sensitivities")

    @property
    def n_params(self) -> int:
        """How many numbers the parameters are."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def views(self, flat: Array) -> Params:
        """Give the parameters as views into one flat array of ``n_params`` numbers."""
        arrays, start = [], 0
        for shape in self.shapes.values():
            stop = start + int(np.prod(shape))
            arrays.append(flat[start:stop].reshape(shape))
            start = stop
        return self.params_type(*arrays)

    def kernel_params(self, flat: Array) -> Params:
        """Give the parameters, or their gradient, as the kernels take them: by default as views.

        A NamedTuple of arrays, of a class that can be imported by its name (for the cache).
        """
        return self.views(flat)

    def pack(self, params: Params) -> Array:
        """Copy parameters, checked, into one flat array.

        Raises
        ------
        RnnsimError
            If an array is absent, has another shape, or holds values that are not finite.
        """
        given = params._asdict() if hasattr(params, "_asdict") else params
        if not isinstance(given, Mapping) or set(given) != set(self.shapes):
            raise RnnsimError(
                f"the parameters of this network are {', '.join(self.shapes)}; got "
                f"{', '.join(given) if isinstance(given, Mapping) else type(params)}"
            )
        flat = aligned_zeros((self.n_params,), self.dtype)
        views = self.views(flat)
        for name, shape in self.shapes.items():
            array = np.asarray(given[name])
            if array.shape != shape:
                raise RnnsimError(f"{name} has shape {array.shape}; this network's is {shape}")
            if not np.isfinite(array).all():
                raise RnnsimError(f"{name} holds values that are not finite")
            getattr(views, name)[...] = array
        self.check_params(views)
        return flat
