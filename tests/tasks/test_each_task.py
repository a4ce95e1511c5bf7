"""Each task's own rule, stated again in plain Python."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from task_streams import draw, make, met_at

from rnnsim.errors import RnnsimError
from rnnsim.network import Stream
from rnnsim.registry import installed


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
    assert met_at(task.criterion, stream, outputs) is None
    assert met_at(task.criterion, stream, stream.targets) is not None


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
    from rnnsim_tasks.parenthesis import strings

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
    from rnnsim_tasks.digits import load

    load.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(RnnsimError, match=r"pip install 'rnnsim\[digits\]'"):
        load(False)
