"""Random fast-weight networks and sequences, for rnnsim and for the oracle; and the rules to check."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import Any

import naive
import naive_fast_weights as oracle
import numpy as np
import pytest
from cases import KINK, Case, assert_equal_gradients
from hypothesis import strategies as st

import rnnsim
from rnnsim.registry import installed
from rnnsim.rule import Rule

# --- what is drawn, and what is compiled ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FastCase(Case):
    """A fast-weight network, its parameters and sequences, for rnnsim and for the oracle."""

    net: oracle.FastWeights
    data: oracle.Data

    @cached_property
    def weights(self) -> naive.Gradient:
        """The parameters as the oracle takes them."""
        return {name: np.asarray(array, float) for name, array in self.params._asdict().items()}

    @cached_property
    def path(self) -> oracle.Path:
        return oracle.run(self.net, self.weights, self.data)

    @cached_property
    def expected(self) -> naive.Gradient:
        """The gradient by the published algorithm."""
        return oracle.forwards(self.net, self.weights, self.data)

    def changed(self, **arguments: Any) -> FastCase:
        """The same case for rnnsim but for some arguments."""
        return dataclasses.replace(self, arguments=self.arguments | arguments)


@dataclasses.dataclass(frozen=True)
class FastSizes:
    """What hypothesis draws: nothing in it compiles anything anew."""

    n_slow_in: int
    n_in: int
    n_out: int
    slow_hidden: tuple[int, ...]
    fast_hidden: tuple[int, ...]
    slow_bias: bool
    fast_bias: bool
    shortcuts: tuple[bool, bool]
    tau: float
    decay: float
    initial: float | str
    initial_state: bool
    T: int
    B: int
    mask: str
    resets: bool
    seed: int


@st.composite
def drawn_fast_sizes(draw: st.DrawFn) -> FastSizes:
    hidden = st.lists(st.integers(1, 3), max_size=2).map(tuple)
    return FastSizes(
        n_slow_in=draw(st.integers(1, 3)),
        n_in=draw(st.integers(1, 3)),
        n_out=draw(st.integers(1, 2)),
        slow_hidden=draw(hidden),
        fast_hidden=draw(hidden),
        slow_bias=draw(st.booleans()),
        fast_bias=draw(st.booleans()),
        shortcuts=draw(st.tuples(st.booleans(), st.booleans())),
        tau=draw(st.sampled_from([1.0, 2.5, 4.0])),
        decay=draw(st.sampled_from([0.9, 0.4])),
        initial=draw(st.sampled_from([0.0, 0.3, "slow"])),
        initial_state=draw(st.booleans()),
        T=draw(st.integers(1, 8)),
        B=draw(st.integers(1, 3)),
        mask=draw(st.sampled_from(["none", "bool", "float"])),
        resets=draw(st.booleans()),
        seed=draw(st.integers(0, 10_000)),
    )


FAST_TYPICAL = FastSizes(
    n_slow_in=2,
    n_in=3,
    n_out=2,
    slow_hidden=(3, 2),
    fast_hidden=(2,),
    slow_bias=True,
    fast_bias=True,
    shortcuts=(True, True),
    tau=2.5,
    decay=0.9,
    initial="slow",
    initial_state=False,
    T=7,
    B=2,
    mask="float",
    resets=True,
    seed=0,
)

# The network of the source's first task, with more outputs and steps that reset nothing.
FAST_PLAIN = FastSizes(
    n_slow_in=3,
    n_in=3,
    n_out=2,
    slow_hidden=(),
    fast_hidden=(),
    slow_bias=False,
    fast_bias=False,
    shortcuts=(False, False),
    tau=4.0,
    decay=0.9,
    initial=0.0,
    initial_state=False,
    T=6,
    B=2,
    mask="none",
    resets=False,
    seed=1,
)


@dataclasses.dataclass(frozen=True)
class Composition:
    """What is compiled anew: everything about a network but its sizes.

    Activations are those of S and of F: a name, a pair (f, df), or for hidden units a list, one for
    each layer. The user's own functions take arrays and numbers alike: the oracle calls them too.
    """

    architecture: int = 1
    sigma: Any = oracle.SQUASH
    g: Any = "product"
    hidden: tuple[Any, Any] = ("tanh", "tanh")
    output: tuple[Any, Any] = ("identity", "identity")
    loss: Any = "squared-error"

    def __str__(self) -> str:
        own = [word if isinstance(word, str) else "own" for word in (self.sigma, self.g, self.loss)]
        return "-".join([str(self.architecture), *own])


ARCHITECTURE_1 = Composition()
ARCHITECTURE_2 = Composition(architecture=2)


# --- the compositions that are tested ------------------------------------------------------------------

OWN_SIGMA = (
    lambda w, box: np.tanh(0.8 * w + box * (1 - 0.3 * w)),
    lambda w, box: (0.8 - 0.3 * box) / np.cosh(0.8 * w + box * (1 - 0.3 * w)) ** 2,
    lambda w, box: (1 - 0.3 * w) / np.cosh(0.8 * w + box * (1 - 0.3 * w)) ** 2,
)
OWN_G = (
    lambda a, b: a * np.sin(b) + 0.5 * a,
    lambda a, b: np.sin(b) + 0.5,
    lambda a, b: a * np.cos(b),
)
OWN_ACTIVATION = (lambda a: np.arctan(1.5 * a), lambda a: 1.5 / (1 + (1.5 * a) ** 2))
OWN_LOSS = (lambda y, d: ((y - d) ** 4).sum(), lambda y, d: 4 * (y - d) ** 3)

COMPILED = [
    ARCHITECTURE_1,
    Composition(2, "decay", hidden=("tanh", "logistic"), output=("tanh", "identity")),
]

# Each architecture with each sigma, each activation in each net, each loss.
UNCOMPILED = [
    ARCHITECTURE_2,
    Composition(1, "additive", "product", ("relu", "logistic"), ("tanh", "identity")),
    Composition(
        1, "decay", "product", ("softplus", "relu"), ("identity", "tanh"), "softmax-cross-entropy"
    ),
    Composition(1, OWN_SIGMA, "product", ("logistic", "softplus"), ("softplus", "logistic")),
    Composition(2, "additive", "product", ("identity", "tanh"), ("tanh", "softplus")),
    Composition(2, "decay", OWN_G, ("tanh", "relu"), ("logistic", "identity"), "logistic-cross-entropy"),
    Composition(
        2, OWN_SIGMA, OWN_G, (OWN_ACTIVATION, "identity"), ("identity", OWN_ACTIVATION), OWN_LOSS
    ),
    Composition(2, hidden=("relu", "tanh"), output=("identity", "tanh"), loss="softmax-cross-entropy"),
]
COMPOSITIONS = [*COMPILED, *UNCOMPILED]


# --- one case from both --------------------------------------------------------------------------------


def functions(activation: Any) -> tuple[Any, Any]:
    return naive.ACTIVATIONS[activation] if isinstance(activation, str) else activation


def oracle_network(sizes: FastSizes, composition: Composition) -> oracle.FastWeights:
    """State the same network for the oracle."""

    def layers(which: int, inputs: int, hidden: tuple[int, ...], outputs: int, bias: bool) -> Any:
        given = composition.hidden[which]
        inner = given if isinstance(given, list) else [given] * len(hidden)
        return oracle.Layers(
            (inputs, *hidden, outputs),
            (*map(functions, inner), functions(composition.output[which])),
            bias,
            sizes.shortcuts[which],
        )

    fast = layers(1, sizes.n_in, sizes.fast_hidden, sizes.n_out, sizes.fast_bias)
    n_fast = len(oracle.fast_connections(fast))
    leaving = sizes.n_in + sum(sizes.fast_hidden) + sizes.fast_bias
    entered = sum(sizes.fast_hidden) + sizes.n_out
    wanted = n_fast if composition.architecture == 1 else leaving + entered
    slow = layers(0, sizes.n_slow_in, sizes.slow_hidden, wanted, sizes.slow_bias)
    sigma, g, loss = composition.sigma, composition.g, composition.loss
    if isinstance(sigma, str):
        sigma = oracle.sigma_of(sigma, sizes.tau, sizes.decay)
    return oracle.FastWeights(
        composition.architecture,
        slow,
        fast,
        sigma,
        oracle.PRODUCT if g == "product" else g,
        sizes.initial,
        *(naive.LOSSES[loss] if isinstance(loss, str) else loss),
    )


def make_network(sizes: FastSizes, composition: Composition, dtype: str = "float64") -> Any:
    return rnnsim.FastWeightNetwork(
        architecture=composition.architecture,
        n_slow_in=sizes.n_slow_in,
        n_in=sizes.n_in,
        n_out=sizes.n_out,
        slow_hidden=sizes.slow_hidden,
        fast_hidden=sizes.fast_hidden,
        hidden_activation=composition.hidden,
        output_activation=composition.output,
        slow_bias=sizes.slow_bias,
        fast_bias=sizes.fast_bias,
        shortcuts=sizes.shortcuts,
        sigma=composition.sigma,
        tau=sizes.tau,
        retention=sizes.decay,
        g=composition.g,
        initial=sizes.initial,
        loss=composition.loss,
        dtype=dtype,
        check_derivatives=False,  # some are wrong on purpose
    )


def make_fast_case(
    sizes: FastSizes, composition: Composition = ARCHITECTURE_1, *, dtype: str = "float64"
) -> FastCase:
    """Draw weights and sequences."""
    rng = np.random.default_rng(sizes.seed)
    net = oracle_network(sizes, composition)
    network = make_network(sizes, composition, dtype)
    params = network.init(seed=sizes.seed)
    last = str(len(sizes.slow_hidden) + 1)
    for name, (shape, _) in oracle.slow_blocks(net.slow).items():
        # net inputs of about 1, so that nothing saturates
        scale = 1 / math.sqrt(shape[-1]) if name[0] == "W" else 0.3
        if name[1:] == last and composition.sigma in ("additive", "decay"):
            scale *= (
                0.3  # F multiplies fast weights from layer to layer, and these are sums of T changes
            )
        getattr(params, name)[...] = scale * rng.standard_normal(shape)
    T, B, N = sizes.T, sizes.B, len(oracle.fast_connections(net.fast))
    slow = rng.uniform(-1.5, 1.5, (T, B, sizes.n_slow_in))
    fast = rng.uniform(-1.5, 1.5, (T, B, sizes.n_in))
    targets = rng.random((T, B, sizes.n_out))
    if composition.loss == "softmax-cross-entropy":
        targets /= targets.sum(-1, keepdims=True)
    arguments: dict[str, Any] = {"inputs": (slow, fast), "targets": targets}
    mask, resets, initial, reset = np.ones((T, B)), np.zeros((T, B), bool), None, None
    if sizes.mask != "none":
        mask = rng.random((T, B)) < 0.7 if sizes.mask == "bool" else rng.choice([0.0, 0.5, 2.0], (T, B))
        arguments["mask"] = mask
    if sizes.resets:
        resets = rng.random((T, B)) < 0.25
        arguments["resets"] = resets
    if sizes.initial_state:
        initial = rng.uniform(-0.2, 0.9, (B, N))
        arguments["initial_state"] = initial
        if sizes.initial != "slow":
            reset = rng.uniform(-0.2, 0.9, (B, N))
            arguments["reset_state"] = reset
    data = oracle.Data(slow, fast, targets, mask, resets, initial, reset)
    return FastCase(network, params, arguments, net, data)


def fast_case_away_from_kink(sizes: FastSizes, composition: Composition) -> FastCase:
    """Draw again until no net input is near relu's kink; those that are 0 whatever S does stay there."""
    while True:
        case = make_fast_case(sizes, composition)
        a = oracle.net_inputs(case.net, case.path, naive.ACTIVATIONS["relu"])
        if not ((a != 0) & (np.abs(a) <= KINK)).any():
            return case
        sizes = dataclasses.replace(sizes, seed=sizes.seed + 1)


