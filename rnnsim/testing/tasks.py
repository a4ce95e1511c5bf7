"""Whether a task is what it says: its stream, its baseline, its criterion, its suggestions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.compiler import compiled
from rnnsim.criterion import SCORES, Criterion, HeldOut, Never
from rnnsim.errors import RnnsimError
from rnnsim.network import Stream, empty_stream
from rnnsim.task import Task
from rnnsim.testing.report import Check, Measured
from rnnsim.training.experiment import configure
from rnnsim.training.sequences import generators_in
from rnnsim.typing import Array

BATCH, ROWS = 3, 30_000
TARGETS = 6000  # for which the criterion is asked
BASELINE = 0.05  # the largest relative error: the best constant is that of a sample
FIELDS = ("inputs", "targets", "mask", "resets", "ends", "legal")
SHORT = 50  # rows of a task without episodes, where a few are enough
SUMMARY = range(20, 101)  # characters of the line that ``rnnsim tasks`` prints
ANSWERS = ("zero", "constant", "random")


class Drawn:
    """A task and what it gives."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    @cached_property
    def stream(self) -> Stream:
        """Many rows."""
        return draw(self.task, ROWS, seed=self.seed)

    @property
    def some(self) -> int:
        """A few rows, or episodes."""
        return 4 * (self.task.episode_length or SHORT)

    @property
    def is_random(self) -> bool:
        """Whether generation draws random numbers."""
        source = self.task.source(np.random.default_rng(self.seed), BATCH, np.float64)
        return bool(generators_in(source))

    @cached_property
    def asked(self) -> Stream:
        """The first rows, with some thousands of targets."""
        total = np.cumsum((self.stream.mask > 0).sum(axis=1))
        return first_rows(self.stream, int(np.searchsorted(total, TARGETS)) + 1)


def draw(
    task: Task, rows: int, batch: int = BATCH, seed: int = 0, *, plain: bool = False,
    held_out: bool = False,
) -> Stream:  # fmt: skip
    """Fill so many rows and give those that were filled.

    Parameters
    ----------
    task : Task
    rows, batch : int
    seed : int
    plain : bool
        Whether the kernel runs as plain Python.
    held_out : bool
        Whether the data are those from which no run learns.

    Returns
    -------
    Stream
    """
    stream = empty_stream(rows, batch, task.n_in, task.n_out, np.float64, legal=task.has_legal)
    fill = task.fill() if plain else compiled(task.fill())
    source = task.source(np.random.default_rng(seed), batch, np.float64, held_out=held_out)
    return first_rows(stream, fill(source, stream, rows))


def first_rows(stream: Stream, rows: int) -> Stream:
    """The beginning of a stream."""
    return Stream(*(part[:rows] for part in stream))


def met_at(criterion: Criterion, stream: Stream, outputs: Array) -> int | None:
    """At which row a criterion is met with these outputs."""
    answered = stream._replace(outputs=outputs)
    if isinstance(criterion, HeldOut):
        score = [SCORES[criterion.score](answered, t, b) for t, b in np.argwhere(stream.mask > 0)]
        return 0 if criterion.reached(float(np.mean(score))) else None
    memory, met = criterion.memory(), criterion.met()
    return next((t for t in range(len(stream.mask)) if met(memory, answered, t)), None)


def made_task(task: Any, options: Mapping[str, Any]) -> Task:
    """Make a task from its name or its class and options, or take one that is made.

    Raises
    ------
    RnnsimError
        If there is none, or it lacks options without which it gives no data.
    """
    is_class = isinstance(task, type) and issubclass(task, Task)
    made: Task = task.from_options(options) if is_class else registry.make_task(task, options)
    made.n_in  # noqa: B018 (reads its data, if it has any)
    return made


def checks(task: Task, seed: int) -> Iterator[Check]:
    """All of them."""
    drawn = Drawn(task, seed)
    table: dict[str, tuple[str, Callable[[Drawn], Measured]]] = {
        "values": ("finite inputs and targets, weights from 0 on, targets for each sequence", _values),
        "episodes": ("a reset where an episode begins, and its end marked", _episodes),
        "legal outputs": ("the target among them where there is one, none elsewhere", _legal),
        "chunks": ("the same stream however it is cut", _chunks),
        "plain Python": ("compiled code gives the same numbers", _plain),
        "seeds": ("other seeds other data, if anything is random", _seeds),
        "held-out data": ("other data than those of a run, if anything is random", _held_out),
        "baseline": (f"the loss of the best constant answer, within {BASELINE:g}", _baseline),
        "criterion, met": ("met by the targets themselves", _met),
        "suggestions": ("each makes an experiment on the network that it is for", _suggestions),
        "names": ("different names of inputs and outputs", _names),
        "options": (
            f"all described; a summary of {SUMMARY.start} to {SUMMARY.stop - 1} characters", _options,
        ),
    }  # fmt: skip
    for name, (claimed, measure) in table.items():
        yield Check(name, claimed, partial(measure, drawn))
    for answer in ANSWERS:
        claimed = f"not met by answers that are {answer}"
        yield Check(f"criterion, {answer}", claimed, partial(_not_met, drawn, answer))


