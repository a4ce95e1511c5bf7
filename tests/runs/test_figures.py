"""The figure of what a trained network does: each panel against the data, and what it lets one see."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from task_streams import draw

import rnnsim
from rnnsim.cli import main
from rnnsim.network import Stream
from rnnsim.registry import installed

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled")  # short runs: compiling would only take time

STEPS = 60
LANE = 1.4  # how far the outputs lie apart in the figure, in spans of their targets


@cache
def train(rule: str, task: str, **choices: Any) -> rnnsim.Run:
    """A run that is judged on few held-out data, since no figure shows how it was judged."""
    with pytest.MonkeyPatch.context() as few:
        few.setattr(installed().tasks[task].thing, "held_out_shape", lambda self: (2 * STEPS, 1))
        return rnnsim.run(rule, task, **choices)


def held_out(run: rnnsim.Run, steps: int = STEPS) -> Stream:
    """The one sequence of held-out data that the figure is of, and as many steps before it."""
    task = run.experiment.task
    rows = max(2 * steps, task.episode_length or 0)
    return draw(task, rows, 1, [run.experiment.seed, 2], plain=True, held_out=True)


def panels(run: rnnsim.Run, steps: int = STEPS) -> list[Any]:
    """The three panels; behind them is the state's scale of colours."""
    upper, middle, lower, _scale = run.plot_behaviour(steps=steps).axes
    return [upper, middle, lower]


def image(axes: Any) -> np.ndarray:
    """The values (T, n) that a panel shows."""
    (shown,) = axes.images
    return np.asarray(shown.get_array()).T


def labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


# --- each panel ----------------------------------------------------------------------------------------

FAST = {"network": "fast-weight", "settings": "tuned", "hidden": 2, "steps": 40}
RUNS = {
    "flip-flop": ("fast-weights-1", "flip-flop", {"steps": 40}),
    "flip-flop, FROM and TO": ("fast-weights-2", "flip-flop", {"steps": 40}),
    "flip-flop, a slow start": ("rtrl", "flip-flop", {**FAST, "initial": "slow"}),
    "flip-flop, more units": ("bptt", "flip-flop", {**FAST, "fast_hidden": "2", "fast_bias": "true"}),
    "variable-binding": ("fast-weights-1", "variable-binding", {"steps": 40, "seed": 3}),
    "recurrent": ("rtrl", "flip-flop", {"steps": 40, "seed": 1}),
    "recurrent, episodes": ("bptt", "reber", {"steps": 40}),
    "steady": ("recurrent-backprop", "steady-state-xor", {"steps": 8}),
}
of_each_run = pytest.mark.parametrize("which", RUNS)


def short_run(which: str) -> rnnsim.Run:
    rule, task, choices = RUNS[which]
    return train(rule, task, **choices)


def says_logits(run: rnnsim.Run) -> bool:
    loss = getattr(run.experiment.network, "loss", None)
    return isinstance(loss, str) and loss == "softmax-cross-entropy"


def simulated(run: rnnsim.Run, stream: Stream) -> Any:
    steady = run.experiment.task.steady
    resets = {} if steady else {"resets": stream.resets}
    return rnnsim.simulate(
        run.experiment.network, run.params, stream.inputs, steady_state=steady, **resets
    )


@of_each_run
def test_the_figure_has_a_panel_for_events_state_and_output(which: str) -> None:
    run = short_run(which)
    upper, middle, lower = panels(run)
    fast = run.experiment.network.kind == "fast-weight"
    titles = [axes.get_title(loc="left") for axes in (upper, middle, lower)]
    output = "output (line) and target (dots)" + (", probabilities" if says_logits(run) else "")
    assert titles == ["events", "fast weights" if fast else "state", output]
    task = run.experiment.task
    assert labels(upper) == list(task.input_names)
    names = [lower.get_ylabel()] if task.n_out == 1 else labels(lower)
    assert names == list(task.output_names)
    np.testing.assert_array_equal(image(upper), held_out(run).inputs[-STEPS:, 0])


