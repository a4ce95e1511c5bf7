"""Callbacks: they are called when they should be, see what there is, and change nothing but the end."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from strangers import install

import rnnsim
from rnnsim import registry
from rnnsim.criterion import HeldOut
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.registry import installed
from rnnsim.sweeps.sweeping import sweep
from rnnsim.training import task_training
from rnnsim.training.callbacks import callbacks_of
from rnnsim.training.experiment import configure
from rnnsim.training.monitors import STEP
from rnnsim.training.seen import Seen
from rnnsim.training.task_training import TaskTraining

SMALL: dict[str, Any] = {"hidden": 3, "steps": 40, "stop": False}

uncompiled = pytest.mark.usefixtures("uncompiled", "few_held_out")


@pytest.fixture
def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs on few held-out data, which takes less time where nothing is compiled."""
    monkeypatch.setattr(installed().tasks["delayed-xor"].thing, "held_out_shape", lambda self: (20, 1))


def run(callback: Any = None, every: int | None = None, **given: Any) -> rnnsim.Run:
    return rnnsim.run("rtrl", "delayed-xor", callback=callback, callback_every=every, **SMALL | given)


class Steps:
    """A callback that keeps what it was called with: the step, and whether the run had ended."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def __call__(self, seen: Seen) -> None:
        self.seen.append((seen.step, seen.ended))

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.seen]


def differences(one: rnnsim.Run, other: rnnsim.Run) -> list[str]:
    """In what two runs differ, if only in a bit."""
    found = [name for name in ("solved_at", "steps", "held_out")
             if getattr(one, name) != getattr(other, name)]  # fmt: skip
    pairs = {**one.metrics, **one.params._asdict()}, {**other.metrics, **other.params._asdict()}
    assert pairs[0].keys() == pairs[1].keys()
    return found + [name for name in pairs[0] if not np.array_equal(pairs[0][name], pairs[1][name])]


# --- a run is the same ---


@pytest.mark.parametrize("every", [None, 7])
def test_a_run_is_the_same_to_the_bit_with_callbacks(every: int | None) -> None:
    """Compiled: the default run, which ends where it is solved."""
    choices: dict[str, Any] = {"steps": 3000, "hidden": None, "stop": True, "keep": "best"}
    steps, last = Steps(), dict[str, np.ndarray]()
    plain = run(**choices)
    seen = run([steps, lambda seen: last.update(seen.metrics)], every, **choices)
    assert differences(plain, seen) == []
    assert plain.best is not None
    assert seen.best is not None
    assert plain.best.step == seen.best.step
    assert steps.seen[0] == (0, False)
    assert steps.seen[-1] == (plain.solved_at, True)
    assert all(not ended for _, ended in steps.seen[:-1])
    assert last.keys() == plain.metrics.keys()
    assert all(np.array_equal(last[name], values) for name, values in plain.metrics.items())
    if every is not None:
        assert plain.solved_at is not None
        assert steps.steps == [*range(0, plain.solved_at, 7), plain.solved_at]
    assert differences(plain, run(seed=1, **choices)) != []  # the control


@uncompiled
def test_a_callback_that_runs_a_network_changes_nothing() -> None:
    def another(seen: Seen) -> None:
        run(seed=1, steps=5, check_bounds=True)

    assert differences(run(), run(another, 10)) == []


# --- when they are called ---


@uncompiled
@pytest.mark.parametrize("chunk", [1, 3, 17, None])
def test_the_steps_of_calls_do_not_depend_on_how_a_run_is_cut(chunk: int | None) -> None:
    every, always = Steps(), Steps()
    lookers = [*callbacks_of(every, 10), *callbacks_of(always, None)]
    trainer = TaskTraining(configure("rtrl", "delayed-xor", window=4, **SMALL), lookers=lookers)
    cuts = [trainer.step for _ in trainer.chunks(chunk)]
    assert every.steps == [0, 12, 20, 32, 40]  # at the ends of windows
    assert every.seen[-1] == (40, True)
    assert always.steps == [0, *cuts]  # the control, which depends on it


@uncompiled
def test_a_run_that_is_solved_on_held_out_data_ends_with_a_call() -> None:
    steps = Steps()
    found = run(steps, 15, criterion=HeldOut("squared", math.inf, every=20), stop=True)
    assert found.solved_at == found.steps == 20
    assert steps.seen == [(0, False), (15, False), (20, True)]
    steps = Steps()
    run(steps, 15, criterion=HeldOut("squared", 0.0, every=20), stop=True)
    assert steps.seen == [(0, False), (15, False), (30, False), (40, True)]


@uncompiled
def test_functions_are_called_in_their_order() -> None:
    calls: list[str] = []
    run([lambda seen: calls.append("one"), lambda seen: calls.append("two")], 40)
    assert calls == ["one", "two"] * 2


# --- what they see ---


@uncompiled
def test_what_is_seen_is_what_monitors_record() -> None:
    seen_at: dict[int, tuple[np.ndarray, ...]] = {}

    def keep(seen: Seen) -> None:
        flat = [np.concatenate([array.ravel() for array in part]) for part in (seen.params, seen.grad)]
        seen_at[seen.step] = (*flat, seen.state.copy())
        assert seen.experiment.seed == 5
        assert seen.network is seen.experiment.network

    found = run(keep, 8, seed=5, monitor=("params", "grad", "state"), monitor_every=8)
    for i, step in enumerate(found.metrics[STEP]):
        for name, value in zip(("params", "grad", "state"), seen_at[step], strict=True):
            assert np.array_equal(found.metrics[name][i], value)
    assert sorted(seen_at) == [0, *found.metrics[STEP]]
    initial = configure("rtrl", "delayed-xor", seed=5, **SMALL).initial_params()
    assert np.array_equal(seen_at[0][0], np.concatenate([array.ravel() for array in initial]))


@uncompiled
def test_the_metrics_are_those_of_a_run_of_so_many_steps() -> None:
    metrics: dict[int, dict[str, np.ndarray]] = {}
    run(lambda seen: metrics.__setitem__(seen.step, seen.metrics), 13)
    assert set(metrics) == {0, 13, 26, 39, 40}
    for steps in (13, 26, 40):
        shorter = run(steps=steps).metrics
        assert all(np.array_equal(metrics[steps][name], shorter[name]) for name in shorter)
    assert not len(metrics[0]["step"])
    assert len(metrics[13]["step"]) < len(metrics[40]["step"])


@uncompiled
def test_metrics_are_computed_where_they_are_asked_for_only(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    monkeypatch.setattr(
        task_training, "curve_metrics", lambda curve, steps, score: computed.append(steps) or {}
    )

    def asks(seen: Seen) -> None:
        if seen.step == 20:
            assert seen.metrics == {}

    experiment = configure("rtrl", "delayed-xor", **SMALL)
    for callback, asked in ((Steps(), []), (asks, [20])):
        for _ in TaskTraining(experiment, lookers=callbacks_of(callback, 10)).chunks():
            pass
        assert computed == asked


@uncompiled
@pytest.mark.parametrize("part", ["params", "grad", "state"])
def test_what_is_seen_cannot_be_written_to(part: str) -> None:
    def write(seen: Seen) -> None:
        arrays = getattr(seen, part)
        (arrays if part == "state" else arrays.W)[:] = 0

    with pytest.raises(RnnsimError, match=r"callback write .*fails at step 0; .* read-only"):
        run(write)


# --- the end of a run ---


@uncompiled
@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_ends_a_run_in_order(true: Any) -> None:
    """What is returned is the run of so many steps."""
    steps = Steps()
    ended = run([lambda seen: true if seen.step == 20 else None, steps], 10, monitor="state",
                monitor_every=10)  # fmt: skip
    assert ended.steps == 20
    assert steps.seen == [(0, False), (10, False), (20, False), (20, True)]
    assert differences(ended, run(steps=20, monitor="state", monitor_every=10)) == []
    assert "not solved (20 of 40 steps, stopped; " in ended.summary()
    # the controls: it goes on otherwise
    assert run(lambda seen: False, 10).steps == 40
    assert run(lambda seen: seen.ended, 10).steps == 40


@uncompiled
def test_what_looks_at_the_end_of_a_run_looks_where_a_callback_ends_it() -> None:
    found = run(lambda seen: seen.step == 10, 10, monitor="state", monitor_every=8, keep="best")
    assert found.metrics[STEP].tolist() == [8, 10]
    assert found.best is not None
    assert found.best.step <= 10


@uncompiled
def test_a_run_may_end_before_its_first_step() -> None:
    steps = Steps()
    found = run([steps, lambda seen: True])
    assert (found.steps, found.solved_at) == (0, None)
    assert steps.seen == [(0, False), (0, True)]
    initial = found.experiment.initial_params()
    assert all(np.array_equal(one, other) for one, other in zip(found.params, initial, strict=True))
    assert math.isfinite(found.loss)
    assert "not solved (0 of 40 steps, stopped; " in found.summary()


# --- what is refused ---


def raises(seen: Seen) -> None:
    raise KeyError("what")


def two(seen: Seen, more: int) -> None: ...


@uncompiled
@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (raises, r"raises \(.*test_callbacks.py, line \d+\) fails at step 0; it is given a "
         "Seen: KeyError: 'what'"),
        (lambda seen: 3, "<lambda> must return True to end the run, or else nothing; not 3"),
        (lambda seen: "yes", ".* must return True to end the run, or else nothing; not 'yes'"),
        (lambda seen: np.ones(2), r".* or else nothing; not array\(\[1., 1.\]\)"),
        (lambda seen: seen.weights, ".* fails at step 0; .*no attribute 'weights'"),
        (two, r"has the function two, which takes \(seen, more\); it takes one argument, a See"),
        (lambda: None, r"has the function <lambda>, which takes \(\); it takes one argument"),
        (3, "is a function of one argument, or a list of functions, not 3"),
        ("f", "is a function of one argument, or a list of functions, not 'f'"),
        ([raises, None], "is a function of one argument, or a list of functions, not"),
        ([], r"is a function of one argument, or a list of functions, not \[\]"),
        ({"f": raises}, "is a function of one argument, or a list of functions, not"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_callback_is_refused(callback: Any, message: str) -> None:
    with pytest.raises(RnnsimError, match=f"^callback (?s:{message})"):
        run(callback)


@uncompiled
@pytest.mark.parametrize("callback", [partial(two, more=1), Steps(), print, [Steps()], (Steps(),)])
def test_whatever_takes_one_argument_is_a_callback(callback: Any) -> None:
    """The control."""
    assert run(callback).steps == 40


def test_how_often_to_call_without_a_callback_is_refused() -> None:
    with pytest.raises(RnnsimError, match="there is nothing to call: give callback, too"):
        run(every=10)


@uncompiled
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_passes(interrupt: type[BaseException]) -> None:
    def stop(seen: Seen) -> None:
        raise interrupt

    with pytest.raises(interrupt):
        run(stop)


def test_sweeps_and_comparisons_take_no_callback() -> None:
    for name in ("callback", "callback_every", "log"):
        with pytest.raises(RnnsimError, match=f"^{name} is an argument of a single run"):
            sweep("rtrl", "delayed-xor", 2, **{name: 1})
        with pytest.raises(RnnsimError, match=f"^{name} is an argument of a single run"):
            rnnsim.compare(["rtrl", "bptt"], "delayed-xor", **{name: 1})


# --- of plugins ---


Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Have a plugin that registers these functions, beside those that are installed."""

    def do(*functions: Any) -> None:
        def rnnsim_callbacks(register: Callable[[Any], None]) -> None:
            for function in functions:
                register(function)

        module = SimpleNamespace(rnnsim_callbacks=rnnsim.hookimpl(rnnsim_callbacks))
        found = registry.collect({"acme": (module, "acme-watch", "1.2")})
        everything = replace(installed(), callbacks=found.callbacks)
        monkeypatch.setattr(registry, "installed", lambda: everything)

    return do


