"""Rules compared on one trajectory: each measure against an oracle, and the leader's run untouched."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from task_streams import draw

import rnnsim
from rnnsim.cli import main
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.registry import installed
from rnnsim.rule import Rule
from rnnsim.runs.comparing import labels, rule_of
from rnnsim.runs.comparison import Comparison
from rnnsim.runs.comparison_figures import draw_lines
from rnnsim.runs.figures import COLOURS
from rnnsim.training.experiment import configure
from rnnsim.training.following import LedTraining, Still, written_by_rules
from rnnsim.training.observing import losses_at, new_curve
from rnnsim_rules.rtrl import RTRL
from rnnsim_tasks.lagged_add import LaggedAdd

SMALL: dict[str, Any] = {"hidden": 3, "steps": 60, "leak": 0.7}

uncompiled = pytest.mark.usefixtures("uncompiled", "few_held_out")


@pytest.fixture
def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs on few held-out data, which takes less time where nothing is compiled."""
    for name in ("delayed-xor", "adding", "lagged-add"):
        monkeypatch.setattr(installed().tasks[name].thing, "held_out_shape", lambda self: (20, 1))


class Scaled(RTRL, frozen=True):
    """RTRL's gradient times a factor."""

    name = "scaled"
    factor: float = -1.0

    def credit(self, network: Network) -> Any:
        exact, factor = super().credit(network), self.factor

        @kernel
        def credit(params: Any, trajectory: Any, window: Any, memory: Any, grad: Any) -> None:
            exact(params, trajectory, window, memory, grad)
            grad.W[:] *= factor
            grad.U[:] *= factor
            grad.b[:] *= factor

        return credit


class Infinite(RTRL, frozen=True):
    """A gradient that is not finite."""

    name = "infinite"

    def credit(self, network: Network) -> Any:
        @kernel
        def credit(params: Any, trajectory: Any, window: Any, memory: Any, grad: Any) -> None:
            grad.W[:] = np.inf

        return credit


