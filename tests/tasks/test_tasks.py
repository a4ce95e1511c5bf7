"""What holds for every task: its stream, its baseline, its criterion, its suggestion."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from processes import run
from task_streams import B, draw, first_rows, make, met_at

from rnnsim.compiler import compiled
from rnnsim.criterion import Never
from rnnsim.network import Stream, empty_stream
from rnnsim.registry import installed
from rnnsim.task import Task
from rnnsim.training.experiment import configure

TASKS = sorted(installed().tasks)
SAME_EVERY_TIME = {"trajectory", "table"}  # nothing random
ROWS = 30_000


class Drawn(NamedTuple):
    task: Task
    stream: Stream


@pytest.fixture(scope="module", params=TASKS)
def drawn(request: pytest.FixtureRequest, options: dict[str, dict[str, Any]]) -> Drawn:
    task = make(request.param, options)
    return Drawn(task, draw(task, ROWS))


def test_shapes_masks_and_values(drawn: Drawn) -> None:
    task, stream = drawn
    rows = len(stream.mask)
    assert rows == ROWS or ROWS - (task.episode_length or 0) < rows <= ROWS
    assert stream.inputs.shape == (rows, B, task.n_in)
    assert stream.targets.shape == (rows, B, task.n_out)
    assert np.isfinite(stream.inputs).all()
    assert np.isfinite(stream.targets).all()
    assert ((stream.mask == 0) | (stream.mask == 1)).all()
    assert (stream.mask.sum(axis=0) > 100).all()
    if task.episode_length is None:
        assert not stream.ends.any()
    else:
        starts = np.flatnonzero(stream.resets.all(axis=1))
        assert (np.flatnonzero(stream.ends)[:-1] + 1 == starts[1:]).all()
        assert starts[0] == 0
        assert (stream.resets.any(axis=1) == stream.resets.all(axis=1)).all()
        assert stream.ends[-1]
        assert np.diff([*starts, rows]).max() <= task.episode_length


def test_legal_outputs_include_the_target(drawn: Drawn) -> None:
    task, stream = drawn
    if task.has_legal:
        targets = stream.mask > 0
        assert (stream.legal & (stream.targets > 0)).any(axis=2)[targets].all()
        assert not stream.legal[~targets].any()
        assert set(stream.legal.sum(axis=2)[targets]) == {1, 2}
    else:
        assert stream.legal.shape[0] == 0


def test_same_seed_same_stream_however_it_is_cut(drawn: Drawn) -> None:
    task, whole = drawn
    length = task.episode_length or 1
    source = task.source(np.random.default_rng(0), B, np.float64)
    stream = empty_stream(4 * length + 50, B, task.n_in, task.n_out, np.float64, legal=task.has_legal)
    fill, start = compiled(task.fill()), 0
    for rows in (length, length + 7, 4 * length + 50, 2 * length - 1, length, 3 * length + 1):
        filled = fill(source, stream, rows)
        assert 0 < filled <= rows
        for name in ("inputs", "targets", "mask", "resets", "ends", "legal"):
            part = getattr(whole, name)[start : start + filled]
            assert np.array_equal(getattr(stream, name)[: len(part)], part), name
        start += filled


def test_plain_python_and_machine_code_agree(drawn: Drawn) -> None:
    task, whole = drawn
    plain = draw(task, 4 * (task.episode_length or 50), plain=True)
    for part, expected in zip(plain, first_rows(whole, len(plain.mask))):
        assert np.array_equal(part, expected)


def test_seeds_and_held_out_data_differ(drawn: Drawn) -> None:
    task, whole = drawn
    rows = 4 * (task.episode_length or 50)
    other = draw(task, rows, seed=1, held_out=True)
    same = np.array_equal(other.inputs, whole.inputs[: len(other.inputs)])
    assert same == (task.name == "trajectory")
    if task.name not in SAME_EVERY_TIME:
        assert not np.array_equal(draw(task, rows, seed=1).inputs, whole.inputs[: len(other.inputs)])


def loss_of_best_constant(task: Task, stream: Stream) -> float:
    targets = stream.targets[stream.mask > 0]
    mean = targets.mean(axis=0)
    if task.suggestion("bptt").network.get("loss") == "softmax-cross-entropy":
        assert (targets.sum(axis=1) == 1).all()
        return float(-sum(p * np.log(p) for p in mean if p > 0))
    return float(((targets - mean) ** 2).sum(axis=1).mean() / 2)


def test_baseline_is_the_loss_of_the_best_constant(drawn: Drawn) -> None:
    task, stream = drawn
    assert task.baseline == pytest.approx(loss_of_best_constant(task, stream), rel=0.04)


def some_targets(stream: Stream, targets: int = 6000) -> Stream:
    return first_rows(stream, int(np.searchsorted(np.cumsum(stream.mask.sum(axis=1)), targets)) + 1)


@pytest.mark.parametrize("answer", ["zero", "constant", "random"])
def test_criterion_is_not_met_by_chance(drawn: Drawn, answer: str) -> None:
    task, stream = drawn[0], some_targets(drawn.stream)
    shape = stream.targets.shape
    outputs = {
        "zero": np.zeros(shape),
        "constant": np.broadcast_to(drawn.stream.targets[drawn.stream.mask > 0].mean(axis=0), shape),
        "random": np.random.default_rng(5).standard_normal(shape),
    }[answer]
    assert met_at(task.criterion, stream, outputs) is None


def test_criterion_is_met_by_the_targets(drawn: Drawn) -> None:
    task, stream = drawn[0], some_targets(drawn.stream)
    met = met_at(task.criterion, stream, stream.targets)
    assert met is None if isinstance(task.criterion, Never) else met is not None


def test_suggestions_make_an_experiment(drawn: Drawn) -> None:
    task = drawn.task
    kinds = ["recurrent"] if task.steady else ["recurrent", "fast-weight"]
    for kind in kinds:
        suggestions = task.suggestions("bptt", kind)
        assert kind == "fast-weight" or next(iter(suggestions.values())) == task.suggestion("bptt")
        for name, suggested in suggestions.items():
            experiment = configure(suggested.rule, task, network=kind, settings=name)
            assert (experiment.network.kind, experiment.steps) == (kind, suggested.steps)
            assert experiment.initial_params()


def test_inputs_and_outputs_have_names(drawn: Drawn) -> None:
    task = drawn.task
    for names, count in ((task.input_names, task.n_in), (task.output_names, task.n_out)):
        assert len(set(names)) == count
        assert all(names)


@pytest.mark.parametrize("name", TASKS)
def test_every_option_says_what_it_is(name: str) -> None:
    task = installed().tasks[name].thing
    assert set(task.describe()) == set(task.defaults())
    assert 20 < len(task.summary()) < 100


def test_listing_tasks_stays_quick() -> None:
    code = (
        "import sys, rnnsim; rnnsim.tasks(); "
        "print([name for name in ('numba', 'sklearn', 'scipy') if name in sys.modules])"
    )
    assert run(sys.executable, "-c", code, check=True).stdout.strip() == "[]"


def test_generators_pass_into_cached_machine_code(tmp_path: Path) -> None:
    """A second process takes the kernel from the disk and draws the same."""
    code = (
        "import numpy as np\nfrom rnnsim.compiler import compiled\n"
        "from rnnsim.registry import make_task\n"
        "from rnnsim.network import empty_stream\n"
        "task, stream = make_task('flip-flop', {}), empty_stream(100, 2, 3, 1, 'float64')\n"
        "fill = compiled(task.fill())\n"
        "fill(task.source(np.random.default_rng(3), 2, 'float64'), stream, 100)\n"
        "print(stream.inputs.ravel().astype(int), sum(fill.dispatcher.stats.cache_hits.values()))"
    )
    env = os.environ | {"RNNSIM_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    first, second = (
        run(sys.executable, "-c", code, env=env, check=True).stdout.rsplit(" ", 1) for _ in range(2)
    )
    assert first[0] == second[0]
    assert (int(first[1]), int(second[1])) == (0, 1)
