"""The tasks: what holds for each of them, and each one's own rule stated again in plain Python."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import rnnsim
from rnnsim.criteria import HeldOut, Never
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.kernels import compiled
from rnnsim.network import Stream, empty_stream
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.registry import installed
from rnnsim.task import Task

TASKS = sorted(installed().tasks)
SAME_EVERY_TIME = {"trajectory", "table"}  # nothing random
ROWS, B = 30_000, 3


def wave(rows: int = 500) -> np.ndarray:
    t = np.arange(rows)
    return np.stack([np.sin(t / 7), 5 + 3 * np.cos(t / 11)], axis=1)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a task cannot be made without."""
    path = tmp_path_factory.mktemp("table") / "wave.csv"
    path.write_text("\n".join(["day,x,y", *(f"d{i},{x},{y}" for i, (x, y) in enumerate(wave()))]))
    return {"table": {"path": str(path)}}


def make(name: str, options: dict[str, dict[str, Any]]) -> Task:
    task: Task = installed().tasks[name].thing.from_options(options.get(name, {}))
    return task


def draw(
    task: Task, rows: int, batch: int = B, seed: int = 0, *, plain: bool = False, held_out: bool = False
) -> Stream:
    """Fill so many rows and give those that were filled."""
    stream = empty_stream(rows, batch, task.n_in, task.n_out, np.float64, legal=task.has_legal)
    fill = task.fill() if plain else compiled(task.fill())
    filled = fill(
        task.source(np.random.default_rng(seed), batch, np.float64, held_out=held_out), stream, rows
    )
    return first_rows(stream, filled)


def first_rows(stream: Stream, rows: int) -> Stream:
    return Stream(*(part[:rows] for part in stream))


class Drawn(NamedTuple):
    task: Task
    stream: Stream


@pytest.fixture(scope="module", params=TASKS)
def drawn(request: pytest.FixtureRequest, options: dict[str, dict[str, Any]]) -> Drawn:
    task = make(request.param, options)
    return Drawn(task, draw(task, ROWS))


# --- what holds for every task ---


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


def met_at(task: Task, stream: Stream, outputs: np.ndarray) -> int | None:
    """At which row the criterion is met with these outputs."""
    criterion = task.criterion
    if isinstance(criterion, HeldOut):
        from rnnsim.criteria import SCORES

        answered = stream._replace(outputs=outputs)
        score = [SCORES[criterion.score](answered, t, b) for t, b in np.argwhere(stream.mask > 0)]
        return 0 if criterion.reached(float(np.mean(score))) else None
    memory, met = criterion.memory(), criterion.met()
    answered = stream._replace(outputs=outputs)
    return next((t for t in range(len(stream.mask)) if met(memory, answered, t)), None)


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
    assert met_at(task, stream, outputs) is None


def test_criterion_is_met_by_the_targets(drawn: Drawn) -> None:
    task, stream = drawn[0], some_targets(drawn.stream)
    met = met_at(task, stream, stream.targets)
    assert met is None if isinstance(task.criterion, Never) else met is not None


def test_suggestion_makes_a_network(drawn: Drawn) -> None:
    task = drawn.task
    suggested = task.suggestion("bptt")
    network = RecurrentNetwork(task.n_in, suggested.hidden, task.n_out, **suggested.network)
    assert network.init(0, **suggested.init)
    assert suggested.rule in installed().rules
    assert installed().rules[suggested.rule].thing.settles == task.steady


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
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_generators_pass_into_cached_machine_code(tmp_path: Path) -> None:
    """A second process takes the kernel from the disk and draws the same."""
    code = (
        "import numpy as np; from rnnsim.kernels import compiled; from rnnsim.registry "
        "import make_task\n"
        "from rnnsim.network import empty_stream\n"
        "task, stream = make_task('flip-flop', {}), empty_stream(100, 2, 3, 1, 'float64')\n"
        "fill = compiled(task.fill())\n"
        "fill(task.source(np.random.default_rng(3), 2, 'float64'), stream, 100)\n"
        "print(stream.inputs.ravel().astype(int), sum(fill.dispatcher.stats.cache_hits.values()))"
    )
    env = os.environ | {"RNNSIM_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    first, second = (
        subprocess.check_output([sys.executable, "-c", code], text=True, env=env).rsplit(" ", 1)
        for _ in range(2)
    )
    assert first[0] == second[0]
    assert (int(first[1]), int(second[1])) == (0, 1)


