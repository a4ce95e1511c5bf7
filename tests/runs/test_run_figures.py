"""Figures of one or several runs, read back: curves, weights, gradients, fast weights, trajectories.

What a network does is computed again in plain NumPy.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import naive
import naive_gru
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from task_streams import draw

import rnnsim
from rnnsim.cli import main
from rnnsim.data.learnt_error import learnt_error
from rnnsim.errors import RnnsimError
from rnnsim.numerics.principal_components import principal_plane
from rnnsim.registry import installed
from rnnsim.runs import behaviour_figures, curve_figures, drawing, figures
from rnnsim.runs.telling_apart import groups_of

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled", "few_held_out")

SMALL: dict[str, Any] = {"hidden": 4, "steps": 60, "stop": False}
TASKS = ("delayed-xor", "flip-flop", "n-bit-memory", "reber", "steady-state-xor", "variable-binding")


@pytest.fixture
def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs on few held-out data, which takes less time where nothing is compiled."""
    for name in TASKS:
        monkeypatch.setattr(installed().tasks[name].thing, "held_out_shape", lambda self: (20, 1))


def train(rule: str = "rtrl", task: str = "delayed-xor", **choices: Any) -> rnnsim.Run:
    return rnnsim.run(rule, task, **{**SMALL, **choices})


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def legend(figure: Any) -> list[str]:
    (shown,) = figure.legends
    return [text.get_text() for text in shown.get_texts()]


def held_out(run: rnnsim.Run, steps: int) -> Any:
    rows = max(2 * steps, run.experiment.task.episode_length or 0)
    return draw(run.experiment.task, rows, 1, [run.experiment.seed, 2], plain=True, held_out=True)


