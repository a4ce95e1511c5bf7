"""What can be sent to another process: networks, rules, tasks, experiments and runs."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_plugin.leaky_network import LeakyNetwork

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.registry import installed, make_rule, make_task
from rnnsim.runs.result import Run
from rnnsim.training.experiment import configure

pytestmark = pytest.mark.usefixtures("uncompiled")


def bent(a: float) -> float:
    return a / (1 + abs(a))


def slope_of_bent(a: float) -> float:
    return 1 / (1 + abs(a)) ** 2


def there_and_back(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


PARTLY = np.array([[1, 1], [0, 1]], bool)
NETWORKS: dict[str, Callable[[], Network]] = {
    "recurrent": lambda: rnnsim.RecurrentNetwork(2, 2, 1),
    "with all options": lambda: rnnsim.RecurrentNetwork(
        n_in=2, n_hidden=2, n_out=1, activation="logistic", leak=0.5, readout=[1],
        loss="logistic-cross-entropy", connectivity=PARTLY, dtype="float32",
    ),
    "with functions": lambda: rnnsim.RecurrentNetwork(2, 2, 1, activation=(bent, slope_of_bent)),
    "fast weights": lambda: rnnsim.FastWeightNetwork(n_slow_in=2, n_in=2, n_out=1, slow_hidden=(3,)),
    "fast weights with options": lambda: rnnsim.FastWeightNetwork(
        architecture=2, n_slow_in=2, n_in=2, n_out=1, fast_hidden=[3], shortcuts=(True, False),
        hidden_activation=("tanh", [(bent, slope_of_bent)]), sigma="decay", retention=0.5,
        initial="slow",
    ),
    "of a plugin": lambda: LeakyNetwork(2, 2, n_out=1),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("through", [there_and_back, copy.deepcopy, copy.copy])
def test_a_network_is_made_anew(name: str, through: Callable[[Any], Any]) -> None:
    network = NETWORKS[name]()
    again = through(network)
    assert type(again) is type(network)
    assert name == "of a plugin" or repr(again) == repr(network)
    rows = np.random.default_rng(0).random((5, 2))
    params = network.init(seed=3)
    assert rnnsim.loss(again, params, rows, rows[:, :1]) == rnnsim.loss(
        network, params, rows, rows[:, :1]
    )
    assert repr(through(again)) == repr(again) or name == "of a plugin"


def test_it_is_made_from_the_arguments_as_they_were() -> None:
    readout, connectivity = [1], np.ones((2, 2), bool)
    network = rnnsim.RecurrentNetwork(2, 2, 1, readout=readout, connectivity=connectivity)
    readout[0] = 0
    connectivity[0, 1] = False
    again = there_and_back(network)
    assert again.units.tolist() == [1]
    assert again.connectivity.all()


@pytest.mark.parametrize("nested", [False, True])
def test_a_function_without_a_name_is_a_clear_error(nested: bool) -> None:
    def inner(a: float) -> float:
        return a

    function = inner if nested else lambda a: a
    unchecked = {"activation": (function, slope_of_bent), "check_derivatives": False}
    network = rnnsim.RecurrentNetwork(2, 2, 1, **unchecked)
    run = rnnsim.run("bptt", "delayed-xor", **unchecked, steps=1)
    for thing in (network, run, run.experiment):
        with pytest.raises(
            RnnsimError, match=r"the function .*inner|<lambda> cannot be sent to another"
        ):
            pickle.dumps(thing)
    network = rnnsim.FastWeightNetwork(
        n_slow_in=2, n_in=2, n_out=1, fast_hidden=2, check_derivatives=False,
        hidden_activation=("tanh", [(function, bent)]),
    )  # fmt: skip
    with pytest.raises(RnnsimError, match="define it by def, at the top level of a module"):
        pickle.dumps(network)


@pytest.mark.parametrize("rule", list(installed().rules))
def test_rules_can_be_sent(rule: str) -> None:
    made = make_rule(rule, {})
    assert there_and_back(made) == made


@pytest.mark.parametrize("task", list(installed().tasks))
def test_tasks_and_experiments_can_be_sent(task: str, options: dict[str, dict[str, Any]]) -> None:
    made = make_task(task, options.get(task, {}))
    assert there_and_back(made) == made
    rule = made.suggestion("bptt").rule
    experiment = configure(rule, made, optimizer="adam", steps=3)
    again = there_and_back(experiment)
    assert repr(again) == repr(experiment)
    for one, other in zip(again.initial_params(), experiment.initial_params()):
        np.testing.assert_array_equal(one, other)


def spawned(run: Run) -> tuple[Run, float]:
    """What another process makes of a run: the run, and the loss of the same experiment."""
    import numba

    numba.config.DISABLE_JIT = 1  # type: ignore[attr-defined]
    experiment = run.experiment
    again = rnnsim.run(experiment.rule, experiment.task, network=experiment.network, steps=20)
    return run, again.loss


def test_a_run_is_sent_to_another_process_and_back() -> None:
    network = rnnsim.RecurrentNetwork(2, 3, 1, activation=(bent, slope_of_bent))
    run = rnnsim.run("bptt", "delayed-xor", network=network, steps=20)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        again, loss = executor.submit(spawned, run).result(timeout=120)
    assert loss == run.loss
    assert again.summary() == run.summary()
    assert (again.solved_at, again.held_out) == (run.solved_at, run.held_out)
    for name, column in run.metrics.items():
        np.testing.assert_array_equal(again.metrics[name], column)
    assert type(again.params) is type(run.params)
    for one, other in zip(again.params, run.params):
        np.testing.assert_array_equal(one, other)
        assert one.flags.writeable


def test_a_run_with_fast_weights_can_be_sent() -> None:
    run = rnnsim.run("fast-weights-1", "flip-flop", steps=2)
    again = there_and_back(run)
    assert again.params._fields == run.params._fields
    np.testing.assert_array_equal(again.params.W1, run.params.W1)


def test_a_sweep_can_be_sent(tmp_path: Path) -> None:
    """With its results; one that has a file is read from there."""
    for file in (None, tmp_path / "found.sqlite"):
        found = rnnsim.sweep("bptt", "delayed-xor", 2, steps=2, file=file)
        again = there_and_back(found)
        assert (again.path, again.cells) == (found.path, found.cells)
        assert again.summary() == found.summary()
        assert [sorted(curve) for *_, curve in again.curves()] == [["error", "loss", "step"]] * 2
