"""What is given to a run: where each option goes, what the task suggests, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from plain_loop import B, Script, k, m, n

from rnnsim import registry
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.options import Options
from rnnsim.registry import make_rule
from rnnsim.task import Suggestion, Task
from rnnsim.training.experiment import configure
from rnnsim.training.optimizers import SGD
from rnnsim_rules.bptt import BPTT


def test_options_go_to_the_one_that_knows_them() -> None:
    experiment = configure("truncated-bptt", "delayed-xor", optimizer="adam",
                           options={"h": "7", "h-prime": 3, "d": 4, "beta1": 0.5})  # fmt: skip
    assert experiment.rule.h == 7  # type: ignore[attr-defined]
    assert experiment.rule.h_prime == 3  # type: ignore[attr-defined]
    assert experiment.task.d == 4  # type: ignore[attr-defined]
    assert experiment.optimizer.beta1 == 0.5  # type: ignore[attr-defined]


def test_what_is_not_given_is_what_the_task_suggests() -> None:
    experiment = configure("bptt", Script())
    assert (experiment.learning_rate, experiment.batch, experiment.steps) == (0.1, B, 400)
    assert isinstance(experiment.optimizer, SGD)
    changed = configure("bptt", Script(), learning_rate=0.5, batch=3, steps=7, hidden=9, dtype="float32")
    assert (changed.learning_rate, changed.batch, changed.steps) == (0.5, 3, 7)
    assert (changed.network.n_state, changed.network.dtype.name) == (9, "float32")


class Twin(Script, frozen=True):
    """A task with an option that truncated-bptt has too."""

    name = "twin"
    h: int = 3


REFUSED: list[tuple[dict[str, Any], type[RnnsimError], str]] = [
    ({"options": {"nope": 1}}, UnknownName, "no option of bptt, delayed-xor.* is called 'nope'"),
    ({"options": {"checkpont": 1}}, UnknownName, "did you mean checkpoint"),
    ({"options": {"beta1": 0.5}, "optimizer": "sgd"}, UnknownName, "no option of .* is called 'beta1'"),
    ({"options": {"beta3": 0.5}, "optimizer": "adam"}, UnknownName, "did you mean beta"),
    ({"options": {"d": 0}}, RnnsimError, "option d of delayed-xor is 0: expected a whole number >= 1"),
    ({"options": {"d": "two"}}, RnnsimError, "d of delayed-xor is 'two': expected a whole number$"),
    ({"options": {"decay": "nan"}, "optimizer": "momentum"}, RnnsimError, "option decay of momentum"),
    ({"options": {"decay": 1}, "optimizer": "momentum"}, RnnsimError, "expected a number < 1"),
    ({"options": {"h": 3, "h_prime": 4}, "rule": "truncated-bptt"}, RnnsimError, "^h_prime is 4"),
    ({"rule": "rtlr"}, UnknownName, "no rule is called 'rtlr'; did you mean rtrl"),
    ({"rule": 3}, RnnsimError, "rule is the name of a rule or a Rule, not 3"),
    ({"task": "delayed-or"}, UnknownName, "no task is called 'delayed-or'; did you mean delayed-xor"),
    ({"task": None}, RnnsimError, "task is the name of a task or a Task, not None"),
    ({"optimizer": "adams"}, UnknownName, "no optimizer is called 'adams'; did you mean adam"),
    ({"optimizer": 3}, RnnsimError, "optimizer is one of sgd"),
    ({"criterion": "nope"}, UnknownName, "no criterion of delayed-xor is called 'nope'"),
    ({"criterion": 0.5}, RnnsimError, "criterion is one of default, or one that is made, not 0.5"),
    ({"network": RecurrentNetwork(3, n, 1)}, RnnsimError, "delayed-xor has 2 inputs and 1 outputs; the "
                                                          "network has 3 and 1"),
    ({"network": RecurrentNetwork(2, n, 2)}, RnnsimError, "the network has 2 and 2"),
    ({"network": "recurent"}, UnknownName, "no network is called 'recurent'; did you mean recurrent"),
    ({"network": 3}, RnnsimError, "network is the name of a kind, or one that is made.*, not 3"),
    ({"settings": "tunde"}, UnknownName, r"no setting of delayed-xor \(recurrent network\) is called "
                                         "'tunde'; there are default"),
    ({"network": "recurrent", "hidden": 0}, RnnsimError, "hidden is 0; it must be at least 1"),
    ({"network": RecurrentNetwork(2, n, 1), "hidden": 3}, RnnsimError, "leave them out"),
    ({"network": RecurrentNetwork(2, n, 1), "dtype": "float32"}, RnnsimError, "leave them out"),
    ({"rule": "recurrent-backprop"}, RnnsimError, "needs a task whose patterns are held fixed.*steady-"),
    ({"task": "steady-state-xor"}, RnnsimError, "bptt needs a task of time steps.*delayed-xor"),
    ({"steps": 0}, RnnsimError, "steps is 0; it must be at least 1"),
    ({"steps": 10**20}, RnnsimError, "steps is 10+; it must be at most"),
    ({"steps": 1.5}, RnnsimError, "steps is a whole number, not 1.5"),
    ({"seed": -1}, RnnsimError, "seed is -1; it must be at least 0"),
    ({"hidden": -2}, RnnsimError, "hidden is -2; it must be at least 1"),
    ({"hidden": 10**12}, RnnsimError, "hidden is 10+; it must be at most"),
    ({"window": 0}, RnnsimError, "window is 0; it must be at least 1"),
    ({"batch": 0}, RnnsimError, "batch is 0; it must be at least 1"),
    ({"learning_rate": np.nan}, RnnsimError, "learning_rate is nan; it must be finite"),
    ({"learning_rate": -0.1}, RnnsimError, "learning_rate is -0.1; it must be at least 0"),
    ({"learning_rate": "fast"}, RnnsimError, "learning_rate is a number, not 'fast'"),
    ({"learning_rate": 10**400}, RnnsimError, "learning_rate is a number"),
    ({"clip": 0}, RnnsimError, "clip is 0; it must be above 0"),
    ({"clip": np.nan}, RnnsimError, "clip is nan; it must be finite"),
    ({"dtype": "float16"}, RnnsimError, "dtype is float64 or float32, not 'float16'"),
    ({"task": Twin(), "options": {"d": 1}}, UnknownName, "no option of bptt, .* is called 'd'"),
    ({"task": Twin(), "rule": make_rule("bptt", {}), "optimizer": SGD(), "options": {"d": 1},
      "network": RecurrentNetwork(m, n, k)}, UnknownName, "no option is called 'd'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(
    change: dict[str, Any], error: type[RnnsimError], message: str
) -> None:
    given = {"rule": "bptt", "task": "delayed-xor", **change}
    with pytest.raises(error, match=message):
        configure(**given)


def test_an_option_of_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = registry.installed()
    twin = {**installed.tasks, "twin": registry.Entry(Twin, "tests", "0")}
    monkeypatch.setattr(registry, "installed", lambda: replace(installed, tasks=twin))
    with pytest.raises(RnnsimError, match="truncated-bptt and twin both have an option h; pass one"):
        configure("truncated-bptt", "twin", options={"h": 5})
    rule = make_rule("truncated-bptt", {"h": 9})
    assert configure(rule, "twin", options={"h": 5}).task.h == 5  # type: ignore[attr-defined]


# --- the kind of network, and the settings ---------------------------------------------------------


class OtherChoices(Options, frozen=True):
    name = "other network"

    loss: str = "squared-error"
    leak: float = 1.0
    scheme: str = "scaled-normal"


class Other(RecurrentNetwork):
    """Another kind of network, whose inputs may have two more columns."""

    kind = "other"
    choices = OtherChoices

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.n_in, self.n_in + 2)


class OtherRule(BPTT, frozen=True):
    """A rule for the other kind, with an option of it that it needs."""

    name = "other-rule"
    kind = "other"
    network: ClassVar[dict[str, Any]] = {"leak": 0.25}


PLAIN = Suggestion(network={"loss": "softmax-cross-entropy", "activation": "relu"}, hidden=5,
                   init={"scheme": "uniform"}, learning_rate=0.2)  # fmt: skip


class Both(Script, frozen=True):
    """A task with settings for either kind of network."""

    name = "both"

    def suggestion(self, rule: str) -> Suggestion:
        return PLAIN

    def suggestions(self, rule: str, kind: str) -> dict[str, Suggestion]:
        if kind != "other":
            return {"default": PLAIN, "slow": PLAIN._replace(learning_rate=0.001)}
        published = Suggestion(kind="other", network={"loss": "logistic-cross-entropy"}, hidden=7)
        return {"published": published, "tuned": published._replace(network={"leak": 0.75})}


@pytest.fixture
def _two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = registry.installed()
    both = replace(
        installed,
        rules={**installed.rules, "other-rule": registry.Entry(OtherRule, "tests", "0")},
        networks={**installed.networks, "other": registry.Entry(Other, "tests", "0")},
    )
    monkeypatch.setattr(registry, "installed", lambda: both)


def made(rule: str, task: Task | str = "delayed-xor", **given: Any) -> tuple[Any, ...]:
    """What an experiment came to: its network's kind, leak, loss and size; its settings and rate."""
    experiment = configure(rule, task, **given)
    net: Any = experiment.network
    return (net.kind, net.leak, net.loss, net.n_state), experiment.settings, experiment.learning_rate


