"""``uoro`` and ``kf-rtrl`` are unbiased: the mean over their signs is the exact gradient (theory.md 5).

Over all signs that there are, to rounding; and over 10,000 draws, as a stranger's rule is judged.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, NamedTuple

import naive
import numpy as np
import pytest
from cases import PLAIN, Case, Sizes, assert_equal_gradients, make_case
from scipy.stats import t as student

import rnnsim
from rnnsim.kernels import kernel
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.registry import make_rule
from rnnsim.rule import Rule
from rnnsim_rules import kf_rtrl, uoro
from rnnsim_rules.kf_rtrl import KFRTRL
from rnnsim_rules.uoro import UORO

GROUPS, TOGETHER = 100, 100  # 10,000 draws: what is judged is the mean of each group
FALSE_ALARMS = 1e-3
SIZES = dataclasses.replace(PLAIN, n=3, m=1, k=2, T=4, B=1, leak=0.8, seed=6)
OTHER = dataclasses.replace(SIZES, T=6, seed=39)


@cache
def case(sizes: Sizes = SIZES) -> Case:
    return make_case(sizes)


def exact(sizes: Sizes = SIZES) -> np.ndarray:
    gradient = naive.bptt(case(sizes).net, case(sizes).data)
    return np.concatenate([gradient[name].ravel() for name in ("W", "U", "b")])


def draws(
    rule: Rule, groups: int = GROUPS, together: int = TOGETHER, sizes: Sizes = SIZES
) -> np.ndarray:
    """The means of groups of draws (groups, P): each is of one batch, whose sequences are copies."""
    inputs, targets = (
        np.repeat(case(sizes).arguments[name], together, axis=1) for name in ("inputs", "targets")
    )
    found = []
    for seed in range(groups):
        grads = rnnsim.gradient(
            case(sizes).network, case(sizes).params, inputs, targets, rule=rule, seed=seed
        ).grads
        found.append(np.concatenate([grads.W.ravel(), grads.U.ravel(), grads.b]))
    return np.array(found)


def is_unbiased(samples: np.ndarray, expected: np.ndarray) -> bool:
    """Whether each mean is within its standard error, judged over all entries together (Bonferroni)."""
    count, entries = samples.shape
    error = samples.std(0, ddof=1) / np.sqrt(count)
    if not error.all():
        return False  # an entry without variance is none that was drawn
    limit = student.ppf(1 - FALSE_ALARMS / (2 * entries), count - 1)
    return bool((np.abs(samples.mean(0) - expected) <= limit * error).all())


# --- over all signs -------------------------------------------------------------------------------


class AllSigns(NamedTuple):
    """The memory of UORO for as many sequences as there are signs, and how many were drawn."""

    s: Any
    theta: Any
    nu: Any
    Js: Any
    direct: Any
    errors: Any
    drawn: np.ndarray
    at_once: int


class AllSignPairs(NamedTuple):
    """The same of KF-RTRL."""

    u: Any
    A: Any
    z: Any
    D: Any
    J: Any
    JA: Any
    row: Any
    total: Any
    owner: Any
    column: Any
    drawn: np.ndarray
    at_once: int


@kernel
def every_sign(memory: Any) -> float:
    """The bits of the number of the sequence; at each step a sequence takes some of them."""
    count, at_once = memory.drawn[0], memory.at_once
    sequences = (memory.theta if hasattr(memory, "theta") else memory.u).shape[0]
    step, b, i = count // (sequences * at_once), count // at_once % sequences, count % at_once
    memory.drawn[0] += 1
    return 1.0 if (b >> (step * at_once + i)) & 1 else -1.0


class EveryUORO(UORO, frozen=True):
    """UORO with every sign once."""

    name = "every"

    def memory(self, network: Any, batch: int, window: int, rng: Any) -> Any:
        own = super().memory(network, batch, window, rng)
        return AllSigns(*own[1:], np.zeros(1, np.int64), network.n_state)

    def credit(self, network: Any) -> Any:
        return uoro.credit_kernel(network, every_sign)


class EveryKFRTRL(KFRTRL, frozen=True):
    """KF-RTRL with every pair of signs once."""

    name = "every"

    def memory(self, network: Any, batch: int, window: int, rng: Any) -> Any:
        return AllSignPairs(*super().memory(network, batch, window, rng)[1:], np.zeros(1, np.int64), 2)

    def credit(self, network: Any) -> Any:
        return kf_rtrl.credit_kernel(network, every_sign)


def over_all_signs(network: Any, rule: Rule, at_once: int, resets: list[bool]) -> tuple[Any, Any]:
    """The mean of a rule's gradient over all signs of a sequence, and the exact gradient."""
    rng, T = np.random.default_rng(4), len(resets)
    params = network.views(rng.standard_normal(network.n_params))
    if network is SPARSE:
        params.W[~network.connectivity] = 0
    inputs = rng.standard_normal((T, 1, network.columns[-1]))
    targets = rng.standard_normal((T, 1, network.n_out))
    given = [inputs, targets, np.array(resets)[:, None], rng.choice([0.5, 2.0], (T, 1))]
    copies = [np.repeat(x, 2 ** (T * at_once), axis=1) for x in given]
    found, expected = (
        rnnsim.gradient(network, params, u, d, rule=chosen, resets=reset, mask=mask).grads
        for chosen, (u, d, reset, mask) in ((rule, copies), ("bptt", given))
    )
    return found, expected