@of_each_run
@pytest.mark.parametrize("steps", [STEPS, 7])
def test_the_image_is_the_state_at_which_the_output_was_read(which: str, steps: int) -> None:
    """F's output is read from the fast weights that enter a step; x(t) gives that of a recurrent one."""
    run = short_run(which)
    stream = held_out(run, steps)
    states = simulated(run, stream).states[:, 0]
    if run.experiment.network.kind == "fast-weight":
        leaving, states = states, np.zeros_like(states)
        states[1:] = leaving[:-1]
        assert np.ptp(states[-steps:], axis=0).max() > 0
    shown = image(panels(run, steps)[1])
    assert shown.shape == (steps, run.experiment.network.n_state)
    np.testing.assert_allclose(shown, states[-steps:], rtol=1e-9, atol=1e-12)


@of_each_run
def test_outputs_and_targets_lie_in_lanes(which: str) -> None:
    run = short_run(which)
    stream, lower = held_out(run), panels(run)[2]
    outputs = simulated(run, stream).outputs
    if says_logits(run):
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=-1, keepdims=True)
    assert len(lower.lines) == 3 * run.experiment.task.n_out  # each a base line, the output, the targets
    asked = np.flatnonzero(stream.mask[-STEPS:, 0])
    lane = LANE * max(np.ptp(stream.targets[-STEPS:, 0][asked], axis=0))
    for o in range(run.experiment.task.n_out):
        line, dots = lower.lines[3 * o + 1], lower.lines[3 * o + 2]
        np.testing.assert_allclose(line.get_ydata() + lane * o, outputs[-STEPS:, 0, o], atol=1e-9)
        np.testing.assert_array_equal(dots.get_xdata(), asked)
        np.testing.assert_allclose(dots.get_ydata() + lane * o, stream.targets[-STEPS:, 0, o][asked])


def test_fast_weights_are_named_by_the_units_they_join() -> None:
    assert labels(panels(short_run("flip-flop"))[1]) == [f"{a} → B after A" for a in "ABC"]
    slots = [f"where? → slot {k}" for k in (1, 2, 3)]
    assert labels(panels(short_run("variable-binding"))[1]) == slots
    into_hidden = [f"{a} → hidden {h}" for h in (1, 2) for a in ("A", "B", "C", "bias")]
    into_output = [f"{a} → B after A" for a in ("hidden 1", "hidden 2", "bias")]
    assert labels(panels(short_run("flip-flop, more units"))[1]) == into_hidden + into_output
    assert labels(panels(short_run("recurrent"))[1]) == [f"unit {i}" for i in range(1, 9)]


@pytest.mark.parametrize(("units", "named"), [(40, True), (41, False)])
def test_so_many_rows_that_their_names_would_overlap_have_none(units: int, named: bool) -> None:
    middle = panels(train("rtrl", "flip-flop", hidden=units, steps=2))[1]
    assert image(middle).shape == (STEPS, units)
    assert ("unit 1" in labels(middle)) == named


# --- what one sees -------------------------------------------------------------------------------------


def armed(events: np.ndarray) -> tuple[np.ndarray, int]:
    """Whether there was an A since the last B, before each step; and from which step on one knows it."""
    found, now, known = np.zeros(len(events), bool), False, len(events)
    for t, event in enumerate(events.argmax(axis=1)):
        found[t] = now
        if event in (0, 1):
            now, known = event == 0, min(known, t + 1)
    return found, known


def assert_opens_and_closes(run: rnnsim.Run) -> None:
    """B's fast weight is open from the step after an A to the next B, and closed until the next A."""
    upper, middle, _ = panels(run)
    expected, known = armed(image(upper))
    assert 0.2 < expected[known:].mean() < 0.8
    by_name = dict(zip(labels(middle), image(middle).T, strict=True))
    np.testing.assert_array_equal((by_name["B → B after A"] > 0.5)[known:], expected[known:])


