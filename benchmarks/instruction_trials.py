"""Measure how often the instructions of ``rnnsim bench --compare`` mislead, and how long counting takes.

    python -m benchmarks.instruction_trials [--same 7] [--slower 10] [--record FILE]

A trial of kind *same* counts the instructions of all rules once, in an environment of its own; the
counts of each two trials are compared, 21 comparisons of 7 trials. A trial of kind *slower* compares the
revision with a copy in which one call in 33 of a kernel, ``propagate`` in rtrl, is repeated: 3% more.
The folders of environments have names of random lengths, since the length of a path may move things in
memory. Trials are appended to a file, and the summary covers all of it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.check import ours
from benchmarks.verdict_trials import VICTIM, slowed
from rnnsim import registry
from rnnsim.benchmarking.instructions import by_benchmark
from rnnsim.benchmarking.revisions import Project, installed, project_here, resolve
from rnnsim.benchmarking.suite import counted
from rnnsim.benchmarking.through_asv import named
from rnnsim.benchmarking.verdict import Verdict

EVERY = 33  # calls, of which one is repeated
STEP = "Step"  # in the name of the counts that must show it: a call also makes more arrays


def trial(project: Project, commits: Sequence[str], rules: Sequence[str]) -> dict[str, Any]:
    """Count the instructions of commits, each in a new environment; return the entry in the record."""
    start, counts = time.time(), []
    for commit in commits:
        with tempfile.TemporaryDirectory(
            prefix="rnnsim-trials-", suffix="x" * random.randrange(40)
        ) as folder:
            suite = installed(project, commit, Path(folder), [])
            found = by_benchmark(counted.count(rules, suite.environment.find_executable("python")))
            counts.append({named(key): count for key, count in found.items()})
    return {"kind": "same" if len(commits) == 1 else "slower", "counts": counts,
            "seconds": round(time.time() - start)}  # fmt: skip


def verdict(before: Mapping[str, float], after: Mapping[str, float]) -> Verdict:
    """What a comparison makes of two counts."""
    return Verdict("", [], instructions={(name, ()): (before[name], after[name]) for name in before})


def most_apart(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, str]:
    """The greatest change of a count, either way, and which count it is."""
    return max((abs(after[name] / before[name] - 1), name) for name in before)


def summary(trials: Sequence[Mapping[str, Any]]) -> str:
    """Summarise trials in a few lines."""
    same, slower = ([made for made in trials if made["kind"] == kind] for kind in ("same", "slower"))
    pairs = [*combinations([made["counts"][0] for made in same], 2)]
    lines = [
        f"{len(same)} times all rules, {max((made['seconds'] for made in same), default=0)} s at most"
    ]
    if pairs:
        alarms = sum(bool(verdict(*pair).worse or verdict(*pair[::-1]).worse) for pair in pairs)
        apart, name = max(most_apart(*pair) for pair in pairs)
        lines.append(f"identical code: {alarms} false alarms in {len(pairs)} comparisons of "
                     f"{len(pairs[0][0])} counts, at most {apart:.2%} apart ({name})")  # fmt: skip
    caught = [any(STEP in name for name in verdict(*made["counts"]).worse) for made in slower]
    lines.append(f"propagate slowed by 3%: caught {sum(caught)} times of {len(slower)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run trials, and summarise all that are recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--same", type=int, default=7)
    parser.add_argument("--slower", type=int, default=10)
    parser.add_argument("--record", type=Path, default=Path("instruction_trials.jsonl"))
    given = parser.parse_args(arguments)
    project = project_here(Path(__file__).parent)
    commit = resolve(project, "HEAD")
    rules = ours(registry.installed().rules.items())
    for commits, names, times in (
        ([commit, slowed(project, commit, EVERY)], [VICTIM], given.slower),
        ([commit], rules, given.same),
    ):
        for _ in range(times):
            made = trial(project, commits, names)
            with given.record.open("a") as record:
                record.write(json.dumps(made) + "\n")
            print(made["kind"], made["seconds"], "s", flush=True)
    print(summary([json.loads(line) for line in given.record.read_text().splitlines()]))


if __name__ == "__main__":
    main()