@pytest.mark.usefixtures("_two_kinds")
def test_the_rule_picks_its_kind_of_network_and_the_user_another() -> None:
    plain, softmax, logistic = "squared-error", "softmax-cross-entropy", "logistic-cross-entropy"
    assert made("bptt", Both()) == (("recurrent", 1.0, softmax, 5), "default", 0.2)
    assert made("other-rule", Both()) == (("other", 0.25, logistic, 7), "published", 0.01)
    assert made("bptt", Both(), network="other") == (("other", 1.0, logistic, 7), "published", 0.01)
    crossed = made("other-rule", Both(), network="recurrent")  # what the rule needs is its kind's alone
    assert crossed == (("recurrent", 1.0, softmax, 5), "default", 0.2)
    ready = Other(m, 3, k, loss=plain)
    assert made("bptt", Both(), network=ready) == (("other", 1.0, plain, 3), "published", 0.01)


@pytest.mark.usefixtures("_two_kinds")
def test_options_of_a_network_are_the_rules_then_the_tasks_then_the_users() -> None:
    assert made("other-rule", Both())[0][1] == 0.25
    assert made("other-rule", Both(), settings="tuned")[0][1] == 0.75
    assert made("other-rule", Both(), settings="tuned", options={"leak": "0.5"})[0][1] == 0.5