def check_against_fast_oracle(
    case: FastCase, rule: str | Rule, options: dict[str, Any], tolerance: float = 1e-10
) -> None:
    """A gradient and its loss are those of the naive oracle; the floor is as in check_against_oracle."""
    result = case.gradient(rule, **options)
    floor = 0.1 * tolerance
    assert result.loss == pytest.approx(case.path.loss, rel=tolerance, abs=floor)
    assert_equal_gradients(result.grads, case.expected, tolerance, floor)


# --- which rules, with which options, on which networks ------------------------------------------------


def trains(rule: type[Rule], architecture: int) -> bool:
    try:
        rule().check_network(make_network(FAST_PLAIN, Composition(architecture)))
    except rnnsim.RnnsimError:
        return False
    return True


EXACT = {
    architecture: sorted(
        name
        for name, entry in installed().rules.items()
        if entry.thing.claim == "exact" and not entry.thing.settles and trains(entry.thing, architecture)
    )
    for architecture in (1, 2)
}

# A rule that is not here is tested with its defaults, and test_every_option_is_varied fails until its
# options are varied too.
OPTIONS: dict[str, list[dict[str, Any]]] = {"bptt": [{}, {"checkpoint": True}]}
VARIANTS = {
    architecture: [(name, options) for name in names for options in OPTIONS.get(name, [{}])]
    for architecture, names in EXACT.items()
}
# Checkpoints run uncompiled with the second architecture: they ask a network for no more than BPTT does.
COMPILED_VARIANTS = {
    1: VARIANTS[1],
    2: [(name, options) for name, options in VARIANTS[2] if not options],
}


def compositions(which: list[Composition]) -> Any:
    return pytest.mark.parametrize("composition", which, ids=str)
