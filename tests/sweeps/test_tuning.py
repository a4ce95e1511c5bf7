"""The choice of learning rates: by which runs, and what is said where there is nothing to choose by."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.sweeps import working
from rnnsim.sweeps.sweeping import sweep

pytestmark = pytest.mark.usefixtures("uncompiled")

TINY: dict[str, Any] = {"hidden": 2, "steps": 20}
BOTH = ["rtrl", "bptt"]


def choices(found: Any) -> list[Any]:
    return [cell.choice for cell in found.cells if cell.role == "result"]


def test_trials_of_another_budget_in_the_file_do_not_count(tmp_path: Path) -> None:
    """A rule that was tried with more seeds before is chosen for by as many as the others."""
    file, rates = tmp_path / "a.sqlite", [0.001, 0.01]
    sweep("rtrl", "delayed-xor", 1, tune={"rates": rates, "seeds": 4}, file=file, **TINY)
    tune = {"rates": rates, "seeds": 1}
    found = sweep(BOTH, "delayed-xor", 1, tune=tune, file=file, **TINY)
    alone = sweep(BOTH, "delayed-xor", 1, tune=tune, **TINY)
    assert choices(found) == choices(alone)
    assert len(found.runs.cell) > len(alone.runs.cell)


def test_on_line_a_rate_is_chosen_by_the_first_half_of_the_rows() -> None:
    rows = np.cumsum(np.random.default_rng(0).normal(size=(120, 2)), 0)
    rates = [0.1, 1e-6, 0.01]  # the first is not the best
    found = sweep(BOTH, rows, 1, hidden=3, on_line=True, tune={"rates": rates, "seeds": 1})
    results = [cell for cell in found.cells if cell.role == "result"]
    for rule, choice, cell in zip(BOTH, choices(found), results):
        losses = []
        for rate in rates:
            run = rnnsim.run(rule, rows, hidden=3, on_line=True, learning_rate=rate, seed=1_000_000)
            curve = run.metrics
            losses.append(float(curve["loss"][curve["step"] <= run.steps // 2].mean()))
        assert choice["validation_loss"] == pytest.approx(losses, rel=1e-9)
        assert cell.learning_rate == rates[int(np.argmin(losses))] != rates[0]


def test_without_validation_rows_no_rate_is_chosen() -> None:
    rows = np.cumsum(np.random.default_rng(0).normal(size=(120, 2)), 0)
    with pytest.raises(RnnsimError, match="has no validation rows, by which learning rates are chosen"):
        sweep(BOTH, rows, 1, validation=0.0, **TINY)
    assert sweep(BOTH, rows, 1, validation=0.0, tune=False, **TINY).outcomes == {"complete": 2}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_is_said_where_all_rates_diverge() -> None:
    found = sweep(BOTH, "delayed-xor", 1, optimizer="sgd", clip=math.inf,
                  tune={"rates": [1e300, 1e301], "seeds": 1}, **TINY)  # fmt: skip
    assert "by taking the first where no loss was finite" in " ".join(found.summary().split())
    good = sweep(BOTH, "delayed-xor", 1, tune={"rates": [0.1], "seeds": 1}, **TINY)
    assert "no loss was finite" not in " ".join(good.summary().split())


def test_seeds_of_trials_are_none_of_the_results() -> None:
    tune = {"rates": [0.1], "seeds": 2}
    with pytest.raises(RnnsimError, match=r"seed 1,000,001 is one of those by which learning rates are"):
        sweep(BOTH, "delayed-xor", [5, 1_000_001], tune=tune, **TINY)
    sweep(BOTH, "delayed-xor", [1_000_001], tune=False, **TINY)
    sweep(BOTH, "delayed-xor", [1_000_002], tune=tune, **TINY)


@pytest.mark.parametrize("kind", ["rules", "tasks"])
def test_a_rate_of_a_rule_or_a_task_of_its_own_is_not_overridden(kind: str) -> None:
    plan = {"rules": [*BOTH], "tasks": ["delayed-xor"]}
    name = plan[kind].pop()
    plan[kind].append({"name": name, "learning_rate": [0.1, 0.2]})  # type: ignore[arg-type]
    with pytest.raises(RnnsimError, match="learning_rate is given, and tune is to choose it"):
        sweep(**plan, seeds=1, tune=True, **TINY)
    assert not [cell for cell in sweep(**plan, seeds=1, **TINY).cells if cell.role == "trial"]


def test_what_is_asked_for_twice_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the control of several learning rates."""
    ran = list[tuple[float, int]]()
    real = working.TaskTraining

    def counting(experiment: Any, **named: Any) -> Any:
        if experiment.steps == TINY["steps"]:
            ran.append((experiment.learning_rate, experiment.seed))
        return real(experiment, **named)

    monkeypatch.setattr(working, "TaskTraining", counting)
    grid = {"learning_rate": [0.1, 0.2, 0.1]}
    sweep("rtrl", "delayed-xor", 2, grid=grid, control=True, window=20, **TINY)
    ran = ran[-6:] if len(ran) == 7 else ran  # the first loads the kernels, with as many steps
    assert sorted(ran) == [(rate, seed) for rate in (0.0, 0.1, 0.2) for seed in (0, 1)]
