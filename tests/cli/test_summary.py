"""``rnnsim summary`` and ``rnnsim plot`` of the results of a sweep."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from made_sweeps import cell, complete, curve, made, solved

from rnnsim.cli import main
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import Outcome, Store

HEAVY = ("scipy.stats", "matplotlib", "pandas", "polars", "distributed")


def rnnsim_(*args: str) -> Result:
    return CliRunner().invoke(main, args)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.sqlite"
    made(
        (cell(0, "a"), [solved(10, curve=curve(1.0, 0.1)), solved(20, curve=curve(1.0, 0.1))]),
        (cell(1, "b"), [complete(curve=curve(1.0, 0.5))] * 2),
        path=path,
    )  # fmt: skip
    return path


def test_it_prints_what_python_does(results: Path) -> None:
    sweep = Sweep.load(results)
    for format in ("text", "csv", "markdown", "latex"):
        found = rnnsim_("summary", str(results), "--format", format)
        assert (found.exit_code, found.stdout) == (0, sweep.summary(format) + "\n")
    assert rnnsim_("summary", str(results)).stdout == sweep.summary() + "\n"
    assert json.loads(rnnsim_("summary", str(results), "--json").stdout) == sweep.as_dict()


@pytest.mark.parametrize("what", ["curves", "solved"])
def test_it_is_drawn(what: str, results: Path, tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    found = rnnsim_("plot", str(results), "--what", what, "--out", str(path))
    assert (found.exit_code, found.output) == (0, "")
    assert "<svg" in path.read_text()


def test_by_default_curves_are_drawn(results: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.svg", tmp_path / "other.svg"]
    for path, more in zip(files, ([], ["--what", "curves"])):
        assert rnnsim_("plot", str(results), "--out", str(path), *more).exit_code == 0
    one, other = (path.read_text().count("<path") for path in files)
    assert one == other > 0


def test_a_figure_that_a_sweep_does_not_have(results: Path, tmp_path: Path) -> None:
    found = rnnsim_("plot", str(results), "--what", "behaviour", "--out", str(tmp_path / "figure.png"))
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(
        "rnnsim: no figure of a sweep is called 'behaviour'; there are curves"
    )


# --- 100,000 runs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 cells (10 tasks, 20 settings, 5 rules) of 100 seeds."""
    path = tmp_path_factory.mktemp("many") / "many.sqlite"
    store, random = Store(path), np.random.default_rng(0)
    experiment = {"network": {f"option {i}": 0.5 for i in range(40)}}
    cells = [
        cell(
            i, f"rule {i % 5}", f"task {i // 100}", varied={"hidden": i // 5 % 20}, experiment=experiment
        )
        for i in range(1000)
    ]
    ids = store.add_cells([(f"key {i}", each) for i, each in enumerate(cells)])
    store.add(
        Outcome(id, seed, "solved", int(at), 500, float(loss), float(loss), float(loss), 0.1, "worker")
        if at < 700
        else Outcome(id, seed, "diverged", seconds=0.1, worker="worker", error="a loss is not finite")
        for id in ids
        for seed, (at, loss) in enumerate(zip(random.integers(1, 1000, 100), random.random(100)))
    )
    store.close()
    return path


def test_a_hundred_thousand_runs(many: Path) -> None:
    """How long that takes, ``python -m benchmarks.sweeping`` says."""
    printed = rnnsim_("summary", str(many), "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) == 1000
    assert {row["runs"] for row in rows} == {"100"}


def test_nothing_heavy_is_imported(many: Path) -> None:
    code = (
        "import sys\nfrom rnnsim.sweeps.result import Sweep\nSweep.load(sys.argv[1]).summary()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(many)], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
