"""Sweeps over seeds: that they are the single runs, what they count, and how they say it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_loop import Script, train

from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.registry import make_rule
from rnnsim.runs.seeds import table
from rnnsim.runs.sweeps import NEVER, Sweep, sweep
from rnnsim.training.experiment import configure

CRITERION = Streak(0.25, 20)  # which some of the seeds meet
SMALL: dict[str, Any] = {"hidden": 4, "optimizer": "adam", "learning_rate": 0.02, "steps": 3000}


def of(*solved_at: float, task: str = "delayed-xor", rule: str = "bptt", diverged: int = 0) -> Sweep:
    """A sweep that came to this."""
    return Sweep(configure(rule, task), np.array(solved_at, float), diverged)


# --- what a sweep does -----------------------------------------------------------------------------


def test_a_sweep_is_the_single_runs() -> None:
    single = [train(seed=seed, criterion=CRITERION).solved_at or NEVER for seed in range(12)]
    found = sweep("bptt", Script(), 12, criterion=CRITERION)
    assert found.solved_at.tolist() == single
    assert len(set(single)) > 6
    assert NEVER in single
    assert (found.diverged, found.control) == (0, None)
    assert sweep("bptt", Script(), 3, criterion=CRITERION).solved_at.tolist() == single[:3]


@pytest.mark.usefixtures("uncompiled")
def test_choices_are_those_of_a_run() -> None:
    """Arguments and options alike."""
    found = sweep("truncated-bptt", "delayed-xor", 1, steps=7, batch=2, h=5, d=3, activation="relu")
    experiment: Any = found.experiment
    assert (experiment.steps, experiment.batch, experiment.rule.h, experiment.task.d) == (7, 2, 5, 3)
    assert experiment.network.activation == "relu"


def test_the_control_does_not_learn() -> None:
    found = sweep("bptt", Script(), 12, criterion=CRITERION, control=True)
    control = found.control
    assert control is not None
    assert control.experiment.learning_rate == 0
    still = sweep("bptt", Script(), 12, criterion=CRITERION, learning_rate=0.0)
    assert control.solved_at.tolist() == still.solved_at.tolist()
    assert control.never > found.never


def test_runs_that_diverge_never_solve_it_and_are_counted() -> None:
    found = sweep("bptt", "delayed-xor", 3, optimizer="sgd", learning_rate=1e300, clip=math.inf,
                  steps=200, control=True)  # fmt: skip
    assert (found.diverged, found.never) == (3, 1.0)
    assert found.control is not None
    assert found.control.diverged == 0


@pytest.mark.usefixtures("uncompiled")
def test_networks_that_do_not_settle_do_not_stop_a_sweep() -> None:
    found = sweep("recurrent-backprop", "steady-state-xor", 2, gain=30.0, max_steps=3, steps=5)
    assert found.diverged == 2


def test_other_processes_find_the_same() -> None:
    here = sweep("rtrl", "delayed-xor", 6, control=True, d=1, **SMALL)
    there = sweep("rtrl", "delayed-xor", 6, control=True, jobs=2, d=1, **SMALL)
    assert here.solved_at.tolist() == there.solved_at.tolist()
    assert np.isfinite(here.solved_at).any()
    assert here.control is not None
    assert there.control is not None
    assert here.control.solved_at.tolist() == there.control.solved_at.tolist()


REFUSED: list[tuple[dict[str, Any], type[RnnsimError], str]] = [
    ({"seeds": 0}, RnnsimError, "seeds is 0; it must be at least 1"),
    ({"seeds": 2.5}, RnnsimError, "seeds is a whole number, not 2.5"),
    ({"jobs": 0}, RnnsimError, "jobs is 0; it must be at least 1"),
    ({"seed": 3}, RnnsimError, "seed is an argument of a single run; a sweep is of the seeds 0, 1, ..."),
    ({"stop": False}, RnnsimError, "stop is an argument of a single run"),
    ({"save": "folder"}, RnnsimError, "save is an argument of a single run"),
    ({"options": {"d": 3}}, UnknownName, "no option of .* is called 'options'"),
    ({"stepps": 3}, UnknownName, "no option of .* is called 'stepps'"),
    ({"learning_rate": -1}, RnnsimError, "learning_rate is -1; it must be at least 0"),
    ({"jobs": 2, "activation": (lambda a: a, lambda a: 1.0)}, RnnsimError,
     "this experiment cannot be sent to other processes .*; use jobs=1"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(
    change: dict[str, Any], error: type[RnnsimError], message: str
) -> None:
    with pytest.raises(error, match=message):
        sweep("bptt", "delayed-xor", **{"seeds": 2, **change})


def test_things_that_are_made_can_be_sent_to_other_processes() -> None:
    """The control to what cannot."""
    found = sweep(make_rule("truncated-bptt", {"h": 3}), "delayed-xor", 2, jobs=2, steps=20)
    assert found.never == 1


# --- what it says ----------------------------------------------------------------------------------


def test_quantiles_are_of_all_seeds_never_being_the_latest() -> None:
    found = of(*range(10, 101, 10), NEVER)  # eleven seeds
    assert found.quantiles == {"10%": 20, "median": 60, "90%": 100}
    assert of(5, NEVER, NEVER).quantiles == {"10%": 5, "median": NEVER, "90%": NEVER}
    assert of(NEVER, NEVER).quantiles == {"10%": NEVER, "median": NEVER, "90%": NEVER}
    assert of(7).quantiles == {"10%": 7, "median": 7, "90%": 7}


def test_shares() -> None:
    found = of(300, 301, 20_000, NEVER)
    assert [found.within(step) for step in (299, 300, 301, 10**9)] == [0, 0.25, 0.5, 0.75]
    assert found.never == 0.25


def test_a_published_figure_is_that_of_the_rule() -> None:
    cells = of(300, 301, 801, NEVER, task="flip-flop", rule="fast-weights-1").cells()
    assert cells == {"published figure": "25% within 300", "10%": "300", "median": "801",
                     "90%": "never", "never": "25%", "diverged": ""}  # fmt: skip
    second = of(300, 301, 801, NEVER, task="flip-flop", rule="fast-weights-2").cells()
    assert second["published figure"] == "50% within 800"
    assert of(300, task="flip-flop", rule="rtrl").cells()["published figure"] == ""


def test_the_table_is_aligned_and_leaves_empty_columns_out() -> None:
    rows = [("a", of(1, 12_345, NEVER).cells()), ("longer", of(1, 2, 3).cells())]
    assert table(rows) == "\n".join([
        "|        | 10% | median |   90% | never |",
        "| ------ | --: | -----: | ----: | ----: |",
        "| a      |   1 | 12,345 | never |   33% |",
        "| longer |   1 |      2 |     3 |    0% |",
    ])  # fmt: skip
    assert "| diverged |" in table([*rows, ("b", of(1, NEVER, diverged=1).cells())])


def test_the_summary_names_the_experiment_and_has_a_row_for_the_control() -> None:
    found = sweep("bptt", Script(), 4, criterion=CRITERION, control=True)
    first, _, *rows = found.summary().splitlines()
    assert first == ("bptt on script, 4 seeds, at most 400 steps; solved means: error within 0.25 for "
                     "20 steps in a row")  # fmt: skip
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["eta = 0.1", "eta = 0"]


# --- the published experiments ---------------------------------------------------------------------


@pytest.mark.usefixtures("uncompiled")
def test_the_benchmark_of_published_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks.published import ROWS, Row, lines

    for row in ROWS:
        options = {name: value for name, value in row.choices.items() if name not in OF_CONFIGURE}
        named = {name: value for name, value in row.choices.items() if name in OF_CONFIGURE}
        assert configure(row.rule, row.task, options=options, **named)
    assert len({row.says for row in ROWS}) == len(ROWS)
    row = Row("small", "bptt", "delayed-xor", {**SMALL, "steps": 20})
    labels = [(says, cells["eta"]) for says, cells in lines([row], seeds=2, jobs=1)]
    assert labels == [("small", "0.02"), ("- its control", "0")]


OF_CONFIGURE = ("network", "settings", "steps", "hidden", "optimizer", "learning_rate", "clip", "window",
                "batch", "dtype", "criterion")  # fmt: skip


class TestPublished:
    """The published settings on 20 seeds; what 100 of them came to is in the README."""

    @pytest.mark.parametrize(("rule", "rate", "least", "most"), [
        ("fast-weights-1", 1.0, 0.3, 0.85),
        ("fast-weights-2", 0.5, 0.0, 0.25),
        ("fast-weights-2", 1.0, 0.3, 0.8),
    ])  # fmt: skip
    def test_flip_flop(self, rule: str, rate: float, least: float, most: float) -> None:
        found = sweep(rule, "flip-flop", 20, control=True, settings="published", learning_rate=rate)
        assert least <= found.within(found.experiment.task.published[rule]) <= most
        assert found.never <= 0.2
        assert found.control is not None
        assert found.control.never == 1

    def test_variable_binding_by_chance(self) -> None:
        found = sweep(
            "fast-weights-1", "variable-binding", 20, control=True, settings="published",
            criterion="published",
        )  # fmt: skip
        assert 0.2 <= found.within(6000) <= 0.7
        assert found.never == 0
        assert found.control is not None
        assert 0.02 <= found.control.within(6000) <= 0.4
        assert found.control.never <= 0.1

    def test_variable_binding(self) -> None:
        found = sweep("fast-weights-1", "variable-binding", 20, control=True, settings="published")
        assert found.within(6000) == 0
        assert 0.05 <= found.never <= 0.4
        assert found.control is not None
        assert found.control.never == 1


class TestTuned:
    """The published networks and rules with clipping and a larger rate: every seed learns."""

    @pytest.mark.parametrize("rule", ["fast-weights-1", "fast-weights-2"])
    def test_flip_flop(self, rule: str) -> None:
        found = sweep(rule, "flip-flop", 20, control=True)
        assert found.within(found.experiment.task.published[rule]) >= 0.9
        assert found.never == 0
        assert found.control is not None
        assert found.control.never == 1

    def test_variable_binding(self) -> None:
        found = sweep("fast-weights-1", "variable-binding", 20, control=True)
        assert found.quantiles["median"] <= 6000
        assert found.never == 0
        assert found.control is not None
        assert found.control.never == 1

    def test_eight_slots_and_four_cars(self) -> None:
        """Architecture 2, with less than half of architecture 1's slow weights."""
        harder = {"slots": 8, "cars": 4}
        found = sweep("fast-weights-2", "variable-binding", 3, **harder)
        assert found.never == 0
        one = configure("fast-weights-1", "variable-binding", options=harder).network
        two = found.experiment.network
        assert two.n_state == one.n_state == 32
        assert two.n_params == 180 < one.n_params / 2

    def test_one_layer_of_architecture_1_cannot_tell_which_car_and_which_slot(self) -> None:
        """The control: it takes hidden units, or the product of architecture 2."""
        options = {"slots": 8, "cars": 4, "slow_bias": True}
        found = sweep("fast-weights-1", "variable-binding", 1, hidden=0, steps=60_000, **options)
        assert found.never == 1
