"""The contract of a learning rule: how the gradient of the error is computed.

A rule is a :class:`Rule` with its options as fields, a ``memory`` that it allocates and a ``credit``
kernel that adds a window's gradient to ``grad``. It uses a network only through its one-step
derivatives (:mod:`rnnsim.network`), so that each rule trains each network that has those it needs.

A rule in full::

    class MyRule(Rule, frozen=True):
        \"\"\"One line that `rnnsim rules` prints.\"\"\"

        name = "my-rule"
        claim = "approximate"
        cost = Cost(time="n^2", memory="n T")
        needs = ("vjp", "collect")

        def memory(self, network, batch, window, rng): ...  # a NamedTuple of arrays
        def credit(self, network): ...  # a kernel (params, trajectory, window, memory, grad)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rnnsim.errors import RnnsimError, place_of, shown
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream, check_is_network
from rnnsim.options import Options
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

Claim = Literal["exact", "truncated", "unbiased", "approximate"]

CREDIT = "params, trajectory, window, memory, grad"  # what its kernel takes
DONE = 0  # what learn() returns on success; Rule.explain() gives the error for any other code


class Cost(NamedTuple):
    """How time and memory grow with n units, blocks or sweeps of h steps, and T steps.

    Attributes
    ----------
    time : str
        Of one step.
    memory : str
    """

    time: str
    memory: str


class Nothing(NamedTuple):
    """The memory of a rule that keeps nothing: Numba has no type for an empty NamedTuple.

    Attributes
    ----------
    nothing : (0,) array
    """

    nothing: Array


class Window(NamedTuple):
    """The steps whose gradient is computed: rows first, ..., first + length - 1 of the trajectory.

    Rows before ``first`` are history: as many as the rule asked for, or as the stream has had.

    Attributes
    ----------
    first, length : int
        The first row of the trajectory, and the number of rows.
    step : int
        The number of steps of the stream before the window.
    last : bool
        Whether no step comes after the window.
    learns : bool
        Whether the gradient is computed; if not, the network only runs forward.
    """

    first: int
    length: int
    step: int
    last: bool
    learns: bool


class DataGrads(NamedTuple):
    """The gradient with respect to the data of a sequence, of the loss of theory.md 1, eq. (4).

    Attributes
    ----------
    inputs : (T, B, m) array
        dE/du(t), in the form of the network kernel ``collect_inputs``.
    initial_state : (B, N) array
        dE/dstate(0); zero where a reset, or S of a fast-weight network, sets the state before step 1.
    """

    inputs: Array
    initial_state: Array


class Settler(NamedTuple):
    """How a network settles at its steady states (:mod:`rnnsim.numerics.fixed_points`).

    Attributes
    ----------
    solver : "relaxation", "anderson" or "newton"
    tolerance : float or None
        The largest residual; None for the default of the network's dtype.
    max_steps : int
    depth : int
        The number of iterates that Anderson's method combines.
    """

    solver: str = "relaxation"
    tolerance: float | None = None
    max_steps: int = 10_000
    depth: int = 5


class Rule(Options, frozen=True):
    """A learning rule; its fields are its options, validated on construction.

    Attributes
    ----------
    name : str
        By which users choose it.
    claim : "exact", "truncated", "unbiased" or "approximate"
        How its gradient relates to the true one (:meth:`claim_for` has what may change that).
    cost : Cost
    needs : tuple of str
        The kernels and arrays of the network that it uses, such as ``vjp`` or ``owner``.
    networks : tuple of str
        The kinds of networks that it is for; none for every network that has what it needs.
    reads : tuple of str
        Which state the output of its networks may read (:class:`~rnnsim.network.Network`): by default
        ``leaving`` and ``entering``.
    settles : bool
        Whether the network settles at a steady state for each row instead of stepping.
    online : bool
        Whether the weights may change between windows of one sequence.
    carries : bool
        Whether the gradient reaches back beyond a window; if not, the claim holds within a window.
    kind : str
        The kind of network that it trains by default.
    network : mapping
        Options of that network which define the rule.
    """

    name: ClassVar[str]
    claim: ClassVar[Claim]
    cost: ClassVar[Cost]
    needs: ClassVar[tuple[str, ...]] = ()
    networks: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ("leaving", "entering")
    settles: ClassVar[bool] = False
    online: ClassVar[bool] = True
    carries: ClassVar[bool] = True
    kind: ClassVar[str] = "recurrent"
    network: ClassVar[Mapping[str, Any]] = {}

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        """Allocate what the rule carries from window to window, and its workspace.

        What is drawn anew at each step, and what is drawn once and fixed for a whole run, come from
        generators of their own, so that a run can be repeated with other draws and the same fixed
        numbers. For what is fixed, such as a feedback matrix, a rule has an option of its own, and makes
        its generator of it here::

            fixed_seed: Annotated[int, msgspec.Meta(ge=0, description="seed of the matrix")] = 0

            def memory(self, network, batch, window, rng):
                fixed = np.random.default_rng(self.fixed_seed)
                matrix = fixed.standard_normal((network.n_state, network.n_out))
                return Mine(matrix.astype(network.dtype), rng)

        The draws of a step are made at that step, in the order of the sequences, from ``memory.rng``:
        they are then the same however a stream is cut into windows.

        Parameters
        ----------
        network : Network
        batch : int
            B, the number of sequences.
        window : int
            The largest number of steps of a window.
        rng : numpy.random.Generator
            For what is drawn at each step; it depends on the seed of the run. A rule that draws keeps it
            in its memory.

        Returns
        -------
        NamedTuple of arrays and numbers
            Its class is at the top level of a module (the kernel cache finds it by its name).
        """
        return Nothing(np.zeros(0))

    def credit(self, network: Network) -> Kernel:
        """Make the kernel ``credit(params, trajectory, window, memory, grad)``.

        It adds dE/dparams of the window's steps, summed over the batch, to ``grad``; except for the
        parameters of the retrieval (V and c), whose gradient ``readout_grad`` of the network adds.
        ``trajectory.error`` is already divided by B.
        """
        raise RnnsimError(
            f"{self.name}{place_of(type(self))} has no credit(self, network), which it needs"
        )

    def history(self, window: int) -> int:
        """The number of steps before a window that ``credit`` reads."""
        return 0

    def online_window(self, network: Network) -> int | None:
        """The steps between updates in a stream without end; None for no preference."""
        return None

    def claim_for(self, network: Network) -> Claim:
        """What the rule claims of its gradient on a network: none is exact under random feedback."""
        return "approximate" if network.feedback == "random" else self.claim

    def reach(self, network: Network) -> int | None:
        """How many steps back the credit of every error surely reaches, if the claim is "truncated".

        Returns
        -------
        int or None
            The gradient is exact on sequences of at most so many steps. None for other claims, and where
            a rule does not say.
        """
        return None

    def settler(self) -> Settler:
        """How the network settles, for a rule that ``settles``."""
        return Settler()

    def rows(self, window: int) -> int:
        """The number of rows of the trajectory that a window of so many steps needs."""
        return window

    def learn(self, network: Network) -> Kernel:
        """Make the kernel ``learn``, which runs the network over a window and computes the gradient.

        ``learn(params, state, stream, row, trajectory, window, memory, grad) -> code`` reads the stream
        from ``row`` on, adds to ``grad`` and returns ``DONE``, or a code for :meth:`explain`. A rule
        overrides this only if it runs the network itself: from checkpoints, in shards of a batch, or
        at a steady state.
        """
        forward, readout_grad, constrain = network.forward, network.readout_grad, network.constrain
        credit = checked_credit(self, self.credit(network))

        @kernel(allocates=False)
        def learn(
            params: Params,
            state: State,
            stream: Stream,
            row: int,
            trajectory: Trajectory,
            window: Window,
            memory: Memory,
            grad: Params,
        ) -> int:
            forward(params, state, stream, row, trajectory, window.first, window.length)
            if window.learns:
                readout_grad(params, trajectory, window.first, window.length, grad)
                credit(params, trajectory, window, memory, grad)
                constrain(trajectory, grad)
            return DONE

        return learn

    def for_data(self) -> Rule | None:
        """The same rule, whose ``learn`` also computes the gradient with respect to the data.

        It is used for whole sequences, each a single window. Its memory is of another class. A subclass
        of a rule that has it does not inherit it, since the gradient may be another.

        Returns
        -------
        Rule or None
            With ``data_grads`` and ``without_data``; None where the rule has no such gradient.
        """
        return None

    def data_grads(self, memory: Memory) -> DataGrads:
        """What ``learn`` of a rule ``for_data`` has left in its memory."""
        raise NotImplementedError

    def without_data(self, memory: Memory) -> Memory:
        """The memory of the rule itself, from that of a rule ``for_data`` that ``carries``."""
        raise NotImplementedError

    def explain(self, code: int, memory: Memory, step: int) -> RnnsimError:
        """Give the error for a ``code`` that ``learn`` returned, ``step`` being the window's first."""
        return RnnsimError(f"{self.name} gave up at step {step} (code {code})")

    def memory_bytes(self, network: Network, batch: int, window: int) -> int:
        """The number of bytes of the rule's memory and of the trajectory."""
        rows = self.history(window) + self.rows(window)
        memory = self.memory(network, batch, window, np.random.default_rng(0))
        return nbytes(memory) + nbytes(network.trajectory(rows, batch))

    def check_network(self, network: Network) -> None:
        """Refuse a network by its kind, by what it lacks of ``needs``, or by the state that it reads.

        Raises
        ------
        RnnsimError
        """
        check_is_network(network)
        if self.networks and network.kind not in self.networks:
            raise RnnsimError(
                f"{self.name} is for networks of the kind {' or '.join(self.networks)}, "
                f"not for a {network.kind} network"
            )
        absent = [name for name in self.needs if getattr(network, name, None) is None]
        if absent:
            raise RnnsimError(
                f"{self.name} cannot train a {network.kind} network, "
                f"which does not offer {', '.join(absent)}"
            )
        if network.reads not in self.reads:
            after = "after" if network.reads == "entering" else "before"
            raise RnnsimError(
                f"{self.name} is for networks whose output reads the state {after} a step, which that "
                f"of a {network.kind} network does not"
            )


def checked_credit(rule: Rule, credit: Any) -> Kernel:
    """Refuse what cannot be the kernel that ``credit`` of a rule returns.

    Raises
    ------
    RnnsimError
        If it is nothing that can be called, or takes other arguments.
    """
    what, takes = f"{rule.name}{place_of(type(rule))}: ", f"({CREDIT})"
    if not callable(credit):
        raise RnnsimError(
            f"{what}credit returns {shown(credit)}; it returns a kernel that takes {takes}"
        )
    parameters = inspect.signature(credit)
    try:
        parameters.bind(*CREDIT.split(", "))
    except TypeError:
        has = ", ".join(parameters.parameters)
        raise RnnsimError(f"{what}the kernel of credit takes ({has}); it takes {takes}") from None
    found: Kernel = credit
    return found


def nbytes(memory: Any) -> int:
    """Count the bytes of the arrays in a NamedTuple, nested ones included."""
    if isinstance(memory, np.ndarray):
        return memory.nbytes
    if isinstance(memory, tuple):
        return sum(nbytes(part) for part in memory)
    return 0
