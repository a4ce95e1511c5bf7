"""Options of a fast-weight network: parsing, validation and the kernels that they select."""

from __future__ import annotations

import contextlib
from collections import namedtuple
from functools import cache
from typing import Any, Literal

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, shown
from rnnsim.kernels import kernel
from rnnsim.networks.activations import activation_kernel
from rnnsim.networks.derivative_checks import check_derivatives
from rnnsim.networks.fast_weight.forward import change_between, change_directly
from rnnsim.networks.fast_weight.layered import Layers
from rnnsim.networks.fast_weight.sigma import Two
from rnnsim.options import Options, Positive
from rnnsim.typing import Array, Kernel


class FastWeightChoices(Options, frozen=True):
    """Options of a fast-weight network besides its sizes, and of its initial weights."""

    name = "fast-weight network"

    architecture: Literal[1, 2] = 1
    n_slow_in: int | None = None
    slow_hidden: Any = None
    fast_hidden: Any = ()
    hidden_activation: Any = "tanh"
    output_activation: Any = "identity"
    slow_bias: bool = True
    fast_bias: bool = False
    shortcuts: Any = False
    sigma: Any = "sum-and-squash"
    tau: Positive = 10.0
    retention: float = 0.9
    g: Any = "product"
    initial: Any = 0.0
    loss: Any = "squared-error"
    scheme: str = "interval"
    gain: float = 0.1
    check_derivatives: bool = True


MOST_LAYERS = 100  # of a net: a kernel is composed layer by layer


def layer_sizes(name: str, given: Any) -> tuple[int, ...]:
    """Parse the sizes of hidden layers: one number, a sequence of them, or text such as ``8,8``."""
    if isinstance(given, str):
        try:
            given = [int(part) for part in given.split(",") if part.strip()]
        except ValueError:
            raise RnnsimError(
                f"{name} is {shown(given)}; sizes of layers are written like 8,8"
            ) from None
    given = given.tolist() if isinstance(given, np.ndarray) else given
    sizes = given if isinstance(given, list | tuple | range) else [given]
    if len(sizes) > MOST_LAYERS:
        raise RnnsimError(f"{name} has {len(sizes)} layers; it must have at most {MOST_LAYERS}")
    return tuple(checks.whole(f"a layer of {name}", n, 1, checks.LARGEST_SIZE) for n in sizes)


def pair_of_text(given: Any) -> Any:
    """Split text at commas; return anything else as it is."""
    if isinstance(given, str) and "," in given:
        return tuple(part.strip() for part in given.split(","))
    return given


def for_both(name: str, given: Any) -> tuple[bool, bool]:
    """Parse a bool for both nets, or a pair (slow, fast); in text, ``true,false``."""
    given = pair_of_text(given)
    if isinstance(given, tuple | list):
        if len(given) != 2:
            raise RnnsimError(f"{name} is one of true and false, or a pair (slow, fast) of them, not "
                              f"{shown(given)}")  # fmt: skip
        return checks.boolean(name, given[0]), checks.boolean(name, given[1])
    return (checks.boolean(name, given),) * 2


def initial_fast_weights(given: Any) -> float | str:
    """Parse the initial fast weights: a number, or ``slow``."""
    if isinstance(given, str):
        if given == "slow":
            return given
        with contextlib.suppress(ValueError):
            given = float(given)
    if not isinstance(given, float | int | np.floating | np.integer):
        raise RnnsimError(f"initial is a number or 'slow', not {shown(given)}")
    return checks.real("initial", given)