# --- what is measured --------------------------------------------------------------------------------


def _values(drawn: Drawn) -> Measured:
    task, stream = drawn.task, drawn.stream
    rows = len(stream.mask)
    if not (rows == ROWS or 0 < ROWS - rows < (task.episode_length or 0)):
        return Measured(f"{rows} of {ROWS} rows filled", False)
    for name in ("inputs", "targets", "mask"):
        if not np.isfinite(getattr(stream, name)).all():
            return Measured(f"{name} hold what is not finite", False)
    if (stream.mask < 0).any():
        return Measured("negative weights", False)
    fewest = int((stream.mask > 0).sum(axis=0).min())
    return Measured(f"{rows} rows, at least {fewest} targets a sequence", fewest > 0)


def _episodes(drawn: Drawn) -> Measured:
    task, stream = drawn.task, drawn.stream
    longest = task.episode_length
    if longest is None:
        ends = int(stream.ends.sum())
        return Measured(f"no episodes, {ends} ends", ends == 0)
    starts = np.flatnonzero(stream.resets.all(axis=1))
    if not len(starts) or starts[0] != 0 or not stream.ends[-1]:
        return Measured("the first row has no reset, or the last no end", False)
    if (stream.resets.any(axis=1) != stream.resets.all(axis=1)).any():
        return Measured("sequences whose episodes do not begin together", False)
    if not np.array_equal(np.flatnonzero(stream.ends)[:-1] + 1, starts[1:]):
        return Measured("episodes that end where no other begins", False)
    found = int(np.diff([*starts, len(stream.mask)]).max())
    return Measured(f"{len(starts)} episodes of at most {found} of {longest} steps", found <= longest)


def _legal(drawn: Drawn) -> Measured:
    task, stream = drawn.task, drawn.stream
    if not task.has_legal:
        return Measured("one right answer a target", stream.legal.shape[0] == 0)
    counts = stream.mask > 0
    if not np.any(stream.legal & (stream.targets > 0), axis=2)[counts].all():
        return Measured("targets that are not legal", False)
    if stream.legal[~counts].any():
        return Measured("legal outputs where there is no target", False)
    found = sorted(set(np.sum(stream.legal, axis=2)[counts].tolist()))
    return Measured(f"{found[0]} to {found[-1]} of {task.n_out}", found[0] > 0)


def _chunks(drawn: Drawn) -> Measured:
    task, whole = drawn.task, drawn.stream
    length = task.episode_length or 1
    most, start = 4 * length + 50, 0
    source = task.source(np.random.default_rng(drawn.seed), BATCH, np.float64)
    stream = empty_stream(most, BATCH, task.n_in, task.n_out, np.float64, legal=task.has_legal)
    fill = compiled(task.fill())
    for rows in (length, length + 7, most, 2 * length - 1, length, 3 * length + 1):
        filled = fill(source, stream, rows)
        if not 0 < filled <= rows:
            return Measured(f"{filled} of {rows} rows filled", False)
        for name in FIELDS:
            part = getattr(whole, name)[start : start + filled]
            if not np.array_equal(getattr(stream, name)[: len(part)], part):
                return Measured(f"other {name} from row {start} on", False)
        start += filled
    return Measured(f"the same {start} rows")


def _plain(drawn: Drawn) -> Measured:
    plain = draw(drawn.task, drawn.some, seed=drawn.seed, plain=True)
    for name, part, expected in zip(plain._fields, plain, first_rows(drawn.stream, len(plain.mask))):
        if name in FIELDS and not np.array_equal(part, expected):
            return Measured(f"other {name}", False)
    return Measured(f"the same {len(plain.mask)} rows")


