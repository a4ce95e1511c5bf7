"""Controls: a broken task for each check of a task, which must not pass it."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import pytest
from kit import fails, passes

import rnnsim
from rnnsim.criterion import Average, Criterion, Never, Streak
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.task import EpisodeTask, StreamTask, Suggestion, Task
from rnnsim.testing import check_task
from rnnsim.testing.checking import task_checks


class Bits(NamedTuple):
    rng: np.random.Generator
    last: np.ndarray


class Source(StreamTask, frozen=True):
    """Random bits, and the same bits as targets."""

    name = "bits"

    @property
    def n_in(self) -> int:
        return 1

    @property
    def n_out(self) -> int:
        return 1

    @property
    def baseline(self) -> float:
        return 0.125

    @property
    def criterion(self) -> Criterion:
        return Average("squared", 0.01, 100)

    def source(self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False) -> Any:
        return Bits(rng, np.zeros(batch))

    def step(self) -> Any:
        return bits


@kernel
def bits(source: Any, b: int, u: Any, d: Any) -> float:
    u[0] = 1.0 if source.rng.random() < 0.5 else 0.0
    d[0] = u[0]
    return 1.0


class NotFinite(Source, frozen=True):
    def step(self) -> Any:
        @kernel
        def step(source: Any, b: int, u: Any, d: Any) -> float:
            u[0] = source.rng.random()
            d[0] = np.nan if u[0] > 0.99 else 0.0
            return 1.0

        return step


class Negative(Source, frozen=True):
    def step(self) -> Any:
        @kernel
        def step(source: Any, b: int, u: Any, d: Any) -> float:
            bits(source, b, u, d)
            return -1.0 if u[0] > 0.5 else 1.0

        return step


class Unasked(Source, frozen=True):
    """The last sequence has no targets."""

    def step(self) -> Any:
        @kernel
        def step(source: Any, b: int, u: Any, d: Any) -> float:
            bits(source, b, u, d)
            return 0.0 if b == source.last.size - 1 else 1.0

        return step


class Chunky(Source, frozen=True):
    """Each chunk begins with a 1."""

    def fill(self) -> Any:
        fill = super().fill()

        @kernel
        def chunky(source: Any, stream: Stream, rows: int) -> int:
            filled = fill(source, stream, rows)
            stream.inputs[0] = 2.0
            return int(filled)

        return chunky


class Lazy(Source, frozen=True):
    """It has a generator and draws nothing."""

    def step(self) -> Any:
        @kernel
        def step(source: Any, b: int, u: Any, d: Any) -> float:
            source.last[b] = 1 - source.last[b]
            u[0] = d[0] = source.last[b]
            return 1.0

        return step


class Careless(Source, frozen=True):
    """It draws from NumPy's own generator, of which machine code has another."""

    def step(self) -> Any:
        @kernel
        def step(source: Any, b: int, u: Any, d: Any) -> float:
            bits(source, b, u, d)
            d[0] = np.random.random()
            return 1.0

        return step


class Peeking(Source, frozen=True):
    """Its validation data are those of the test."""

    def validation_source(self, rng: np.random.Generator, batch: int, dtype: Any) -> Any:
        return self.source(rng, batch, dtype, held_out=True)


class Holes(Source, frozen=True):
    """Two bits, of which now one counts and now the other; the target of the other is nan."""

    none: bool = False
    n_out = 2  # type: ignore[assignment]
    baseline = 0.125  # type: ignore[assignment]
    masks_outputs = True  # type: ignore[assignment]

    def fill(self) -> Any:
        none = self.none

        @kernel
        def fill(source: Any, stream: Stream, rows: int) -> int:
            for t in range(rows):
                for b in range(stream.mask.shape[1]):
                    u, d, weights = stream.inputs[t, b], stream.targets[t, b], stream.output_mask[t, b]
                    bits(source, b, u, d)
                    source.last[b] = 1 - source.last[b]
                    o = int(source.last[b])
                    d[o], d[1 - o] = u[0], np.nan
                    weights[o], weights[1 - o] = 0.0 if none and t == 7 else 1.0, 0.0
                    stream.mask[t, b] = 1
            return rows

        return fill


class Optimist(Source, frozen=True):
    """Its baseline is another."""

    @property
    def baseline(self) -> float:
        return 0.1


class Easy(Source, frozen=True):
    """Its criterion is met by chance."""

    @property
    def criterion(self) -> Criterion:
        return Streak(1.0, 10)


class Random(Source, frozen=True):
    """Its criterion is met by anything."""

    @property
    def criterion(self) -> Criterion:
        return Streak(9.0, 10)


