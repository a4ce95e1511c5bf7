"""The parking lot: the published process, several cars, and the two criteria."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from task_streams import draw, first_rows, met_at

from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError
from rnnsim.network import Stream, empty_stream
from rnnsim_tasks.variable_binding import DRIVING, VariableBinding

ROWS = 40_000


@pytest.fixture(scope="module")
def published() -> Stream:
    return draw(VariableBinding(), ROWS, batch=2)


def columns(task: VariableBinding, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Detectors, sensors, distractors and questions."""
    sensors = task.cars if task.cars > 1 else 0
    stops = np.cumsum([task.slots, sensors, task.distractors])
    return tuple(np.split(inputs, stops, axis=-1))


def near(counts: Any, expected: Any) -> bool:
    """Whether counts are what is expected, within five standard deviations each."""
    return bool((np.abs(np.asarray(counts) - expected) < 5 * np.sqrt(expected) + 1).all())


# --- the published process -------------------------------------------------------------------------


def test_the_answer_is_the_slot_of_the_last_parking(published: Stream) -> None:
    for b in range(2):
        parked, _, _, question = columns(VariableBinding(), published.inputs[:, b])
        assert parked.sum(axis=1).max() == 1
        slot = None
        for t in range(ROWS):
            asked, target = question[t, 0], published.targets[t, b]
            if parked[t].any():
                slot = parked[t].argmax()
                assert not asked
            assert target.tolist() == ([float(i == slot) for i in range(3)] if asked else [0, 0, 0])
    assert (published.mask == 1).all()


def test_the_car_parks_and_leaves_with_probability_1_4(published: Stream) -> None:
    """From one parking to the next: a time parked and a time driving, each geometric."""
    parked = published.inputs[:, :, :3]
    gaps = Counter[int]()
    for b in range(2):
        gaps.update(np.diff(np.flatnonzero(parked[:, b].any(axis=1))).tolist())
    n = np.arange(2, 25)
    found = [gaps[int(i)] for i in n]
    assert near(found, gaps.total() * (n - 1) * (1 / 4) ** 2 * (3 / 4) ** (n - 2))
    assert not near(found, gaps.total() * (n - 1) * 0.3**2 * 0.7 ** (n - 2))
    assert gaps[1] == 0
    assert near(parked.sum(axis=(0, 1)), parked.sum() / 3)
    pairs = Counter[tuple[int, int]]()  # the next slot does not depend on the last one
    for b in range(2):
        slots = parked[parked[:, b].any(axis=1), b].argmax(axis=1)
        pairs.update(zip(slots[:-1].tolist(), slots[1:].tolist()))
    assert len(pairs) == 9
    assert near(list(pairs.values()), pairs.total() / 9)


def test_a_parked_car_is_asked_for_with_probability_1_4(published: Stream) -> None:
    """So many steps after it was parked, it still stands there with probability (3/4)^steps."""
    lags, parkings = Counter[int](), 0
    for b in range(2):
        parked, _, _, question = columns(VariableBinding(), published.inputs[:, b])
        steps = np.flatnonzero(parked.any(axis=1))
        parkings += len(steps)
        for t in np.flatnonzero(question[:, 0]):
            lags[int(t - steps[np.searchsorted(steps, t, side="right") - 1])] += 1
    lag = np.arange(1, 15)
    found = [lags[int(i)] for i in lag]
    assert near(found, parkings * (3 / 4) ** lag / 4)
    assert not near(found, parkings * 0.7**lag / 4)
    assert not near(found, parkings * (3 / 4) ** lag * 0.3)
    assert lags[0] == 0


def test_distractors_mean_nothing(published: Stream) -> None:
    parked, _, noise, question = columns(VariableBinding(), published.inputs.reshape(-1, 7))
    assert set(np.unique(noise)) == {0, 1}
    assert near(noise.sum(axis=0), len(noise) / 2)
    seen = np.hstack([noise, parked, question, published.targets.reshape(-1, 3)])
    correlation = np.corrcoef(seen.T)[:3] - np.eye(3, 10)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(seen))
    before, after = published.inputs[:-1, :, 3:6].ravel(), published.inputs[1:, :, 3:6].ravel()
    assert abs(np.corrcoef(before, after)[0, 1]) < 5 / np.sqrt(before.size)


# --- several cars ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("slots", "cars"), [(1, 1), (3, 3), (8, 4)])
def test_cars_never_share_a_slot_and_sensors_and_questions_say_which_is_meant(
    slots: int, cars: int
) -> None:
    task = VariableBinding(slots=slots, cars=cars, distractors=2)
    source = task.source(np.random.default_rng(0), 1, np.float64)
    stream = empty_stream(1, 1, task.n_in, task.n_out, np.float64)
    fill, questions = task.fill(), Counter[int]()
    before = [DRIVING] * cars
    for _ in range(4000):
        fill(source, stream, 1)
        parked, sensors, _, question = columns(task, stream.inputs[0, 0])
        place = source.place[0].tolist()
        moved = [car for car in range(cars) if place[car] != before[car]]
        standing = [slot for slot in place if slot != DRIVING]
        assert len(set(standing)) == len(standing)
        assert len(moved) <= 1
        parks = [car for car in moved if place[car] != DRIVING]
        assert np.flatnonzero(parked).tolist() == [place[car] for car in parks]
        if cars > 1:
            assert np.flatnonzero(sensors).tolist() == parks
        asked = np.flatnonzero(question).tolist()
        assert len(asked) <= 1
        assert not set(asked) & set(parks)
        assert np.flatnonzero(stream.targets[0, 0]).tolist() == [place[car] for car in asked]
        questions.update(asked)
        before = place
    assert len(questions) == cars
    assert near(list(questions.values()), 4000 * (1 / 4) * (1 / 2 - 1 / (8 * cars)) / cars)