def _differs(drawn: Drawn, other: Stream, what: str) -> Measured:
    rows = len(other.mask)
    same = all(np.array_equal(x[:rows], y) for x, y in zip(drawn.stream[:2], other[:2]))
    text = f"{'the same' if same else 'other'} inputs and targets {what}"
    return Measured(text, not same) if drawn.is_random else Measured(f"{text}; nothing is random", None)


def _seeds(drawn: Drawn) -> Measured:
    return _differs(drawn, draw(drawn.task, drawn.some, seed=drawn.seed + 1), "with another seed")


def _held_out(drawn: Drawn) -> Measured:
    other = draw(drawn.task, drawn.some, seed=drawn.seed + 1, held_out=True)
    return _differs(drawn, other, "held out")


def _baseline(drawn: Drawn) -> Measured:
    task, stream = drawn.task, drawn.stream
    loss = task.suggestion("").network.get("loss", "squared-error")
    expected = loss_of_best_constant(stream, loss)
    if expected is None:
        return Measured(f"{task.baseline:.4g}; of this loss the best constant is not known", None)
    error = abs(task.baseline - expected) / max(abs(expected), 1e-12)
    return Measured(f"{task.baseline:.4g}, the best constant {expected:.4g}", bool(error <= BASELINE))


def loss_of_best_constant(stream: Stream, loss: Any) -> float | None:
    """The mean loss of the mean target, which is the best constant of each of the losses by name."""
    counts = stream.mask > 0
    targets, weights = stream.targets[counts], stream.mask[counts]
    mean = np.average(targets, axis=0, weights=weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        if loss == "squared-error":
            each = ((targets - mean) ** 2).sum(axis=1) / 2
        elif loss == "softmax-cross-entropy":
            each = -np.where(targets > 0, targets * np.log(mean), 0.0).sum(axis=1)
        elif loss == "logistic-cross-entropy":
            on = np.where(targets > 0, targets * np.log(mean), 0.0)
            off = np.where(targets < 1, (1 - targets) * np.log(1 - mean), 0.0)
            each = -(on + off).sum(axis=1)
        else:
            return None
    return float(np.average(each, weights=weights))


def _not_met(drawn: Drawn, answer: str) -> Measured:
    stream, whole = drawn.asked, drawn.stream
    shape = stream.targets.shape
    outputs: dict[str, Array] = {
        "zero": np.zeros(shape),
        "constant": np.broadcast_to(whole.targets[whole.mask > 0].mean(axis=0), shape),
        "random": np.random.default_rng(5).standard_normal(shape),
    }
    met = met_at(drawn.task.criterion, stream, outputs[answer])
    return Measured(f"{'not met' if met is None else f'met at row {met}'}, {len(stream.mask)} rows",
                    met is None)  # fmt: skip


def _met(drawn: Drawn) -> Measured:
    stream, criterion = drawn.asked, drawn.task.criterion
    met = met_at(criterion, stream, stream.targets)
    if isinstance(criterion, Never):
        return Measured("it has no criterion of its own", met is None)
    return Measured("not met" if met is None else f"met at row {met}", met is not None)


def _suggestions(drawn: Drawn) -> Measured:
    task, made = drawn.task, []
    for kind in registry.installed().networks:
        for name, suggested in task.suggestions("", kind).items():
            try:
                experiment = configure(suggested.rule, task, network=kind, settings=name)
            except RnnsimError:
                if suggested.kind == kind:
                    raise
                continue  # its rule cannot train the other kinds
            if experiment.network.kind != kind or experiment.steps != suggested.steps:
                return Measured(f"{name}, {kind}: another network or number of steps", False)
            if not all(np.isfinite(x).all() for x in experiment.initial_params()):
                return Measured(f"{name}, {kind}: initial parameters that are not finite", False)
            made.append(f"{name} for {kind}")
    if not made:
        raise RnnsimError("there is none")
    return Measured(", ".join(made))


def _names(drawn: Drawn) -> Measured:
    task = drawn.task
    for names, count in ((task.input_names, task.n_in), (task.output_names, task.n_out)):
        if len(names) != count or len(set(names)) != count or not all(names):
            return Measured(f"{', '.join(names)} for {count}", False)
    return Measured(f"{task.n_in} inputs, {task.n_out} outputs")


def _options(drawn: Drawn) -> Measured:
    task = type(drawn.task)
    if lacking := sorted(set(task.defaults()) - set(task.describe())):
        return Measured(f"no description of {', '.join(lacking)}", False)
    length = len(task.summary())
    return Measured(f"{len(task.defaults())} options, a summary of {length}", length in SUMMARY)
