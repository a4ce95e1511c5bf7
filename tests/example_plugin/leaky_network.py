"""A network: linear units that do not see one another, each with a decay of its own.

    x_i(t) = a_i x_i(t-1) + sum_j U_ij u_j(t),      y(t) = V x(t)

The drive is what is added to ``a x(t-1)``, so that dE/d(drive) is dE/dx(t) itself.
"""

from typing import Any, NamedTuple

import numpy as np

import rnnsim
from rnnsim import checks
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.networks.initial_weights import draw_weights
from rnnsim.networks.losses import loss_kernel, step_loss_kernel
from rnnsim.options import Options


class Params(NamedTuple):
    a: np.ndarray  # (n)
    U: np.ndarray  # (n, m)
    V: np.ndarray  # (k, n)


class State(NamedTuple):
    x: np.ndarray  # (B, n)
    initial: np.ndarray  # (B, n), where a reset leads


class Trajectory(NamedTuple):
    inputs: np.ndarray  # (R, B, m)
    resets: np.ndarray  # (R, B)
    entering: np.ndarray  # (R, B, n) x(t-1), after the reset if there is one
    states: np.ndarray  # (R, B, n) x(t)
    losses: np.ndarray  # (R, B)
    output_error: np.ndarray  # (R, B, k) dE/dy(t)
    error: np.ndarray  # (R, B, n) dE/dx(t), the direct part


class Choices(Options, frozen=True):
    """The options that ``rnnsim run`` takes for this network."""

    name = "leaky network"
    loss: Any = "squared-error"


class LeakyNetwork(Network):
    """Linear units that do not see one another."""

    kind = "leaky"
    choices = Choices

    def __init__(self, n_in, n_hidden, n_out, *, loss="squared-error", dtype="float64"):
        self.n_in, self.n_hidden, self.n_out = n_in, n_hidden, n_out
        self.dtype = checks.float_dtype(dtype)
        self.forward = forward_kernel(step_loss_kernel(loss_kernel(loss)))

    @classmethod
    def sized(cls, n_in, hidden, n_out, **options):
        return cls(n_in, hidden, n_out, **options)

    @property
    def n_state(self):
        return self.n_hidden

    @property
    def n_drive(self):
        return self.n_hidden

    @property
    def shapes(self):
        n, m, k = self.n_hidden, self.n_in, self.n_out
        return {"a": (n,), "U": (n, m), "V": (k, n)}

    @property
    def params_type(self):
        return Params

    def init(self, seed=0):
        rng = np.random.default_rng(seed)
        params = self.views(np.zeros(self.n_params, self.dtype))
        params.a[:] = rng.uniform(0.3, 0.95, self.n_hidden)
        params.U[:] = draw_weights(rng, "scaled-normal", 1.0, params.U.shape)
        params.V[:] = draw_weights(rng, "scaled-normal", 1.0, params.V.shape)
        return params

    def state(self, batch, initial_state=None, reset_state=None):
        return State(*self.begin_and_reset(batch, initial_state, reset_state))

    def states(self, count, batch):
        x = np.zeros((count, batch, self.n_hidden), self.dtype)
        return State(x, x[0])

    def trajectory(self, rows, batch):
        def zeros(*shape):
            return np.zeros((rows, batch, *shape), self.dtype)

        return Trajectory(
            inputs=zeros(self.n_in),
            resets=np.zeros((rows, batch), np.bool_),
            entering=zeros(self.n_hidden),
            states=zeros(self.n_hidden),
            losses=np.zeros((rows, batch)),
            output_error=zeros(self.n_out),
            error=zeros(self.n_hidden),
        )

    @staticmethod
    @kernel
    def readout_grad(params, trajectory, first, count, grad):
        """dE/dV = sum_t dE/dy(t) x(t)^T."""
        for t in range(first, first + count):
            for b in range(trajectory.states.shape[1]):
                for o in range(params.V.shape[0]):
                    for i in range(params.V.shape[1]):
                        grad.V[o, i] += trajectory.output_error[t, b, o] * trajectory.states[t, b, i]

    @staticmethod
    @kernel
    def vjp(params, trajectory, t, begin, end, own_error, after, delta, before):
        """One step of the adjoint: delta = dE/dx(t), and before = a delta."""
        for b in range(begin, end):
            for r in range(after.shape[1]):
                for i in range(params.a.size):
                    own = trajectory.error[t, b, i] if own_error else 0.0
                    delta[b, r, i] = after[b, r, i] + own
                    before[b, r, i] = params.a[i] * delta[b, r, i]
                    if trajectory.resets[t, b]:
                        before[b, r, i] = 0.0

    @staticmethod
    @kernel
    def collect(params, trajectory, first, delta, grad):
        """dE/da_i = sum_t delta_i(t) x_i(t-1), dE/dU = sum_t delta(t) u(t)^T."""
        count, B, _, n = delta.shape
        for s in range(count):
            for b in range(B):
                for i in range(n):
                    grad.a[i] += delta[s, b, 0, i] * trajectory.entering[first + s, b, i]
                    for j in range(params.U.shape[1]):
                        grad.U[i, j] += delta[s, b, 0, i] * trajectory.inputs[first + s, b, j]

    @staticmethod
    @kernel
    def constrain(trajectory, grad):
        """Every entry of the parameters is free."""

    @staticmethod
    @kernel
    def keep_history(trajectory, first, count):
        """What vjp and collect read of the last ``count`` rows goes to the front."""
        for i in range(count):
            trajectory.inputs[i] = trajectory.inputs[first + i]
            trajectory.resets[i] = trajectory.resets[first + i]
            trajectory.entering[i] = trajectory.entering[first + i]
            trajectory.error[i] = trajectory.error[first + i]

    @staticmethod
    @kernel
    def save(state, states, i):
        states.x[i] = state.x

    @staticmethod
    @kernel
    def restore(states, i, state):
        state.x[:] = states.x[i]


def forward_kernel(step_loss):
    """Make ``forward`` for a loss."""

    @kernel
    def forward(params, state, stream, row, trajectory, first, count):
        n, m = params.U.shape
        for s in range(count):
            t, now = first + s, row + s
            trajectory.inputs[t] = stream.inputs[now]
            trajectory.resets[t] = stream.resets[now]
            for b in range(state.x.shape[0]):
                for i in range(n):
                    if stream.resets[now, b]:
                        state.x[b, i] = state.initial[b, i]
                    trajectory.entering[t, b, i] = state.x[b, i]
                    x = params.a[i] * state.x[b, i]
                    for j in range(m):
                        x += params.U[i, j] * stream.inputs[now, b, j]
                    state.x[b, i] = x
                    trajectory.states[t, b, i] = x
                for o in range(params.V.shape[0]):
                    y = 0.0
                    for i in range(n):
                        y += params.V[o, i] * state.x[b, i]
                    stream.outputs[now, b, o] = y
            # the losses of the step, and dE/dy: the mask and 1/B are in it
            step_loss(stream, now, 0, state.x.shape[0], trajectory.losses[t], trajectory.output_error[t])
            stream.losses[now] = trajectory.losses[t].sum()
            for b in range(state.x.shape[0]):
                for i in range(n):
                    error = 0.0
                    for o in range(params.V.shape[0]):
                        error += params.V[o, i] * trajectory.output_error[t, b, o]
                    trajectory.error[t, b, i] = error

    return forward


@rnnsim.hookimpl
def rnnsim_networks(register):
    register(LeakyNetwork)
