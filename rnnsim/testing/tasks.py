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
from rnnsim.network import Stream
from rnnsim.task import Task
from rnnsim.testing.report import Check, Measured
from rnnsim.training.checkpoints import FILLED
from rnnsim.training.experiment import configure
from rnnsim.training.sequences import generators_in
from rnnsim.typing import Array

BATCH, ROWS = 3, 30_000
TARGETS = 6000  # for which the criterion is asked
BASELINE = 0.05  # the largest relative error: the best constant is that of a sample
FIELDS = FILLED
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
    held_out: bool = False, validation: bool = False,
) -> Stream:  # fmt: skip
    """Fill so many rows and give those that were filled.

    Parameters
    ----------
    task : Task
    rows, batch : int
    seed : int
    plain : bool
        Whether the kernel runs as plain Python.
    held_out, validation : bool
        Whether the data are those from which no run learns: test data, or validation data.

    Returns
    -------
    Stream
    """
    stream = task.allocate(rows, batch, np.float64)
    fill = task.fill() if plain else compiled(task.fill())
    rng = np.random.default_rng(seed)
    if validation:
        source = task.validation_source(rng, batch, np.float64)
    else:
        source = task.source(rng, batch, np.float64, held_out=held_out)
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
        "validation data": (
            "other data than those of a run, if anything is random; if they are the task's own, "
            "other data than those of the test", _validation,
        ),
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


def counting(stream: Stream) -> Array:
    """The weight of each output of each target, (T, B, k)."""
    if stream.masks_outputs[0]:
        return np.asarray(stream.mask[..., None] * stream.output_mask)
    return np.broadcast_to(stream.mask[..., None], stream.targets.shape)


def same(one: Array, other: Array) -> bool:
    """Whether two arrays are equal; what does not count may be nan in both."""
    return np.array_equal(one, other, equal_nan=True)


# --- what is measured --------------------------------------------------------------------------------


def _values(drawn: Drawn) -> Measured:
    task, stream = drawn.task, drawn.stream
    rows = len(stream.mask)
    if not (rows == ROWS or 0 < ROWS - rows < (task.episode_length or 0)):
        return Measured(f"{rows} of {ROWS} rows filled", False)
    counts = counting(stream)
    targets = np.where(counts != 0, stream.targets, 0)  # of the others, any may be nan
    for name, values in (("inputs", stream.inputs), ("targets", targets), ("mask", counts)):
        if not np.isfinite(values).all():
            return Measured(f"{name} hold what is not finite", False)
    if (stream.mask < 0).any() or (counts < 0).any():
        return Measured("negative weights", False)
    if ((stream.mask > 0) != (counts > 0).any(axis=2)).any():
        return Measured("targets of which no output counts", False)
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
    stream = task.allocate(most, BATCH, np.float64)
    fill = compiled(task.fill())
    for rows in (length, length + 7, most, 2 * length - 1, length, 3 * length + 1):
        filled = fill(source, stream, rows)
        if not 0 < filled <= rows:
            return Measured(f"{filled} of {rows} rows filled", False)
        for name in FILLED:
            part = getattr(whole, name)[start : start + filled]
            if not same(getattr(stream, name)[: len(part)], part):
                return Measured(f"other {name} from row {start} on", False)
        start += filled
    return Measured(f"the same {start} rows")


def _plain(drawn: Drawn) -> Measured:
    plain = draw(drawn.task, drawn.some, seed=drawn.seed, plain=True)
    for name, part, expected in zip(plain._fields, plain, first_rows(drawn.stream, len(plain.mask))):
        if name in FILLED and not same(part, expected):
            return Measured(f"other {name}", False)
    return Measured(f"the same {len(plain.mask)} rows")


def _differs(drawn: Drawn, other: Stream, what: str) -> Measured:
    rows = len(other.mask)
    equal = all(same(x[:rows], y) for x, y in zip(drawn.stream[:2], other[:2]))
    text = f"{'the same' if equal else 'other'} inputs and targets {what}"
    return Measured(text, not equal) if drawn.is_random else Measured(f"{text}; nothing is random", None)


def _seeds(drawn: Drawn) -> Measured:
    return _differs(drawn, draw(drawn.task, drawn.some, seed=drawn.seed + 1), "with another seed")


def _held_out(drawn: Drawn) -> Measured:
    other = draw(drawn.task, drawn.some, seed=drawn.seed + 1, held_out=True)
    return _differs(drawn, other, "held out")


def _validation(drawn: Drawn) -> Measured:
    task, seed = drawn.task, drawn.seed + 1
    found = draw(task, drawn.some, seed=seed, validation=True)
    test = draw(task, drawn.some, seed=seed, held_out=True)
    rows = min(len(found.mask), len(test.mask))
    equal = all(same(x[:rows], y[:rows]) for x, y in zip(found[:2], test[:2]))
    own = type(task).validation_source is not Task.validation_source
    if own and equal:
        return Measured("the same inputs and targets as those of the test", False)
    return _differs(drawn, found, "of validation")


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
    weights = counting(stream)[counts]
    targets = np.where(weights > 0, stream.targets[counts], 0)
    mean = (weights * targets).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        if loss == "squared-error":
            each = (targets - mean) ** 2 / 2
        elif loss == "softmax-cross-entropy":
            each = -np.where(targets > 0, targets * np.log(mean), 0.0)
        elif loss == "logistic-cross-entropy":
            on = np.where(targets > 0, targets * np.log(mean), 0.0)
            off = np.where(targets < 1, (1 - targets) * np.log(1 - mean), 0.0)
            each = -(on + off)
        else:
            return None
    return float((weights * each).sum() / stream.mask[counts].sum())


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
