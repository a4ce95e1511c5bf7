"""What a summary says of a run that did not solve its task, or whose end is worse than its best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnsim.runs.advice import what_to_try, worse_end
from rnnsim.training.experiment import Experiment, configure

BASELINE = 1 / 8


def experiment(rule: str = "rtrl", task: str = "delayed-xor", **choices: Any) -> Experiment:
    return configure(rule, task, **choices)


def curve(*losses: float) -> dict[str, np.ndarray]:
    """A learning curve that takes these values one after the other."""
    loss = np.repeat(losses, 160 // len(losses))
    return {"step": 100 * np.arange(1, len(loss) + 1), "loss": loss}


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ((0.1, 0.001, 0.05, 0.09), "loss 0.09 per target while learning, 0.001 at about step 5,000"),
        ((0.1, 0.05, 0.01, 0.001), None),
        ((0.1, 0.001, 0.0012, 0.0011), None),  # it fluctuates
        ((0.1,) * 4, None),
        ((0.2, 0.1, 0.1, 0.19), "loss 0.19 per target"),
    ],
)
def test_an_end_that_is_worse_than_the_best(losses: tuple[float, ...], says: str | None) -> None:
    found = worse_end(experiment(), curve(*losses))
    assert (says in found) if found and says else found == says


def test_a_curve_of_few_points_says_nothing() -> None:
    short = {name: column[:8] for name, column in curve(0.1, 0.9).items()}
    assert worse_end(experiment(), short) is None
    assert "try" in what_to_try(experiment(), short, 0.1)


@pytest.mark.parametrize(
    ("losses", "end", "says"),
    [
        ((0.2, 0.2), 0.2, "worse than the best constant answer; try another learning rate"),
        ((0.2, 0.12), 0.12, "it hardly does better than the best constant answer; try another"),
        ((0.1, 0.05), 0.05, "was still improving; try more steps (400,000)"),
        ((0.05, 0.05, 0.0501, 0.0502), 0.05, "part of the task; try another learning rate"),
        ((0.1, 0.01, 0.05, 0.09), 0.09, "part of the task; try a lower learning rate (0.00125)"),
        ((0.2, 0.2), np.nan, "worse than the best constant answer"),
    ],
)
def test_what_to_try(losses: tuple[float, ...], end: float, says: str) -> None:
    found = what_to_try(experiment(), curve(*losses), end)
    assert says in found
    assert "another rule" not in found  # rtrl is among those that solved it


def test_known_settings_come_first_and_another_rule_last() -> None:
    published = experiment("fast-weights-1", "flip-flop", settings="published")
    assert what_to_try(published, curve(0.1, 0.1), 0.1).endswith("try the settings tuned, which are the "
                                                                 "default")  # fmt: skip
    other = what_to_try(experiment("fast-weights-1"), curve(0.2, 0.2), 0.2)
    assert ", or another rule (solved by rtrl 20 of 20 seeds" in other
    rates = experiment(learning_rate={"W": 0.1})  # one for each parameter: none to be named
    assert "a lower learning rate, or one" in what_to_try(rates, curve(0.1, 0.01, 0.05, 0.09), 0.09)