def activations_of(
    name: str, given: Any, net: int, layers: int, dtype: np.dtype[Any], checked: bool
) -> list[Kernel]:
    """The activations of the layers of one net (0: slow, 1: fast), from an option for both.

    ``given`` is a name or a pair (f, df), for all layers; or a pair (slow, fast), each of them for all
    layers or a list with one for each. In text, a pair is ``tanh,relu``.
    """
    given = pair_of_text(given)
    if not isinstance(given, str) and not checks.are_functions(given, 2):
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise RnnsimError(f"{name} is a name, a pair (f, df) of functions, or a pair (slow, fast), "
                              f"not {shown(given)}")  # fmt: skip
        given = given[net]
    if isinstance(given, str) or checks.are_functions(given, 2):
        return [activation_kernel(given, dtype, checked)] * max(layers, 1)
    if not isinstance(given, tuple | list) or len(given) != layers:
        raise RnnsimError(f"{name} of {'SF'[net]} is one activation, or a list of {layers}, one a "
                          f"layer; got {shown(given)}")  # fmt: skip
    for one in given:
        checks.name_or_functions(name, one, 2, "a pair (f, df) of functions")
    return [activation_kernel(one, dtype, checked) for one in given]


def activations_of_layers(
    hidden: Any, output: Any, net: int, layers: int, dtype: np.dtype[Any], checked: bool
) -> tuple[Kernel, ...]:
    """The activations of a net with ``layers`` hidden layers, from the output layer backwards."""
    own = activations_of("hidden_activation", hidden, net, layers, dtype, checked)
    return (*activations_of("output_activation", output, net, 1, dtype, checked), *reversed(own))


@kernel(allocates=False)
def product(s_a: float, s_b: float) -> float:
    return s_a * s_b


@kernel(allocates=False)
def product_by_a(s_a: float, s_b: float) -> float:
    return s_b


@kernel(allocates=False)
def product_by_b(s_a: float, s_b: float) -> float:
    return s_a


def change_kernel(architecture: int, g: str | tuple[Two, Two, Two], checked: bool = True) -> Kernel:
    """Give the kernel that computes Box w from the outputs of S, eq. (19) or (20).

    Raises
    ------
    RnnsimError
        If g is neither ``product`` nor three functions, or a derivative is wrong.
    """
    own: Any = g if checks.are_functions(g, 3) else None
    if own is None and not (isinstance(g, str) and g == "product"):
        raise RnnsimError(f"g is 'product' or three functions (g, dg_da, dg_db), not {shown(g)}")
    if architecture == 1:
        if own is not None:
            raise RnnsimError("g is of architecture 2; in architecture 1 each weight has an output")
        return change_directly
    if own is None:
        return change_between(product, product_by_a, product_by_b)
    if checked:
        check_derivatives("g", own[0], own[1:])
    return change_between(*own)


def origins(architecture: int, layers: Layers) -> Array:
    """The outputs of S that Box w of each fast weight is a function of, (1 or 2, N).

    Architecture 1: one for each. Architecture 2: that of the FROM unit (inputs, hidden units and bias of
    F), and that of the TO unit (hidden units and outputs).
    """
    inputs, outputs = int(layers.units[1]), int(layers.units[-2])
    biased = bool(layers.bias[1] >= 0)
    blocks = []
    for l in range(1, layers.source.size):  # noqa: E741 (layer l)
        sources = np.append(np.arange(layers.source[l], layers.units[l]), [outputs] * biased)
        to = np.arange(layers.units[l], layers.units[l + 1]) + outputs + biased - inputs
        blocks.append([np.tile(sources, to.size), np.repeat(to, sources.size)])
    between = np.concatenate(blocks, axis=1).astype(np.int64)
    return np.arange(between.shape[1])[None] if architecture == 1 else between


@cache
def slow_weights_type(names: tuple[str, ...]) -> Any:
    """The NamedTuple of W_S, W1, b1, W2, ...: made at run time, with instances that can be pickled."""

    def reduce(self: Any) -> Any:
        return slow_weights, (names, tuple(self))

    made: Any = namedtuple("SlowWeights", names)  # type: ignore[misc]
    doc = "The slow weights: W (to, from) and b (to) of each layer of S."
    members = {"__reduce__": reduce, "__slots__": (), "__doc__": doc, "__module__": __name__}
    return type("SlowWeights", (made,), members)


def slow_weights(names: tuple[str, ...], arrays: tuple[Array, ...]) -> Any:
    """Make an instance of the NamedTuple of W_S."""
    return slow_weights_type(names)(*arrays)
