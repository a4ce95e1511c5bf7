"""Whether a run that goes on is the same, to the last bit, as one that never stopped.

    python -m benchmarks.resuming kills [--kills 200]
    python -m benchmarks.resuming product

``kills`` starts runs that make checkpoints all the time, kills each (SIGKILL) at a random moment while
it still runs, resumes it, and compares it with the whole run. How many were killed inside a write is
told by what a write leaves behind. ``product`` stops a run of every built-in rule, network and optimizer
at some step, by a callback and by the number of its steps, goes on from the folder, and compares. The
exit status is 1 if a number differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rnnsim
from rnnsim import RnnsimError, Run, registry
from rnnsim.training.experiment import configure
from rnnsim.training.optimizers import OPTIMIZERS

KILLED = (
    {"rule": "rtrl", "task": "delayed-xor", "keep": "best", "keep_every": 5000},
    {"rule": "truncated-bptt", "task": "n-bit-memory", "monitor": ["spectral-radius"]},
    {"rule": "uoro", "task": "lagged-add", "batch": 2},
    {"rule": "bptt", "task": "adding", "optimizer": "momentum", "dtype": "float32"},
    {"rule": "fast-weights-1", "task": "flip-flop", "optimizer": "rmsprop"},
    {"rule": "recurrent-backprop", "task": "steady-state-xor"},
)
SECONDS = 1.0  # of learning in a run that is killed
TRIES = 20  # moments at which a run may have ended already

PROGRAM = """
import json, sys
import rnnsim

choices, folder, log = json.loads(sys.argv[1]), *sys.argv[2:]
rnnsim.run(**choices, save=folder, log=log, checkpoint_every="0.001s",
           callback=lambda seen: None if seen.step else print("begun", flush=True))
"""


# --- what is compared ----------------------------------------------------------------------------------


def differences(one: Run, other: Run) -> list[str]:
    """The names of what is not the same, to the last bit, in the results of two runs."""
    found = {
        "solved_at": (one.solved_at, other.solved_at),
        "steps": (one.steps, other.steps),
        "outcome": (one.outcome, other.outcome),
        "held_out": (repr(one.held_out), repr(other.held_out)),
        "best": (one.best and one.best[:2], other.best and other.best[:2]),
        "metrics": (list(one.metrics), list(other.metrics)),
        **{f"params.{name}": pair for name, *pair in zip(one.params._fields, one.params, other.params)},
        **{name: (one.metrics[name], other.metrics.get(name)) for name in one.metrics},
    }
    if one.best and other.best:
        best = zip(one.best.params._fields, one.best.params, other.best.params)
        found |= {f"best.{name}": pair for name, *pair in best}
    return [name for name, pair in found.items() if bits(pair[0]) != bits(pair[1])]


def bits(value: Any) -> Any:
    """A value as something that is equal where every bit is."""
    return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def points(log: Path) -> list[dict[str, Any]]:
    """What a log says, but for the time."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


# --- runs that are killed ------------------------------------------------------------------------------


class Kill(NamedTuple):
    """What came of a run that was killed.

    Attributes
    ----------
    step : int
        That of the checkpoint from which it went on.
    inside : bool
        Whether it was killed inside a write.
    differs : list of str
        What is not the same as in the whole run.
    """

    step: int
    inside: bool
    differs: list[str]


class Whole(NamedTuple):
    """A run that was never stopped, its log, and how to make it."""

    choices: dict[str, Any]
    run: Run
    log: list[dict[str, Any]]
    seconds: float  # from its first step to its end, with its checkpoints


def whole_run(choices: Mapping[str, Any], seconds: float, folder: Path) -> Whole:
    """Make the run that others are compared with, of so many steps that it learns for some time."""
    trial = rnnsim.run(**choices, steps=4000, stop=False)
    steps = max(200, int(seconds * trial.steps_per_second))
    made = {**choices, "steps": steps, "stop": False}
    run = rnnsim.run(**made, log=folder / "whole.log")
    with started(made, folder / "timed") as process:
        begun = time.monotonic()
        process.wait()
    return Whole(made, run, points(folder / "whole.log"), time.monotonic() - begun)