@uncompiled
def test_callbacks_of_a_plugin_are_called_in_each_run(offer: Offer) -> None:
    calls: list[tuple[str, int]] = []
    offer(lambda seen: calls.append(("one", seen.step)), lambda seen: calls.append(("two", seen.step)))
    run()
    assert calls[:2] == [("one", 0), ("two", 0)]
    assert calls[-2:] == [("one", 40), ("two", 40)]
    calls.clear()
    run(lambda seen: calls.append(("user's", seen.step)), 40)
    assert calls[:3] == [("one", 0), ("two", 0), ("user's", 0)]
    assert calls[-1] == ("user's", 40)
    calls.clear()
    sweep("rtrl", "delayed-xor", 1, hidden=3, steps=5)
    rnnsim.compare(["rtrl", "bptt"], "delayed-xor", hidden=3, steps=5, window=5)
    assert calls == []


@uncompiled
def test_a_callback_of_a_plugin_may_end_a_run(offer: Offer) -> None:
    steps = Steps()
    offer(lambda seen: seen.step > 0)
    found = run(steps, 1)
    assert found.steps == 1
    assert steps.seen == [(0, False), (1, False), (1, True)]


@uncompiled
def test_an_error_of_a_plugins_callback_names_the_distribution(offer: Offer) -> None:
    offer(raises)
    with pytest.raises(RnnsimError, match=r"^callback raises of acme-watch 1.2 \(.*line \d+\) fails at"):
        run()
    offer(lambda seen: 3)
    with pytest.raises(RnnsimError, match=r"^callback <lambda> of acme-watch 1\.2 must return True"):
        run()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (3, r"^acme-watch 1.2 registers the callback 3, which is no function; it is one that takes a "),
        (two, r"^acme-watch 1.2 registers the callback two \(.*test_callbacks.py\), which takes "
         r"\(seen, more\); it takes one argument, a Seen"),
    ],
)  # fmt: skip
def test_what_cannot_be_registered_is_a_note(thing: Any, message: str, offer: Offer) -> None:
    good = Steps()
    with pytest.warns(RnnsimWarning, match=f"{message}.*; the others still work$") as caught:
        offer(thing, good)
    assert len(caught) == 1
    assert [entry.function for entry in registry.installed().callbacks] == [good]


WATCH = '''
"""A plugin that says how a run ends."""

import rnnsim


def end(seen):
    if seen.ended:
        print(f"{seen.experiment.rule.name} ends at step {seen.step}")


@rnnsim.hookimpl
def rnnsim_callbacks(register):
    register(end)
'''


@uncompiled
def test_a_callback_of_an_installed_plugin_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = install(tmp_path, "acme-watch", WATCH).stem
    monkeypatch.delitem(sys.modules, module, raising=False)
    found = registry.collect(registry.installed_plugins())
    assert [str(entry) for entry in found.callbacks] == ["end of acme-watch 1.2"]
    monkeypatch.setattr(registry, "installed", lambda: found)
    run()
    assert capsys.readouterr().out == "rtrl ends at step 40\n"