# --- each task's own rule, stated again ---


def sequences(stream: Stream) -> Any:
    """Each sequence: its inputs, targets and mask."""
    for b in range(stream.mask.shape[1]):
        yield stream.inputs[:, b], stream.targets[:, b], stream.mask[:, b]


def episodes(stream: Stream) -> Any:
    """Each episode of each sequence: inputs, targets, legal outputs, up to its last target."""
    starts = [*np.flatnonzero(stream.resets[:, 0]), len(stream.mask)]
    for start, stop in itertools.pairwise(starts):
        for b in range(stream.mask.shape[1]):
            last = start + np.flatnonzero(stream.mask[start:stop, b])[-1] + 1
            assert not stream.mask[last:stop, b].any()
            legal = stream.legal[start:last, b] if len(stream.legal) else None
            yield stream.inputs[start:last, b], stream.targets[start:last, b], legal


def some(name: str, rows: int, **given: Any) -> Stream:
    return draw(installed().tasks[name].thing.from_options(given), rows, batch=2, plain=True)


def test_flip_flop_asks_for_the_first_b_after_an_a() -> None:
    for inputs, targets, _ in sequences(some("flip-flop", 1000)):
        assert (inputs.sum(axis=1) == 1).all()
        text = "".join("ABC"[i] for i in inputs.argmax(axis=1))
        for t, letter in enumerate(text):
            before = text[:t].replace("C", "")
            assert targets[t, 0] == (letter == "B" and before.endswith("A"))


def test_steady_state_xor() -> None:
    for inputs, targets, _ in sequences(some("steady-state-xor", 400)):
        assert (targets[:, 0] == (inputs[:, 0] != inputs[:, 1])).all()
        assert {tuple(row) for row in inputs} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(("corruption", "instead"), [("erase", 0), ("flip", -1)])
def test_pattern_completion_asks_for_the_clean_pattern(corruption: str, instead: int) -> None:
    stream = some("pattern-completion", 1500, corruption=corruption, patterns=4, corrupted=0.3)
    for inputs, targets, _ in sequences(stream):
        assert len({tuple(row) for row in targets}) == 4
        assert set(np.unique(targets)) == {-1, 1}
        changed = inputs != targets
        assert (inputs[changed] == instead * targets[changed]).all()
        assert changed.mean() == pytest.approx(0.3, abs=0.02)


def test_patterns_belong_to_the_task_and_not_to_the_run() -> None:
    thing = installed().tasks["pattern-completion"].thing
    one, two, other = thing(), thing(), thing(pattern_seed=1)
    assert np.array_equal(one.clean(), two.clean())
    assert not np.array_equal(one.clean(), other.clean())
    rows = {tuple(row) for row in draw(one, 200, seed=9, plain=True).targets[:, 0]}
    assert rows == {tuple(row) for row in one.clean()}
    with pytest.raises(RnnsimError, match="use more units or fewer patterns"):
        thing(patterns=50, units=4).clean()


@pytest.mark.parametrize("d", [1, 2, 5])
def test_delayed_xor(d: int) -> None:
    for inputs, targets, mask in sequences(some("delayed-xor", 300, d=d)):
        assert set(np.unique(inputs)) == {0, 1}
        assert not mask[:d].any()
        assert mask[d:].all()
        assert (targets[d:, 0] == (inputs[:-d, 0] != inputs[:-d, 1])).all()