def started(choices: Mapping[str, Any], folder: Path) -> subprocess.Popen[str]:
    """Start a run in another process, and wait for its first step."""
    words = [sys.executable, "-c", PROGRAM, json.dumps(choices), str(folder), f"{folder}.log"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "begun\n":
        raise RuntimeError("the run did not begin")
    return process


def kill(whole: Whole, folder: Path, rng: random.Random) -> Kill:
    """Kill a run at a random moment while it still runs, resume it and compare it."""
    for i in range(TRIES):
        place = folder / f"{i}"
        with started(whole.choices, place) as process:
            time.sleep(rng.uniform(0, whole.seconds))
            process.send_signal(signal.SIGKILL)
        if process.returncode == -signal.SIGKILL:
            return resumed(whole, place)
    raise RuntimeError(f"the run ended before it was killed, {TRIES} times")


def resumed(whole: Whole, place: Path) -> Kill:
    """Resume a run that was killed, and compare it."""
    inside = any(path.name.startswith(".rnnsim") for path in place.iterdir())
    before = rnnsim.load(place)
    assert before.checkpoint is not None
    log = place.with_name(f"{place.name}.log")
    if before.outcome != "complete":  # else it was killed after its last write
        before.resume(save=place, log=log)
    differs = differences(whole.run, rnnsim.load(place))
    differs += [] if points(log) == whole.log else ["log"]
    left = sorted(path.name for path in place.iterdir())
    if left != ["arrays.safetensors", "metrics.csv", "run.toml"]:
        differs.append(f"the folder, which holds {', '.join(left)}")
    return Kill(before.checkpoint.step, inside, differs)


def kills(count: int, seed: int = 0, seconds: float = SECONDS) -> Iterator[tuple[str, Kill]]:
    """Kill so many runs, of each kind as many."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        kinds = KILLED[:count]
        for i, choices in enumerate(kinds):
            folder = root / f"{i}"
            folder.mkdir()
            whole = whole_run(choices, seconds, folder)
            for j in range(i, count, len(kinds)):
                place = folder / f"{j}"
                place.mkdir()
                yield f"{choices['rule']} on {choices['task']}", kill(whole, place, rng)


# --- runs that are stopped -----------------------------------------------------------------------------

STEPS, CUT = 130, 61
AROUND = {"keep": "best", "keep_every": 7, "monitor": ["params"], "monitor_every": 9, "stop": False,
          "hidden": 3, "seed": 1}  # fmt: skip


def combinations(tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Every rule, kind of network, optimizer and task that go together.

    Without tasks, that is for each of them the first task that suits.
    """
    known = registry.installed()
    found = []
    for rule, network, optimizer in itertools.product(known.rules, known.networks, OPTIMIZERS):
        for task in known.tasks if tasks is None else tasks:
            choices = {"rule": rule, "task": task, "network": network, "optimizer": optimizer}
            try:
                configure(**choices)
            except RnnsimError:
                continue
            found.append(choices)
            if tasks is None:
                break
    return found


def stopped(choices: Mapping[str, Any], folder: Path) -> list[str]:
    """Stop a run in two ways, go on from its folder, and say what differs from the whole run."""
    given = {**AROUND, **choices}
    whole = rnnsim.run(**given, steps=STEPS)
    window = whole.experiment.window
    rnnsim.run(**given, steps=STEPS, save=folder / "a", callback=lambda seen: seen.step >= CUT)
    rnnsim.run(**given, steps=max(CUT, window), window=window if whole.experiment.rule.online else None,
               save=folder / "b")  # fmt: skip
    found = []
    for name, steps in (("a", None), ("b", STEPS)):
        before = rnnsim.load(folder / name)
        if before.steps < STEPS:
            found += differences(whole, before.resume(steps))
    return found


# --- the command ---------------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("kills", "product"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    return tell_kills(given.kills, given.seed) if given.what == "kills" else tell_product()


def tell_kills(count: int, seed: int) -> int:
    found = []
    for name, outcome in kills(count, seed):
        found.append(outcome)
        what = ", ".join(outcome.differs) or "the same"
        place = "inside a write, " if outcome.inside else ""
        print(f"{name}: killed {place}resumed from step {outcome.step:,}: {what}", flush=True)
    same = sum(not outcome.differs for outcome in found)
    inside = sum(outcome.inside for outcome in found)
    print(f"{same} of {len(found)} runs that were killed, {inside} of them inside a write, are the same "
          "to the last bit as one that never stopped")  # fmt: skip
    return int(same < len(found))


def tell_product() -> int:
    found = {}
    for choices in combinations():
        name = " ".join(choices.values())
        with tempfile.TemporaryDirectory() as folder:
            found[name] = stopped(choices, Path(folder))
        print(f"{name}: {', '.join(found[name]) or 'the same'}", flush=True)
    same = sum(not differs for differs in found.values())
    print(f"{same} of {len(found)} are the same to the last bit")
    return int(same < len(found))


if __name__ == "__main__":
    sys.exit(main())
