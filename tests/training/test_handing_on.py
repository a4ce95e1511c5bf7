"""A sequence handed on in pieces: the state, where a reset leads, and the rule's memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from cases import TYPICAL, assert_equal_gradients, make_case
from fast_weight_cases import FAST_TYPICAL, make_fast_case
from hypothesis import given
from hypothesis import strategies as st

import rnnsim
from rnnsim import RecurrentNetwork, RnnsimError

LONG = dataclasses.replace(TYPICAL, T=24)
OVER_TIME = ("inputs", "targets", "mask", "resets")

# rules that carry what the gradient needs, with the steps at which pieces may end
CARRYING: list[tuple[str, dict[str, Any], int]] = [
    ("rtrl", {}, 1),
    ("rtrl-block", {"h": 3}, 3),
    ("truncated-bptt", {"h": 5, "h_prime": 2}, 2),
    ("truncated-bptt", {"h": 4}, 4),
]


def rows(array: Any, begin: int, end: int) -> Any:
    return tuple(a[begin:end] for a in array) if isinstance(array, tuple) else array[begin:end]


def in_pieces(case: Any, rule: str, cuts: list[int], **options: Any) -> tuple[float, dict[str, Any]]:
    """The sums of the losses and of the gradients of pieces, each from what the last one left."""
    arguments, memory, state = case.arguments, None, case.arguments.get("initial_state")
    fixed = {name: arguments[name] for name in ("reset_state",) if name in arguments}
    loss, total = 0.0, None
    for begin, end in zip([0, *cuts], [*cuts, len(arguments["targets"])]):
        piece = {name: rows(arguments[name], begin, end) for name in OVER_TIME if name in arguments}
        found = rnnsim.gradient(
            case.network, case.params, rule=rule, initial_state=state, memory=memory, **piece, **fixed,
            **options,
        )  # fmt: skip
        loss, memory, state = loss + found.loss, found.memory, found.state
        grads = found.grads._asdict()
        total = grads if total is None else {name: total[name] + grads[name] for name in grads}
    assert total is not None
    return loss, total


@pytest.mark.usefixtures("uncompiled")
@given(
    seed=st.integers(0, 1000),
    cuts=st.sets(st.integers(1, 23), max_size=3),
    which=st.sampled_from(CARRYING),
)
def test_pieces_equal_the_whole(
    seed: int, cuts: set[int], which: tuple[str, dict[str, Any], int]
) -> None:
    rule, options, grid = which
    case = make_case(dataclasses.replace(LONG, seed=seed))
    whole = case.gradient(rule, **options)
    at = sorted({cut - cut % grid for cut in cuts} - {0})
    loss, grads = in_pieces(case, rule, at, **options)
    assert loss == pytest.approx(whole.loss, rel=1e-12)
    assert_equal_gradients(whole.grads, grads, 1e-10)


@pytest.mark.usefixtures("uncompiled")
def test_so_of_fast_weights() -> None:
    for initial in (0.3, "slow"):
        case = make_fast_case(dataclasses.replace(FAST_TYPICAL, initial=initial))
        whole = case.gradient("fast-weights-1")
        loss, grads = in_pieces(case, "fast-weights-1", [3, 5])
        assert loss == pytest.approx(whole.loss, rel=1e-12)
        assert_equal_gradients(whole.grads, grads, 1e-10)


@pytest.mark.usefixtures("uncompiled")
def test_without_its_memory_a_rule_forgets() -> None:
    """The control: what came before the cut has no part in the gradient then."""
    case = make_case(LONG)
    piece = {name: case.arguments[name][12:] for name in OVER_TIME}
    before = {name: case.arguments[name][:12] for name in OVER_TIME}
    first = rnnsim.gradient(case.network, case.params, rule="rtrl", **before)
    how = {**piece, "rule": "rtrl", "initial_state": first.state}
    kept = rnnsim.gradient(case.network, case.params, **how, memory=first.memory)
    forgot = rnnsim.gradient(case.network, case.params, **how)
    assert kept.loss == forgot.loss
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(kept.grads, forgot.grads._asdict(), 1e-6)
    again = rnnsim.gradient(case.network, case.params, **how, memory=first.memory)
    assert_equal_gradients(kept.grads, again.grads._asdict(), 0)  # the memory is not changed by its use


@pytest.mark.usefixtures("uncompiled")
def test_a_reset_in_a_later_piece_leads_to_the_reset_state() -> None:
    """And not to the state that was handed on; the loss, by simulation as well."""
    rng = np.random.default_rng(0)
    net = RecurrentNetwork(2, 4, 1)
    p = net.init(0)
    u, d = rng.normal(size=(10, 1, 2)), rng.normal(size=(10, 1, 1))
    resets = np.zeros((10, 1), bool)
    resets[7] = True
    for reset_state in (None, np.full(4, 0.3)):
        whole = rnnsim.loss(net, p, u, d, resets=resets, reset_state=reset_state)
        x = rnnsim.simulate(net, p, u[:5], reset_state=reset_state).states[-1]
        parts = rnnsim.loss(net, p, u[:5], d[:5], reset_state=reset_state) + rnnsim.loss(
            net, p, u[5:], d[5:], resets=resets[5:], initial_state=x, reset_state=reset_state
        )
        assert parts == pytest.approx(whole, rel=1e-12)
    simulated = rnnsim.simulate(net, p, u[7:], initial_state=np.full(4, 0.3)).states
    again = rnnsim.simulate(net, p, u, resets=resets, reset_state=np.full(4, 0.3)).states
    np.testing.assert_allclose(again[7:], simulated, atol=1e-14)


@pytest.mark.usefixtures("uncompiled")
def test_a_rule_without_carried_memory_gives_the_state_too() -> None:
    case = make_case(LONG)
    loss, _ = in_pieces(case, "bptt", [5, 11])
    assert loss == pytest.approx(case.loss(), rel=1e-12)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("memory is that of an earlier result, not int", {"memory": 3}),
        ("the memory is that of .*; the rule is", {"rule": "rtrl-block"}),
        ("window is 2; that of the memory is 24", {"window": 2}),
    ],
)
def test_the_memory_of_something_else_is_refused(message: str, change: dict[str, Any]) -> None:
    case = make_case(LONG)
    memory = case.gradient("rtrl").memory
    arguments = {"rule": "rtrl", "memory": memory, **case.arguments, **change}
    with pytest.raises(RnnsimError, match=message):
        rnnsim.gradient(case.network, case.params, **arguments)
    other = make_case(dataclasses.replace(LONG, B=1))
    with pytest.raises(RnnsimError, match="the memory is of 3 sequences; there are 1"):
        rnnsim.gradient(other.network, other.params, rule="rtrl", memory=memory, **other.arguments)
    fast = make_fast_case(dataclasses.replace(FAST_TYPICAL, initial="slow"))
    with pytest.raises(RnnsimError, match="reset_state is given, but S sets the fast weights"):
        fast.changed(reset_state=np.zeros(fast.network.n_state)).loss()
