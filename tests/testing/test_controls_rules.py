"""Controls: a broken rule for each check of a rule, which must not pass it. They run uncompiled."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from kit import fails, passes, run

import rnnsim
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.rule import Cost, Rule
from rnnsim.testing import check_rule
from rnnsim.testing.cases import copy_of, networks_of
from rnnsim.testing.checking import rule_checks
from rnnsim.testing.costs import exponents
from rnnsim.testing.sweeps import Backwards, Forwards
from rnnsim.typing import Kernel

pytestmark = pytest.mark.usefixtures("uncompiled")

SPARSE = [networks_of("recurrent")["recurrent feedback=exact"]]  # with a leak, too


def checks_of(rule: Rule, **options: Any) -> Any:
    return rule_checks(rule, networks=options.pop("networks", SPARSE), **options)


def altered(network: Network, rule: type[Rule], alter: Any) -> Kernel:
    """The kernel ``learn`` of a rule, with something done after it."""
    learn = rule().learn(network)

    @kernel
    def altered_learn(
        params: Any, state: Any, stream: Any, row: int, trajectory: Any, window: Any, memory: Any,
        grad: Any,
    ) -> int:  # fmt: skip
        code = learn(params, state, stream, row, trajectory, window, memory, grad)
        alter(params, stream, row, trajectory, window, grad)
        return int(code)

    return altered_learn


class Altered(Backwards, frozen=True):
    """A right rule to whose gradient something is done."""

    def learn(self, network: Network) -> Kernel:
        return altered(network, Backwards, self.alter)

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        raise NotImplementedError


class Scaled(Altered, frozen=True):
    """Its gradient is 1% too small, in one entry."""

    name = "scaled"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.U[0, 0] *= 0.99


class NotFinite(Altered, frozen=True):
    name = "not-finite"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.U[0, 0] = np.nan


class Silent(Altered, frozen=True):
    """It never writes the gradient of b."""

    name = "silent"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.b[:] = 0


class Unconstrained(Altered, frozen=True):
    """It gives connections that do not exist a gradient."""

    name = "unconstrained"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.W[:] += 1e-3


class Prophet(Altered, frozen=True):
    """It looks at the row behind its window."""

    name = "prophet"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        later = min(row + window.length, len(stream.mask) - 1)
        grad.b[0] += stream.targets[later, 0, 0]


class Counting(Altered, frozen=True):
    """Its gradient depends on where in a call of the learner the window begins."""

    name = "counting"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.b[0] += row


class Meddling(Altered, frozen=True):
    """It changes the parameters."""

    name = "meddling"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        params.b[0] += 1


CALLS = itertools.count()


class Unrepeatable(Altered, frozen=True):
    """No two calls give the same."""

    name = "unrepeatable"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.b[0] += next(CALLS)


class Transposed(Backwards, frozen=True):
    """W where W^T belongs."""

    name = "transposed"

    def learn(self, network: Any) -> Kernel:
        return Backwards().learn(copy_of(network, vjp=transposed_vjp))


@kernel
def transposed_vjp(
    params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
    delta: Any, before: Any,
) -> None:  # fmt: skip
    for b in range(begin, end):
        if own_error:
            after[b, 0] += trajectory.error[t, b]
        delta[b, 0] = trajectory.leak * trajectory.slopes[t, b] * after[b, 0]
        before[b, 0] = (1 - trajectory.leak) * after[b, 0] + params.W @ delta[b, 0]
        if trajectory.resets[t, b]:
            before[b, 0] = 0


class Leakless(Backwards, frozen=True):
    """It forgets that the state leaks through from step to step."""

    name = "leakless"

    def learn(self, network: Any) -> Kernel:
        return Backwards().learn(copy_of(network, vjp=leakless_vjp))


@kernel
def leakless_vjp(
    params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
    delta: Any, before: Any,
) -> None:  # fmt: skip
    for b in range(begin, end):
        if own_error:
            after[b, 0] += trajectory.error[t, b]
        delta[b, 0] = trajectory.leak * trajectory.slopes[t, b] * after[b, 0]
        before[b, 0] = delta[b, 0] @ params.W
        if trajectory.resets[t, b]:
            before[b, 0] = 0


class Forgetful(Backwards, frozen=True):
    """It says that it carries credit from window to window, and does not."""

    name = "forgetful"
    carries = True


class Clinging(Forwards, frozen=True):
    """It says that it carries nothing, and does."""

    name = "clinging"
    carries = False


class Boastful(Backwards, frozen=True):
    """It sweeps 3 steps back, and says that it reaches further."""

    name = "boastful"
    claim = "truncated"

    def reach(self, network: Network) -> int | None:
        return 8

    def learn(self, network: Network) -> Kernel:
        return Backwards().learn(copy_of(network, vjp=short_vjp(network.vjp)))


def short_vjp(vjp: Kernel) -> Kernel:
    @kernel
    def short(
        params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
        delta: Any, before: Any,
    ) -> None:  # fmt: skip
        vjp(params, trajectory, t, begin, end, own_error, after, delta, before)
        if t == 3:
            before[begin:end] = 0

    return short


class Modest(Backwards, frozen=True):
    """It is called truncated, and does not say how far it reaches."""

    name = "modest"
    claim = "truncated"


class Generator(NamedTuple):
    sweep: Any
    rng: np.random.Generator


class Heedless(Rule, frozen=True):
    """It keeps a generator and draws nothing."""

    name = "heedless"
    claim = "exact"
    cost = Cost(time="n^2", memory="n")
    needs = ("vjp", "collect")

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Generator:
        return Generator(Backwards().memory(network, batch, window, rng), rng)

    def credit(self, network: Network) -> Kernel:
        credit = Backwards().credit(network)

        @kernel
        def heedless(params: Any, trajectory: Any, window: Any, memory: Any, grad: Any) -> None:
            credit(params, trajectory, window, memory.sweep, grad)

        return heedless


class Quadratic(Backwards, frozen=True):
    """Its costs are others than it says."""

    name = "quadratic"
    cost = Cost(time="n^3", memory="n^2")


class Uncountable(Altered, frozen=True):
    """Its kernel calls what takes floats alone."""

    name = "uncountable"

    @staticmethod
    def alter(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
        grad.b[:] += np.linalg.svd(params.W)[1] * 0


RIGHT = checks_of(Backwards())
NAMES = (
    "differences", "reference", "writes", "finite", "arrays", "seed", "rows to come", "cuts",
    "windows", "operations per step",
)  # fmt: skip


def test_right_rules_pass() -> None:
    passes(RIGHT, *NAMES)
    passes(checks_of(Forwards()), "differences", "windows", "pieces", "rows to come", "cuts", "arrays")


@pytest.mark.parametrize(
    ("rule", "check", "saying"),
    [
        (Scaled(), "differences", "in U"),
        (Scaled(), "reference", "in U"),
        (Transposed(), "differences", "in "),
        (Transposed(), "reference", "in "),
        (Leakless(), "differences", "in "),
        (NotFinite(), "finite", "not finite: U"),
        (NotFinite(), "writes", "Diverged"),
        (Silent(), "writes", "never written: b"),
        (Unconstrained(), "writes", "in W"),
        (Prophet(), "rows to come", "apart"),
        (Counting(), "cuts", ""),
        (Meddling(), "arrays", "changes params.b"),
        (Unrepeatable(), "seed", "apart"),
        (Heedless(), "seed", "the same bits"),
        (Forgetful(), "windows", "in "),
        (Forgetful(), "pieces", "in "),
        (Clinging(), "windows", "in "),
        (Boastful(), "reach", "in "),
        (Modest(), "reach", "None"),
        (Quadratic(), "operations per step", "n^"),
        (Quadratic(), "memory in bytes", "n^1"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_broken_rules_fail(rule: Rule, check: str, saying: str) -> None:
    fails(checks_of(rule), check, saying)


def test_what_is_broken_shows_only_where_it_matters() -> None:
    """Each control is broken in the one way that its name says."""
    passes(checks_of(Leakless(), networks=[networks_of("recurrent")["recurrent plain"]]), "differences")
    passes(checks_of(Prophet()), "arrays", "seed", "finite")
    passes(checks_of(Silent()), "finite", "windows", "cuts")


def test_what_cannot_be_counted_is_said() -> None:
    (finding,) = run(checks_of(Uncountable()), "operations")
    assert finding.passed is None
    assert "cannot be counted" in finding.measured


def test_a_reach_is_exact_and_no_further() -> None:
    class Honest(Boastful, frozen=True):
        def reach(self, network: Network) -> int | None:
            return 3

    passes(checks_of(Honest()), "reach")
    (beyond,) = run(checks_of(Honest()), "beyond its reach")
    assert beyond.passed is None
    assert float(beyond.measured.split()[-1]) > 1e-3


# --- draws --------------------------------------------------------------------------------------------


class Signs(Rule, frozen=True):
    """Each entry of the exact gradient times 0 or 2, by a fair coin: unbiased."""

    name = "signs"
    claim = "unbiased"
    cost = Cost(time="n^2", memory="n T")
    needs = ("vjp", "collect")

    heads: float = 0.5
    scale: float = 1.0

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Generator:
        return Generator(Backwards().memory(network, batch, window, rng), rng)

    def credit(self, network: Network) -> Kernel:
        credit, heads, scale = Backwards().credit(network), self.heads, self.scale

        @kernel
        def signs(params: Any, trajectory: Any, window: Any, memory: Any, grad: Any) -> None:
            credit(params, trajectory, window, memory.sweep, grad)
            for x in (grad.W, grad.U, grad.b):
                x *= scale * 2 * (memory.rng.random(x.shape) < heads)

        return signs


DRAWS = 400


def test_a_mean_is_the_exact_gradient() -> None:
    (finding,) = run(checks_of(Signs(), draws=DRAWS), "unbiased")
    assert finding.passed, str(finding)
    relative = float(finding.measured.split("relative variance ")[1])
    assert relative == pytest.approx(1, rel=0.1)  # of x (1 +- 1)


@pytest.mark.parametrize(
    ("options", "saying"),
    [({"heads": 1.0}, "no variance"), ({"heads": 0.6}, "worst"), ({"scale": 0.9}, "worst")],
    ids=str,
)
def test_a_mean_that_is_another_is_found(options: dict[str, float], saying: str) -> None:
    fails(checks_of(Signs(**options), draws=DRAWS), "unbiased", saying)


def test_entries_without_variance_are_no_pass() -> None:
    """Although they are exact."""

    class Half(Signs, frozen=True):
        def learn(self, network: Network) -> Kernel:
            exact = Backwards()

            class Own(Signs, frozen=True):
                def credit(self, network: Network) -> Kernel:
                    credit = exact.credit(network)

                    @kernel
                    def half(p: Any, trajectory: Any, window: Any, memory: Any, grad: Any) -> None:
                        credit(p, trajectory, window, memory.sweep, grad)
                        grad.W[:] *= 2 * (memory.rng.random(grad.W.shape) < 0.5)

                    return half

            return Own().learn(network)

    fails(checks_of(Half(), draws=DRAWS), "unbiased", "no variance, in U, b")


# --- the rest -----------------------------------------------------------------------------------------


class Away(Backwards, frozen=True):
    """It goes up the slope."""

    name = "away"
    claim = "approximate"

    def learn(self, network: Network) -> Kernel:
        return altered(network, Backwards, reverse)


@kernel
def reverse(params: Any, stream: Any, row: int, trajectory: Any, window: Any, grad: Any) -> None:
    for x in grad:
        x *= -1


class Towards(Backwards, frozen=True):
    name = "towards"
    claim = "approximate"


def test_an_approximate_rule_has_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.testing.learning.STEPS", 100)
    (finding,) = run(checks_of(Towards(), task="delayed-xor"), "learns")
    assert finding.passed
    assert "alignment with bptt 1.00 at first, 1.00 after; ratio of norms 1.00, 1.00" in finding.measured
    fails(checks_of(Away(), task="delayed-xor"), "learns", "loss")


@pytest.mark.parametrize(
    ("cost", "powers"),
    [
        ("n^4", [4]),
        ("n^2 h / h'", [2]),
        ("n^2 a relaxation step, n^3 a direct solve", [2, 3]),
        ("n", [1]),
        ("1", [0]),
        ("n T", [1]),
        ("n (n + m)", [2]),
        ("|W_F| (phi + H)", []),
        ("n^3 / n", [2]),
        ("n^2 + n^3", [3]),
    ],
)
def test_exponents_are_read(cost: str, powers: list[float]) -> None:
    assert exponents(cost) == powers


def test_a_report_says_what_failed() -> None:
    report = check_rule(Silent(), networks=SPARSE)
    assert not report.passed
    assert "never written: b" in str(report)
    assert report.verdict().startswith("silent fails ")
    assert {finding.check.split(",")[0] for finding in report.failures} >= {"writes", "differences"}


def test_rules_are_given_by_name_class_or_object() -> None:
    for rule in ("bptt", Backwards, Backwards()):
        passes(rule_checks(rule, networks=SPARSE), "reference")
    with pytest.raises(rnnsim.RnnsimError, match="exact"):
        rule_checks("bptt", reference="truncated-bptt")
    with pytest.raises(rnnsim.RnnsimError, match="can train none"):
        rule_checks("fast-weights-1", networks=["recurrent"])
