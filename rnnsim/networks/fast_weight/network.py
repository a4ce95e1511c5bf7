"""The fast-weight network of theory.md 2 [S92]: its options, parameters and initial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from rnnsim import checks
from rnnsim.arrays import aligned_zeros, constant
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import Network
from rnnsim.networks.fast_weight import derivatives as derivatives
from rnnsim.networks.fast_weight import forward as running
from rnnsim.networks.fast_weight import options as reading
from rnnsim.networks.fast_weight import sensitivities as traced
from rnnsim.networks.fast_weight.layered import (
    by_layer,
    fan_ins,
    feed_kernel,
    feed_rows_kernel,
    make_layers,
)
from rnnsim.networks.fast_weight.options import FastWeightChoices
from rnnsim.networks.fast_weight.sigma import Two, sigma_kernel
from rnnsim.networks.initial_weights import check_scheme, set_weights
from rnnsim.networks.losses import Pair, is_sum_of_outputs, loss_kernel, step_loss_kernel
from rnnsim.options import Options
from rnnsim.typing import Array, Inputs, Params


class FastWeightNetwork(Network):
    """A slow net S that changes the weights of a fast net F at each step (theory.md 2, eqs. 16-20).

    ``y(t) = F(input; w(t-1))`` and ``w(t) = sigma(w(t-1), Box w(t))``, Box w being S's outputs, or a
    function of two of them. As the output of a step is computed before the fast weights change, no error
    depends on the slow weights through its own step: ``bptt`` with a window of 1, or ``truncated-bptt``
    with h = 1, learns nothing.

    Parameters
    ----------
    architecture : 1 or 2
        1: S has an output for each fast weight. 2 (FROM/TO): it has one for each unit of F from which
        fast weights leave and one for each to which they lead, and ``Box w_ba = g(s_a, s_b)``.
    n_slow_in, n_in, n_out : int
        The numbers of inputs of S, and of inputs and outputs of F.
    slow_hidden, fast_hidden : sequence of int
        The sizes of their hidden layers.
    hidden_activation, output_activation : str or (f, df) or pair (slow, fast)
        Names or functions as of :class:`~rnnsim.RecurrentNetwork`, for both nets; or a pair, each for
        all layers of a net or a list with one for each layer.
    slow_bias, fast_bias : bool
        Whether the nets have a bias unit. Fast weights leave the bias unit of F like any other unit.
    shortcuts : bool or (slow, fast)
        Whether each layer is connected to all later ones.
    sigma : str or (s, ds_dw, ds_dbox)
        ``sum-and-squash``: ``1 / (1 + exp(-tau (w + Box w - 1/2)))``; ``additive``: ``w + Box w``;
        ``decay``: ``retention w + Box w``; or three functions of (w, Box w).
    tau, retention : float
        The constants of sum-and-squash and of decay.
    g : "product" or (g, dg_da, dg_db)
        Of architecture 2: three functions of (s_a, s_b), a being the FROM and b the TO unit.
    initial : float or "slow"
        The initial fast weights: a constant, or Box w of the first row and of the row of each reset.
    loss : str or (value, gradient)
        As of :class:`~rnnsim.RecurrentNetwork`.
    dtype : "float64" or "float32"
    check_derivatives : bool
        As of :class:`~rnnsim.RecurrentNetwork`.

    Raises
    ------
    RnnsimError
        If an option is out of bounds, has the wrong shape or an unknown name, or a derivative is wrong.
    """

    kind: ClassVar[str] = "fast-weight"
    choices: ClassVar[type[Options]] = FastWeightChoices
    reads: ClassVar[Literal["leaving", "entering"]] = "entering"

    @reports_memory
    def __init__(
        self,
        *,
        architecture: int = 1,
        n_slow_in: int,
        n_in: int,
        n_out: int,
        slow_hidden: int | Sequence[int] = (),
        fast_hidden: int | Sequence[int] = (),
        hidden_activation: Any = "tanh",
        output_activation: Any = "identity",
        slow_bias: bool = True,
        fast_bias: bool = False,
        shortcuts: bool | tuple[bool, bool] = False,
        sigma: str | tuple[Two, Two, Two] = "sum-and-squash",
        tau: float = 10.0,
        retention: float = 0.9,
        g: str | tuple[Two, Two, Two] = "product",
        initial: float | str = 0.0,
        loss: str | Pair = "squared-error",
        dtype: Any = "float64",
        check_derivatives: bool = True,
    ) -> None:
        self.architecture = checks.whole("architecture", architecture, 1, 2)
        self.n_slow_in = checks.whole("n_slow_in", n_slow_in, 0, checks.LARGEST_SIZE)
        self.n_in = checks.whole("n_in", n_in, 0, checks.LARGEST_SIZE)
        self.n_out = checks.whole("n_out", n_out, 1, checks.LARGEST_SIZE)
        self.slow_hidden = reading.layer_sizes("slow_hidden", slow_hidden)
        self.fast_hidden = reading.layer_sizes("fast_hidden", fast_hidden)
        self.hidden_activation, self.output_activation = hidden_activation, output_activation
        self.slow_bias = checks.boolean("slow_bias", slow_bias)
        self.fast_bias = checks.boolean("fast_bias", fast_bias)
        self.shortcuts = reading.for_both("shortcuts", shortcuts)
        checks.name_or_functions("loss", loss, 2, "a pair (value, gradient) of functions of (y, d)")
        self.sigma, self.g, self.loss = sigma, g, loss
        self.tau = checks.real("tau", tau, above=0)
        self.retention = checks.real("retention", retention)
        self.initial = reading.initial_fast_weights(initial)
        self.dtype = checks.float_dtype(dtype)
        checked = checks.boolean("check_derivatives", check_derivatives)
        self._lay_out()
        self._compose(checked)

    def _lay_out(self) -> None:
        """Lay out both nets. The outputs of S are determined by the fast weights of F."""
        slow_shortcuts, fast_shortcuts = self.shortcuts
        sizes = (self.n_in, *self.fast_hidden, self.n_out)
        self.fast_layers = make_layers(sizes, self.fast_bias, fast_shortcuts, rows=True)
        if not self.n_in + self.fast_bias:
            raise RnnsimError("F has no fast weights: n_in is 0 and fast_bias is false")
        # their number, before there is an array of so many
        entries = int(self.fast_layers.weight[-1]) + self.n_out * int(self.fast_layers.stride[-1])
        checks.whole("the number of fast weights", entries, 1, checks.LARGEST_SIZE)
        self.origin = constant(reading.origins(self.architecture, self.fast_layers))
        slow_sizes = (self.n_slow_in, *self.slow_hidden, int(self.origin.max()) + 1)
        if not self.n_slow_in + self.slow_bias:
            raise RnnsimError("S has no weights: n_slow_in is 0 and slow_bias is false")
        self.slow_layers = make_layers(slow_sizes, self.slow_bias, slow_shortcuts)

    def _compose(self, checked: bool) -> None:
        """Compose ``forward``, which depends on the activations, g, sigma and the loss."""
        self.sums_outputs = is_sum_of_outputs(self.loss, self.n_out)
        slow, fast = (
            by_layer(reading.activations_of_layers(
                self.hidden_activation, self.output_activation, net, len(hidden), self.dtype, checked
            ))
            for net, hidden in enumerate((self.slow_hidden, self.fast_hidden))
        )  # fmt: skip
        self.forward = running.forward_kernel(
            feed_rows_kernel(slow),
            reading.change_kernel(self.architecture, self.g, checked),
            feed_kernel(fast),
            sigma_kernel(self.sigma, self.dtype, checked),
            step_loss_kernel(loss_kernel(self.loss, self.n_out, checked), self.sums_outputs),
        )

    @classmethod
    def sized(cls, n_in: int, hidden: int, n_out: int, **options: Any) -> Self:
        """Make the network for a task of ``n_in`` columns.

        The first ``n_slow_in`` of them are inputs of S and the rest of F; without ``n_slow_in`` all are
        inputs of both. S has one hidden layer of ``hidden`` units, or none for 0, unless ``slow_hidden``
        is given.
        """
        n_slow_in, slow_hidden = options.pop("n_slow_in", None), options.pop("slow_hidden", None)
        if n_slow_in is not None:
            checks.whole("n_slow_in", n_slow_in, 0, n_in)
        if slow_hidden is None:
            slow_hidden = (hidden,) if checks.whole("hidden", hidden, 0) else ()
        return cls(
            n_slow_in=n_in if n_slow_in is None else n_slow_in,
            n_in=n_in if n_slow_in is None else n_in - n_slow_in,
            n_out=n_out,
            slow_hidden=slow_hidden,
            **options,
        )

    def __repr__(self) -> str:
        names = (
            "architecture", "n_slow_in", "n_in", "n_out", "slow_hidden", "fast_hidden",
            "hidden_activation", "output_activation", "slow_bias", "fast_bias", "shortcuts", "sigma",
            "tau", "retention", "g", "initial", "loss",
        )  # fmt: skip
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"FastWeightNetwork({said}, dtype={self.dtype.name!r})"

    # --- inputs, sizes and parameters ---

    @property
    def columns(self) -> tuple[int, ...]:
        """The inputs of both nets side by side, S first; or n_in for both, where they have as many."""
        both = self.n_slow_in + self.n_in
        return (self.n_in, both) if self.n_slow_in == self.n_in else (both,)

    def check_inputs(self, inputs: Inputs) -> Array:
        if isinstance(inputs, tuple):
            if len(inputs) != 2:
                raise RnnsimError(f"inputs are one array or a pair (slow, fast), not {len(inputs)}")
            slow = self._checked("slow inputs", inputs[0], self.n_slow_in)
            fast = self._checked("fast inputs", inputs[1], self.n_in)
            if slow.shape[:2] != fast.shape[:2]:
                raise RnnsimError(f"slow inputs are (T, B) = {slow.shape[:2]}, fast {fast.shape[:2]}")
            return np.concatenate([slow, fast], axis=2)
        given = checks.numbers("inputs", inputs)
        width = given.shape[-1] if given.ndim else 0
        if given.ndim > 1 and width not in self.columns:
            raise RnnsimError(
                f"inputs have {width} columns; S has {self.n_slow_in} inputs and F {self.n_in}: give a "
                f"pair (slow, fast) of arrays, or one of {' or '.join(map(str, self.columns))} columns"
            )
        return self._checked("inputs", given, width)

    def _checked(self, name: str, inputs: Array, width: int) -> Array:
        return checks.over_time(name, inputs, width, self.dtype)

    def inputs_grad_like(self, inputs: Inputs, grad: Array) -> Any:
        slow, fast = grad[..., : self.n_slow_in], grad[..., self.n_slow_in :]
        if isinstance(inputs, tuple):
            return tuple(
                np.ascontiguousarray(part).reshape(np.shape(given))
                for part, given in zip((slow, fast), inputs)
            )
        shape = np.shape(inputs)
        shared = shape[-1] != grad.shape[2]  # one array that both nets see
        return (slow + fast if shared else grad).reshape(shape)

    @property
    def n_state(self) -> int:
        """N = |W_F|."""
        return int(self.origin.shape[1])

    @property
    def n_drive(self) -> int:
        return self.n_state

    @property
    def n_traces(self) -> int:
        """The number of traces of one sequence in ``sensitivities``: N (phi + H), or N (2 phi + H)."""
        hidden, output = self._trace_shapes
        return int(np.prod(hidden) + np.prod(output))

    @property
    def _trace_shapes(self) -> tuple[tuple[int, int], tuple[int, int, int]]:
        """(H, N) and (1 or 2, N, phi) of theory.md 2."""
        origins, N = self.origin.shape
        return (int(self.slow_layers.weight[-1]), N), (origins, N, self._fan_in[-1] + self.slow_bias)

    @property
    def _fan_in(self) -> list[int]:
        return fan_ins(self.slow_layers)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        units = self.slow_layers.units
        shapes: dict[str, tuple[int, ...]] = {}
        for l, fan_in in enumerate(self._fan_in, 1):  # noqa: E741 (layer l)
            n = int(units[l + 1] - units[l])
            shapes[f"W{l}"] = (n, fan_in)
            if self.slow_bias:
                shapes[f"b{l}"] = (n,)
        return shapes

    @property
    def params_type(self) -> Any:
        return reading.slow_weights_type(tuple(self.shapes))

    def kernel_params(self, flat: Array) -> running.SlowWeights:
        return running.SlowWeights(flat)

    @reports_memory
    def init(self, seed: int = 0, *, scheme: str = "interval", gain: float = 0.1) -> Params:
        """Draw initial slow weights; by default uniform in [-0.1, 0.1], as in the source. Biases are 0.

        Parameters
        ----------
        seed : int
        scheme : str
            ``interval``, ``uniform``, ``scaled-normal`` or ``orthogonal``
            (:func:`rnnsim.networks.initial_weights.draw_weights`).
        gain : float

        Returns
        -------
        NamedTuple of arrays
            W1 (to, from), b1 (to), W2, ...: the layers of S.

        Raises
        ------
        RnnsimError
            If the scheme is unknown.
        """
        check_scheme(scheme, gain)
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        params = self.views(np.zeros(self.n_params, self.dtype))
        for name in self.shapes:
            if name.startswith("W"):
                set_weights(getattr(params, name), rng, scheme, gain)
        return params

    # --- state, trajectory and traces ---

    def state_names(self, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
        """Name each fast weight by the unit that it leaves and the one to which it leads."""
        hidden = [f"hidden {i + 1}" for i in range(sum(self.fast_hidden))]
        units = [*inputs[len(inputs) - self.n_in :], *hidden, *outputs]
        from_to = reading.origins(2, self.fast_layers).T
        sources = [*units[: self.n_in + len(hidden)], *["bias"] * self.fast_bias]
        return tuple(f"{sources[a]} \u2192 {units[b - len(sources) + self.n_in]}" for a, b in from_to)

    def state(
        self, batch: int, initial_state: Array | None = None, reset_state: Array | None = None
    ) -> running.FastState:
        slow = self.initial == "slow"
        if slow and reset_state is not None:
            raise RnnsimError("reset_state is given, but S sets the fast weights: initial is 'slow'")
        own = 0.0 if slow else float(self.initial)
        w, initial = self.begin_and_reset(batch, initial_state, reset_state, own)
        return running.FastState(w, initial, np.full(batch, slow and initial_state is None))

    def states(self, count: int, batch: int) -> running.FastState:
        w = np.zeros((count, batch, self.n_state), self.dtype)
        return running.FastState(w, w[0], np.zeros((count, batch), np.bool_))

    def trajectory(self, rows: int, batch: int) -> running.FastTrajectory:
        def of(*shape: int) -> Array:
            return aligned_zeros((rows, batch, *shape), self.dtype)

        A, A_fast = int(self.slow_layers.units[-1]), int(self.fast_layers.units[-1])
        N = self.n_state
        by_origin = of(*self.origin.shape)
        by_origin[:] = 1  # eq. (19); forward writes it in architecture 2 only
        constant = {"sum-and-squash": self.tau, "decay": self.retention}.get(str(self.sigma), 0.0)
        return running.FastTrajectory(
            slow=of(A),
            slow_slopes=of(A),
            fast=of(A_fast),
            fast_slopes=of(A_fast),
            starts=np.zeros((rows, batch), np.bool_),
            entering=of(N),
            drive=of(N),
            states=of(N),
            by_state=of(N),
            by_drive=of(N),
            by_origin=by_origin,
            losses=aligned_zeros((rows, batch), np.float64),
            output_error=of(self.n_out),
            error=of(N),
            delta=np.zeros(A_fast, self.dtype),
            origin=self.origin,
            slow_layers=self.slow_layers,
            fast_layers=self.fast_layers,
            constant=self.dtype.type(constant),
            slow_start=self.initial == "slow",
        )

    def sensitivities(self, batch: int, window: int) -> traced.Traces:
        (H, N), (kinds, _, phi) = self._trace_shapes
        units = self.slow_layers.units
        # Initial fast weights that S sets take one more update, which sets p.
        moves = min(window, traced.TOGETHER) + (self.initial == "slow")
        width = traced.width_of(N, self.dtype)
        blocks = -(-N // width)
        parts = traced.PARTS if blocks > 1 else 1

        def zeros(*shape: int) -> Array:
            return aligned_zeros(shape, self.dtype)

        source = zeros(parts, moves, int(units[-2]) + 1)
        source[..., -1] = 1
        return traced.Traces(
            hidden=zeros(batch, blocks, H, width),
            output=zeros(batch, blocks, kinds, phi, width),
            row=np.zeros((parts, moves), np.int64),
            gamma=zeros(parts, moves, width),
            decay=zeros(parts, moves, width),
            source=source,
            by_output=zeros(parts, kinds, moves, width),
            by_hidden=zeros(parts, int(units[-2] - units[1]), moves, width),
            upward=zeros(blocks, self._fan_in[-1] if H > 0 else 0, kinds, width),
            sums=zeros(parts if parts > 1 else 0, H if kinds == 1 else self.n_params),
            apart=zeros(parts, kinds, phi, width),
            tiny=self.dtype.type(traced.TINY[self.dtype.name]),
        )

    # --- kernels ---

    vjp = staticmethod(derivatives.vjp)
    collect = staticmethod(derivatives.collect)
    collect_inputs = staticmethod(derivatives.collect_inputs)
    propagate = staticmethod(traced.propagate)
    jvp = staticmethod(derivatives.jvp)
    jacobian = staticmethod(derivatives.jacobian)
    immediate = staticmethod(derivatives.immediate)
    readout_grad = staticmethod(running.readout_grad)
    constrain = staticmethod(derivatives.constrain)
    keep_history = staticmethod(running.keep_history)
    save = staticmethod(running.save)
    restore = staticmethod(running.restore)
