"""The recurrent network of theory.md 1: its options, parameters and initial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError, reports_memory, shown
from rnnsim.network import Network
from rnnsim.networks import readout as reading
from rnnsim.networks import stepping
from rnnsim.networks.activations import Function, activation_kernel
from rnnsim.networks.dense import Sensitivities
from rnnsim.networks.initial_weights import check_scheme, scale_readout, set_weights
from rnnsim.networks.losses import Pair, is_sum_of_outputs, loss_kernel, step_loss_kernel
from rnnsim.networks.recurrent import derivatives as derivatives
from rnnsim.networks.recurrent import forward as running
from rnnsim.networks.recurrent import sensitivities as dense
from rnnsim.numerics import tiles
from rnnsim.numerics.linalg import ROWS
from rnnsim.options import Options
from rnnsim.typing import Array, Bools, Integers, Kernel, Params


class LinearReadout(NamedTuple):
    """The parameters of a network with a linear readout.

    Attributes
    ----------
    W : (n, n) array
        From column to row.
    U : (n, m) array
    b : (n,) array
    V : (k, n) array
    c : (k,) array
    """

    W: Array
    U: Array
    b: Array
    V: Array
    c: Array


class UnitReadout(NamedTuple):
    """The parameters of a network whose outputs are some of its units.

    Attributes
    ----------
    W : (n, n) array
        From column to row.
    U : (n, m) array
    b : (n,) array
    """

    W: Array
    U: Array
    b: Array


class RecurrentChoices(Options, frozen=True):
    """Options of a recurrent network besides its sizes, and of its initial weights."""

    name = "recurrent network"

    activation: Any = "tanh"
    leak: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    loss: Any = "squared-error"
    feedback: reading.Feedback = "exact"
    feedback_seed: reading.FeedbackSeed = 0
    scheme: str = "scaled-normal"
    gain: float = 1.0
    readout_scale: float = 1.0
    check_derivatives: bool = True


class RecurrentNetwork(Network):
    """A recurrent network of n units (theory.md 1, eqs. 1-4).

    ``a(t) = W x(t-1) + U u(t) + b``, ``x(t) = (1 - leak) x(t-1) + leak f(a(t))``, and
    ``y(t) = V x(t) + c`` or chosen units of x(t).

    Parameters
    ----------
    n_in, n_hidden, n_out : int
        m, n and k, the numbers of inputs, units and outputs.
    activation : str or (f, df)
        ``tanh``, ``logistic``, ``relu``, ``softplus``, ``identity``, or a function of the net input
        with its derivative.
    leak : float
        alpha in (0, 1]; 1 is the network of the sources.
    readout : "linear" or sequence of int
        Linear, or the indices of the k units that are the outputs [WZ89].
    loss : str or (value, gradient)
        ``squared-error`` (half the squared error), ``softmax-cross-entropy`` or
        ``logistic-cross-entropy`` (of logits), or two functions of (y, d).
    connectivity : (n, n) bool array, optional
        Which connections of W exist, from column to row; all of them by default.
    feedback : "exact" or "random"
        With a linear readout, how an error at the outputs becomes dE/dx(t): ``V^T dE/dy(t)``, or
        ``G dE/dy(t)`` with a fixed random matrix G (n, k) [Murray 2019] (theory.md 5). Every rule's
        gradient with respect to W, U and b is then an approximation; that of V and c stays exact.
    feedback_seed : int
        Seed of G, whose transpose is drawn as V is by default: with variance 1/n.
    dtype : "float64" or "float32"
    check_derivatives : bool
        Whether the derivatives of functions of your own are compared with differences, once.

    Raises
    ------
    RnnsimError
        If an option is out of bounds, has the wrong shape or an unknown name, or a derivative is wrong.
    """

    kind: ClassVar[str] = "recurrent"
    choices: ClassVar[type[Options]] = RecurrentChoices
    shares: ClassVar[bool] = True

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        activation: str | tuple[Function, Function] = "tanh",
        leak: float = 1.0,
        readout: str | Sequence[int] = "linear",
        loss: str | Pair = "squared-error",
        connectivity: Array | None = None,
        feedback: str = "exact",
        feedback_seed: int = 0,
        dtype: Any = "float64",
        check_derivatives: bool = True,
    ) -> None:
        self.n_in = checks.whole("n_in", n_in, 0, checks.LARGEST_SIZE)
        self.n_hidden = checks.whole("n_hidden", n_hidden, 1, checks.LARGEST_SIZE)
        self.n_out = checks.whole("n_out", n_out, 1, checks.LARGEST_SIZE)
        self.leak = checks.real("leak", leak, above=0, at_most=1)
        self.dtype = checks.float_dtype(dtype)
        checked = checks.boolean("check_derivatives", check_derivatives)
        checks.name_or_functions("activation", activation, 2, "a pair (f, df) of functions")
        checks.name_or_functions("loss", loss, 2, "a pair (value, gradient) of functions of (y, d)")
        self.activation = activation
        self.loss = loss
        self.units = self._units(readout)
        self.connectivity = self._connectivity(connectivity)
        self.feedback = checks.known_name("feedback", feedback, ("exact", "random"))
        self.feedback_seed = checks.whole("feedback_seed", feedback_seed, 0)
        if self.feedback == "random" and self.units is not None:
            raise RnnsimError(
                "feedback is 'random', which is for a linear readout: chosen units have no matrix V"
            )
        self._compose(
            activation_kernel(activation, self.dtype, checked),
            loss_kernel(loss, self.n_out, checked),
        )

    def _compose(self, activate: Kernel, loss: Kernel) -> None:
        """Compose the kernels that depend on the activation, the readout and the loss."""
        linear = self.units is None
        transpose_weights = reading.transpose_linear if linear else reading.transpose_units
        read = reading.read_linear if linear else reading.read_units
        delta = reading.read_linear_vjp if linear else reading.read_units_vjp
        if self.feedback == "random":
            delta = reading.random_feedback
        self.readout_grad = reading.readout_grad_linear if linear else reading.readout_grad_units
        self.prepare = stepping.prepare_kernel(transpose_weights)
        self.step = running.step_kernel(activate)
        self.sums_outputs = is_sum_of_outputs(self.loss, self.n_out)
        step_loss = step_loss_kernel(loss, self.sums_outputs)
        self.readout = reading.readout_kernel(read, delta, step_loss)
        self.forward = stepping.forward_kernel(self.prepare, stepping.project, self.step, self.readout)

    def _units(self, readout: str | Sequence[int]) -> Array | None:
        if isinstance(readout, str):
            if readout != "linear":
                raise RnnsimError(
                    f"readout is 'linear' or a sequence of unit indices, not {shown(readout)}"
                )
            return None
        units = checks.unit_indices("readout", readout, self.n_hidden)
        if len(units) != self.n_out:
            raise RnnsimError(f"readout names {len(units)} units; n_out is {self.n_out}")
        return units

    def _connectivity(self, connectivity: Array | None) -> Array | None:
        if connectivity is None:
            return None
        given = checks.numbers("connectivity", connectivity, kinds="biu")
        shape = (self.n_hidden, self.n_hidden)
        if given.shape != shape or not np.isin(given, (0, 1)).all():
            raise RnnsimError(
                f"connectivity must be a bool array of shape {shape}, "
                f"not {given.dtype} of shape {given.shape}"
            )
        return given.astype(np.bool_)

    @classmethod
    def sized(cls, n_in: int, hidden: int, n_out: int, **options: Any) -> Self:
        return cls(n_in, hidden, n_out, **options)

    def __repr__(self) -> str:
        read = "linear" if self.units is None else self.units.tolist()
        return (
            f"RecurrentNetwork(n_in={self.n_in}, n_hidden={self.n_hidden}, n_out={self.n_out}, "
            f"activation={self.activation!r}, leak={self.leak:g}, readout={read!r}, "
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
        return self.n_hidden

    @property
    def n_columns(self) -> int:
        return self.n_hidden * self.n_factor

    @cached_property
    def n_factor(self) -> int:
        return self.n_hidden + self.n_in + 1

    @cached_property
    def owner(self) -> Integers:
        return self._unit_and_index()[0]

    @cached_property
    def column(self) -> Integers:
        return self._unit_and_index()[1]

    def _unit_and_index(self) -> tuple[Integers, Integers]:
        others = self.n_params - self.n_columns  # V and c
        return derivatives.unit_and_index(self.n_hidden, self.n_in, self.connectivity, others)

    @cached_property
    def jacobian_pattern(self) -> Bools:
        """The connections, and from each unit to itself through the leak."""
        n = self.n_hidden
        pattern = np.ones((n, n), np.bool_) if self.connectivity is None else self.connectivity.copy()
        if self.leak != 1:
            np.fill_diagonal(pattern, True)
        return pattern

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        n, m, k = self.n_hidden, self.n_in, self.n_out
        shapes: dict[str, tuple[int, ...]] = {"W": (n, n), "U": (n, m), "b": (n,)}
        if self.units is None:
            shapes |= {"V": (k, n), "c": (k,)}
        return shapes

    @property
    def params_type(self) -> Any:
        return LinearReadout if self.units is None else UnitReadout

    @reports_memory
    def init(
        self, seed: int = 0, *, scheme: str = "scaled-normal", gain: float = 1.0,
        readout_scale: float = 1.0,
    ) -> Params:  # fmt: skip
        """Draw initial weights; b and c are zero.

        Parameters
        ----------
        seed : int
        scheme : str
            ``scaled-normal``: variance gain^2 / fan-in; ``uniform``: within gain / sqrt(fan-in);
            ``interval``: within gain, whatever the fan-in; ``orthogonal``: W is gain times a random
            rotation, U and V have orthonormal rows or columns. The fan-in counts the connections
            that exist.
        gain : float
        readout_scale : float
            By which V is multiplied; 0 lets the outputs begin at 0.

        Returns
        -------
        LinearReadout or UnitReadout
            W (n, n), U (n, m), b (n), and with a linear readout V (k, n), c (k).

        Raises
        ------
        RnnsimError
            If the scheme is unknown, or orthogonal with absent connections; or if there is no linear
            readout to scale.
        """
        check_scheme(scheme, gain)
        if scheme == "orthogonal" and self.connectivity is not None:
            raise RnnsimError(
                "orthogonal initial weights need every connection; "
                "use scaled-normal or uniform with connectivity"
            )
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        params = self.views(np.zeros(self.n_params, self.dtype))
        for name in ("W", "U", "V"):
            if name in self.shapes:
                exists = self.connectivity if name == "W" else None
                set_weights(getattr(params, name), rng, scheme, gain, exists)
        if "V" in self.shapes:
            scale_readout(params.V, readout_scale)
        elif checks.real("readout_scale", readout_scale) != 1:
            raise RnnsimError("readout_scale is that of a linear readout; this network reads units")
        return params

    def check_params(self, params: Params) -> None:
        if self.connectivity is not None and params.W[~self.connectivity].any():
            raise RnnsimError(
                "W has weights where connectivity says that there is no connection; they must be 0"
            )

    # --- state and trajectory ---

    def state(
        self, batch: int, initial_state: Array | None = None, reset_state: Array | None = None
    ) -> stepping.UnitState:
        return stepping.UnitState(*self.begin_and_reset(batch, initial_state, reset_state))

    def states(self, count: int, batch: int) -> stepping.UnitState:
        x = np.zeros((count, batch, self.n_hidden), self.dtype)
        return stepping.UnitState(x, x[0])

    def trajectory(self, rows: int, batch: int) -> running.RecurrentTrajectory:
        n, m, k = self.n_hidden, self.n_in, self.n_out
        none = np.zeros((0, 0), np.bool_)

        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, self.dtype)

        def transposed(*shape: int) -> tuple[int, ...]:
            return shape if rows * batch >= ROWS else (0, 0)

        in_panels = tiles.panels_pay(batch, (n, n), self.dtype)
        return running.RecurrentTrajectory(
            inputs=zeros(rows, batch, m),
            resets=np.zeros((rows, batch), np.bool_),
            entering=zeros(rows, batch, n),
            drive=zeros(max(1, min(rows, ROWS // batch)), batch, n),
            slopes=zeros(rows, batch, n),
            states=zeros(rows, batch, n),
            losses=aligned_zeros((rows, batch), np.float64),
            output_error=zeros(rows, batch, k),
            error=zeros(rows, batch, n),
            W_transposed=zeros(*transposed(n, n)),
            U_transposed=zeros(*transposed(m, n)),
            V_transposed=zeros(*transposed(n, k)),
            W_panels=zeros(*transposed(n, n)) if in_panels else zeros(0, 0),
            has_transposed=np.zeros(1, np.bool_),
            single_threaded=np.zeros(1, np.bool_),
            leak=self.dtype.type(self.leak),
            feedback=reading.feedback_matrix(self),
            units=np.zeros(0, np.int64) if self.units is None else self.units,
            connectivity=none if self.connectivity is None else self.connectivity,
        )

    def sensitivities(self, batch: int, window: int) -> Sensitivities:
        return dense.sensitivities(self.n_hidden, self.n_in, batch, window, self.dtype)

    # --- kernels ---

    vjp = staticmethod(derivatives.vjp)
    collect = staticmethod(derivatives.collect)
    collect_inputs = staticmethod(stepping.collect_inputs)
    collect_rows = staticmethod(dense.collect_rows)
    contract = staticmethod(dense.contract)
    propagate = staticmethod(dense.propagate)
    jvp = staticmethod(derivatives.jvp)
    jacobian = staticmethod(derivatives.jacobian)
    convert = staticmethod(derivatives.convert)
    immediate = staticmethod(derivatives.immediate)
    immediate_entries = staticmethod(derivatives.immediate_entries)
    immediate_factors = staticmethod(derivatives.immediate_factors)
    project = staticmethod(stepping.project)
    swap_sequences = staticmethod(running.swap_sequences)
    constrain = staticmethod(derivatives.constrain)
    keep_history = staticmethod(running.keep_history)
    save = staticmethod(stepping.save)
    restore = staticmethod(stepping.restore)