class Hopeless(Source, frozen=True):
    """Its criterion is met by nothing."""

    @property
    def criterion(self) -> Criterion:
        return Average("squared", -1.0, 100)


class Endless(Source, frozen=True):
    """Random bits, of which nothing is asked."""

    @property
    def criterion(self) -> Criterion:
        return Never()


class Misled(Source, frozen=True):
    """It suggests an option that no network has."""

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(network={"xyzzy": 3})


class Nameless(Source, frozen=True):
    @property
    def input_names(self) -> tuple[str, ...]:
        return ("",)


class Undescribed(Source, frozen=True):
    """Random bits, and the same bits as targets."""

    flips: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Long(Source, frozen=True):
    __doc__ = "Random bits, " + "and the same bits as targets, " * 5


class Episodes(EpisodeTask, frozen=True):
    """Episodes of three random bits, the first being asked for at the end."""

    name = "episodes"
    right: bool = True

    n_in = n_out = 2  # type: ignore[assignment]
    baseline = 0.25  # type: ignore[assignment]
    criterion = Streak(0.1, 100)  # type: ignore[assignment]
    episode_length = 3  # type: ignore[assignment]
    has_legal = True  # type: ignore[assignment]

    def source(self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False) -> Any:
        return Bits(rng, np.zeros(batch))

    def episode(self) -> Any:
        right = self.right

        @kernel
        def episode(source: Any, b: int, u: Any, d: Any, weight: Any, legal: Any) -> int:
            for t in range(3):
                u[t, 1 if source.rng.random() < 0.5 else 0] = 1
            first = 1 if u[0, 1] > 0 else 0
            d[2, first] = 1
            legal[2, first if right else 1 - first] = True
            weight[2] = 1
            return 3

        return episode


def with_fill(change: Any) -> Task:
    """Episodes that are changed afterwards."""

    class Changed(Episodes, frozen=True):
        def fill(self) -> Any:
            fill = super().fill()

            @kernel
            def changed(source: Any, stream: Stream, rows: int) -> int:
                filled = fill(source, stream, rows)
                change(stream)
                return int(filled)

            return changed

    return Changed()


@kernel
def unended(stream: Stream) -> None:
    stream.ends[:] = False


@kernel
def unreset(stream: Stream) -> None:
    stream.resets[0] = False


@kernel
def apart(stream: Stream) -> None:
    stream.resets[1, 0] = True


@kernel
def legal_everywhere(stream: Stream) -> None:
    stream.legal[:] = True


PLAIN = [Source(), Episodes(), Holes()]


@pytest.mark.parametrize("task", PLAIN, ids=lambda task: task.name)
def test_right_tasks_pass(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    options = () if type(task) is Source else ("options",)  # they have no descriptions
    passes([check for check in task_checks(task) if check.name not in options], "")


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("task", "check", "saying"),
    [
        (NotFinite(), "values", "targets hold"),
        (Negative(), "values", "negative"),
        (Unasked(), "values", "at least 0 targets"),
        (Chunky(), "chunks", "other inputs"),
        (Lazy(), "seeds", "the same"),
        (Lazy(), "held-out", "the same"),
        (Lazy(), "validation", "the same"),
        (Peeking(), "validation", "the same inputs and targets as those of the test"),
        (Holes(none=True), "values", "of which no output counts"),
        (Optimist(), "baseline", "0.1, the best constant 0.125"),
        (Easy(), "criterion, zero", "met at row"),
        (Easy(), "criterion, constant", "met at row"),
        (Random(), "criterion, random", "met at row"),
        (Hopeless(), "criterion, met", "not met"),
        (Misled(), "suggestions", "xyzzy"),
        (Nameless(), "names", "for 1"),
        (Undescribed(), "options", "flips"),
        (Long(), "options", "summary of"),
        (with_fill(unended), "episodes", "no end"),
        (with_fill(unreset), "episodes", "no reset"),
        (with_fill(apart), "episodes", "together"),
        (Episodes(right=False), "legal", "not legal"),
        (with_fill(legal_everywhere), "legal", "where there is no target"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Task) else value,
)
def test_broken_tasks_fail(task: Task, check: str, saying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.testing.tasks.ROWS", 3000)
    fails(task_checks(task), check, saying)


def test_machine_code_that_differs_is_found() -> None:
    fails(task_checks(Careless()), "plain Python", "other targets")


@pytest.mark.usefixtures("uncompiled")
def test_a_task_without_a_criterion_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.testing.tasks.ROWS", 3000)
    report = check_task(Endless)
    assert report.passed, str(report)
    assert "no criterion of its own" in str(report)
    with pytest.raises(rnnsim.RnnsimError, match="needs data"):
        check_task("table")
