"""Each rule once, compiled, on the kind of network that it trains: its gradient is what it claims.

That takes some seconds a rule. ``.ci/run`` asks no more of other compilers, Pythons and dependencies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import naive
import naive_estimates
import naive_fast_weights
import numba
import pytest
from cases import TYPICAL, Case, assert_equal_gradients, existing, make_case
from fast_weight_cases import COMPILED, FAST_TYPICAL, FastCase, make_fast_case

from rnnsim.registry import installed
from rnnsim.rule import Rule

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

RULES: dict[str, type[Rule]] = {
    name: entry.thing for name, entry in installed().rules.items() if entry.distribution == "rnnsim"
}

Answer = tuple[float, naive.Gradient]


def exact(case: Case) -> Answer:
    if isinstance(case, FastCase):
        return case.path.loss, case.expected
    return naive.run(case.net, case.data).loss, existing(case, naive.bptt(case.net, case.data))


def steady(case: Case) -> Answer:
    loss, gradient = naive.recurrent_backprop(case.net, case.data)
    return loss, existing(case, gradient)


def truncated(case: Case) -> Answer:
    """The credit of the last 4 steps, by sweeps every 2."""
    if isinstance(case, FastCase):
        return case.path.loss, naive_fast_weights.truncated(case.net, case.weights, case.data, 4, 2)
    gradient = naive.truncated_bptt(case.net, case.data, 4, 2)
    return naive.run(case.net, case.data).loss, existing(case, gradient)


# What these claim names no gradient that their equations could be compared with.
APPROXIMATE = {
    "uoro": naive_estimates.uoro, "kf-rtrl": naive_estimates.kf_rtrl, "rflo": naive_estimates.rflo,
    "snap": naive_estimates.snap,
}  # fmt: skip


def approximate(oracle: Callable[..., naive.Gradient]) -> Callable[[Case], Answer]:
    """What a rule's equations give, with the signs of the same seed where it draws some."""

    def answer(case: Case) -> Answer:
        gradient = oracle(case.net, case.data, case.network.connectivity)
        return naive.run(case.net, case.data).loss, existing(case, gradient)

    return answer


def oracle_of(rule: type[Rule]) -> tuple[Callable[[Case], Answer], dict[str, int]]:
    """What a rule's gradient is compared with, and the options that it is given for it.

    By what it says of itself: were ``truncated-bptt`` called exact, it would have its defaults, and 24
    steps are too many for those; did ``recurrent-backprop`` not settle, steps would follow one another.
    """
    if rule.settles:
        return steady, {}
    if rule.claim == "truncated":
        return truncated, {"h": 4, "h_prime": 2}
    if rule.claim in ("unbiased", "approximate"):
        return approximate(APPROXIMATE[rule.name]), {}
    assert rule.claim == "exact", f"{rule.name} needs an oracle"
    return exact, {}


def case_of(rule: type[Rule]) -> Case:
    """A small network with all that networks of its kind can have, and sequences for it."""
    if rule.kind == "fast-weight":
        architecture = rule.network.get("architecture", 1)
        return make_fast_case(FAST_TYPICAL, next(c for c in COMPILED if c.architecture == architecture))
    case = make_case(dataclasses.replace(TYPICAL, T=24))
    if rule.settles:  # where W is a contraction
        W = case.params.W / 2
        case = dataclasses.replace(case, params=case.params._replace(W=W), net=case.net._replace(W=W))
    return case


@pytest.mark.parametrize("name", RULES)
def test_the_gradient_is_what_the_rule_claims(name: str) -> None:
    rule = RULES[name]
    case, (oracle, options) = case_of(rule), oracle_of(rule)
    loss, gradient = oracle(case)
    found = case.gradient(name, **options)
    assert found.loss == pytest.approx(loss, rel=1e-10, abs=1e-11)
    assert_equal_gradients(found.grads, gradient, 1e-10, 1e-11)
    # the control: the biases are off by a millionth
    moved = next(name for name in case.params._fields if name.startswith("b"))
    params = case.params._replace(**{moved: getattr(case.params, moved) + 1e-6})
    wrong = dataclasses.replace(case, params=params).gradient(name, **options)
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(wrong.grads, gradient, 1e-10, 1e-11)
