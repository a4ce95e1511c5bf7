"""Side by side: the same work in rnnsim and in other libraries, interleaved on the same machine.

    python -m benchmarks.side_by_side [--case SUBSTRING ...] [--rounds 9] [--json side_by_side.json]
                                      [--markdown] [--read FILE ...]

Each library runs in a process of its own, free to use all cores and the whole instruction set. For each
case, it is first checked that all compute the same (to a relative 1e-10 in float64, unless the case
states a reason for another tolerance); then they are timed alternately, A B A B, each for a fraction of
a second. A group of entries such as "JAX" contains several ways to write the same computation: a trial
picks the fastest, and only that one is timed. A ratio is a group's time over rnnsim's in the same round:
the median over rounds, with quartiles in brackets. For a yardstick, such as a bare matrix product, the
ratio is inverted: rnnsim's time over its own.

A case is a class in ``benchmarks.cases`` with a method for each library that returns its entries. With
``--read``, nothing is measured: the table is made from the JSON files of earlier runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.rows import Result, as_json, from_json, markdown, mean_lines, report
from benchmarks.turns import compare, workers


def machine() -> dict[str, Any]:
    """Describe the machine of the measurements."""
    cpu = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(),
            "load": os.getloadavg()[0]}  # fmt: skip


def measure(cases: Sequence[Case], rounds: int, seconds: float, path: Path) -> list[Result]:
    """Run cases, print the results of each, and write the JSON file."""
    libraries = sorted({library for case in cases for library in case.libraries})
    results = []
    with workers(libraries) as processes:
        described = {name: worker.ask("describe") for name, worker in processes.items()}
        about = {**machine(), "libraries": described}
        print(json.dumps(about, indent=2), "\n")
        for case in cases:
            rows, error = compare(case, processes, rounds, seconds)
            results.append(Result(case.name, case.family, case.unit, error, rows))
            print(report(results[-1]), flush=True)
            entries = [as_json(result) for result in results]
            path.write_text(json.dumps({**about, "cases": entries}, indent=2) + "\n")
    return results


def read(paths: Sequence[Path], cases: Sequence[Case]) -> list[Result]:
    """Read the last result of each case from the files of earlier runs, in the order of the cases."""
    found = {}
    for path in paths:
        for entry in json.loads(path.read_text())["cases"]:
            found[entry["case"]] = from_json(entry)
    results = [found[case.name] for case in cases if case.name in found]
    if not results:
        raise SystemExit(f"no such case in {', '.join(map(str, paths))}")
    return results


def choose(parts: Sequence[str] | None) -> list[Case]:
    """Select the cases whose names contain one of ``parts``, by default all.

    Raises
    ------
    SystemExit
        If there is none.
    """
    chosen = [case for case in CASES if not parts or any(part in case.name for part in parts)]
    if not chosen:
        raise SystemExit(f"no case contains {' or '.join(parts or ())}; there are:\n  "
                         + "\n  ".join(case.name for case in CASES))  # fmt: skip
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", help="run only cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="duration of each measurement")
    parser.add_argument("--json", type=Path, default=Path("side_by_side.json"))
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown at the end")
    parser.add_argument("--read", type=Path, action="append", metavar="FILE",
                        help="measure nothing; read this JSON file instead")  # fmt: skip
    given = parser.parse_args(arguments)
    cases = choose(given.case)
    if given.read:
        results = read(given.read, cases)
        if not given.markdown:
            print("\n".join(map(report, results)))
    else:
        results = measure(cases, given.rounds, given.seconds, given.json)
    print("\n".join(["", markdown(results)] if given.markdown else mean_lines(results)))


if __name__ == "__main__":
    main()