RECURRENT = RecurrentNetwork(2, 2, 2, leak=0.6)
SPARSE = RecurrentNetwork(2, 2, 2, leak=0.6, connectivity=np.array([[1, 0], [1, 1]], bool))
FAST = {
    f"fast {architecture} {initial}": rnnsim.FastWeightNetwork(
        architecture=architecture, n_slow_in=2, n_in=2, n_out=1, slow_hidden=2, initial=initial, tau=1.0
    )
    for architecture in (1, 2)
    for initial in (0.3, "slow")
}


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("resets", [[False] * 3, [False, True, False, False]], ids=["whole", "reset"])
@pytest.mark.parametrize(
    ("network", "rule"),
    [
        *[(network, EveryUORO()) for network in (RECURRENT, SPARSE, *FAST.values())],
        *[(network, EveryKFRTRL()) for network in (RECURRENT, SPARSE)],
    ],
    ids=["recurrent", "sparse", *FAST, "recurrent kf", "sparse kf"],
)
def test_the_mean_over_all_signs_is_exact(network: Any, rule: Rule, resets: list[bool]) -> None:
    found, expected = over_all_signs(network, rule, 2, resets)
    assert_equal_gradients(found, expected._asdict(), 1e-12)
    assert min(np.abs(grad).max() for grad in expected) > 0


# --- over draws -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["uoro", "kf-rtrl"])
def test_the_mean_is_the_gradient(rule: str) -> None:
    samples = draws(make_rule(rule, {}))
    assert is_unbiased(samples, exact())
    assert not is_unbiased(samples, 1.1 * exact())


# --- the controls of that ------------------------------------------------------------------------------


def unfair(chance: float) -> Any:
    """Signs that are +1 with another probability than 1/2."""

    @kernel(allocates=False)
    def unfair(memory: Any) -> float:
        return 1.0 if memory.rng.random() < chance else -1.0

    return unfair


class SignedUORO(UORO, frozen=True):
    """UORO with signs of our own."""

    name = "signed"
    sign: Any = None

    def credit(self, network: Any) -> Any:
        return uoro.credit_kernel(network, self.sign)


class SignedKFRTRL(KFRTRL, frozen=True):
    """KF-RTRL with signs of our own."""

    name = "signed"
    sign: Any = None

    def credit(self, network: Any) -> Any:
        return kf_rtrl.credit_kernel(network, self.sign)


@pytest.mark.usefixtures("uncompiled")
def test_the_mean_over_some_signs_is_not_the_gradient() -> None:
    for network, rule in (
        (RECURRENT, SignedUORO),
        (RECURRENT, SignedKFRTRL),
        (FAST["fast 1 slow"], SignedUORO),
    ):
        found, expected = over_all_signs(network, rule(sign=unfair(1.0)), 2, [False] * 3)
        with pytest.raises(AssertionError, match="is off by"):
            assert_equal_gradients(found, expected._asdict(), 1e-3)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("broken", "chance", "groups"), [(SignedUORO, 1.0, 5), (SignedUORO, 0.6, 40), (SignedKFRTRL, 1.0, 5)]
)
def test_unfair_signs_are_caught(broken: Any, chance: float, groups: int) -> None:
    assert not is_unbiased(draws(broken(sign=unfair(chance)), groups), exact())


def test_two_signs_that_are_nearly_fair_are_caught() -> None:
    """c1 c2 is 0.04 in the mean and not 0, beside noise of size 1: it takes 100,000 draws."""
    samples = draws(SignedKFRTRL(sign=unfair(0.6)), together=10 * TOGETHER, sizes=OTHER)
    assert not is_unbiased(samples, exact(OTHER))
    fair = draws(make_rule("kf-rtrl", {}), together=10 * TOGETHER, sizes=OTHER)
    assert is_unbiased(fair, exact(OTHER))


class ShortUORO(UORO, frozen=True):
    """UORO whose theta has 0.9 times its second term."""

    name = "short"

    def credit(self, network: Any) -> Any:
        immediate, short = network.immediate, RecurrentNetwork.__new__(RecurrentNetwork)

        @kernel
        def shortened(
            params: Any, trajectory: Any, t: int, begin: int, end: int, row: Any, grad: Any
        ) -> None:
            immediate(params, trajectory, t, begin, end, 0.9 * row, grad)

        short.__dict__.update(network.__dict__, immediate=shortened)
        return super().credit(short)


class ShortKFRTRL(KFRTRL, frozen=True):
    """KF-RTRL whose A has 0.9 times its second term."""

    name = "short"

    def credit(self, network: Any) -> Any:
        factors, short = network.immediate_factors, RecurrentNetwork.__new__(RecurrentNetwork)

        @kernel
        def shortened(params: Any, trajectory: Any, t: int, b: int, z: Any, D: Any) -> None:
            factors(params, trajectory, t, b, z, D)
            D *= 0.9

        short.__dict__.update(network.__dict__, immediate_factors=shortened)
        return super().credit(short)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("rule", [ShortUORO(), ShortKFRTRL()], ids=lambda rule: type(rule).__name__)
def test_a_term_that_is_a_tenth_too_small_is_caught(rule: Rule) -> None:
    """The factors rho cancel out: what is missing of the product is missing of the mean."""
    assert not is_unbiased(draws(rule, 40), exact())  # fewer draws, which is harder


@pytest.mark.usefixtures("uncompiled")
def test_no_variance_is_no_pass() -> None:
    samples = draws(make_rule("rtrl", {}), 5)
    np.testing.assert_allclose(samples.mean(0), exact(), rtol=1e-10)
    assert not is_unbiased(samples, exact())
