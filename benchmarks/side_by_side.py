"""Side by side: the same work in rnnsim and in other libraries, at the same time, on the same machine.

    python -m benchmarks.side_by_side [--case SUBSTRING ...] [--rounds 9] [--json side_by_side.json]
                                      [--markdown] [--read FILE ...]

Each library lives in a process of its own, free to use all cores and the machine's whole instruction
set. For each case, all of them first show that they compute the same (to 1e-10 in float64, relative,
where the case does not say why not); then they take turns, A B A B, each for a fraction of a second. A
group of entries such as "JAX" holds several ways to write the same thing: a trial picks the fastest,
which alone takes part. A ratio is their time over rnnsim's in the same round: the median of the rounds,
and in brackets the quartiles. A yardstick, such as a bare matrix product, is told the other way round:
how many times its time rnnsim takes.

A case is a class in ``benchmarks.cases`` with a method for each library that gives its entries. With
``--read``, nothing is measured: the table is that of earlier runs' JSON files.
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
    """What it was measured on."""
    cpu = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(),
            "load": os.getloadavg()[0]}  # fmt: skip


def measure(cases: Sequence[Case], rounds: int, seconds: float, path: Path) -> list[Result]:
    """Run cases, print what comes of each, and write the JSON."""
    libraries = sorted({library for case in cases for library in case.libraries})
    results = []
    with workers(libraries) as crew:
        described = {name: worker.ask("describe") for name, worker in crew.items()}
        about = {**machine(), "libraries": described}
        print(json.dumps(about, indent=2), "\n")
        for case in cases:
            rows, error = compare(case, crew, rounds, seconds)
            results.append(Result(case.name, case.family, case.unit, error, rows))
            print(report(results[-1]), flush=True)
            entries = [as_json(result) for result in results]
            path.write_text(json.dumps({**about, "cases": entries}, indent=2) + "\n")
    return results


def read(paths: Sequence[Path], cases: Sequence[Case]) -> list[Result]:
    """Read the results of earlier runs, in the order of the cases; of each case the last."""
    found = {}
    for path in paths:
        for entry in json.loads(path.read_text())["cases"]:
            found[entry["case"]] = from_json(entry)
    results = [found[case.name] for case in cases if case.name in found]
    if not results:
        raise SystemExit(f"no such case in {', '.join(map(str, paths))}")
    return results


def choose(parts: Sequence[str] | None) -> list[Case]:
    """The cases whose names contain one of these parts; all without any.

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
    """Run the cases, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each turn")
    parser.add_argument("--json", type=Path, default=Path("side_by_side.json"))
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown at the end")
    parser.add_argument("--read", type=Path, action="append", metavar="FILE",
                        help="measure nothing, but tell what this JSON file says")  # fmt: skip
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
