"""The GRU of theory.md 6: its options, parameters and initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError, reports_memory, shown
from rnnsim.network import Network
from rnnsim.networks import readout as reading
from rnnsim.networks import stepping
from rnnsim.networks.activations import named
from rnnsim.networks.dense import Sensitivities
from rnnsim.networks.initial_weights import check_scheme, scale_readout, set_weights
from rnnsim.networks.losses import Pair, is_sum_of_outputs, loss_kernel, step_loss_kernel
from rnnsim.numerics import tiles
from rnnsim.numerics.linalg import ROWS
from rnnsim.options import Options
from rnnsim.typing import Array, Integers, Params
from rnnsim_networks.gru import derivatives as derivatives
from rnnsim_networks.gru import forward as running
from rnnsim_networks.gru import sensitivities as dense

WORKSPACE = 128  # rows: products of so many lose little time at their beginning and end


class GRUParams(NamedTuple):
    """The parameters, those of a kind one after another: kernels take them stacked.

    Attributes
    ----------
    W_r, W_z, W_c : (n, n) arrays
        From column to row.
    U_r, U_z, U_c : (n, m) arrays
    b_r, b_z, b_c, b_n : (n,) arrays
    V : (k, n) array
    c : (k,) array
        The bias of the readout, eq. (3); the candidate of eq. (32) is no parameter.
    """

    W_r: Array
    W_z: Array
    W_c: Array
    U_r: Array
    U_z: Array
    U_c: Array
    b_r: Array
    b_z: Array
    b_c: Array
    b_n: Array
    V: Array
    c: Array


class GRUChoices(Options, frozen=True):
    """Options of a GRU besides its sizes, and of its initial weights."""

    name = "gru network"

    loss: Any = "squared-error"
    feedback: reading.Feedback = "exact"
    feedback_seed: reading.FeedbackSeed = 0
    scheme: str = "scaled-normal"
    gain: float = 1.0
    readout_scale: float = 1.0
    check_derivatives: bool = True


class GRUNetwork(Network):
    """A network of n gated recurrent units (theory.md 6, eq. 32), with a linear readout.

    ``r = sig(W_r x + U_r u + b_r)``, ``z = sig(W_z x + U_z u + b_z)``, the candidate
    ``tanh(U_c u + b_c + r * (W_c x + b_n))`` and ``x(t) = (1 - z) * candidate + z * x(t-1)``, x on the
    right being x(t-1); ``y(t) = V x(t) + c``.

    Parameters
    ----------
    n_in, n_hidden, n_out : int
        m, n and k, the numbers of inputs, units and outputs.
    readout : "linear"
    loss : str or (value, gradient)
        ``squared-error`` (half the squared error), ``softmax-cross-entropy`` or
        ``logistic-cross-entropy`` (of logits), or two functions of (y, d).
    feedback : "exact" or "random"
        How an error at the outputs becomes dE/dx(t): ``V^T dE/dy(t)``, or ``G dE/dy(t)`` with a fixed
        random matrix G (n, k) (theory.md 5), as of :class:`rnnsim.RecurrentNetwork`.
    feedback_seed : int
        Seed of G.
    dtype : "float64" or "float32"
    check_derivatives : bool
        Whether the gradient of a loss of your own is compared with differences, once.

    Raises
    ------
    RnnsimError
        If an option is out of bounds, has an unknown name, or a derivative is wrong.
    """

    kind: ClassVar[str] = "gru"
    choices: ClassVar[type[Options]] = GRUChoices
    shares: ClassVar[bool] = True

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        readout: str = "linear",
        loss: str | Pair = "squared-error",
        feedback: str = "exact",
        feedback_seed: int = 0,
        dtype: Any = "float64",
        check_derivatives: bool = True,
    ) -> None:
        self.n_in = checks.whole("n_in", n_in, 0, checks.LARGEST_SIZE)
        self.n_hidden = checks.whole("n_hidden", n_hidden, 1, checks.LARGEST_SIZE)
        self.n_out = checks.whole("n_out", n_out, 1, checks.LARGEST_SIZE)
        self.dtype = checks.float_dtype(dtype)
        checked = checks.boolean("check_derivatives", check_derivatives)
        if not isinstance(readout, str) or readout != "linear":
            raise RnnsimError(f"readout of a gru network is 'linear', not {shown(readout)}")
        checks.name_or_functions("loss", loss, 2, "a pair (value, gradient) of functions of (y, d)")
        self.loss = loss
        self.feedback = checks.known_name("feedback", feedback, ("exact", "random"))
        self.feedback_seed = checks.whole("feedback_seed", feedback_seed, 0)
        self.sums_outputs = is_sum_of_outputs(loss, self.n_out)
        step_loss = step_loss_kernel(loss_kernel(loss, self.n_out, checked), self.sums_outputs)
        read_vjp = reading.random_feedback if self.feedback == "random" else reading.read_linear_vjp
        self.forward = stepping.forward_kernel(
            stepping.prepare_kernel(reading.transpose_linear),
            stepping.project,
            running.step_kernel(named("logistic", self.dtype), named("tanh", self.dtype)),
            reading.readout_kernel(reading.read_linear, read_vjp, step_loss),
        )

    @classmethod
    def sized(cls, n_in: int, hidden: int, n_out: int, **options: Any) -> Self:
        return cls(n_in, hidden, n_out, **options)

    def __repr__(self) -> str:
        return (
            f"GRUNetwork(n_in={self.n_in}, n_hidden={self.n_hidden}, n_out={self.n_out}, "
            f"loss={self.loss!r}, "
            + (f"feedback='random', feedback_seed={self.feedback_seed}, " * (self.feedback == "random"))
            + f"dtype={self.dtype.name!r})"
        )

    # --- sizes and parameters ---

    @property
    def n_state(self) -> int:
        return self.n_hidden

    @property
    def n_drive(self) -> int:
        return 3 * self.n_hidden

    @property
    def n_columns(self) -> int:
        return 3 * self.n_hidden * (self.n_hidden + self.n_in) + 4 * self.n_hidden

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        n, m, k = self.n_hidden, self.n_in, self.n_out
        shapes: dict[str, tuple[int, ...]] = {}
        shapes |= dict.fromkeys(("W_r", "W_z", "W_c"), (n, n))
        shapes |= dict.fromkeys(("U_r", "U_z", "U_c"), (n, m))
        shapes |= dict.fromkeys(("b_r", "b_z", "b_c", "b_n"), (n,))
        return shapes | {"V": (k, n), "c": (k,)}

    @property
    def params_type(self) -> Any:
        return GRUParams

    def kernel_params(self, flat: Array) -> running.Stacked:
        n, m, k = self.n_hidden, self.n_in, self.n_out
        shapes = ((3 * n, n), (3 * n, m), (3 * n,), (n,), (k, n), (k,))
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
        parts = (flat[begin:end] for begin, end in pairwise(ends))
        return running.Stacked(*(part.reshape(shape) for part, shape in zip(parts, shapes)))

    @reports_memory
    def init(
        self, seed: int = 0, *, scheme: str = "scaled-normal", gain: float = 1.0,
        readout_scale: float = 1.0,
    ) -> Params:  # fmt: skip
        """Draw initial weights; all b and c are zero.

        Parameters
        ----------
        seed : int
        scheme : str
            ``scaled-normal``: variance gain^2 / fan-in; ``uniform``: within gain / sqrt(fan-in);
            ``interval``: within gain, whatever the fan-in; ``orthogonal``: each W is gain times a random
            rotation, each U and V have orthonormal rows or columns.
        gain : float
        readout_scale : float
            By which V is multiplied; 0 lets the outputs begin at 0.

        Returns
        -------
        GRUParams

        Raises
        ------
        RnnsimError
            If the scheme is unknown, or a weight is too large for the dtype.
        """
        check_scheme(scheme, gain)
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        params = self.views(np.zeros(self.n_params, self.dtype))
        for matrix in params:
            if matrix.ndim == 2:
                set_weights(matrix, rng, scheme, gain)
        scale_readout(params.V, readout_scale)
        return params

    # --- state and trajectory ---

    def state(
        self, batch: int, initial_state: Array | None = None, reset_state: Array | None = None
    ) -> stepping.UnitState:
        return stepping.UnitState(*self.begin_and_reset(batch, initial_state, reset_state))

    def states(self, count: int, batch: int) -> stepping.UnitState:
        x = np.zeros((count, batch, self.n_hidden), self.dtype)
        return stepping.UnitState(x, x[0])

    def trajectory(self, rows: int, batch: int) -> running.GRUTrajectory:
        n, m, k = self.n_hidden, self.n_in, self.n_out

        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, self.dtype)

        def transposed(*shape: int) -> tuple[int, ...]:
            return shape if rows * batch >= ROWS else (0, 0)

        in_panels = tiles.panels_pay(batch, (3 * n, n), self.dtype)
        return running.GRUTrajectory(
            inputs=zeros(rows, batch, m),
            resets=np.zeros((rows, batch), np.bool_),
            entering=zeros(rows, batch, n),
            drive=zeros(max(1, min(rows, ROWS // batch)), batch, 3 * n),
            recurrent=zeros(batch, 3 * n),
            gates=zeros(rows, batch, 2 * n),
            slopes=zeros(rows, batch, 3 * n),
            states=zeros(rows, batch, n),
            losses=aligned_zeros((rows, batch), np.float64),
            output_error=zeros(rows, batch, k),
            error=zeros(rows, batch, n),
            W_transposed=zeros(*transposed(n, 3 * n)),
            U_transposed=zeros(*transposed(m, 3 * n)),
            V_transposed=zeros(*transposed(n, k)),
            W_panels=zeros(*transposed(3 * n, n)) if in_panels else zeros(0, 0),
            has_transposed=np.zeros(1, np.bool_),
            rows=zeros(batch, max(1, min(rows * batch, WORKSPACE) // batch), 3 * n),
            single_threaded=np.zeros(1, np.bool_),
            feedback=reading.feedback_matrix(self),
        )

    def sensitivities(self, batch: int, window: int) -> Sensitivities:
        return dense.sensitivities(self.n_hidden, self.n_in, batch, window, self.dtype)

    @cached_property
    def owner(self) -> Integers:
        of_readout = np.full(self.n_out * (self.n_hidden + 1), -1)
        return np.concatenate([dense.owners(self.n_hidden, self.n_in), of_readout])

    # --- kernels ---

    vjp = staticmethod(derivatives.vjp)
    collect = staticmethod(derivatives.collect)
    collect_inputs = staticmethod(stepping.collect_inputs)
    collect_rows = staticmethod(dense.collect_rows)
    contract = staticmethod(dense.contract)
    propagate = staticmethod(dense.propagate)
    jvp = staticmethod(derivatives.jvp)
    jacobian = staticmethod(derivatives.jacobian)
    immediate = staticmethod(derivatives.immediate)
    immediate_entries = staticmethod(derivatives.immediate_entries)
    readout_grad = staticmethod(reading.readout_grad_linear)
    constrain = staticmethod(derivatives.constrain)
    keep_history = staticmethod(running.keep_history)
    save = staticmethod(stepping.save)
    restore = staticmethod(stepping.restore)