def test_n_bit_memory_keeps_the_last_sign() -> None:
    for inputs, targets, _ in sequences(some("n-bit-memory", 2000, n=4, rate=0.2)):
        assert inputs[0].all()
        assert (inputs[1:] != 0).mean() == pytest.approx(0.2, abs=0.02)
        for t in range(0, 2000, 7):
            for i in range(4):
                pulses = [u for u in inputs[: t + 1, i] if u != 0]
                assert targets[t, i] == pulses[-1]


def test_trajectory_shapes() -> None:
    for shape in ("sine", "circle", "figure-eight"):
        stream = some("trajectory", 60, shape=shape, period=12, laps=2)
        assert (len(stream.mask), stream.ends.sum()) == (48, 2)
        assert np.array_equal(np.flatnonzero(stream.inputs[:, 0, 0]), [0, 24])
        path = stream.targets[:24, 0]
        assert np.allclose(path[:12], path[12:])
        if shape == "sine":
            assert np.allclose(path[:, 0], [np.sin(2 * np.pi * t / 12) for t in range(1, 25)])
        if shape == "circle":
            assert np.allclose((path**2).sum(axis=1), 1)
            assert np.allclose(path[2], [0, 1])
        if shape == "figure-eight":  # x^4 = x^2 - y^2, Gerono's lemniscate
            x, y = path.T
            assert np.allclose(x**4, x**2 - y**2)
            assert np.allclose(path[5], path[11])
            assert not np.allclose(path[4], path[10])


def test_adding_marks_one_number_in_each_half() -> None:
    stream = some("adding", 900, length=9)
    asked = list(episodes(stream))
    assert len(asked) == 200
    for inputs, targets, _ in asked:
        numbers, markers = inputs.T
        first, second = np.flatnonzero(markers)
        assert first < 4 <= second
        assert markers.sum() == 2
        assert len(inputs) == 9
        assert targets[-1, 0] == numbers[first] + numbers[second]
    assert stream.mask.sum() == 200


def test_copy_repeats_the_string_after_the_go_signal() -> None:
    stream = some("copy", 2000, symbols=4, length=3, delay=5)
    for inputs, targets, _ in episodes(stream):
        shown = inputs.argmax(axis=1)
        assert (inputs.sum(axis=1) == 1).all()
        assert (shown[:3] < 4).all()
        assert (shown[3:] == [4, 4, 4, 4, 5, 4, 4, 4]).all()
        assert not targets[:8].any()
        assert (targets[8:].argmax(axis=1) == shown[:3]).all()
    assert stream.mask.sum() == 2 * 3 * (2000 // 11)


REBER = {
    0: {"B": 1}, 1: {"T": 2, "P": 3}, 2: {"S": 2, "X": 4}, 3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6}, 5: {"P": 4, "V": 6}, 6: {"E": None},
}  # fmt: skip


def legal_next(string: str) -> str:
    """What the Reber grammar allows after the beginning of a string; nothing after a whole one."""
    node: int | None = 0
    for symbol in string:
        assert symbol in REBER[node or 0], string
        node = REBER[node][symbol]
    return "" if node is None else "".join(sorted(REBER[node]))


def reber_episodes(stream: Stream) -> Any:
    """Each string, and what is legal after each of its beginnings."""
    for inputs, targets, legal in episodes(stream):
        seen = "".join("BTPSXVE"[i] for i in inputs.argmax(axis=1))
        answers = "".join("BTPSXVE"[i] for i in targets.argmax(axis=1))
        assert answers[:-1] == seen[1:]
        marked = ["".join(sorted("BTPSXVE"[i] for i in np.flatnonzero(row))) for row in legal]
        yield seen + answers[-1], marked