def pairs(found: Comparison, i: int = 0, j: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Alignments and ratios of norms of two rules over time, at the points that count."""
    alignment, ratio = found.alignment[..., i, j], found.norm_ratio[..., i, j]
    assert np.array_equal(np.isfinite(alignment), np.isfinite(ratio))
    shown = np.isfinite(alignment)
    assert shown.sum() > 0.8 * shown.size
    return alignment[shown], ratio[shown]


# --- alignments and norms ---


@uncompiled
@pytest.mark.parametrize(
    ("other", "alignment", "ratio"),
    [("rtrl", 1, 1), ("rtrl-block", 1, 1), (Scaled(), -1, 1), (Scaled(factor=2.0), 1, 0.5)],
    ids=["itself", "another form of it", "negated", "doubled"],
)
def test_rules_whose_gradient_is_known(other: str | Rule, alignment: float, ratio: float) -> None:
    """While the weights move: at windows of 3 steps, in which both forms of RTRL are exact."""
    found = rnnsim.compare(["rtrl", other], "delayed-xor", window=3, **SMALL)
    alignments, ratios = pairs(found)
    np.testing.assert_allclose(alignments, alignment, rtol=1e-9)
    np.testing.assert_allclose(ratios, ratio, rtol=1e-9)
    alone = found.alignment[..., 0, 0]
    np.testing.assert_allclose(alone[np.isfinite(alone)], 1, rtol=4e-16)
    assert found.mean_alignment[1, 0] == pytest.approx(alignment)
    assert found.mean_norm_ratio[1, 0] == pytest.approx(1 / ratio)


@uncompiled
def test_truncation_is_seen_where_there_is_some() -> None:
    """With weights that stand still, sweeps back to the first step are exact; shorter ones are not."""
    rules = ["rtrl", "truncated-bptt:h=60,h_prime=1", "truncated-bptt:h=1,h_prime=1"]
    found = rnnsim.compare(rules, "delayed-xor", learning_rate=0, **SMALL)
    np.testing.assert_allclose(pairs(found)[0], 1, rtol=1e-9)
    assert 0.2 < found.mean_alignment[0, 2] < 0.99
    assert found.mean_alignment[0, 2] == pytest.approx(found.mean_alignment[1, 2], rel=1e-6)
    np.testing.assert_allclose(found.mean_alignment, found.mean_alignment.T, rtol=1e-12)
    np.testing.assert_allclose(found.mean_norm_ratio * found.mean_norm_ratio.T, 1, rtol=1e-9)


@uncompiled
def test_an_alignment_from_two_gradients() -> None:
    """Of one window, in plain NumPy; with V and c, which the network writes, it would be another."""
    rules = ["bptt", "truncated-bptt:h=2,h_prime=1"]
    choices: dict[str, Any] = {"hidden": 4, "steps": 9, "length": 9, "batch": 2}
    found = rnnsim.compare(rules, "adding", **choices)
    experiment = found.experiment
    stream, net = draw(experiment.task, 9, 2, [0, 1], plain=True), experiment.network
    data = (net, experiment.initial_params(), stream.inputs, stream.targets)
    exact, short = (
        rnnsim.gradient(*data, rule=rule, mask=stream.mask, **options).grads
        for rule, options in (("bptt", {}), ("truncated-bptt", {"h": 2, "h_prime": 1}))
    )

    def cosine_and_ratio(names: str) -> tuple[float, float]:
        g, h = (np.concatenate([getattr(grads, name).ravel() for name in names])
                for grads in (exact, short))  # fmt: skip
        sizes = math.sqrt(sum(g * g)), math.sqrt(sum(h * h))
        return sum(g * h) / (sizes[0] * sizes[1]), sizes[0] / sizes[1]

    measured = found.alignment[0, -1, 0, 1], found.norm_ratio[0, -1, 0, 1]
    assert measured == pytest.approx(cosine_and_ratio("WUb"), rel=1e-12)
    assert abs(measured[0] - cosine_and_ratio("WUbVc")[0]) > 0.001
    assert len(found.step) == 1


@uncompiled
def test_a_window_without_a_gradient_does_not_count() -> None:
    """Of a rule that writes at every fourth step only, and where there is no target yet."""
    rules = ["rtrl", "truncated-bptt:h=4,h_prime=4"]
    found = rnnsim.compare(rules, "delayed-xor", d=6, **SMALL)
    counted = np.flatnonzero(np.isfinite(found.alignment[0, :, 0, 1])) + 1
    assert counted.tolist() == list(range(8, 61, 4))
    assert np.flatnonzero(np.isfinite(found.alignment[0, :, 0, 0]))[0] + 1 == 7
    assert found.as_dict()["alignment"][0][0][1] is None


def test_what_a_rule_writes() -> None:
    """All but V and c of a linear readout."""
    net = rnnsim.RecurrentNetwork(2, 3, 2)
    written = net.views(written_by_rules(net))
    assert {name: set(part.ravel()) for name, part in written._asdict().items()} == {
        "W": {True}, "U": {True}, "b": {True}, "V": {False}, "c": {False}
    }  # fmt: skip
    assert written_by_rules(rnnsim.RecurrentNetwork(2, 3, 2, readout=[0, 2])).all()
    assert written_by_rules(rnnsim.FastWeightNetwork(n_slow_in=1, n_in=1, n_out=1)).all()


# --- the leader ---


def led(rule: str, others: list[Any], **choices: Any) -> LedTraining:
    options = {name: choices.pop(name) for name in ("leak",) if name in choices}
    experiment = configure(rule, "delayed-xor", stop=False, options=options, **choices)
    training = LedTraining(experiment, [rule_of(other) for other in others])
    for _ in training.chunks():
        pass
    return training


def same(training: LedTraining, run: rnnsim.Run) -> bool:
    """Whether a run that was led is the run alone, to the bit."""
    curves = losses_at(training.curve, 8, 5), run.metrics["loss"]
    assert curves[0].shape == (5,)
    return (
        all(np.array_equal(x, y) for x, y in zip(training.params, run.params, strict=True))
        and (training.step, training.solved_at) == (run.steps, run.solved_at)
        and training.evaluate() == run.held_out
    )


def test_the_leader_runs_as_it_does_alone_compiled() -> None:
    """To the bit, over some thousand steps; beside it runs its own rule once more."""
    training = led("rtrl", [], steps=4000)
    assert same(training, rnnsim.run("rtrl", "delayed-xor", steps=4000, stop=False))
    np.testing.assert_allclose(training.measures.alignment, 1, rtol=4e-16)
    assert not training.measures.not_finite.any()


@uncompiled
@pytest.mark.parametrize("choices", [
    {"optimizer": "momentum", "clip": 0.1}, {"window": 7, "batch": 2, "reduction": "mean"},
    {"dtype": "float32", "schedule": "linear"},
])  # fmt: skip
def test_the_leader_runs_as_it_does_alone(choices: dict[str, Any]) -> None:
    training = led("rtrl", ["bptt", "rtrl-block", Scaled()], **SMALL, **choices)
    alone = rnnsim.run("rtrl", "delayed-xor", stop=False, **SMALL, **choices)
    assert same(training, alone)
    other = rnnsim.run("rtrl", "delayed-xor", stop=False, seed=1, **SMALL, **choices)
    assert not same(training, other)


@kernel
def nudge(theta: Any, grad: Any, memory: Any, rate: float) -> None:
    theta[0] += 1e-12


@uncompiled
def test_a_follower_that_moved_the_weights_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above."""
    alone = rnnsim.run("rtrl", "delayed-xor", stop=False, **SMALL)
    monkeypatch.setattr(Still, "update", lambda self: nudge)
    assert not same(led("rtrl", ["bptt"], **SMALL), alone)


@uncompiled
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of plain NumPy
def test_a_gradient_that_is_not_finite_is_told_and_harms_nobody() -> None:
    others = [Infinite()]
    assert same(led("rtrl", others, **SMALL), rnnsim.run("rtrl", "delayed-xor", stop=False, **SMALL))
    found = rnnsim.compare(["rtrl", *others], "delayed-xor", **SMALL)
    assert found.not_finite[1] > 50
    assert np.isnan(found.alignment[..., 0, 1]).all()
    assert f"of infinite was not finite in {found.not_finite[1]} windows" in found.summary()


# --- when each leads ---


@uncompiled
def test_each_rule_learns_when_it_leads_as_it_does_alone() -> None:
    """With the settings of the first; seeds, curves and held-out losses are those of runs."""
    rules = ["rtrl", "truncated-bptt:h=5"]
    found = rnnsim.compare(rules, "delayed-xor", seeds=2, **SMALL)
    options: list[dict[str, Any]] = [{}, {"h": 5, "window": 1}]
    for seed in (0, 1):
        for i, (rule, own) in enumerate(zip(("rtrl", "truncated-bptt"), options)):
            run = rnnsim.run(rule, "delayed-xor", seed=seed, stop=False, **SMALL, **own)
            losses = found.losses[seed, :, i]
            assert np.array_equal(losses[np.isfinite(losses)], run.metrics["loss"])
            assert np.array_equal(found.step[np.isfinite(losses)], run.metrics["step"])
            assert found.held_out[seed, i] == run.loss
            assert math.isnan(found.solved_at[seed, i]) == (run.solved_at is None)
    assert not np.array_equal(found.losses[0], found.losses[1])
    assert (found.seconds_per_step > 0).all()
    assert found.seeds == 2
    assert found.last_loss == pytest.approx(found.losses[:, -6:].mean(axis=(0, 1)))


@uncompiled
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of plain NumPy
def test_a_leader_that_diverges_is_told() -> None:
    found = rnnsim.compare(["bptt", "rtrl"], "delayed-xor", optimizer="sgd", learning_rate=1e300,
                           activation="identity", window=2, **SMALL)  # fmt: skip
    assert np.isnan(found.held_out).all()
    assert np.isnan(found.losses[:, -1]).all()
    assert "diverged" in found.summary()
    assert found.as_dict()["held_out"] == [[None, None]]


def test_learning_curves_in_larger_points() -> None:
    """As many steps as the curve merges, or more; nan where there was no target."""
    curve = new_curve()
    curve.every[0] = 2
    curve.loss[:6], curve.weight[:6] = [1, 3, 4, 0, 6, 5], [1, 1, 2, 0, 2, 0]
    assert losses_at(curve, 2, 4).tolist() == pytest.approx([1, 3, 2, math.nan], nan_ok=True)
    assert losses_at(curve, 4, 4).tolist() == pytest.approx([2, 2, 5.5, math.nan], nan_ok=True)
    assert losses_at(curve, 2048, 1).tolist() == [19 / 6]


# --- names ---


def test_rules_with_options_and_what_they_are_called() -> None:
    rules = [rule_of(each) for each in (
        "rtrl", "truncated-bptt:h=6,h_prime=1", "truncated-bptt", RTRL(), Scaled(factor=3.0), "rtrl"
    )]  # fmt: skip
    assert (rules[1].h, rules[1].h_prime) == (6, 1)  # type: ignore[attr-defined]
    assert labels(rules) == (
        "rtrl", "truncated-bptt:h=6,h_prime=1", "truncated-bptt", "rtrl #2", "scaled:factor=3.0",
        "rtrl #3",
    )  # fmt: skip
    for wrong in ("rtrl:", "truncated-bptt:h", "truncated-bptt:=3", "truncated-bptt:h=2,h=3"):
        with pytest.raises(RnnsimError, match="the options of a rule are given as in NAME:h=6"):
            rule_of(wrong)
    with pytest.raises(RnnsimError, match="no option of rtrl is called 'h'"):
        rule_of("rtrl:h=3")


@pytest.mark.parametrize(
    ("rules", "task", "choices", "message"),
    [
        (["rtrl"], "delayed-xor", {}, "rules must be at least two"),
        (
            ["rtrl", "recurrent-backprop"],
            "delayed-xor",
            {},
            "needs a task whose patterns are held fixed",
        ),
        (["rtrl", "fast-weights-1"], "delayed-xor", {}, "fast-weights-1"),
        (
            ["rtrl", "bptt"],
            "delayed-xor",
            {"seed": 3},
            "seed is an argument of a single run; a comparison",
        ),
        (["rtrl", "truncated-bptt"], "delayed-xor", {"h": 3}, "'h'"),
    ],
)
def test_what_cannot_be_compared(
    rules: list[str], task: str, choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(RnnsimError, match=message):
        rnnsim.compare(rules, task, **choices)


# --- what is printed, saved and drawn ---

WORDS = ["compare", "rtrl", "truncated-bptt:h=3,h_prime=1", "--task", "delayed-xor", "--steps", "40",
         "--hidden", "3", "-o", "d=1"]  # fmt: skip


@uncompiled
def test_the_command_prints_saves_and_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "found.json", tmp_path / "found.png"
    printed = CliRunner().invoke(main, [*WORDS, "--save", str(file), "--plot", str(picture)])
    assert printed.exit_code == 0, printed.stderr
    as_json = CliRunner().invoke(main, [*WORDS, "--json"])
    saved, shown = json.loads(file.read_text()), json.loads(as_json.stdout)
    assert shown.pop("seconds_per_step") != saved.pop("seconds_per_step")
    assert shown == saved
    found = rnnsim.compare(
        ["rtrl", "truncated-bptt:h=3,h_prime=1"], "delayed-xor", steps=40, hidden=3, d=1
    )
    assert saved["mean_alignment"] == found.mean_alignment.tolist()
    assert np.array_equal(np.array(saved["losses"], float), found.losses, equal_nan=True)
    rows = [line.split("|") for line in printed.stdout.splitlines()]
    cells = [row[2].strip() for row in rows if row[1:2] and row[1].strip().startswith("truncated")]
    assert cells[0] == f"{found.mean_alignment[1, 0]:.3f}"
    assert cells[1] == f"{found.mean_norm_ratio[1, 0]:.3g}"
    assert cells[2] == f"{found.last_loss[1]:.4g}"
    assert picture.read_bytes().startswith(b"\x89PNG")


@uncompiled
def test_the_figure_shows_the_matrix_the_lines_and_the_floors() -> None:
    pytest.importorskip("matplotlib")
    rules = ["rtrl", "bptt", "truncated-bptt:h=3,h_prime=1"]
    found = rnnsim.compare(rules, LaggedAdd(t1=1, t2=2), hidden=3, steps=90, seeds=2)
    matrix, alignment, norms, losses = found.plot().axes
    np.testing.assert_allclose(matrix.images[0].get_array(), found.mean_alignment)
    texts = [text.get_text() for text in matrix.texts]
    assert texts == [f"{value:.2f}" for value in found.mean_alignment.ravel()]
    for axes in (alignment, norms, losses):
        looks = {(line.get_color(), str(line.get_linestyle())) for line in axes.lines[:3]}
        assert len(looks) == 3
    drawn = alignment.lines[1].get_ydata()
    assert drawn[-1] == pytest.approx(np.nanmean(found.alignment[:, -1:, 1, 0]), abs=0.3)
    floors = [line.get_ydata()[0] for line in losses.lines[3:]]
    assert floors == list(LaggedAdd().floors.values())
    assert [note.get_text() for note in losses.texts] == list(LaggedAdd().floors)


def test_each_of_many_rules_has_a_line_of_its_own() -> None:
    """A colour and a style that no other has, also where there are more rules than colours."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    values = np.random.default_rng(0).random((1, 5, 12))
    lines = draw_lines(figure.subplots(), np.arange(5), values)
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 12
    assert len({line.get_color() for line in lines}) == len(COLOURS)
    for i, line in enumerate(lines):
        np.testing.assert_allclose(line.get_ydata(), values[0, :, i])
