"""Measure how often the verdict of ``rnnsim bench --compare`` is wrong on this machine.

    python -m benchmarks.verdict_trials [--same 20] [--slower 10] [--record FILE]

A trial of kind *same* compares a revision with itself, in two environments, over a suite of all rules:
a row that counts as worse is a false alarm. A trial of kind *slower* compares it with a copy in which
every fourth call of one kernel, ``propagate`` in rtrl, is repeated: the slowdown is caught if a row of
rtrl counts as worse. Trials are appended to a file, so that they can be run a few at a time; the
summary covers the whole file.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnsim.benchmarking.compare import judge
from rnnsim.benchmarking.revisions import Project, commit_tree, git, installed, project_here, resolve
from rnnsim.benchmarking.through_asv import Suite
from rnnsim.benchmarking.verdict import Opinion, Verdict

SUITE = [r"^speed\.Step\.time_step.*, 32\)", r"^speed\.Loop\.time_loop.*, 8\)"]
VICTIM = "rtrl"
FILE = "plugins/rnnsim_rules/rtrl.py"

SLOWED = '''

class Doubled(NamedTuple):
    """The sensitivities, a second set for the repeated calls, and the number of calls."""

    sensitivities: Any
    others: Any
    nowhere: Any
    calls: Any


class RTRL(RTRL, frozen=True):
    """Repeat some calls of propagate, without using their results."""

    def memory(self, network, batch, window, rng):
        return Doubled(
            network.sensitivities(batch, window),
            network.sensitivities(batch, window),
            network.kernel_params(np.zeros(network.n_params, network.dtype)),
            np.zeros(1, np.int64),
        )

    def credit(self, network):
        propagate = network.propagate

        @kernel(allocates=False)
        def credit(params, trajectory, window, memory, grad):
            first, length = window.first, window.length
            propagate(params, trajectory, first, length, memory.sensitivities, grad)
            memory.calls[0] += 1
            if memory.calls[0] % 4 == 0:
                propagate(params, trajectory, first, length, memory.others, memory.nowhere)

        return credit
'''


def slowed(project: Project, commit: str, every: int = 4) -> str:
    """Make a commit, on no branch, in which one of so many calls of the kernel is repeated."""
    source = git(project.root, "show", f"{commit}:{FILE}")
    head, tail = source.split("\nimport numpy as np\n", 1)
    more = SLOWED.replace("% 4", f"% {every}")
    source = f"{head}\nfrom typing import Any, NamedTuple\n\nimport numpy as np\n{tail}\n{more}"
    with tempfile.TemporaryDirectory() as folder:
        file, index = Path(folder) / "rtrl.py", {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        file.write_text(source)
        blob = git(project.root, "hash-object", "-w", str(file))
        git(project.root, "read-tree", commit, **index)
        git(project.root, "update-index", "--cacheinfo", f"100644,{blob},{FILE}", **index)
        tree = git(project.root, "write-tree", **index)
    return commit_tree(project, tree, commit, "slowed")


def trial(kind: str, before: Suite, after: Suite) -> dict[str, Any]:
    """Compare once; return the trial's entry in the record."""
    start, load = time.time(), os.getloadavg()[0]
    verdict = judge(before, after, kind, say=lambda line: None)
    return {
        "kind": kind,
        "worse": verdict.worse,
        **{what: counted(verdict, Opinion(what)) for what in ("better", "unclear")},
        "rows": len(verdict.rows),
        "ratios": [round(row.own.ratio, 3) for row in verdict.rows if row.own.before],
        "seconds": round(time.time() - start),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def counted(verdict: Verdict, opinion: Opinion) -> int:
    """Count the rows with an opinion."""
    return sum(row.opinion is opinion for row in verdict.rows)


def summary(trials: Sequence[Mapping[str, Any]]) -> str:
    """Summarise trials in a line."""
    same = [made for made in trials if made["kind"] == "same"]
    slower = [made for made in trials if made["kind"] == "slower"]
    alarms = sum(bool(made["worse"]) for made in same)
    caught = sum(any(VICTIM + "," in name for name in made["worse"]) for made in slower)
    loads = [load for made in trials for load in made["load"]]
    rows = max((made["rows"] for made in same), default=0)
    return (
        f"identical code: {alarms} false alarms in {len(same)} comparisons of {rows} rows; "
        f"propagate slowed by 25%: caught {caught} times of {len(slower)}; "
        f"load average {min(loads, default=0):.1f} to {max(loads, default=0):.1f} "
        f"on {os.cpu_count()} cores"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run trials, and summarise all that are recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--same", type=int, default=20)
    parser.add_argument("--slower", type=int, default=10)
    parser.add_argument("--record", type=Path, default=Path("verdict_trials.jsonl"))
    given = parser.parse_args(arguments)
    project = project_here(Path(__file__).parent)
    commit = resolve(project, "HEAD")
    own = [line.replace(".*", rf"\('{VICTIM}'") for line in SUITE]
    with tempfile.TemporaryDirectory(prefix="rnnsim-trials-") as folder:
        for kind, count, after, select in (
            ("same", given.same, commit, SUITE),
            ("slower", given.slower, slowed(project, commit), own),
        ):
            if count:
                suites = [installed(project, one, Path(folder) / kind / name, select)
                          for name, one in (("old", commit), ("new", after))]  # fmt: skip
            for _ in range(count):
                made = trial(kind, *suites)
                with given.record.open("a") as record:
                    record.write(json.dumps(made) + "\n")
                print(json.dumps(made), flush=True)
    print(summary([json.loads(line) for line in given.record.read_text().splitlines()]))


if __name__ == "__main__":
    main()
