"""The contract of a network: what a learning rule may ask of it.

A network is a memory function and a retrieval function with parameters,

    state(t) = memory(state(t-1), input(t)),      output(t) = retrieval(state, input(t)),

and a learning rule needs only their one-step derivatives. A network gives them as *kernels*
(:mod:`rnnsim.kernels`), of which each rule names those that it needs; :mod:`rnnsim.network_kernels`
documents the arguments of each. Letters:

    T steps, B sequences side by side, R adjoint rows, m inputs, k outputs, N the size of the state,
    K the size of the *drive*: that through which the parameters act within one step (the net inputs of
    a recurrent network). dE/d(drive) is the step's *delta*.

A trajectory holds the last steps in rows (:class:`TrajectoryFields`), a stream the data
(:class:`Stream`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, Literal, Self

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError, shown
from rnnsim.network_data import (
    Convert,
    KeepHistory,
    Restore,
    Save,
    SettlingTrajectoryFields,
    SharedTrajectoryFields,
    Stream,
    SwapSequences,
    TrajectoryFields,
    empty_stream,
)
from rnnsim.network_kernels import (
    Collect,
    CollectInputs,
    CollectRows,
    Constrain,
    Contract,
    Forward,
    Immediate,
    ImmediateEntries,
    ImmediateFactors,
    Jacobian,
    Jvp,
    Prepare,
    Project,
    Propagate,
    Readout,
    ReadoutGrad,
    Step,
    Vjp,
)
from rnnsim.options import Options
from rnnsim.pickling import PickledByArguments
from rnnsim.typing import Array, Bools, Integers, Memory, Params, State, Trajectory

__all__ = [
    "KERNELS", "Collect", "CollectInputs", "CollectRows", "Constrain", "Contract", "Convert", "Forward",
    "Immediate", "ImmediateEntries", "ImmediateFactors", "Jacobian", "Jvp", "KeepHistory", "Network",
    "Prepare", "Project", "Propagate", "Readout", "ReadoutGrad", "Restore", "Save",
    "SettlingTrajectoryFields", "SharedTrajectoryFields", "Step", "Stream", "SwapSequences",
    "TrajectoryFields", "Vjp", "empty_stream",
]  # fmt: skip

# The kernels that a network may have, by the names of its attributes.
KERNELS = (
    "forward", "readout_grad", "constrain", "keep_history", "save", "restore", "vjp", "collect",
    "collect_inputs", "collect_rows", "contract", "propagate", "jvp", "jacobian", "immediate",
    "immediate_entries", "immediate_factors", "prepare", "project", "step", "swap_sequences", "convert",
    "readout",
)  # fmt: skip

# Typed Any and not None: a rule that names it in ``needs`` may rely on it.
ABSENT: Any = None


class Network(PickledByArguments, ABC):
    """What every network offers.

    Kernels and arrays that a network lacks are None, and rules that need them refuse the network. The
    class of each kernel documents its arguments, and :mod:`rnnsim.network_kernels` what they have in
    common.

    A network is pickled by the arguments that it was made from, and made anew from them.

    Attributes
    ----------
    kind : str
        By which users choose it.
    choices : type of Options
        What users may choose by name besides the sizes.
    reads : "leaving" or "entering"
        Which state the output y(t) is computed from: state(t), or state(t-1).
    shares : bool
        Whether kernels may be called from several threads, each for sequences of its own: parameters,
        state and trajectory are arrays and numbers, no two sequences write to the same element, and
        the trajectory has :class:`SharedTrajectoryFields`.
    sums_outputs : bool
        Whether the loss is a sum over outputs, so that each may have a mask of its own.
    feedback : "exact" or "random"
        How dE/dy(t) becomes ``error``, dE/dstate(t): by V^T, or by a fixed random matrix in its place,
        which makes every rule's gradient an approximation (theory.md 5).
    n_in, n_out : int
        m and k.
    dtype : numpy.dtype
    forward : Forward
        Run the network over some steps.
    readout_grad : ReadoutGrad
        Add the gradient of the parameters that only the retrieval reads.
    constrain : Constrain
        Set the gradient of absent connections to zero.
    keep_history : KeepHistory
        Move rows of a trajectory to the front.
    save, restore : Save, Restore
        Copy a state into an array of states, and back.
    vjp : Vjp
        One step of the adjoint: dE/dstate(t) to dE/d(drive) and dE/dstate(t-1).
    collect : Collect
        Add the gradient of steps whose delta is known.
    collect_inputs : CollectInputs
        Add the gradient with respect to the inputs of such steps.
    collect_rows : CollectRows
        The gradient of each adjoint row and sequence; dense sensitivities only.
    contract : Contract
        Add a row times dense sensitivities to the gradient.
    propagate : Propagate
        Carry the sensitivities dstate/dparams through steps, and add the steps' gradient.
    jvp : Jvp
        The Jacobian dstate(t)/dstate(t-1) times tangents.
    jacobian : Jacobian
        Its entries.
    immediate : Immediate
        Add a row times dstate(t)/dparams of one step alone to the gradient.
    immediate_entries : ImmediateEntries
        The derivative of the state of each parameter's ``owner`` by it, of one step alone.
    immediate_factors : ImmediateFactors
        The same as a Kronecker product of z (q,) and D (N,).
    prepare, project, step, readout : Prepare, Project, Step, Readout
        The parts of ``forward``, for networks that can settle at a steady state. Their trajectory has
        :class:`SettlingTrajectoryFields`.
    swap_sequences : SwapSequences
        Exchange two sequences of a trajectory.
    convert : Convert
        Copy what ``vjp`` reads into arrays of another dtype.
    """

    kind: ClassVar[str]
    choices: ClassVar[type[Options]] = Options
    reads: ClassVar[Literal["leaving", "entering"]] = "leaving"
    shares: ClassVar[bool] = False
    sums_outputs: bool = False
    feedback: str = "exact"

    n_in: int
    n_out: int
    dtype: np.dtype[Any]

    forward: Forward
    readout_grad: ReadoutGrad
    constrain: Constrain
    keep_history: KeepHistory
    save: Save
    restore: Restore

    vjp: Vjp = ABSENT
    collect: Collect = ABSENT
    collect_inputs: CollectInputs = ABSENT
    collect_rows: CollectRows = ABSENT
    contract: Contract = ABSENT
    propagate: Propagate = ABSENT
    jvp: Jvp = ABSENT
    jacobian: Jacobian = ABSENT
    immediate: Immediate = ABSENT
    immediate_entries: ImmediateEntries = ABSENT
    immediate_factors: ImmediateFactors = ABSENT
    prepare: Prepare = ABSENT
    project: Project = ABSENT
    step: Step = ABSENT
    swap_sequences: SwapSequences = ABSENT
    convert: Convert = ABSENT
    readout: Readout = ABSENT

    @property
    def columns(self) -> tuple[int, ...]:
        """The numbers of columns that its inputs may have."""
        return (self.n_in,)

    def check_inputs(self, inputs: Any) -> Array:
        """Check inputs and give them as one array (T, B, columns); not whether they are finite.

        Raises
        ------
        RnnsimError
            If they have another shape or type.
        """
        return checks.over_time("inputs", inputs, self.n_in, self.dtype)

    def inputs_grad_like(self, inputs: Any, grad: Array) -> Any:
        """Give dE/dinputs, as ``collect_inputs`` computes it, the form of the inputs that were given.

        Parameters
        ----------
        inputs : (T, B, m) or (T, m) array, or what else ``check_inputs`` takes
        grad : (T, B, m) array

        Returns
        -------
        array, or what else the inputs are
        """
        return grad.reshape(np.shape(inputs))

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
        """Make the network for a task's sizes, ``hidden`` being the size that users choose."""

    @abstractmethod
    def init(self, seed: int = 0) -> Params:
        """Draw initial parameters."""

    @abstractmethod
    def state(
        self, batch: int, initial_state: Array | None = None, reset_state: Array | None = None
    ) -> State:
        """Allocate the state of ``batch`` sequences, at its initial value.

        Parameters
        ----------
        batch : int
            B.
        initial_state : (B, N) or (N,) array, optional
            Where the sequences begin; by default at ``reset_state``.
        reset_state : (B, N) or (N,) array, optional
            Where a reset leads, and from which a network settles; by default the network's own.

        Returns
        -------
        NamedTuple of arrays, B rows each
            The first is the state (B, N), in the form of ``initial_state``.
        """

    def begin_and_reset(
        self, batch: int, initial_state: Any, reset_state: Any, own: float = 0.0
    ) -> tuple[Array, Array]:
        """Check the arguments of ``state``; give x(0) and the state after a reset, (B, N) each.

        ``own`` is each number of the network's own state.

        Raises
        ------
        RnnsimError
            If a state has a wrong shape, type or value.
        """
        if reset_state is None:
            reset_state = np.full(self.n_state, own, self.dtype)
        reset = checks.state("reset_state", reset_state, batch, self.n_state, self.dtype)
        if initial_state is None:
            return reset.copy(), reset
        return checks.state("initial_state", initial_state, batch, self.n_state, self.dtype), reset

    @abstractmethod
    def states(self, count: int, batch: int) -> State:
        """Allocate ``count`` states, for ``save``: a leading axis in each array of a state."""

    @abstractmethod
    def trajectory(self, rows: int, batch: int) -> Trajectory:
        """Allocate a trajectory of ``rows`` steps.

        Returns
        -------
        NamedTuple of arrays and numbers
            With :class:`TrajectoryFields`, and what the network's kernels keep of each step. Its class
            is at the top level of a module (the kernel cache finds it by its name).
        """

    @cached_property
    def owner(self) -> Integers:
        """The unit on which each parameter acts within a step: (n_params,) int array.

        An index into the state, in the order of the flat parameters; -1 for those that act
        on none, such as those of the retrieval and of absent connections.
        """
        return ABSENT  # type: ignore[no-any-return]

    @cached_property
    def column(self) -> Integers:
        """The index into z of each parameter, for ``immediate_factors``: (n_params,) ints, or -1."""
        return ABSENT  # type: ignore[no-any-return]

    @cached_property
    def n_factor(self) -> int:
        """q, the size of z of ``immediate_factors``."""
        return ABSENT  # type: ignore[no-any-return]

    @cached_property
    def jacobian_pattern(self) -> Bools:
        """Which entries of J = dstate(t)/dstate(t-1) may differ from 0, (N, N): by default all."""
        return np.ones((self.n_state, self.n_state), np.bool_)

    def sensitivities(self, batch: int, window: int) -> Memory:
        """Allocate p = dstate/dparams = 0, in the structure that ``propagate`` updates.

        ``window`` is the largest number of steps of one call of ``propagate``.
        """
        raise RnnsimError(f"a {self.kind} network has no sensitivities")

    def state_names(self, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """Name each number of the state, for figures, given the names of the inputs and outputs."""
        return tuple(f"unit {i + 1}" for i in range(self.n_state))

    def check_params(self, params: Params) -> None:
        """Refuse parameters whose values this network cannot have (shapes are checked already)."""

    @property
    def n_columns(self) -> int:
        """P, the number of columns of dense sensitivities (networks with ``collect_rows``)."""
        raise RnnsimError(f"a {self.kind} network has no dense sensitivities")

    @property
    def n_params(self) -> int:
        """The number of entries of all parameters."""
        _, places = self._layout
        return places[-1][1] if places else 0

    def views(self, flat: Array) -> Params:
        """Give the parameters as views into one flat array of ``n_params`` numbers."""
        make, places = self._layout
        return make(*[flat[begin:end].reshape(shape) for begin, end, shape in places])

    @cached_property
    def _layout(self) -> tuple[Any, list[tuple[int, int, tuple[int, ...]]]]:
        """The class of the parameters, and of each its place in the flat array and its shape."""
        ends = list(accumulate(map(math.prod, self.shapes.values()), initial=0))
        return self.params_type, list(zip(ends[:-1], ends[1:], self.shapes.values()))

    def kernel_params(self, flat: Array) -> Params:
        """Give the parameters, or their gradient, as the kernels take them: by default as ``views``.

        A NamedTuple of arrays, of a class that can be imported by its name (for the kernel cache).
        """
        return self.views(flat)

    def pack(self, params: Params) -> Array:
        """Copy parameters, checked, into one flat array.

        Parameters
        ----------
        params : NamedTuple or mapping of arrays

        Raises
        ------
        RnnsimError
            If an array is absent, has another shape, or holds what is not a finite real number.
        """
        given: Any = params
        if isinstance(params, tuple) and hasattr(params, "_asdict"):
            given = params._asdict()
        if not isinstance(given, Mapping) or set(given) != set(self.shapes):
            got = ", ".join(map(str, given)) if isinstance(given, Mapping) else shown(params)
            names = ", ".join(self.shapes)
            raise RnnsimError(f"the parameters of this network are {names}; got {got or 'none'}")
        flat = aligned_zeros((self.n_params,), self.dtype)
        views = self.views(flat)
        for name, shape in self.shapes.items():
            array = checks.numbers(name, given[name], self.dtype)
            if array.shape != shape:
                raise RnnsimError(f"{name} has shape {array.shape}; this network's is {shape}")
            if not np.isfinite(array).all():
                raise RnnsimError(f"{name} holds values that are not finite")
            getattr(views, name)[...] = array
        self.check_params(views)
        return flat


def check_is_network(given: Any) -> Network:
    """Check that an argument is a network.

    Raises
    ------
    RnnsimError
    """
    if not isinstance(given, Network):
        raise RnnsimError("network is one that is made, such as a RecurrentNetwork or a "
                          f"FastWeightNetwork, not {shown(given)}")  # fmt: skip
    return given
