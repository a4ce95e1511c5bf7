"""The contract of a learning rule: who is to delta for the error?

A rule is a :class:`Rule` with its options as fields, a ``memory`` that it allocates and a ``credit``
kernel that adds a window's gradient to ``grad``. It asks a network for one-step derivatives alone
(:mod:`rnnsim.network`), so that each rule trains each network that has the derivatives it needs.

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

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.options import Options
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

Claim = Literal["exact", "truncated", "unbiased", "approximate"]

DONE = 0  # what learn() returns where nothing went wrong; anything else is the rule's to explain


class Cost(NamedTuple):
    """How time per step and memory grow: with n units, h steps of a window, T steps."""

    time: str
    memory: str


class Nothing(NamedTuple):
    """The memory of a rule that has none (Numba knows no empty tuples of arrays)."""

    nothing: Array


class Window(NamedTuple):
    """The steps whose gradient is asked for: rows first, ..., first + length - 1 of the trajectory.

    Rows before ``first`` are history, as many as the rule asked for and the stream has had.
    """

    first: int
    length: int
    step: int  # how many steps the stream has had before the window
    last: bool  # no step comes after
    learns: bool  # whether a gradient is asked for; if not, the network only runs


class Settler(NamedTuple):
    """How a network is to settle at its steady states (:mod:`rnnsim.numerics.fixed_points`)."""

    solver: str = "relaxation"  # or "anderson", "newton"
    tolerance: float | None = None  # the largest residual; None: that of the network's dtype
    max_steps: int = 10_000
    depth: int = 5  # how many iterates Anderson's method mixes


class Rule(Options, frozen=True):
    """A learning rule; its fields are its options, validated on construction.

    Attributes
    ----------
    name : str
        By which users choose it.
    claim : "exact", "truncated", "unbiased" or "approximate"
        What its gradient is to the true one.
    cost : Cost
    needs : tuple of str
        The network's kernels that it uses.
    settles : bool
        Whether the network settles at a steady state for each row, in place of stepping.
    online : bool
        Whether the weights may move between windows of one sequence.
    carries : bool
        Whether credit passes from window to window; if not, the claim holds within a window.
    kind : str
        The kind of network that it trains where the user does not say.
    network : mapping
        Options of that network without which it would be another rule.
    """

    name: ClassVar[str]
    claim: ClassVar[Claim]
    cost: ClassVar[Cost]
    needs: ClassVar[tuple[str, ...]] = ()
    settles: ClassVar[bool] = False
    online: ClassVar[bool] = True
    carries: ClassVar[bool] = True
    kind: ClassVar[str] = "recurrent"
    network: ClassVar[Mapping[str, Any]] = {}

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        """Allocate what the rule carries from window to window, and its room to work.

        A NamedTuple of arrays and numbers, of a class at the top of a module (the cache finds it by
        its name). By default there is nothing. A rule that draws random numbers keeps ``rng`` there.
        """
        return Nothing(np.zeros(0))

    def credit(self, network: Network) -> Kernel:
        """Make the kernel ``credit(params, trajectory, window, memory, grad)``: the rule's whole work.

        It adds dE/dparams of the window's steps to ``grad``, whatever belongs to the retrieval
        (V, c) excepted: the network does that itself.
        """
        raise NotImplementedError

    def history(self, window: int) -> int:
        """How many steps from before a window ``credit`` reads."""
        return 0

    def online_window(self, network: Network) -> int | None:
        """How often the weights should move in a stream without end; None: no preference."""
        return None

    def settler(self) -> Settler:
        """How a network is to settle that this rule trains, where it settles."""
        return Settler()

    def rows(self, window: int) -> int:
        """How many rows of the trajectory a window of so many steps needs."""
        return window

    def learn(self, network: Network) -> Kernel:
        """Make the kernel that runs the network over a window and gives the gradient.

        A rule overrides this only if it runs the network itself: ``bptt`` in shards of
        a batch or from checkpoints, ``recurrent-backprop`` at its steady state.
        """
        forward, readout_grad, constrain = network.forward, network.readout_grad, network.constrain
        credit = self.credit(network)

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

    def explain(self, code: int, memory: Memory, step: int) -> RnnsimError:
        """Say what went wrong where ``learn`` returned ``code``, ``step`` being the window's first."""
        return RnnsimError(f"{self.name} gave up at step {step} (code {code})")

    def memory_bytes(self, network: Network, batch: int, window: int) -> int:
        """How many bytes the rule holds: its memory and the rows of the trajectory."""
        rows = self.history(window) + self.rows(window)
        memory = self.memory(network, batch, window, np.random.default_rng(0))
        return nbytes(memory) + nbytes(network.trajectory(rows, batch))

    def check_network(self, network: Network) -> None:
        """Refuse a network that lacks what this rule needs.

        Raises
        ------
        RnnsimError
            If a kernel that the rule needs is absent.
        """
        absent = [name for name in self.needs if getattr(network, name, None) is None]
        if absent:
            raise RnnsimError(
                f"{self.name} cannot train a {network.kind} network, "
                f"which does not offer {', '.join(absent)}"
            )


def nbytes(memory: Any) -> int:
    """Count the bytes of the arrays in a NamedTuple, nested ones included."""
    if isinstance(memory, np.ndarray):
        return memory.nbytes
    if isinstance(memory, tuple):
        return sum(nbytes(part) for part in memory)
    return 0