def test_reber_strings_and_their_legal_successors() -> None:
    lengths = set()
    for string, marked in reber_episodes(some("reber", 1500, longest=12)):
        assert legal_next(string) == ""
        assert marked == [legal_next(string[: t + 1]) for t in range(len(string) - 1)]
        lengths.add(len(string))
    assert (min(lengths), max(lengths)) == (5, 12)


def test_embedded_reber_repeats_its_second_symbol() -> None:
    wrappings = set()
    for string, marked in reber_episodes(some("embedded-reber", 1500, longest=16)):
        inner = string[2:-2]
        assert string[0] == "B"
        assert string[1] == string[-2]
        assert string[-1] == "E"
        assert legal_next(inner) == ""
        assert len(string) <= 16
        inside = [legal_next(inner[:t]) for t in range(len(inner))]
        assert marked == ["PT", *inside, string[1], "E"]
        wrappings.add(string[1])
    assert wrappings == {"T", "P"}


def test_guessing_the_wrapping_does_not_solve_embedded_reber(
    options: dict[str, dict[str, Any]],
) -> None:
    task = make("embedded-reber", options)
    stream = draw(task, 12_000)
    outputs = stream.targets.copy()
    rng = np.random.default_rng(0)
    decisive = (stream.inputs[:, :, 6] > 0) & (stream.mask > 0)
    for t, b in np.argwhere(decisive):
        outputs[t, b] = np.eye(7)[rng.choice([1, 2])]
    assert decisive.sum() > 1000
    assert met_at(task, stream, outputs) is None
    assert met_at(task, stream, stream.targets) is not None


@pytest.mark.parametrize("longest", [2, 6])
def test_parenthesis_machine_decides_whether_strings_are_balanced(longest: int) -> None:
    """Follow its actions on a tape that is known only where it has been."""
    verdicts, reads = [], set()
    for inputs, targets, _ in sequences(some("parenthesis", 3000, longest=longest)):
        assert (targets[:, :4].sum(axis=1) == 1).all()
        assert (targets[:, 4:].sum(axis=1) == 1).all()
        tape: dict[int, str] = {}
        original: dict[int, str] = {}
        head = 1
        for u, d in zip(inputs, targets):
            symbol = "A()X"[u.argmax()]
            assert tape.setdefault(head, symbol) == symbol
            original.setdefault(head, symbol)
            tape[head] = "A()X"[d[:4].argmax()]
            action = ("left", "right", "accept", "reject")[d[4:].argmax()]
            if action in ("left", "right"):
                head += 1 if action == "right" else -1
                continue
            string = "".join(original[i] for i in sorted(original)).replace("A", "")
            reads.add(string)
            depths = np.cumsum([1 if symbol == "(" else -1 for symbol in string])
            balanced = depths.min() >= 0 and depths[-1] == 0
            assert balanced == (action == "accept"), string
            verdicts.append(balanced)
            tape, original, head = {}, {}, 1
    assert 0.5 < np.mean(verdicts) < 0.8
    assert max(map(len, reads)) == longest
    assert "()" in reads


def test_parenthesis_probabilities_add_up() -> None:
    from rnnsim.tasks.parenthesis import strings

    assert sum(probability for probability, _ in strings(7)) == pytest.approx(1)


def test_digits_show_each_image_once_a_pass_and_hold_others_out(
    options: dict[str, dict[str, Any]],
) -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    known = {tuple(image): label for image, label in zip(images / 16, labels)}
    task = make("digits", options)
    shape = task.held_out_shape()
    shown = {False: draw(task, 8 * (1797 - shape[1]), batch=1), True: draw(task, *shape, held_out=True)}
    found = {}
    for held_out, stream in shown.items():
        read = [(tuple(u.ravel()), d[7].argmax()) for u, d, _ in episodes(stream)]
        assert all(known[image] == label for image, label in read)
        assert np.bincount([label for _, label in read]).min() > 0.09 * len(read)
        found[held_out] = sorted(image for image, _ in read)
    assert sorted(found[False] + found[True]) == sorted(tuple(image) for image in images / 16)
    again = draw(task, 16 * (1797 - shape[1]), batch=1)
    half = len(again.mask) // 2
    assert not np.array_equal(again.inputs[:half], again.inputs[half:])


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnsim.tasks.digits import load

    load.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(RnnsimError, match=r"pip install 'rnnsim\[digits\]'"):
        load(False)


