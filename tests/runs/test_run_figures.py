"""Figures of runs, read back: weights and fast weights; what all have in common; the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_runs import by_title, held_out, legend, lines, states_again, train
from made_sweeps import cell, complete, curve, made

import rnnsim
from rnnsim.cli import main
from rnnsim.errors import RnnsimError
from rnnsim.runs import behaviour_figures, drawing, figures
from rnnsim.sweeps import figures as sweeps
from rnnsim.sweeps.result import Sweep

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled", "few_held_out")


# --- weights -------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("what", [*drawing.OF_SEVERAL, *drawing.OF_ONE])
def test_text_stays_text_in_an_svg(what: str, tmp_path: Path) -> None:
    is_fast = what == "fast-weights"
    run = (rnnsim.run("fast-weights-1", "flip-flop", steps=20) if is_fast
           else train(monitor="grad-norm", monitor_every=10))  # fmt: skip
    run.plot(tmp_path / "figure.svg", what=what)
    assert f">{run.experiment.rule.name} on {run.experiment.task.name}, " in (
        tmp_path / "figure.svg").read_text()  # fmt: skip
    run.plot(tmp_path / "figure.png", what=what)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("loss", ["softmax-cross-entropy", "logistic-cross-entropy", "squared-error"])
def test_outputs_are_drawn_as_probabilities_where_the_loss_takes_them_for_logits(loss: str) -> None:
    run = train("bptt", "reber", loss=loss)
    states, _ = states_again(run, 30)
    y = states @ run.params.V.T + run.params.c
    said = {
        "softmax-cross-entropy": np.exp(y) / np.exp(y).sum(axis=1, keepdims=True),
        "logistic-cross-entropy": 1 / (1 + np.exp(-y)), "squared-error": y,
    }  # fmt: skip
    axes = run.plot_behaviour(steps=30).axes[2]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 30 and line.get_marker() == "None"]
    lane = behaviour_figures.LANE  # targets are 0 and 1
    found = np.array([line.get_ydata() + lane * i for i, line in enumerate(drawn)]).T
    np.testing.assert_allclose(found, said[loss], atol=1e-12)
    assert axes.get_title(loc="left").endswith(", probabilities") == (loss != "squared-error")


def test_what_a_figure_cannot_be_of_is_refused() -> None:
    run, other = train(), train(seed=1)
    for arguments, message in [
        ({"what": "curv"}, "no figure is called 'curv'; did you mean curve"),
        ({"what": "weights", "beside": other}, "weights is of one run; curve, gradients, traj"),
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
    """Two runs, ``one`` and ``other``, in the current folder, rows of data, and results of a sweep."""
    monkeypatch.chdir(tmp_path)
    train(save="one")
    train(save="other", seed=1)
    Path("rows.csv").write_text("a,b\n1,2\n")
    made((cell(), [complete(curve=curve(0.5, 0.1))]), path=Path("sweep.sqlite"))._store.close()
    return tmp_path


def test_the_command_line_draws_one_run_or_several(folders: Path) -> None:
    for args, name in [
        (("one",), "curve.svg"), (("one", "other"), "curves.svg"),
        (("one", "--what", "trajectories", "--steps", "20"), "plane.svg"),
        (("sweep.sqlite",), "sweep.svg"),
    ]:  # fmt: skip
        result = rnnsim_(*args, "--out", name)
        assert (result.exit_code, result.output) == (0, ""), result.output
    assert ">2 seeds<" in Path("curves.svg").read_text()
    assert "2 seeds" not in Path("curve.svg").read_text()
    assert "principal component 1" in Path("plane.svg").read_text()
    assert "median and quartiles over the seeds" in Path("sweep.svg").read_text()


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
        (("sweep.sqlite", "one"), "sweep.sqlite holds a sweep; the figure of one takes no other runs"),
        (("one", "sweep.sqlite"), "sweep.sqlite holds a sweep"),
        (("sweep.sqlite", "--steps", "20"), "no rows, and no --steps"),
        (("sweep.sqlite", "--what", "curve"), "did you mean curves"),
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
    for kinds, method in ((drawing.KINDS, rnnsim.Run.plot), (sweeps.FIGURES, Sweep.plot)):
        for name in kinds:
            (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
            assert len(line.split()) > 3
            assert f"``{name}``" in (method.__doc__ or "")
    assert not [line for line in text.splitlines() if line.split()[:1] == ["weight"]]  # the control
