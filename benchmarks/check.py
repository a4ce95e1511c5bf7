"""Run every benchmark once, and compare the deterministic figures with those recorded in figures.json.

    python -m benchmarks.check [--update]

It fails if a benchmark raises, or if a figure differs from the recorded one by more than its bound, in
either direction; ``--update`` records an intended change. Times are printed but not compared, and taken
for one rule. The figures of installed plugins are taken too, but not recorded here.

Instructions depend on the versions of Python and of the packages that are executed, which are recorded
with them: with others, a count that differs is told and fails nothing. Without valgrind they are left
out.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rnnsim import registry
from rnnsim.benchmarking.suite import callgrind
from rnnsim.benchmarking.suite.choices import SIZES, TASKS, task_for
from rnnsim.benchmarking.through_asv import Row, Suite, by_key, failures
from rnnsim.compiler.machine import described_processor
from rnnsim.training.optimizers import OPTIMIZERS

FIGURES = Path(__file__).parent / "figures.json"
INSTRUCTIONS = "instructions."
TRACKED = ("figures.", INSTRUCTIONS)  # the modules of the suite whose benchmarks are deterministic
EXECUTED = ("numba", "llvmlite", "numpy", "scipy", "threadpoolctl")

Figures = dict[str, dict[str, float]]  # by benchmark, then by parameters


def select() -> list[str]:
    """Select the figures of all rules, and every other benchmark for one rule, task and size.

    What is timed is called for every rule in tests/benchmarking/test_bench.py, uncompiled: to compile it
    for each takes minutes, and times are not compared. Larger sizes execute the same machine code.
    """
    rule, task = min(ours(registry.installed().rules.items())), TASKS[0]
    kinds = registry.installed().networks
    chosen = (rule, f"{rule} on {task_for(rule)}", task, *kinds, *OPTIMIZERS)
    first = rf".*\(({'|'.join(re.escape(repr(each)) for each in chosen)})[,)]"
    larger = rf"speed\..*, (?!({SIZES[0]}|100)\))\d+\)"
    return [r"^figures\.", r"^instructions\.Step", r"^starting\.Import", rf"^(?!{larger}){first}"]


def ours(entries: Iterable[tuple[str, registry.Entry]]) -> list[str]:
    """The names of the entries that come with rnnsim."""
    return [name for name, entry in entries if entry.distribution == "rnnsim"]


def figures(rows: Sequence[Row]) -> Figures:
    """The figures of rnnsim's own rules."""
    own = set(ours(registry.installed().rules.items()))
    found: Figures = {}
    for (benchmark, params), row in sorted(by_key(rows).items()):
        if benchmark.startswith(TRACKED) and params[0] in own and row.value is not None:
            found.setdefault(benchmark, {})[", ".join(map(str, params))] = row.value
    return found


def within(value: float, recorded: float, bound: Mapping[str, float]) -> bool:
    """Whether a figure is within its bound of the recorded one."""
    return math.isclose(value, recorded, rel_tol=bound.get("relative", 0.0),
                        abs_tol=bound.get("absolute", 0.0))  # fmt: skip


def changes(found: Figures, recorded: Figures, bounds: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Describe the figures that are not as recorded."""
    said = []
    for benchmark in sorted(found.keys() | recorded.keys()):
        now, then = found.get(benchmark, {}), recorded.get(benchmark, {})
        if benchmark not in bounds:
            said.append(f"{benchmark} has no bound in {FIGURES.name}")
            continue
        for params in sorted(now.keys() | then.keys()):
            name = f"{benchmark}({params})"
            if params not in then:
                said.append(f"{name} is new: {now[params]:.10g}")
            elif params not in now:
                said.append(f"{name} is gone; it was {then[params]:.10g}")
            elif not within(now[params], then[params], bounds[benchmark]):
                said.append(f"{name} is {now[params]:.10g}; recorded is {then[params]:.10g}, "
                            f"{describe(bounds[benchmark])}")  # fmt: skip
    return said


def describe(bound: Mapping[str, float]) -> str:
    """Format a bound in words."""
    parts = [f"{bound['relative']:.0%}"] if bound.get("relative") else []
    parts += [f"{bound['absolute']:g}"] if bound.get("absolute") else []
    return f"give or take {' or '.join(parts)}" if parts else "exactly"


def recorded_here(record: Mapping[str, Any]) -> Figures:
    """The recorded figures that can be measured here."""
    return {benchmark: values for benchmark, values in record["figures"].items()
            if not (benchmark.startswith(INSTRUCTIONS) and callgrind.missing())}  # fmt: skip


def versions() -> dict[str, str]:
    """What instructions depend on, other than rnnsim."""
    return {
        "python": platform.python_version(),
        "C library": " ".join(platform.libc_ver()),
        "processor": processor(),  # by which the C library and NumPy choose what they execute
        **{name: version(name) for name in EXECUTED},
    }


def processor() -> str:
    """The vendor, family and model of the processor, as far as the operating system says."""
    lines = dict(map(str.strip, line.split(":", 1)) for line in described_processor().splitlines()
                 if ":" in line)  # fmt: skip
    return " ".join(lines.get(name, "") for name in ("vendor_id", "cpu family", "model"))


def other_versions(record: Mapping[str, Any]) -> list[str]:
    """The versions that are not those with which instructions were counted."""
    then, now = record["versions"], versions()
    return [f"{name} {now[name]} (recorded: {then.get(name)})" for name in now
            if now[name] != then.get(name)]  # fmt: skip


def divided(said: Sequence[str], record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What is wrong, and what is only told: instructions that other versions may have changed."""
    others = other_versions(record)
    told = [line for line in said if others and line.startswith(INSTRUCTIONS)]
    wrong = [line for line in said if line not in told]
    return wrong, [f"counted with {', '.join(others)}:", *told] if told else []


def save(found: Figures, record: Mapping[str, Any]) -> None:
    """Record the figures, keeping the bounds, and those that cannot be measured here."""
    here = recorded_here(record)
    kept = {name: values for name, values in record["figures"].items() if name not in here}
    known = record["versions"] if callgrind.missing() else versions()
    content = {**record, "versions": known, "figures": {**kept, **found}}
    FIGURES.write_text(json.dumps(content, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks, print the results, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="record the figures as they are now")
    update = parser.parse_args(arguments).update
    record = json.loads(FIGURES.read_text())
    start = time.perf_counter()
    rows = Suite(select=select()).run(quick=True)
    for row in rows:
        shown = "failed" if row.value is None else f"{row.value:.4g}"
        print(f"{row.name:64}{shown:>14}")
    found = figures(rows)
    wrong = failures(rows)
    if update and not wrong:
        save(found, record)
    else:
        others, told = divided(changes(found, recorded_here(record), record["bounds"]), record)
        wrong += others
        print("\n".join(told), end="\n" if told else "")
    if missing := callgrind.missing():
        print(missing)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    print(f"{len(rows)} benchmarks, {sum(map(len, found.values()))} figures held against the record, "
          f"{len(wrong)} complaints, {time.perf_counter() - start:.0f} s")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