@pytest.mark.usefixtures("_two_kinds")
def test_settings_are_chosen_by_name() -> None:
    assert made("bptt", Both(), settings="slow")[1:] == ("slow", 0.001)
    assert made("bptt", Both(), settings="slow", learning_rate=0.5)[1:] == ("slow", 0.5)
    with pytest.raises(UnknownName, match=r"no setting of both \(other network\) .*did you mean tuned"):
        made("other-rule", Both(), settings="tunde")
    with pytest.raises(UnknownName, match="called 'tuned'; there are default, slow"):
        made("bptt", Both(), settings="tuned")


@pytest.mark.usefixtures("_two_kinds")
def test_of_settings_for_another_kind_only_the_loss_is_kept() -> None:
    """And what is no network's: the optimizer, its rate, the size."""

    class Recurrent(Both, frozen=True):
        suggestions = Task.suggestions

    task = Recurrent()
    assert made("bptt", task, network="other") == (
        ("other", 1.0, "softmax-cross-entropy", 5),
        "default",
        0.2,
    )
    assert configure("bptt", task, network="other").init == {}
    assert configure("bptt", task, network="other", options={"scheme": "uniform"}).init == PLAIN.init
    assert configure("bptt", task).init == PLAIN.init
    assert configure("bptt", task).network.activation == "relu"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_two_kinds")
def test_a_network_says_how_many_inputs_it_takes() -> None:
    for columns in (m, m - 2):
        assert configure("bptt", Script(), network=Other(columns, 3, k)).network.n_in == columns
    with pytest.raises(
        RnnsimError, match="script has 2 inputs and 1 outputs; the network has 1 or 3 and"
    ):
        configure("bptt", Script(), network=Other(1, 3, k))
    with pytest.raises(RnnsimError, match="the network has 2 or 4 and 2"):
        configure("bptt", Script(), network=Other(m, 3, 2))


def test_a_window_longer_than_the_run_is_the_run() -> None:
    """And not a request for terabytes."""
    assert configure("bptt", "delayed-xor", window=10**12, steps=10).window == 10
