"""Random networks of each kind, with all that its networks can have, and sequences for them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np

from rnnsim import registry
from rnnsim.compiler import uncompiled
from rnnsim.errors import RnnsimError
from rnnsim.network import Network, Stream
from rnnsim.rule import Rule
from rnnsim.training.following import written_by_rules
from rnnsim.training.forward import loss
from rnnsim.training.gradients import gradient
from rnnsim.training.streams import begin, make_stream
from rnnsim.typing import Array, Bools, Params, State, Trajectory

N_IN, HIDDEN, N_OUT = 2, 5, 3
STEPS, BATCH = 11, 3
# Options that a network may have, with values at which nothing is simple and nothing saturates.
VARIED = {"leak": 0.7, "tau": 2.5}
SPARSE = "connectivity"
PLAIN = "plain"  # said of a network without these
DENSITY = 0.6  # of the connections that exist
NOISE = 0.3  # what is added to initial parameters, so that biases are not 0
STEADY = 0.4  # by which they are multiplied where a network has to settle


# --- networks ----------------------------------------------------------------------------------------


def networks_of(
    kind: str | type[Network], dtype: str = "float64", hidden: int = HIDDEN
) -> dict[str, Network]:
    """Make networks of a kind or a class: as by default, and with each choice that it offers."""
    made = registry.network_type(kind) if isinstance(kind, str) else kind
    kind, given = made.kind, made.choices.defaults()
    varied = {name: value for name, value in VARIED.items() if name in given}
    found: dict[str, Network] = {}
    for chosen in _choices(made):
        said = ", ".join(f"{name}={value}" for name, value in chosen.items())
        found[f"{kind}{' ' if said else ''}{said}"] = made.sized(
            N_IN, hidden, N_OUT, dtype=dtype, **varied, **chosen, **_sparse(made, hidden)
        )
    if varied or _sparse(made, hidden):
        found = {f"{kind} {PLAIN}": made.sized(N_IN, hidden, N_OUT, dtype=dtype), **found}
    return found


def _choices(made: type[Network]) -> Iterator[dict[str, Any]]:
    """Each combination of the options of a network that are one of several values."""
    hints = get_type_hints(made.choices)
    several = {
        name: get_args(hints[name])
        for name in made.choices.defaults()
        if get_origin(hints.get(name)) is Literal
    }
    for values in itertools.product(*several.values()):
        yield dict(zip(several, values))


def _sparse(made: type[Network], hidden: int) -> dict[str, Any]:
    """A pattern of connections, for networks that take one."""
    if SPARSE not in inspect.signature(made).parameters:
        return {}
    return {SPARSE: np.random.default_rng(2).random((hidden, hidden)) < DENSITY}


def copy_of(network: Network, **attributes: Any) -> Network:
    """The same network with other kernels."""
    other = copy(network)
    vars(other).update(attributes)
    return other


# --- cases -------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    """A network that has run over a stream: what its kernels take."""

    flat: Array
    params: Params
    state: State
    stream: Stream
    trajectory: Trajectory


@dataclass(frozen=True, eq=False)
class Case:
    """A network with parameters and sequences.

    Attributes
    ----------
    network : Network
    flat : (n_params,) array
        The parameters.
    data : dict
        The arguments of :func:`rnnsim.gradient` and :func:`rnnsim.loss` by name.
    steady : bool
        Whether each row is a pattern for which the network settles.
    """

    network: Network
    flat: Array
    data: dict[str, Any]
    steady: bool = False

    @property
    def params(self) -> Params:
        return self.network.views(self.flat)

    def gradient(self, rule: str | Rule, *, compiled: bool = False, **options: Any) -> Any:
        """The gradient by a rule; uncompiled unless said otherwise."""
        if compiled:
            return gradient(self.network, self.params, rule=rule, **self.data, **options)
        with uncompiled():
            return gradient(self.network, self.params, rule=rule, **self.data, **options)

    def flat_gradient(self, rule: str | Rule, **options: Any) -> Array:
        """The same as one flat array."""
        return flattened(self.gradient(rule, **options).grads)

    def loss(self, flat: Array | None = None) -> float:
        """The loss of these or of other parameters."""
        params = self.network.views(self.flat if flat is None else flat)
        with uncompiled():
            return loss(self.network, params, steady_state=self.steady, **self.data)

    def changed(self, **data: Any) -> Case:
        """The same network and parameters with other data; None leaves an argument out."""
        given = {name: value for name, value in {**self.data, **data}.items() if value is not None}
        return replace(self, data=given)

    def rows(self, first: int, stop: int) -> Case:
        """A part of the sequences, which begins where ``initial_state`` says."""
        return self.changed(**{name: value[first:stop] for name, value in self.data.items()
                               if not name.endswith("state")})  # fmt: skip

    def sequence(self, b: int) -> Case:
        """One sequence of the batch."""
        return self.changed(**{
            name: value[b : b + 1] if name.endswith("state") else value[:, b : b + 1]
            for name, value in self.data.items()
        })  # fmt: skip

    @cached_property
    def free(self) -> Bools:
        """Which entries of the parameters exist: the others have no gradient."""
        return free_entries(self.network)

    @cached_property
    def own(self) -> Bools:
        """Which of them a rule writes: those that only the retrieval reads are the network's."""
        return self.free & written_by_rules(self.network)

    def ran(self, rows: int | None = None) -> Ran:
        """Run the network, uncompiled, over all rows or the first."""
        network, data = self.network, self.data
        arrays = (data["inputs"], data["targets"], data.get("mask"), data.get("resets"))
        stream = make_stream(network, *arrays)
        steps, batch = stream.mask.shape
        count = steps if rows is None else rows
        states = (data.get("initial_state"), data.get("reset_state"))
        state = begin(network, batch, *states, False)
        trajectory = network.trajectory(count, batch)
        flat = self.flat.copy()
        params = network.kernel_params(flat)
        network.forward(params, state, stream, 0, trajectory, 0, count)
        return Ran(flat, params, state, stream, trajectory)


