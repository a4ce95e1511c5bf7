"""What is given to a run: where each option goes, what the task suggests, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from plain_loop import B, Script, k, m, n

from rnnsim import registry
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.experiment import configure
from rnnsim.optimizers import SGD
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.registry import make_rule


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
    ({"network": "recurrent"}, RnnsimError, "network is one that is made"),
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


def test_a_window_longer_than_the_run_is_the_run() -> None:
    """And not a request for terabytes."""
    assert configure("bptt", "delayed-xor", window=10**12, steps=10).window == 10