@pytest.mark.parametrize("rule", ["fast-weights-1", "fast-weights-2"])
def test_the_weight_from_b_opens_at_an_a_and_closes_at_a_b(rule: str) -> None:
    for seed in range(3):
        run = train(rule, "flip-flop", settings="tuned", seed=seed)
        assert run.solved_at is not None
        assert_opens_and_closes(run)
        control = train(rule, "flip-flop", settings="tuned", seed=seed, learning_rate=0.0, steps=40)
        with pytest.raises(AssertionError, match="Arrays are not equal"):
            assert_opens_and_closes(control)


def slots_while_parked(run: rnnsim.Run) -> np.ndarray:
    """At each held-out step the slot in which the car has stood for a step at least, or -1."""
    task: Any = run.experiment.task
    stream = held_out(run)
    step, source = task.step(), task.source(np.random.default_rng([run.experiment.seed, 2]), 1, float)
    places = []
    for t in range(2 * STEPS):
        before = source.place[0, 0]
        u, d = np.zeros(task.n_in), np.zeros(task.n_out)
        step(source, 0, u, d)
        np.testing.assert_array_equal(u, stream.inputs[t, 0])
        places.append(source.place[0, 0] if source.place[0, 0] == before else -1)
    return np.array(places[-STEPS:])


def assert_remembers_the_slot(run: rnnsim.Run) -> None:
    """While the car stands in a slot, the fast weight to that slot's output is the largest one."""
    places, weights = slots_while_parked(run), image(panels(run)[1])
    parked = places >= 0
    assert set(places[parked]) == {0, 1, 2}
    np.testing.assert_array_equal(weights[parked].argmax(axis=1), places[parked])


def test_the_weight_to_the_slot_of_a_parked_car_is_the_largest() -> None:
    choices = {"settings": "tuned", "criterion": "strict"}
    run = train("fast-weights-1", "variable-binding", **choices)
    assert run.solved_at is not None
    assert_remembers_the_slot(run)
    control = train("fast-weights-1", "variable-binding", **choices, learning_rate=0.0, steps=40)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        assert_remembers_the_slot(control)


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_figure_is_written(ending: str, begins: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"behaviour.{ending}"
    short_run("flip-flop").plot_behaviour(path, steps=20)
    assert path.read_bytes().startswith(begins)


@pytest.mark.parametrize("name", ["behaviour.xyz", "behaviour", "none/behaviour.png"])
def test_a_figure_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(rnnsim.RnnsimError, match="cannot draw into"):
        short_run("flip-flop").plot_behaviour(tmp_path / name)


def test_a_figure_shows_two_steps_at_least() -> None:
    assert image(panels(short_run("flip-flop"), 2)[1]).shape == (2, 3)
    with pytest.raises(rnnsim.RnnsimError, match="steps is 1; it must be at least 2"):
        short_run("flip-flop").plot_behaviour(steps=1)


COMMAND = ("run", "fast-weights-1", "flip-flop", "--plot-behaviour")


def test_the_command_line_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "behaviour.svg"
    result = CliRunner().invoke(main, [*COMMAND, str(path), "--steps", "30"])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.startswith("fast-weights-1 on flip-flop, seed 0: not solved (30 steps")
    assert path.read_text().startswith("<?xml")


def assert_refused(file: str, message: str) -> None:
    """Before the run, which would have no end."""
    endless = ["--steps", str(10**12), "--learning-rate", "0"]
    result = CliRunner().invoke(main, [*COMMAND, file, *endless])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"rnnsim: {message}\n"


def test_the_command_line_refuses_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    wrong, nowhere = tmp_path / "behaviour.xyz", tmp_path / "none" / "behaviour.png"
    assert_refused(str(wrong), f"cannot draw into {wrong}: the file must end in .png, .svg, .pdf")
    assert_refused(str(nowhere), f"cannot draw into {nowhere}: there is no folder {nowhere.parent}")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = "figures need matplotlib: pip install 'rnnsim[plot]'"
    assert_refused(str(tmp_path / "behaviour.png"), message)