def flattened(grads: Params) -> Array:
    """The arrays of a gradient in one."""
    return np.concatenate([np.asarray(grad, float).ravel() for grad in grads])


def free_entries(network: Network) -> Bools:
    """Which entries of the gradient ``constrain`` leaves as they are."""
    flat = np.ones(network.n_params, network.dtype)
    network.constrain(network.trajectory(1, 1), network.kernel_params(flat))
    return np.not_equal(flat, 0)


def make_case(
    network: Network, seed: int = 0, *, steps: int = STEPS, batch: int = BATCH, steady: bool = False
) -> Case:
    """Draw parameters and sequences: with masks and, unless the network settles, resets."""
    rng = np.random.default_rng([seed, 7])
    flat = network.pack(network.init(seed)).astype(float)
    flat += NOISE * rng.standard_normal(flat.size)
    flat *= (STEADY if steady else 1.0) * free_entries(network)
    targets = rng.random((steps, batch, network.n_out))
    data: dict[str, Any] = {
        "inputs": rng.standard_normal((steps, batch, network.columns[0])),
        "targets": targets / targets.sum(-1, keepdims=True),  # right for every loss
        "mask": rng.choice([0.0, 0.5, 2.0], (steps, batch)),
    }
    data["mask"][-1] = 1.0
    if not steady:
        data["resets"] = rng.random((steps, batch)) < 0.2
        data |= accepted_states(network, rng, batch)
    return Case(network, flat.astype(network.dtype), data, steady)


def accepted_states(network: Network, rng: np.random.Generator, batch: int) -> dict[str, Any]:
    """Random states to begin with and to reset to, as far as the network takes them."""
    states = 0.5 * rng.standard_normal((2, batch, network.n_state))
    given = dict(zip(("initial_state", "reset_state"), states))
    try:
        network.state(batch, **given)
    except RnnsimError:
        return {}
    return given


def has_dtypes(network: Network) -> bool:
    """Whether a network can be made for another dtype."""
    return "dtype" in inspect.signature(type(network)).parameters


def in_single(case: Case) -> Case:
    """The same case in float32."""
    network = case.network.remade(dtype="float32")
    return replace(case, network=network, flat=case.flat.astype(np.float32))
