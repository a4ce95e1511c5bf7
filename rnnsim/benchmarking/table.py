"""The tables of measurements that ``rnnsim bench`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rnnsim import registry

from .through_asv import Row

CALLS = ("gradient", "gradient_function", "loss", "simulate", "learner_step", "learn")

Found = Mapping[tuple[str, tuple[Any, ...]], Row]

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def seconds(value: float) -> str:
    """Format a time in a suitable unit."""
    factor, unit = next((pair for pair in UNITS if value >= pair[0]), UNITS[-1])
    return f"{value / factor:.3g} {unit}"


def size(value: float) -> str:
    """Format a number of bytes in a suitable unit."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def count(value: float) -> str:
    """Format a number of instructions."""
    return f"{value:,.0f}"


def table(rule: str, task: str, found: Found) -> str:
    """Format one rule's measurements: times and memory by n, exponents, learning and the first run."""
    entry = registry.installed().rules[rule]
    cost = entry.thing.cost
    lines = [f"{rule} [{entry.distribution} {entry.version}], on {task} where a task is needed"]
    lines += by_size(rule, found)

    def value(benchmark: str) -> float | None:
        row = found.get((benchmark, (rule,)))
        return None if row is None else row.value

    growth = [
        f"n^{p:.2f} {what} (says {said})"
        for what, p, said in (
            ("operations a step", value("figures.Exponents.track_time_exponent"), cost.time),
            ("bytes", value("figures.Exponents.track_memory_exponent"), cost.memory),
        )
        if p is not None
    ]
    if growth:
        lines.append(f"  {'grows as':13}{', '.join(growth)}")
    calls = {what: value(f"instructions.Call.track_{what}") for what in CALLS}
    counted = [f"{what} {count(found)}" for what, found in calls.items() if found is not None]
    if counted:
        lines.append(f"  {'a call':13}{', '.join(counted)} instructions")
    solved = value("figures.Learning.track_steps_to_solve")
    loss = value("figures.Learning.track_final_loss")
    if solved is not None and loss is not None:
        lines.append(f"  {'learns':13}in {solved:,.0f} steps; its loss after 2,000 is {loss:.3g} "
                     "(medians of 5 seeds)")  # fmt: skip
    cached, cold = value("starting.FirstRun.timeraw_cached"), value("starting.ColdRun.timeraw_cold")
    starts = [f"{seconds(cached)} from the cache"] if cached is not None else []
    starts += [f"{seconds(cold)} compiled"] if cold is not None else []
    if starts:
        lines.append(f"  {'first run':13}{', '.join(starts)}")
    return "\n".join(lines)


def by_size(rule: str, found: Found) -> list[str]:
    """Format the measurements at several n, with a column for each."""
    kinds = (("step alone", "speed.Step.time_step", seconds),
             ("whole loop", "speed.Loop.time_loop", seconds),
             ("instructions", "instructions.Step.track_instructions", count),
             ("memory", "figures.Memory.track_bytes", size))  # fmt: skip
    sizes = sorted({key[1][1] for key in found if len(key[1]) == 2 and key[1][0] == rule})
    lines = [columns("", (f"n = {n}" for n in sizes))]
    for label, benchmark, shown in kinds:
        rows = [found.get((benchmark, (rule, n))) for n in sizes]
        cells = ["" if row is None or row.value is None else shown(row.value) for row in rows]
        if any(cells):
            lines.append(columns(label, cells))
    return lines


def columns(label: str, cells: Iterable[str]) -> str:
    return f"  {label:13}" + "".join(f"{cell:>12}" for cell in cells)


def machine() -> str:
    """Describe the machine of the measurements."""
    from asv.machine import Machine

    about = Machine.get_defaults()
    return f"{about['cpu']}, {about['num_cpu']} cores"


def report(rules: Sequence[str], tasks: Mapping[str, str], found: Found) -> str:
    """Format the tables of several rules, below a description of the machine."""
    return "\n\n".join([machine(), *(table(rule, tasks[rule], found) for rule in rules)])


def as_dict(rules: Sequence[str], tasks: Mapping[str, str], found: Found) -> dict[str, Any]:
    """The measurements of several rules as plain data.

    Returns
    -------
    dict
        The ``machine``, and of each of the ``rules`` its name (``rule``), its ``package`` and
        ``version``, the ``task`` that it learns where one is needed, and what was ``measured``: of each
        ``benchmark`` the ``params`` beside the rule, and the ``value``, in seconds, bytes or whatever
        it counts.
    """
    entries = registry.installed().rules
    return {
        "machine": machine(),
        "rules": [
            {
                "rule": rule, "package": entries[rule].distribution, "version": entries[rule].version,
                "task": tasks[rule],
                "measured": [
                    {"benchmark": benchmark, "params": list(params[1:]), "value": row.value}
                    for (benchmark, params), row in found.items() if params[:1] == (rule,)
                ],
            }
            for rule in rules
        ],
    }  # fmt: skip
