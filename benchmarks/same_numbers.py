"""Runs every built-in rule at two revisions, and compares all numbers to the last bit.

    python -m benchmarks.same_numbers REVISION

The work tree is compared with a revision of this repository, each installed in its own environment.
Each run trains on a task that suggests the rule, or in a way that uses other kernels (large networks,
float32, batches), and reports its loss, learning curve and parameters. The exit status is 1 if a
number differs; the greatest relative difference of each run is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.benchmarking.revisions import check_builds_here, installed, project_here, resolve, snapshot

STEPS = 3000
RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("recurrent-backprop", "steady-state-xor", {}),
    ("recurrent-backprop", "pattern-completion", {"dtype": "float32"}),
    ("recurrent-backprop", "steady-state-xor", {"hidden": 40, "batch": 16, "adjoint": "refined"}),
    ("bptt", "adding", {}),
    ("bptt", "digits", {}),
    ("bptt", "delayed-xor", {"dtype": "float32", "batch": 16, "hidden": 64}),
    ("bptt", "delayed-xor", {"batch": 32, "hidden": 257, "steps": 200}),
    ("bptt", "adding", {"checkpoint": True}),
    ("truncated-bptt", "n-bit-memory", {}),
    ("rtrl", "delayed-xor", {}),
    ("rtrl", "delayed-xor", {"hidden": 40, "steps": 300}),
    ("rtrl", "delayed-xor", {"tailored": True}),
    ("rtrl-block", "delayed-xor", {}),
    ("fast-weights-1", "flip-flop", {}),
    ("fast-weights-1", "variable-binding", {"hidden": 16}),
    ("fast-weights-2", "variable-binding", {}),
)

PROGRAM = """
import json, sys
import rnnsim

for rule, task, choices in json.load(sys.stdin):
    run = rnnsim.run(rule, task, seed=3, stop=False, **choices)
    numbers = [run.loss, *run.metrics["loss"], *(x for array in run.params for x in array.ravel())]
    print(json.dumps([float(x).hex() for x in numbers]), flush=True)
"""


def numbers_of(python: str, runs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[list[float]]:
    """Run each in the environment of a Python: loss, learning curve and parameters."""
    given = json.dumps([(rule, task, {"steps": STEPS, **choices}) for rule, task, choices in runs])
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([python, "-c", PROGRAM], input=given, text=True, check=True, cwd=folder,
                              stdout=subprocess.PIPE)  # fmt: skip
    return [[float.fromhex(x) for x in json.loads(line)] for line in done.stdout.splitlines()]


def difference(before: Sequence[float], after: Sequence[float]) -> float:
    """The greatest difference, relative to the greatest number; 0 only if all bits are the same."""
    if len(before) != len(after):
        return math.inf
    x, y = np.array(before), np.array(after)
    if x.tobytes() == y.tobytes():
        return 0.0
    return float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-300)) or 5e-324


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revision")
    project = project_here()
    check_builds_here(project)
    old = resolve(project, parser.parse_args(arguments).revision)
    found = []
    with tempfile.TemporaryDirectory(prefix="rnnsim-same-") as folder:
        for name, commit in (("old", old), ("new", snapshot(project))):
            suite = installed(project, commit, Path(folder) / name, [])
            found.append(numbers_of(suite.environment.find_executable("python"), RUNS))
    worst = 0.0
    for (rule, task, choices), before, after in zip(RUNS, *found, strict=True):
        by = difference(before, after)
        worst = max(worst, by)
        how = ", ".join(f"{name} {value}" for name, value in choices.items())
        print(f"{rule} on {task}{f' ({how})' if how else ''}: {len(before)} numbers, "
              f"{'the same' if by == 0 else f'differ by {by:.2g}'}")  # fmt: skip
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