def states_again(run: rnnsim.Run, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The states of the last steps of held-out data in plain NumPy, and where they begin anew."""
    stream, params, network = held_out(run, steps), run.params._asdict(), run.experiment.network
    zeros = np.zeros((1, network.n_state))
    data = naive.Data(stream.inputs, stream.targets, stream.mask, stream.resets, zeros, zeros)
    if network.kind == "gru":
        states = naive_gru.run(params, data)
    else:
        states = np.zeros((len(stream.inputs), 1, network.n_state))
        x = zeros[0]
        for t, u in enumerate(stream.inputs[:, 0]):
            x = zeros[0] if stream.resets[t, 0] else x
            a = params["W"] @ x + params["U"] @ u + params["b"]
            x = states[t, 0] = (1 - network.leak) * x + network.leak * np.tanh(a)
    begins = stream.resets[-steps:, 0].copy()
    begins[0] = True
    return states[-steps:, 0], begins


# --- curves of several runs ----------------------------------------------------------------------------


def test_the_curve_of_one_run_is_that_of_its_metrics() -> None:
    run = train(keep="best", keep_every=20)
    figure = run.plot()
    upper, lower = figure.axes
    drawn = lines(upper)
    np.testing.assert_array_equal(drawn["while it learns"].get_xydata().T,
                                  [run.metrics["step"], run.metrics["loss"]])  # fmt: skip
    np.testing.assert_array_equal(drawn["validation data"].get_ydata(), run.metrics["validation_loss"])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), run.metrics["error"])
    assert (upper.get_ylabel(), lower.get_ylabel(), lower.get_xlabel()) == (
        "loss per target", "error", "time step")  # fmt: skip
    assert figure.get_suptitle() == "rtrl on delayed-xor, 60 steps"
    assert len({line.get_color() for line in upper.lines}) == len(upper.lines) == 3
    assert len({str(line._dash_pattern) for line in upper.lines}) == 3


def test_several_runs_have_their_curves_in_one_figure() -> None:
    one, other = train(), train("truncated-bptt", keep="best", keep_every=20)
    figure = one.plot(beside=other)
    loss, validation, score = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "loss per target", "loss on validation data", "error"]  # fmt: skip
    for run in (one, other):
        name = run.experiment.rule.name
        line = lines(loss)[name]
        np.testing.assert_array_equal(line.get_xydata().T, [run.metrics["step"], run.metrics["loss"]])
        np.testing.assert_array_equal(lines(score)[name].get_ydata(), run.metrics["error"])
    np.testing.assert_array_equal(lines(validation)["truncated-bptt"].get_ydata(),
                                  other.metrics["validation_loss"])  # fmt: skip
    assert "rtrl" not in lines(validation)
    assert legend(figure) == ["rtrl", "truncated-bptt", "best constant answer"]
    assert figure.get_suptitle() == "delayed-xor, 2 runs of up to 60 steps"


def test_several_runs_on_the_user_s_numbers_are_drawn_in_their_unit() -> None:
    data = {"a": np.sin(np.arange(60) / 3)}
    runs = [rnnsim.run("bptt", data, hidden=2, steps=40, seed=seed) for seed in (0, 1)]
    other = rnnsim.run("bptt", {"a": 3 * data["a"]}, hidden=2, steps=40, window=8)
    figure = runs[0].plot(beside=[runs[1], other])
    errors, validation = figure.axes
    assert errors.get_ylabel() == "root mean squared error of a"
    assert validation.get_ylabel() == "error on validation data"
    for run, line in zip((runs[0], runs[1]), errors.lines):
        error = learnt_error(run.experiment.task, run.experiment.network)
        assert error is not None
        np.testing.assert_array_equal(line.get_ydata(), error.at(run.metrics["loss"]))
    xor = train()
    figure = runs[0].plot(beside=xor)
    assert figure.axes[0].get_ylabel() == "loss per target"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), runs[0].metrics["loss"])


def test_seeds_have_one_colour_and_a_median() -> None:
    runs = [train(seed=seed) for seed in range(3)]
    figure = runs[0].plot(beside=runs[1:])
    *thin, median, baseline = figure.axes[0].lines
    assert len(thin) == 3
    assert len({line.get_color() for line in (*thin, median)}) == 1
    assert median.get_linewidth() > 3 * thin[0].get_linewidth()
    for run, line in zip(runs, thin):
        np.testing.assert_array_equal(line.get_ydata(), run.metrics["loss"])
    expected = np.median([run.metrics["loss"] for run in runs], axis=0)
    assert len(expected) <= curve_figures.PARTS
    np.testing.assert_allclose(median.get_ydata(), expected, rtol=1e-13)
    assert legend(figure) == ["3 seeds and their median", "best constant answer"]
    assert baseline.get_ydata()[0] == runs[0].experiment.task.baseline


def test_a_star_marks_where_a_run_solved_its_task() -> None:
    run, other = train(), train(seed=1)
    at, loss = (run.metrics[name][-3] for name in ("step", "loss"))
    solved = dataclasses.replace(run, solved_at=int(at))
    figure = solved.plot(beside=other)
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*" and len(line.get_xdata())]
    assert [star.get_xydata().tolist() for star in stars] == [[[at, loss]]]
    assert legend(figure)[-1] == "solved"
    assert "solved" not in legend(run.plot(beside=other))


def test_the_scale_is_logarithmic_where_positive_values_differ_by_much() -> None:
    figure = figures.figure_type()()
    for values, scale in [
        ([0.01, 1.0], "log"), ([0.5, 1.0], "linear"), ([0.0, 1.0], "linear"),
        ([-1.0, 100.0], "linear"), ([np.nan, 0.01, 1.0], "log"), ([], "linear"),
    ]:  # fmt: skip
        axes = figure.add_subplot()
        figures.scale_by(axes, [np.array(values)])
        assert axes.get_yscale() == scale, values


@given(
    arrays(float, (3, 130), elements=st.floats(0, 1)), st.integers(1, 130),
    st.lists(st.sampled_from([1, 2, 4]), min_size=3, max_size=3),
)  # fmt: skip
def test_the_median_is_that_of_means_over_the_same_steps(
    values: np.ndarray, shortest: int, merged: list[int]
) -> None:
    """Curves of steps 1, 2, ..., of which one is cut short, and points of several steps each."""
    curves = []
    for i, (row, every) in enumerate(zip(values, merged)):
        last = (shortest if i == 0 else 130) // every * every
        if last == 0:
            return
        curves.append((np.arange(every, last + 1, every), row[:last].reshape(-1, every).mean(axis=1)))
    step, found = curve_figures.median_of(curves)
    if not len(step):  # the shortest has ended before the first point of another
        assert curves[0][0][-1] < max(points[0] for points, _ in curves)
        return
    assert step[-1] <= min(points[-1] for points, _ in curves)
    begin = 0
    for end, value in zip(step, found):
        parts = [y[(x > begin) & (x <= end)] for x, y in curves]
        means = [part.mean() for part in parts if len(part)]
        assert value == pytest.approx(np.median(means), abs=1e-12)
        begin = end


# --- what tells runs apart -----------------------------------------------------------------------------


def labels_of(*runs: rnnsim.Run) -> list[str]:
    return [group.label for group in groups_of(runs)]


def test_runs_are_named_by_what_they_differ_by(tmp_path: Path) -> None:
    few = {"steps": 8, "window": 4}
    run = train("bptt", **few)
    assert labels_of(run) == [""]
    assert labels_of(run, train("rtrl", **few)) == ["bptt", "rtrl"]
    assert labels_of(run, train("bptt", "flip-flop", **few)) == ["delayed-xor", "flip-flop"]
    assert labels_of(run, train("bptt", network="gru", **few)) == ["recurrent", "gru"]
    assert labels_of(run, train("bptt", **few, hidden=3)) == ["hidden=4", "hidden=3"]
    assert labels_of(run, train("bptt", **few, learning_rate=0.5))[1] == "learning_rate=0.5"
    assert labels_of(run, train("bptt", **few, leak=0.5))[1] == "leak=0.5"


def test_options_are_said_only_of_the_runs_that_they_tell_apart() -> None:
    few = {"steps": 8, "window": 4}
    one, other = (train("truncated-bptt", h=h, h_prime=4, **few) for h in (4, 8))
    found = labels_of(train("rtrl", **few), one, other)
    assert found == ["rtrl", "truncated-bptt, h=4", "truncated-bptt, h=8"]
    assert labels_of(train("rtrl", **few), one) == ["rtrl", "truncated-bptt"]


def test_seeds_are_put_together_and_said_where_they_differ_otherwise() -> None:
    few = {"steps": 8, "window": 4}
    seeds = [train("bptt", seed=seed, **few) for seed in (0, 1)]
    assert labels_of(*seeds) == ["2 seeds"]
    assert labels_of(*seeds, train("rtrl", seed=1, **few)) == ["bptt, 2 seeds", "rtrl, seed 1"]


def test_runs_that_differ_by_nothing_are_named_by_their_folders(tmp_path: Path) -> None:
    few = {"steps": 8, "window": 4}
    for name in ("one", "other"):
        train("bptt", **few, save=tmp_path / name)
    runs = [rnnsim.load(tmp_path / name) for name in ("one", "other")]
    assert labels_of(*runs) == [str(tmp_path / "one"), str(tmp_path / "other")]
    assert labels_of(train("bptt", **few), train("bptt", **few)) == ["run 1", "run 2"]


# --- weights -------------------------------------------------------------------------------------------


def by_title(figure: Any) -> dict[str, Any]:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def test_weights_are_images_about_0_with_their_distributions() -> None:
    run = train("bptt", "n-bit-memory", hidden=5)
    figure = run.plot(what="weights")
    for name, rows, columns in (("W", 5, 5), ("U", 5, 3), ("V", 3, 5)):
        axes = by_title(figure)[f"{name} ({rows} by {columns})"]
        (image,) = axes.images
        matrix = getattr(run.params, name)
        np.testing.assert_array_equal(image.get_array(), matrix)
        low, high = image.get_clim()
        assert -low == high == abs(matrix).max()
        assert image.get_cmap().name == figures.DIVERGING
    counts = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes if axes.patches]
    assert counts == [25, 15, 15]
    biases = lines(by_title(figure)["biases"])
    np.testing.assert_array_equal(biases["b"].get_ydata(), run.params.b)
    np.testing.assert_array_equal(biases["c"].get_ydata(), run.params.c)
    assert figure.get_suptitle() == "bptt on n-bit-memory, 60 steps"


def in_order(values: np.ndarray) -> np.ndarray:
    return np.array(sorted(values, key=lambda z: (round(z.real, 9), z.imag)))


def eigenvalues(figure: Any) -> dict[str, np.ndarray]:
    drawn = lines(by_title(figure)["eigenvalues"])
    return {name: in_order(np.asarray(line.get_xdata()) + 1j * np.asarray(line.get_ydata()))
            for name, line in drawn.items() if not name.startswith("_")}  # fmt: skip


def test_the_spectrum_is_that_of_the_matrices_that_act_on_the_state() -> None:
    run = train("bptt", hidden=6)
    found = eigenvalues(figure := run.plot(what="weights"))
    expected = in_order(np.linalg.eigvals(run.params.W))
    assert [*found] == ["W"]
    np.testing.assert_allclose(found["W"], expected, atol=1e-12)
    assert not np.allclose(found["W"], in_order(np.linalg.eigvals(run.params.W + np.eye(6))))
    circle = by_title(figure)["eigenvalues"].lines[0].get_xydata()
    np.testing.assert_allclose(np.hypot(*circle.T), 1)

    leaky = train("bptt", hidden=6, leak=0.25)
    found = eigenvalues(leaky.plot(what="weights"))
    jacobian = 0.75 * np.eye(6) + 0.25 * leaky.params.W
    assert [*found] == ["W", "0.75 I + 0.25 W"]
    np.testing.assert_allclose(
        found["0.75 I + 0.25 W"], in_order(np.linalg.eigvals(jacobian)), atol=1e-9
    )

    gru = train("bptt", network="gru", hidden=3)
    found = eigenvalues(gru.plot(what="weights"))
    assert [*found] == ["W_r", "W_z", "W_c"]
    np.testing.assert_allclose(found["W_z"], in_order(np.linalg.eigvals(gru.params.W_z)), atol=1e-12)


def test_the_singular_values_are_those_of_each_matrix() -> None:
    run = train("bptt", hidden=6)
    drawn = lines(by_title(run.plot(what="weights"))["singular values"])
    assert [*drawn] == ["W", "U", "V"]
    for name, line in drawn.items():
        matrix = getattr(run.params, name)
        powers = np.linalg.eigvalsh(matrix @ matrix.T)[::-1][: min(matrix.shape)]
        np.testing.assert_allclose(np.asarray(line.get_ydata()) ** 2, powers, rtol=1e-6)


def test_a_fast_weight_network_has_no_spectrum() -> None:
    """Its state does not act on itself through a matrix, not even where one is square by chance."""
    run = rnnsim.run("fast-weights-1", "flip-flop", steps=20)
    assert run.params.W1.shape == (3, 3)
    assert run.experiment.network.n_state == 3
    assert [*by_title(run.plot(what="weights"))] == ["W1 (3 by 3)", "singular values"]


# --- gradients -----------------------------------------------------------------------------------------


def test_the_norms_of_gradients_are_those_that_monitors_recorded(tmp_path: Path) -> None:
    choices = {"monitor_every": 10, "window": 10, "clip": 2.0}
    run = train("bptt", monitor="grad-norm", save=tmp_path / "run", **choices)
    norms = run.metrics["grad-norm"]
    for each in (run, rnnsim.load(tmp_path / "run")):
        figure = each.plot(what="gradients")
        drawn = lines(figure.axes[0])
        assert [*drawn] == ["all", "W", "U", "b", "V", "c", "clipped at 2"]
        for i, name in enumerate(["all", "W", "U", "b", "V", "c"]):
            np.testing.assert_array_equal(drawn[name].get_xdata(), run.metrics["monitor_step"])
            np.testing.assert_array_equal(drawn[name].get_ydata(), norms[:, i])
        assert figure.axes[0].get_ylabel() == "norm of a window's gradient"
    whole = train("bptt", monitor=["grad", "params"], **choices)
    drawn = lines(whole.plot(what="gradients").axes[0])
    np.testing.assert_allclose(drawn["all"].get_ydata(), np.linalg.norm(whole.metrics["grad"], axis=1))
    np.testing.assert_allclose(
        drawn["W"].get_ydata(), np.linalg.norm(whole.metrics["grad"][:, :16], axis=1)
    )
    single = train("bptt", monitor={"mine": "grad.b"}, **choices)
    drawn = lines(single.plot(what="gradients").axes[0])
    assert [*drawn] == ["b", "clipped at 2"]
    np.testing.assert_allclose(drawn["b"].get_ydata(), np.linalg.norm(single.metrics["mine"], axis=1))


def test_gradients_of_0_are_left_out_and_the_figure_says_so() -> None:
    run = train(monitor="grad-norm", monitor_every=1, clip=math.inf)
    norms = run.metrics["grad-norm"][:, 0]
    assert 0 < (norms == 0).sum() < len(norms)  # steps without targets
    (axes,) = run.plot(what="gradients").axes
    np.testing.assert_array_equal(lines(axes)["all"].get_ydata(), norms[norms > 0])
    assert axes.get_ylabel().endswith("(where it is not 0)")
    assert "clipped" not in " ".join(lines(axes))


@pytest.mark.parametrize("monitor", [None, "params", {"own": lambda seen: 1.0}])
def test_a_run_without_such_a_monitor_is_told_which_there_is(monitor: Any) -> None:
    with pytest.raises(RnnsimError, match="did not record gradients; one with --monitor grad-norm"):
        train(monitor=monitor).plot(what="gradients")


# --- fast weights --------------------------------------------------------------------------------------


def test_fast_weights_are_lines_over_time_below_the_events() -> None:
    """Each step of variable-binding's and flip-flop's F is read with the weights that enter it."""
    run = rnnsim.run("fast-weights-1", "variable-binding", steps=60, stop=False)
    stream = held_out(run, 30)
    leaving = rnnsim.simulate(run.experiment.network, run.params, stream.inputs).states[:, 0]
    entering = np.concatenate([np.zeros((1, 3)), leaving[:-1]])[-30:]
    figure = run.plot(what="fast-weights", steps=30)
    upper, lower = figure.axes
    np.testing.assert_array_equal(upper.images[0].get_array().T, stream.inputs[-30:, 0])
    drawn = lines(lower)
    assert [*drawn] == legend(figure) == [f"where? → slot {k}" for k in (1, 2, 3)]
    for line, values in zip(drawn.values(), entering.T):
        np.testing.assert_allclose(line.get_ydata(), values, atol=1e-12)
    assert np.ptp(entering, axis=0).max() > 0
    assert not np.allclose(drawn["where? → slot 1"].get_ydata(), leaving[-30:, 0])  # the control
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("time step", "fast weight")


def test_of_many_fast_weights_those_are_drawn_that_vary_most() -> None:
    run = rnnsim.run(
        "bptt", "flip-flop", network="fast-weight", steps=40, fast_hidden="4", fast_bias="true"
    )
    n = run.experiment.network.n_state
    assert n > behaviour_figures.MOST_LINES
    lower = run.plot(what="fast-weights").axes[1]
    image = run.plot_behaviour().axes[1].images[0].get_array()
    drawn = np.array([line.get_ydata() for line in lower.lines])
    assert len(drawn) == behaviour_figures.MOST_LINES
    variances = np.sort(np.asarray(image).var(axis=1))[::-1]
    np.testing.assert_allclose(np.sort(drawn.var(axis=1))[::-1], variances[: len(drawn)], atol=1e-15)
    assert lower.get_title(loc="left") == f"fast weights, the 14 of {n} that vary most"


# --- trajectories --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "task", "choices"),
    [
        ("rtrl", "delayed-xor", {}),
        ("bptt", "n-bit-memory", {"network": "gru"}),
        ("bptt", "reber", {}),
        ("bptt", "delayed-xor", {"leak": 0.5}),
    ],
)
def test_trajectories_are_states_in_the_plane_of_two_principal_components(
    rule: str, task: str, choices: dict[str, Any]
) -> None:
    run = train(rule, task, **choices)
    states, begins = states_again(run, 50)
    figure = run.plot(what="trajectories", steps=50)
    axes, bar = figure.axes
    path, points, rings = axes.collections
    variances, directions = np.linalg.eigh(np.cov(states.T))
    largest = directions[:, [-1, -2]]
    largest = largest * np.sign(largest[abs(largest).argmax(axis=0), [0, 1]])
    plane = (states - states.mean(axis=0)) @ largest
    np.testing.assert_allclose(points.get_offsets(), plane, atol=1e-9)
    np.testing.assert_allclose(rings.get_offsets(), plane[begins], atol=1e-9)
    expected = [plane[t - 1 : t + 1] for t in range(50) if not begins[t]]
    np.testing.assert_allclose(path.get_segments(), expected, atol=1e-9)
    shares = variances[::-1] / variances.sum()
    assert axes.get_xlabel() == f"principal component 1 ({shares[0]:.0%} of the variance)"
    assert axes.get_ylabel() == f"principal component 2 ({shares[1]:.0%})"
    age, ages = 0, []
    for anew in begins:
        age = 0 if anew else age + 1
        ages.append(age)
    np.testing.assert_array_equal(points.get_array(), ages)
    several = begins.sum() > 1
    assert several == (task == "reber")
    assert bar.get_ylabel() == ("time step since the state began anew" if several else "time step")
    assert legend(figure) == [f"{begins.sum()} beginnings" if several else "first step"]


def test_the_trajectory_of_a_fast_weight_network_is_that_of_its_fast_weights() -> None:
    run = rnnsim.run("fast-weights-1", "variable-binding", steps=60, stop=False)
    image = np.asarray(run.plot_behaviour(steps=40).axes[1].images[0].get_array()).T
    points = run.plot(what="trajectories", steps=40).axes[0].collections[1].get_offsets()
    found = points - points.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov(image.T))[::-1][:2]
    np.testing.assert_allclose(np.cov(found.T), np.diag(variances), atol=1e-12)
    assert variances[0] > 0


def test_steady_states_are_points_without_lines() -> None:
    run = rnnsim.run("recurrent-backprop", "steady-state-xor", steps=8)
    figure = run.plot(what="trajectories", steps=12)
    (axes,) = figure.axes
    (points,) = axes.collections
    assert points.get_offsets().shape == (12, 2)


@given(arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-9, 9)))
def test_the_principal_plane_keeps_as_much_of_the_variance_as_a_plane_can(states: np.ndarray) -> None:
    plane = principal_plane(states)
    total, N = states.var(axis=0).sum(), states.shape[1]
    covariance = np.cov(states.T, bias=True).reshape(N, N)
    most = np.append(np.sort(np.linalg.eigvalsh(covariance))[::-1], 0)[:2]
    np.testing.assert_allclose(plane.of(states).var(axis=0), most, atol=1e-9 * max(1, total))
    np.testing.assert_allclose(plane.of(states).mean(axis=0), 0, atol=1e-9)
    if total > 1e-6:
        np.testing.assert_allclose(plane.shares, most / total, atol=1e-9)
    found = [direction for direction in plane.directions.T if direction.any()]
    assert len(found) == min(2, *states.shape)
    np.testing.assert_allclose(np.array(found) @ np.array(found).T, np.eye(len(found)), atol=1e-9)
    assert all(direction[abs(direction).argmax()] > 0 for direction in found)


# --- what all of them have -----------------------------------------------------------------------------


def test_many_units_are_in_the_order_of_their_parts_in_the_first_component() -> None:
    run = train(hidden=figures.MOST_NAMED + 1, steps=4)
    states, _ = states_again(run, 30)
    middle = run.plot_behaviour(steps=30).axes[1]
    shown = np.asarray(middle.images[0].get_array()).T
    first = np.linalg.eigh(np.cov(states.T))[1][:, -1]
    first = first * np.sign(first[abs(first).argmax()])
    np.testing.assert_allclose(shown, states[:, np.argsort(first)], atol=1e-9)
    assert not np.allclose(shown, states)
    assert "in the order of their parts" in middle.get_title(loc="left")


@pytest.mark.parametrize("values", [[-0.5, 2.0], [0.5, 2.0], [0.0, 0.0]])
def test_images_of_both_signs_have_a_map_about_0(values: list[float]) -> None:
    (axes,) = (figure := figures.figure_type()()).subplots(1, 1, squeeze=False)[0]
    image = figures.draw_image(axes, np.array([values]), ["a", "b"])
    if min(values) < 0:
        assert (image.get_cmap().name, image.get_clim()) == (figures.DIVERGING, (-2.0, 2.0))
    else:
        assert (image.get_cmap().name, image.get_clim()) == (figures.SEQUENTIAL, tuple(values))
    assert figure.axes == [axes]


def test_lines_can_be_told_apart_without_their_colours() -> None:
    """Each has a style of its own, up to as many as there are styles, and its colour then is lighter."""
    weights = np.array([0.299, 0.587, 0.114])  # of the luminance of a colour
    greys = [weights @ [int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in figures.COLOURS]
    assert len({str(style) for style in figures.STYLES}) == 6
    assert math.gcd(len(figures.COLOURS), len(figures.STYLES)) == 1  # 42 lines of colour and style
    assert abs(greys[6] - greys[0]) > 100  # the first two lines of the same style


@pytest.mark.parametrize("what", [*drawing.OF_RUN, *drawing.OF_HELD_OUT])
def test_text_stays_text_in_an_svg(what: str, tmp_path: Path) -> None:
    is_fast = what == "fast-weights"
    run = (rnnsim.run("fast-weights-1", "flip-flop", steps=20) if is_fast
           else train(monitor="grad-norm", monitor_every=10))  # fmt: skip
    run.plot(tmp_path / "figure.svg", what=what)
    assert f">{run.experiment.rule.name} on {run.experiment.task.name}, " in (
        tmp_path / "figure.svg").read_text()  # fmt: skip
    run.plot(tmp_path / "figure.png", what=what)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_what_a_figure_cannot_be_of_is_refused() -> None:
    run, other = train(), train(seed=1)
    for arguments, message in [
        ({"what": "curv"}, "no figure is called 'curv'; did you mean curve"),
        ({"what": "weights", "beside": other}, "weights is of one run; curve is the one"),
        ({"what": "forecast", "beside": [other]}, "forecast is of one run"),
        ({"what": "weights", "data": [1]}, "data is for the figures forecast, errors, confusion"),
        ({"what": "curve", "steps": 5}, "steps is for the figures behaviour, trajectories, fast-w"),
        ({"what": "trajectories", "steps": 1}, "steps is 1; it must be at least 2"),
        ({"what": "fast-weights"}, "is of fast-weight networks, and that of this run is recurrent"),
        ({"beside": [run, 3]}, "beside is a run, or a list of runs, not"),
    ]:  # fmt: skip
        with pytest.raises(RnnsimError, match=message):
            run.plot(**arguments)
    with pytest.raises(RnnsimError, match="needs a state of two numbers at least"):
        train(hidden=1).plot(what="trajectories")


# --- the command line ----------------------------------------------------------------------------------


def rnnsim_(*args: str) -> Any:
    return CliRunner().invoke(main, ["plot", *args])


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, ``one`` and ``other``, in the current folder, and rows of data."""
    monkeypatch.chdir(tmp_path)
    train(save="one")
    train(save="other", seed=1)
    Path("rows.csv").write_text("a,b\n1,2\n")
    return tmp_path


def test_the_command_line_draws_one_run_or_several(folders: Path) -> None:
    for args, name in [
        (("one",), "curve.svg"), (("one", "other"), "curves.svg"),
        (("one", "--what", "trajectories", "--steps", "20"), "plane.svg"),
    ]:  # fmt: skip
        result = rnnsim_(*args, "--out", name)
        assert (result.exit_code, result.output) == (0, ""), result.output
    assert "2 seeds and their median" in Path("curves.svg").read_text()
    assert "2 seeds" not in Path("curve.svg").read_text()
    assert "principal component 1" in Path("plane.svg").read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("one", "none"), "there is no file none; FILE must be rows of data to forecast from"),
        (("one", "none", "other"), "none is not a saved run"),
        (("rows.csv", "one"), "rows.csv"),
        (("one", "other", "rows.csv"), "the figure forecast is of one run"),
        (("one", "rows.csv", "--what", "curve"), "data is for the figures forecast"),
        (("one", "other", "--what", "weights"), "the figure weights is of one run"),
        (("one", "--what", "gradients"), "--monitor grad-norm"),
        (("one", "--what", "weight"), "did you mean fast-weights or weights"),
        (("one", "--steps", "20"), "steps is for the figures"),
    ],
)
def test_bad_command_lines_are_refused_in_a_line(
    folders: Path, args: tuple[str, ...], message: str
) -> None:
    result = rnnsim_(*args, "--out", "figure.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("figure.png").exists()


def test_the_help_names_every_figure_and_so_does_the_docstring() -> None:
    text = rnnsim_("--help").output
    assert len(drawing.KINDS) == 9
    for name in drawing.KINDS:
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3
        assert f"``{name}``" in (rnnsim.Run.plot.__doc__ or "")
    assert not [line for line in text.splitlines() if line.split()[:1] == ["weight"]]  # the control