def test_each_car_has_its_turn_and_each_free_slot_its_chance() -> None:
    task = VariableBinding(slots=4, cars=3, distractors=0)
    stream = draw(task, ROWS, batch=2)
    parked, sensors, _, _ = columns(task, stream.inputs.reshape(-1, task.n_in))
    expected = 2 * ROWS / 2 / 4 / 3  # it drives half of the time; a third of the turns are its own
    assert near(sensors.sum(axis=0), expected)
    assert near(parked.sum(axis=0), 3 * expected / 4)
    pairs = parked.T @ sensors
    assert near(pairs, expected / 4)


@pytest.mark.parametrize(("slots", "cars"), [(3, 3), (8, 4)])
def test_the_baseline_with_several_cars(slots: int, cars: int) -> None:
    task = VariableBinding(slots=slots, cars=cars, distractors=0)
    targets = draw(task, ROWS, batch=4).targets.reshape(-1, slots)
    assert task.baseline == pytest.approx(targets.var(axis=0).sum() / 2, rel=0.02)
    assert task.baseline != pytest.approx(VariableBinding(slots=slots).baseline, rel=0.1)


def test_more_cars_than_slots_are_refused() -> None:
    assert VariableBinding(slots=2, cars=2).n_in == 2 + 2 + 3 + 2
    with pytest.raises(RnnsimError, match="cars is 3; it must be at most slots, which is 2"):
        VariableBinding.from_options({"slots": 2, "cars": 3})


def test_inputs_and_outputs_have_names() -> None:
    assert VariableBinding().input_names == (
        "slot 1", "slot 2", "slot 3", "noise 1", "noise 2", "noise 3", "where?"
    )  # fmt: skip
    assert VariableBinding().output_names == ("slot 1", "slot 2", "slot 3")
    several = VariableBinding(slots=2, cars=2, distractors=1)
    assert several.input_names == (
        "slot 1", "slot 2", "car 1", "car 2", "noise 1", "where is 1", "where is 2"
    )  # fmt: skip


# --- when it is solved -----------------------------------------------------------------------------


STRICT, PUBLISHED = VariableBinding().criteria["strict"], VariableBinding().criteria["published"]


def test_an_answer_of_zero_meets_the_published_criterion_and_never_the_strict_one(
    published: Stream,
) -> None:
    zeros = np.zeros_like(published.targets)
    alone = Stream(*(part[:, :1] if part.ndim > 1 else part for part in published))
    assert met_at(PUBLISHED, alone, zeros[:, :1]) is not None  # within 40,000 steps, by chance
    assert met_at(STRICT, alone, zeros[:, :1]) is None


def test_the_strict_criterion_asks_for_a_question_about_each_slot(published: Stream) -> None:
    """Replayed on right answers with an error here and there."""
    stream = first_rows(published, 3000)
    rng, found = np.random.default_rng(0), set()
    for errors in (0, 5, 10, 20, 40):
        outputs = stream.targets.copy()
        outputs[rng.integers(3000, size=errors), 0, 0] += 1
        right = (np.abs(outputs - stream.targets) <= 0.05).all(axis=(1, 2))
        asked = stream.targets.any(axis=1)  # (T, k)
        expected = next(
            (t for t in range(99, 3000)
             if right[t - 99 : t + 1].all() and asked[t - 99 : t + 1].any(axis=0).all()), None
        )  # fmt: skip
        assert met_at(STRICT, stream, outputs) == expected
        found.add(expected)
    assert len(found) >= 3


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_slot_that_is_never_asked_for_keeps_the_strict_criterion_open(
    published: Stream, silent: int
) -> None:
    stream = first_rows(published, 2000)
    targets = stream.targets.copy()
    targets[:, :, silent] = 0
    changed = stream._replace(targets=targets)
    assert met_at(STRICT, changed, targets) is None
    assert met_at(PUBLISHED, changed, targets) == 99
    targets[1500, 0, silent] = 1  # once is enough
    assert met_at(STRICT, changed, targets) == 1500


def test_questions_of_more_than_so_many_steps_ago_do_not_count() -> None:
    """One question about each slot, the first and the last so many steps apart."""
    for apart, met in [(99, True), (100, False)]:
        stream = empty_stream(400, 1, 7, 3, np.float64)
        for o, t in enumerate((150, 180, 150 + apart)):
            stream.targets[t, 0, o] = 1
        assert (met_at(STRICT, stream, stream.targets) is not None) == met


def test_the_criterion_has_as_many_steps_for_each_slot_and_car_as_the_published_one() -> None:
    assert VariableBinding().criterion == STRICT == Streak(0.05, 100, outputs=3)
    assert VariableBinding(slots=8, cars=4).criterion == Streak(0.05, 1066, outputs=8)
    assert str(VariableBinding().criterion) == (
        "error within 0.05 for 100 steps in a row with each of 3 outputs asked for"
    )


def test_the_published_figure_is_for_the_published_task() -> None:
    assert VariableBinding().published == {"fast-weights-1": 6000}
    assert VariableBinding(cars=2).published == {}
