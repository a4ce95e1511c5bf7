"""What it costs to carry out a sweep, and to summarise one.

    python -m benchmarks.sweeping [--turns 3] [--runs 10000] [--jobs 2]

Printed beside their bars, by public calls and commands, with kernels that were compiled before:

- a sweep of 2 rules x 3 tasks x 10 seeds in one worker process, and in two, in turns: at least 1.8 times
  as fast, their start included, and with the same results;
- what a short run costs beside itself in two worker processes, whose start counts: (wall time x workers
  - time of the runs) / runs, at most 3 ms;
- ``rnnsim summary`` of 1,000 cells of 100 runs each: at most a second.

The exit status is 1 if a bar is missed. All figures are wall times, which mean something where the
machine does nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import rnnsim
from rnnsim.runs.processes import Processes
from rnnsim.sweeps.store import Cell, Outcome, Store

SPEED_UP, OVERHEAD, SUMMARY = 1.8, 3.0, 1.0  # times, ms and seconds
PLAN: dict[str, Any] = {
    "rules": ["rtrl", "bptt"], "tasks": ["delayed-xor", "lagged-add", "adding:length=20"],
    "seeds": 10, "steps": 20_000, "tune": False,
}  # fmt: skip
SHORT: dict[str, Any] = {
    "rules": "rtrl", "tasks": "delayed-xor", "hidden": 4, "steps": 200, "tune": False,
}  # fmt: skip


def seconds_of(**plan: Any) -> tuple[float, rnnsim.Sweep]:
    """Carry out a sweep, and take its time."""
    begun = time.perf_counter()
    found = rnnsim.sweep(**plan)
    return time.perf_counter() - begun, found


def speed_up(turns: int, jobs: int) -> float:
    """How many times as fast worker processes are: the median over turns."""
    rnnsim.sweep(**{**PLAN, "seeds": 1, "steps": 100})  # compiles
    ratios = []
    for _ in range(turns):
        (slow, one), (fast, other) = (in_processes(count) for count in (1, jobs))
        assert sorted(one.runs.loss) == sorted(other.runs.loss), "the results differ"
        ratios.append(slow / fast)
        print(f"  {len(one.runs.cell)} runs: {slow:.1f} s in one process, {fast:.1f} s in {jobs}")
    return float(np.median(ratios))


def in_processes(count: int) -> tuple[float, rnnsim.Sweep]:
    """By an executor also where it is one: ``jobs=1`` is this process, which uses all cores itself."""
    begun = time.perf_counter()
    with Processes(count) as processes:
        found = rnnsim.sweep(**PLAN, executor=processes, jobs=count)
    return time.perf_counter() - begun, found


def overhead(runs: int, jobs: int) -> float:
    """Milliseconds that a short run costs beside itself."""
    rnnsim.sweep(**SHORT, seeds=1)
    with tempfile.TemporaryDirectory() as folder:
        wall, found = seconds_of(**SHORT, seeds=runs, jobs=jobs, file=Path(folder) / "found.sqlite")
        busy = float(found.runs.seconds.sum())
    print(f"  {runs:,} runs of {1e3 * busy / runs:.2f} ms: {wall:.1f} s in {jobs} processes")
    return 1e3 * (wall * jobs - busy) / runs


def summary(turns: int) -> float:
    """Seconds of the command for 100,000 runs: the least of several."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.sqlite"
        write_many(path)
        return min(summary_of(path) for _ in range(turns))


def summary_of(path: Path) -> float:
    begun = time.perf_counter()
    words = [sys.executable, "-m", "rnnsim", "summary", str(path)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def write_many(path: Path) -> None:
    """1,000 cells of 5 rules, 10 tasks and 20 sizes, and 100 runs of each."""
    store, random = Store(path), np.random.default_rng(0)
    cells = [
        Cell(0, i, "result", "", f"rule {i % 5}", f"task {i // 100}", {"hidden": i // 5 % 20}, 0.1, 500,
             "error within 0.2", None, None, {})
        for i in range(1000)
    ]  # fmt: skip
    ids = store.add_cells([(f"key {i}", cell) for i, cell in enumerate(cells)])
    store.add(
        Outcome(id, seed, "solved", int(at), 500, loss, loss, loss, 0.1, "worker")
        for id in ids
        for seed, (at, loss) in enumerate(zip(random.integers(1, 500, 100), random.random(100).tolist()))
    )
    store.close()


def main() -> int:
    """Print the figures; the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    took = summary(given.turns)
    print(f"summary of 100,000 runs: {took:.2f} s (at most {SUMMARY:g})")
    faster = speed_up(given.turns, given.jobs)
    print(f"speed-up by {given.jobs} processes: {faster:.2f} (at least {SPEED_UP:g})")
    cost = overhead(given.runs, given.jobs)
    print(f"overhead of a run: {cost:.2f} ms (at most {OVERHEAD:g})")
    return int(took > SUMMARY or faster < SPEED_UP or cost > OVERHEAD)


if __name__ == "__main__":
    sys.exit(main())
