"""Recurrent back-propagation [Seung, AP] (theory.md 1.1).

The input is held fixed and the network settles at x = f(W x + U u + b). The error is a function of that
x, and

    (6) (D^-1 - W^T) s = dE/dx       or, defined also where f' = 0,   s = D (W^T s + dE/dx)
    (7) dE/dW_ij = s_i x_j,   dE/db = s,   dE/dU = s u^T

With J = dF/dx of one step F at the steady state, the adjoint is lambda = J^T lambda + dE/dx, and s is
the delta that ``vjp`` computes from it. The equation is solved directly, or by relaxation (Pineda's
adjoint network), possibly in single precision with refinement, or by its truncated Neumann series
sum_i (J^T)^i dE/dx (:mod:`rnnsim.numerics.adjoints`).
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.errors import NoSteadyState, RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.adjoints import TERMS, AdjointSolver, AdjointWorkspace, RefinementWorkspace
from rnnsim.numerics.fixed_points import (
    SettlingWorkspace,
    settling_workspace,
    solver_kernel,
    unsettled_message,
)
from rnnsim.options import Positive
from rnnsim.rule import DONE, Cost, DataGrads, Rule, Settler, Window
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

UNSETTLED = 1
NO_ADJOINT = 2


class Equilibrium(NamedTuple):
    """The workspace for the steady states and for their adjoints.

    Attributes
    ----------
    settling : SettlingWorkspace
    adjoint : AdjointWorkspace or RefinementWorkspace
    delta : (rows, B, 1, K) array
        s of each row.
    """

    settling: SettlingWorkspace
    adjoint: AdjointWorkspace | RefinementWorkspace
    delta: Array


class EquilibriumForData(NamedTuple):
    """The same with the gradient with respect to the inputs.

    Attributes
    ----------
    settling, adjoint, delta
        As in :class:`Equilibrium`.
    inputs : (rows, B, m) array
        dE/du of each row.
    initial_state : (B, N) array
        Zero: a steady state does not depend on where the network began.
    """

    settling: SettlingWorkspace
    adjoint: AdjointWorkspace | RefinementWorkspace
    delta: Array
    inputs: Array
    initial_state: Array


class RecurrentBackprop(Rule, frozen=True):
    """Recurrent back-propagation at a steady state."""

    name = "recurrent-backprop"
    claim = "exact"
    cost = Cost(time="n^2 a relaxation step, n^3 a direct solve", memory="n^2")
    needs = ("vjp", "collect", "jacobian", "prepare", "project", "step", "swap_sequences", "readout")
    settles = True

    solver: Annotated[
        Literal["relaxation", "anderson", "newton"],
        msgspec.Meta(description="how the network settles"),
    ] = "relaxation"
    adjoint: Annotated[
        Literal["direct", "relaxation", "refined", "neumann"],
        msgspec.Meta(
            description="how the adjoint equation is solved; refined relaxes in single "
            "precision, a few digits at a time, and neumann is approximate"
        ),
    ] = "direct"
    tolerance: Annotated[
        Positive | None,
        msgspec.Meta(description="largest residual of a steady state relative to the state "
                     "(default: 1e-12 in float64, 1e-5 in float32)"),
    ] = None  # fmt: skip
    adjoint_tolerance: Annotated[
        Positive | None,
        msgspec.Meta(description="largest residual of the adjoint relative to dE/dx "
                     "(default: 1e-9, in float32 1e-3; of a truncated series 0.5)"),
    ] = None  # fmt: skip
    max_steps: Annotated[
        int, msgspec.Meta(ge=1, description="most steps of the solver, and of the adjoint's relaxation")
    ] = Settler().max_steps
    depth: Annotated[int, msgspec.Meta(ge=1, description="how many iterates anderson mixes")] = (
        Settler().depth
    )
    terms: Annotated[int, msgspec.Meta(ge=1, description="how many terms neumann sums")] = TERMS

    def online_window(self, network: Network) -> int | None:
        return 1

    def settler(self) -> Settler:
        return Settler(self.solver, self.tolerance, self.max_steps, self.depth)

    def adjoint_solver(self) -> AdjointSolver:
        return AdjointSolver(self.adjoint, self.adjoint_tolerance, self.max_steps, self.terms)

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        return Equilibrium(
            settling_workspace(self.settler(), network, batch),
            self.adjoint_solver().workspace(network, batch),
            aligned_zeros((window, batch, 1, network.n_drive), network.dtype),
        )

    def learn(self, network: Network) -> Kernel:
        settle = solver_kernel(network, self.solver)
        readout_grad, constrain, collect = network.readout_grad, network.constrain, network.collect
        solve_adjoint = self.adjoint_solver().kernel(network)

        @kernel(allocates=False)
        def learn(
            params: Params,
            state: State,
            stream: Stream,
            row: int,
            trajectory: Trajectory,
            window: Window,
            memory: Equilibrium,
            grad: Params,
        ) -> int:
            first, count = window.first, window.length
            if settle(params, state, stream, row, trajectory, first, count, memory.settling) != 0:
                return UNSETTLED
            if not window.learns:
                return DONE
            readout_grad(params, trajectory, first, count, grad)
            for i in range(count):
                if not solve_adjoint(params, trajectory, first + i, memory.adjoint, memory.delta[i]):
                    return NO_ADJOINT
            collect(params, trajectory, first, memory.delta[:count], grad)
            constrain(trajectory, grad)
            return DONE

        return learn

    def for_data(self) -> Rule:
        return RecurrentBackpropForData(**msgspec.structs.asdict(self))

    def explain(self, code: int, memory: Memory, step: int) -> RnnsimError:
        if code == UNSETTLED:
            return NoSteadyState(unsettled_message(memory.settling, self.solver, step - 1))
        return NoSteadyState(self.adjoint_solver().message(memory.adjoint, step - 1))


class RecurrentBackpropForData(RecurrentBackprop, frozen=True):
    """The same with the gradient with respect to the inputs: s of eq. (6) is dE/d(U u + b)."""

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        inputs = aligned_zeros((window, batch, max(network.columns)), network.dtype)
        initial_state = aligned_zeros((batch, network.n_state), network.dtype)
        settling, adjoint, delta = super().memory(network, batch, window, rng)
        return EquilibriumForData(settling, adjoint, delta, inputs, initial_state)

    def learn(self, network: Network) -> Kernel:
        learn, collect_inputs = super().learn(network), network.collect_inputs

        @kernel(allocates=False)
        def learn_for_data(
            params: Params,
            state: State,
            stream: Stream,
            row: int,
            trajectory: Trajectory,
            window: Window,
            memory: EquilibriumForData,
            grad: Params,
        ) -> int:
            code = int(learn(params, state, stream, row, trajectory, window, memory, grad))
            if code == DONE and window.learns:
                first, count = window.first, window.length
                out = memory.inputs[:count]
                out[:] = 0
                collect_inputs(params, trajectory, first, count, memory.delta[:count], out)
            return code

        return learn_for_data

    def data_grads(self, memory: Memory) -> DataGrads:
        return DataGrads(memory.inputs.copy(), memory.initial_state.copy())

    def without_data(self, memory: Memory) -> Memory:
        return Equilibrium(*memory[:3])
