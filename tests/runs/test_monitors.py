"""Monitors: what they record is what there was, and the run is the same without them."""

from __future__ import annotations

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
from rnnsim.registry import installed
from rnnsim.training.monitors import STEP
from rnnsim.training.seen import Seen

SMALL: dict[str, Any] = {"hidden": 3, "steps": 40, "stop": False}

uncompiled = pytest.mark.usefixtures("uncompiled", "few_held_out")


@pytest.fixture
def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs on few held-out data, which takes less time where nothing is compiled."""
    for name in ("delayed-xor", "flip-flop"):
        monkeypatch.setattr(installed().tasks[name].thing, "held_out_shape", lambda self: (20, 1))


def recorded(monitor: Any, **given: Any) -> dict[str, np.ndarray]:
    return rnnsim.run("rtrl", "delayed-xor", monitor=monitor, **{**SMALL, **given}).metrics


def norm(seen: Seen) -> float:
    return float(np.sqrt((seen.params.W**2).sum()))


def test_a_run_is_the_same_to_the_bit_with_monitors() -> None:
    """Compiled: the default run, cut into pieces of 7 steps for them, or not."""
    monitor = {"norm": norm, "state": "state", "grad": "grad", "radius": "spectral-radius"}
    choices: dict[str, Any] = {"steps": 3000, "keep": "best"}
    plain = rnnsim.run("rtrl", "delayed-xor", **choices)
    seen = rnnsim.run("rtrl", "delayed-xor", monitor=monitor, monitor_every=7, **choices)
    assert (plain.solved_at, plain.steps, plain.held_out) == (seen.solved_at, seen.steps, seen.held_out)
    for one, other in zip(plain.params, seen.params, strict=True):
        assert np.array_equal(one, other)
    for name, values in plain.metrics.items():
        assert np.array_equal(values, seen.metrics[name])
    assert plain.best is not None
    assert seen.best is not None
    assert plain.best.step == seen.best.step
    assert set(seen.metrics) - set(plain.metrics) == {STEP, *monitor}
    assert len(seen.metrics[STEP]) > 300
    assert not np.array_equal(seen.metrics["norm"][0], seen.metrics["norm"][-1])


@uncompiled
def test_the_gradient_that_is_recorded_is_the_one_that_moved_the_weights() -> None:
    found = recorded(["params", "grad", "params.W", "grad.b"], monitor_every=1, optimizer="sgd",
                     learning_rate=0.25, clip=math.inf)  # fmt: skip
    params, grad = found["params"], found["grad"]
    assert params.shape == grad.shape == (40, 3 * 2 + 3 * 3 + 3 + 3 + 1)
    np.testing.assert_allclose(params[1:], params[:-1] - 0.25 * grad[1:], rtol=1e-13, atol=1e-15)
    assert not np.allclose(params[1:], params[:-1] - 0.25 * grad[:-1])  # the control: of the step before
    assert np.array_equal(found["params.W"].reshape(40, 9), params[:, :9])
    assert np.array_equal(found["grad.b"], grad[:, 15:18])


@uncompiled
def test_the_state_and_the_last_parameters() -> None:
    """With a learning rate of 0 the states are those of a simulation of the same data."""
    run = rnnsim.run("rtrl", "delayed-xor", monitor=["state", "params.V"], monitor_every=8, batch=2,
                     learning_rate=0, **SMALL)  # fmt: skip
    stream = draw(run.experiment.task, 40, 2, [0, 1], plain=True)
    states = rnnsim.simulate(run.experiment.network, run.params, stream.inputs).states
    assert run.metrics[STEP].tolist() == [8, 16, 24, 32, 40]
    np.testing.assert_allclose(run.metrics["state"], states[7::8], rtol=1e-12, atol=1e-14)
    moved = rnnsim.run("rtrl", "delayed-xor", monitor="params.V", monitor_every=39, **SMALL)
    assert moved.metrics[STEP].tolist() == [39, 40]  # and at the end
    assert np.array_equal(moved.metrics["params.V"][-1], moved.params.V)


@uncompiled
def test_names_and_functions_agree() -> None:
    """The spectral radius is that of W, and a function sees what the names record."""
    found = recorded(
        {"radius": "spectral-radius", "steps": lambda seen: seen.step, "norm": norm, "W": "params.W",
         "kind": lambda seen: seen.network.n_hidden},
        monitor_every=10,
    )  # fmt: skip
    assert found["steps"].tolist() == found[STEP].tolist() == [10, 20, 30, 40]
    for W, radius, size in zip(found["W"], found["radius"], found["norm"]):
        assert radius == pytest.approx(max(abs(np.linalg.eigvals(W))))
        assert size == pytest.approx(np.linalg.norm(W))
        assert radius != pytest.approx(np.linalg.norm(W, 2))
    assert set(found["kind"]) == {3}


@uncompiled
def test_the_gradient_is_the_same_after_a_look_at_validation_data() -> None:
    """The network runs over them between a window and the monitors, at the same steps."""
    plain = recorded("grad", monitor_every=10)["grad"]
    looked = recorded("grad", monitor_every=10, keep="best", keep_every=10)["grad"]
    assert abs(plain).max(axis=1).min() > 0
    assert np.array_equal(looked, plain)


@uncompiled
def test_the_norms_are_those_of_the_gradient_and_of_each_of_its_arrays() -> None:
    names = ["grad-norm", "grad", "grad.U", "grad.c"]
    found = recorded(names, monitor_every=10, clip=math.inf)
    norms, grad = found["grad-norm"], found["grad"]
    assert norms.shape == (4, 1 + 5)  # of W, U, b, V and c
    np.testing.assert_allclose(norms[:, 0], np.sqrt((grad**2).sum(axis=1)), rtol=1e-13)
    np.testing.assert_allclose(norms[:, 2], np.sqrt((found["grad.U"] ** 2).sum(axis=(1, 2))), rtol=1e-13)
    np.testing.assert_allclose(norms[:, 5], abs(found["grad.c"][:, 0]), rtol=1e-13)
    assert norms.max() > 0
    assert not np.allclose(norms[:, 1], norms[:, 2])  # the control: W's is another


@uncompiled
def test_the_norms_are_those_before_clipping() -> None:
    """With a learning rate of 0 the gradients of a run that clips are the same ones, scaled down."""
    still = {"monitor_every": 1, "learning_rate": 0.0}
    free = recorded("grad-norm", clip=math.inf, **still)["grad-norm"]
    bound = float(np.median(free[:, 0]))
    clipped = recorded(["grad-norm", "grad"], clip=bound, **still)
    np.testing.assert_allclose(clipped["grad-norm"], free, rtol=1e-12)
    own = np.linalg.norm(clipped["grad"], axis=1)
    np.testing.assert_allclose(own, np.minimum(free[:, 0], bound), rtol=1e-12)
    assert (own < 0.9 * free[:, 0]).any()  # the control: some are clipped, by far


@uncompiled
def test_records_are_made_at_the_ends_of_windows() -> None:
    assert recorded("state", window=4, monitor_every=10)[STEP].tolist() == [12, 20, 32, 40]
    assert len(recorded("state", steps=400)[STEP]) == 100  # by default a hundredth of the run


@uncompiled
def test_what_is_seen_cannot_be_written_to() -> None:
    for part in ("params", "grad"):

        def write(seen: Seen, part: str = part) -> float:
            getattr(seen, part).W[0, 0] = 3.0
            return 0.0

        with pytest.raises(RnnsimError, match=r"monitor writes fails at step 10.*read-only"):
            recorded({"writes": write}, monitor_every=10)

    def write_state(seen: Seen) -> float:
        seen.state[:] = 0
        return 0.0

    with pytest.raises(RnnsimError, match=r"monitor writes fails at step 10.*read-only"):
        recorded({"writes": write_state}, monitor_every=10)


@uncompiled
@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ({"f": lambda seen: seen.weights}, "monitor f fails at step 10; .*no attribute 'weights'"),
        ({"f": lambda seen: "text"}, "monitor f must return a real number or an array of them"),
        ({"f": lambda seen: None}, "monitor f must return a real number"),
        ({"f": lambda seen: np.zeros(seen.step)}, r"monitor f must return one shape, which was \(10,\)"),
        ({"f": 3}, "monitor f is a function or a name, not 3"),
        (
            {"loss": norm},
            "a monitor is called 'loss'; its name must be text other than step, loss, error",
        ),
        ("params.w", "no monitor is called 'params.w'; did you mean params.W"),
        ("stat", "no monitor is called 'stat'; did you mean state"),
    ],
)
def test_a_monitor_that_cannot_be_is_refused(monitor: Any, message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        recorded(monitor, monitor_every=10)


@uncompiled
def test_a_network_without_a_square_W_has_no_spectral_radius() -> None:
    with pytest.raises(RnnsimError, match="a square matrix, which a fast-weight network must have"):
        rnnsim.run("fast-weights-1", "flip-flop", steps=5, monitor="spectral-radius")
    run = rnnsim.run("fast-weights-1", "flip-flop", steps=5, monitor="params.W1", monitor_every=5)
    assert run.metrics["params.W1"].shape == (1, *run.params.W1.shape)


@uncompiled
def test_what_was_recorded_is_saved_with_the_run(tmp_path: Path) -> None:
    monitor = {"norm": norm, "W": "params.W", "nothing": lambda seen: math.nan}
    run = rnnsim.run("rtrl", "delayed-xor", monitor=monitor, save=tmp_path / "run", **SMALL)
    loaded = rnnsim.load(tmp_path / "run")
    assert set(loaded.metrics) == set(run.metrics)
    for name, values in run.metrics.items():
        np.testing.assert_array_equal(loaded.metrics[name], values)
    assert loaded.params._fields == run.params._fields
    assert np.array_equal(loaded.params.W, run.params.W)
    assert loaded.best is None
    rnnsim.run("rtrl", "delayed-xor", save=tmp_path / "run", **SMALL)  # nothing of it is left behind
    assert set(rnnsim.load(tmp_path / "run").metrics) == {"step", "loss", "error"}


@uncompiled
def test_monitors_on_the_command_line(tmp_path: Path) -> None:
    words = ["run", "rtrl", "delayed-xor", "--steps", "40", "--hidden", "3", "--monitor",
             "spectral-radius", "--monitor", "state", "--monitor-every", "10", "--save",
             str(tmp_path / "run")]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    metrics = rnnsim.load(tmp_path / "run").metrics
    assert metrics["state"].shape == (4, 1, 3)
    first, last = metrics["spectral-radius"][[0, -1]]
    line = f"spectral-radius: {first:.4g} after 10 steps, {last:.4g} after 40"
    assert line in result.stdout.splitlines()