# --- the user's own table ---


def table(path: Path, **given: Any) -> Task:
    return make("table", {"table": {"path": str(path), **given}})


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Ten rows: x = 0, 1, ..., y = 100, 110, ..., a constant, and text."""
    path = tmp_path / "numbers.csv"
    rows = [f"{i},{100 + 10 * i},7,day {i}" for i in range(10)]
    path.write_text("\n".join(["x, y ,same,day", *rows]) + "\n\n")
    return path


def test_table_predicts_the_next_row_of_its_inputs(numbers: Path) -> None:
    task = table(numbers)
    stream = draw(task, 20, batch=2, plain=True)
    z = (np.arange(10) - 3.5) / np.arange(8).std()  # standardised by the eight rows learnt from
    assert (task.n_in, task.n_out) == (3, 3)
    expected = np.stack([z, z, 0 * z], axis=1)
    first = np.arange(20) % 7
    second = (np.arange(20) + 3) % 7  # half-way through the seven pairs
    for b, rows in enumerate((first, second)):
        assert np.allclose(stream.inputs[:, b], expected[rows])
        assert np.allclose(stream.targets[:, b], expected[rows + 1])
        assert np.array_equal(stream.resets[:, b], rows == 0)
    held_out = draw(task, *task.held_out_shape(), plain=True, held_out=True)
    assert np.allclose(held_out.inputs[:, 0], expected[8:9])
    assert np.allclose(held_out.targets[:, 0], expected[9:])


def test_table_options(numbers: Path) -> None:
    task = table(numbers, inputs="y", target="x", ahead=3, held_out=0.4, solved_below=0.5)
    stream = draw(task, 3, batch=1, plain=True)
    z = (np.arange(10) - 2.5) / np.arange(6).std()
    assert np.allclose(stream.inputs[:, 0, 0], z[:3])
    assert np.allclose(stream.targets[:, 0, 0], z[3:6])
    assert isinstance(task.criterion, HeldOut)
    assert task.criterion.threshold == 0.5
    same_row = table(numbers, target="x, same", ahead=0)
    assert (same_row.n_in, same_row.n_out) == (1, 2)


def test_table_is_read_again_when_the_file_changes(numbers: Path) -> None:
    task = table(numbers)
    assert task.n_in == 3
    numbers.write_text("x\n" + "\n".join(map(str, range(20))))
    assert task.n_in == 1


def test_table_from_an_archive(tmp_path: Path, numbers: Path) -> None:
    path = tmp_path / "numbers.npz"
    x = np.arange(10)
    np.savez(path, x=x, pair=np.stack([100 + 10 * x, np.full(10, 7)], axis=1).astype(np.float32))
    for one, two in zip(draw(table(path), 9, plain=True), draw(table(numbers), 9, plain=True)):
        assert np.allclose(one, two)
    assert table(path, inputs="pair[0]", target="x").n_in == 1


GOOD = "".join(f"{i},{i}\n" for i in range(10))


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        ("", {}, "t.csv is empty; it needs a line of column names"),
        ("1,2\n" + GOOD, {}, "t.csv has no header: its first line holds numbers"),
        ("a,a\n" + GOOD, {}, "t.csv has two columns called 'a'"),
        ("a,\n" + GOOD, {}, "column 2 has no name in the header"),
        ("a;b\n1;2\n", {}, "semicolons or tabs between its columns; they must be commas"),
        ("a,b\n" + GOOD + "1,2,3\n", {}, "line 12: 3 values; the header names 2 columns"),
        ("a,b\n" + GOOD + "1\n", {}, "line 12: 1 values; the header names 2 columns"),
        ("a,b\n" + GOOD + "\n1,red\n", {}, "line 13, column b: 'red', where a finite number"),
        ("a,b\n" + GOOD + "1,\n", {}, "line 12, column b: nothing, where a finite number"),
        ("a,b\n" + GOOD + "nan,1\n", {}, "line 12, column a: 'nan', where a finite number"),
        ("a,b\n" + GOOD + "-inf,1\n", {}, "line 12, column a: '-inf', where a finite number"),
        ("a,b\n1,x\n" + GOOD, {"inputs": "b"}, "line 2, column b: 'x', where a finite number"),
        ("a,b\nx,y\n", {}, "t.csv has no column of numbers to take as an input"),
        ("a,b\n", {}, "t.csv has columns but no rows"),
        ("a,b\n1,2\n3,4\n", {}, "t.csv has 2 rows, 2 of them to learn from; with ahead=1"),
        ("a,b\n" + GOOD, {"ahead": 7}, "10 rows, 8 of them .* it needs 9 of those, and 8 held out"),
        ("a,b\n" + GOOD, {"ahead": 0}, "with ahead=0 the target a is an input of the same row"),
        ("a,b\n" + GOOD, {"inputs": "a,a"}, "a column is named twice"),
        ("a,b\n1e308,1\n-1e308,1\n" + GOOD, {}, "numbers too large to be standardised"),
        (b"a,b\n\xff\xfe,2\n", {}, "t.csv is not a text file of comma-separated values in UTF-8"),
        ("temperature,b\n" + GOOD, {"inputs": "temprature"}, "no column is called 'temprature'; did you "
         "mean temperature"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_csv_file(
    tmp_path: Path, content: str | bytes, given: dict[str, Any], message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RnnsimError, match=message) as caught:
        table(path, **given).source(np.random.default_rng(0), 1, np.float64)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownName) == ("temprature" in message)


def archive(**arrays: Any) -> Any:
    return lambda path: np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is not an .npz archive"),
        (lambda path: path.write_bytes(b""), "is not an .npz archive"),
        (archive(x=np.array([1, None], object)), "broken or holds what is not numbers"),
        (archive(x=np.array(["a", "b"])), "x is of <U1 and shape .* must be of real numbers"),
        (archive(x=np.zeros((2, 2, 2))), "must be of real numbers, .rows,. or .rows, columns."),
        (archive(x=np.float64(3)), "must be of real numbers"),
        (archive(x=np.zeros(5), y=np.zeros(6)), "y has 6 rows and x has 5"),
        (archive(x=np.array([1, 2, np.nan, *range(9)])), "row 2 .from 0., column x: nan"),
        (archive(), "t.npz is empty; it needs an array"),
        (archive(x=np.zeros((0, 3))), "t.npz has columns but no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_archive(tmp_path: Path, write: Any, message: str) -> None:
    path = tmp_path / "t.npz"
    write(path)
    with pytest.raises(RnnsimError, match=message) as caught:
        table(path).baseline  # noqa: B018
    assert "\n" not in str(caught.value)


def test_an_archive_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random(5000))
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(RnnsimError, match="broken or holds what is not numbers"):
        table(path).baseline  # noqa: B018


def test_which_files_a_table_can_be(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=r"there is no file .*gone\.csv"):
        table(tmp_path / "gone.csv").n_in  # noqa: B018
    with pytest.raises(RnnsimError, match=r"t\.xlsx is neither a \.csv nor a \.npz file"):
        table(tmp_path / "t.xlsx").n_in  # noqa: B018
    with pytest.raises(RnnsimError, match="give the option path"):
        rnnsim.registry.make_task("table", {}).n_in  # noqa: B018
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RnnsimError, match=r"folder\.csv cannot be read: Is a directory"):
        table(tmp_path / "folder.csv").n_in  # noqa: B018
