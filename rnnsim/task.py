"""The contract of a task: what the network is to learn, and when it has.

A task fills rows of a :class:`~rnnsim.network.Stream`, step by step (a stream without end) or episode
by episode. Its ``source`` is a NamedTuple that holds everything that generation depends on, the random
generator included, so that a run can be saved, and its result does not depend on the chunks it is
generated in.

Most tasks are one of two kinds, and write one kernel for one sequence:

* :class:`StreamTask`: ``step(source, b, u, d) -> weight`` writes the input (m) and the target (k) of
  the next step of sequence b and returns the weight of the target;
* :class:`EpisodeTask`: ``episode(source, b, u, d, weight, legal) -> length`` writes a whole episode,
  u (L, m), d (L, k), weight (L); it ends after ``length`` of the L steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from rnnsim.criterion import Criterion
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.options import Options
from rnnsim.typing import Kernel


class Suggestion(NamedTuple):
    """The settings that a task suggests, used where the user gives none.

    Attributes
    ----------
    rule : str
        With which ``reached`` was measured.
    kind : str
        The kind of network that ``network`` and ``init`` are for.
    network : mapping
        Its options besides the sizes.
    init : mapping
        Options of ``network.init``.
    hidden : int
    optimizer : str
    optimizer_options : mapping
        Its options, unless the user chooses an optimizer.
    learning_rate : float
    clip : float or None
        The largest norm of a gradient; None for no limit.
    window : int or None
        Steps between updates; None for an episode.
    batch : int
    steps : int
        The largest number; a run stops when the task is solved.
    keep : "last" or "best"
        The parameters that a run keeps: ``best`` looks at validation data from time to time.
    keep_every : int or None
        Steps between these looks; None for a fiftieth of the run.
    patience : int
        The looks without an improvement after which a run that keeps the best ends; 0: it does not.
    """

    rule: str = "bptt"
    kind: str = "recurrent"
    network: Mapping[str, Any] = {}
    init: Mapping[str, Any] = {}
    hidden: int = 16
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = {}
    learning_rate: float = 0.01
    clip: float | None = 1.0
    window: int | None = None
    batch: int = 1
    steps: int = 100_000
    keep: str = "last"
    keep_every: int | None = None
    patience: int = 0


class Task(Options, frozen=True):
    """A task; its fields are its options, validated on construction.

    Attributes
    ----------
    name : str
        By which users choose it.
    n_in, n_out : int
        m and k, properties that may depend on options.
    score : str
        What is shown beside the loss: a name of :data:`rnnsim.criterion.SCORES`.
    reached : str
        What the suggested network and rule reached.
    steady : bool
        Whether each row is a pattern for a rule that settles.
    takes_data : bool
        Whether its option ``data`` takes the user's own data, and ``path`` their files, so that they may
        be given in place of the name of a task.
    of_files : tuple of str
        Of such a task, the options that are of files alone: where a run is repeated with ``data``, they
        are those of other data.
    """

    name: ClassVar[str]
    score: ClassVar[str] = "error"
    reached: ClassVar[str] = ""
    steady: ClassVar[bool] = False
    takes_data: ClassVar[bool] = False
    of_files: ClassVar[tuple[str, ...]] = ("path",)

    @property
    @abstractmethod
    def n_in(self) -> int:
        """m, the number of inputs."""

    @property
    @abstractmethod
    def n_out(self) -> int:
        """k, the number of outputs."""

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss per target of the best constant answer."""

    @property
    def floors(self) -> Mapping[str, float]:
        """Losses per target that tell what was learnt, by name: the least that is possible with it.

        ``rnnsim tasks`` prints them, and figures draw them.
        """
        return {}

    @property
    @abstractmethod
    def criterion(self) -> Criterion:
        """When the task counts as solved."""

    @property
    def criteria(self) -> Mapping[str, Criterion]:
        """The criteria that a user may choose from by name; ``criterion`` is the default."""
        return {"default": self.criterion}

    @property
    def published(self) -> Mapping[str, int]:
        """For each rule with a published figure: the step within which it solved the task."""
        return {}

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, for figures."""
        return tuple(f"u{i + 1}" for i in range(self.n_in))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, for figures."""
        return tuple(f"y{i + 1}" for i in range(self.n_out))

    def held_out_shape(self) -> tuple[int, int]:
        """The shape (T, B) of the data of the final evaluation, the test data.

        A finite data set is used whole, once.
        """
        whole = self.episode_length or 1
        return whole * max(1, 500 // whole), 16

    def validation_shape(self) -> tuple[int, int]:
        """The shape (T, B) of validation data; by default that of the test data."""
        return self.held_out_shape()

    def suggestion(self, rule: str) -> Suggestion:
        """The default settings for this rule."""
        return Suggestion()

    def suggestions(self, rule: str, kind: str) -> Mapping[str, Suggestion]:
        """The settings that a user may choose from by name, for this rule and kind of network.

        The first is the default.
        """
        return {"default": self.suggestion(rule)}

    @property
    def episode_length(self) -> int | None:
        """The largest number of steps of an episode, or None where there are no episodes."""
        return None

    @property
    def has_legal(self) -> bool:
        """Whether several outputs may count as right."""
        return False

    @property
    def masks_outputs(self) -> bool:
        """Whether each output of a target has a weight of its own, as where single values are missing.

        ``fill`` then writes ``stream.output_mask`` (T, B, k) beside ``stream.mask``, which is 0 where no
        output counts. The loss must be a sum over outputs.
        """
        return False

    @property
    def target_delay(self) -> int:
        """How many rows after its own the target of a row is known: what is learnt then (theory.md 7).

        The network acts on the present row, and learns from the row so many rows before it. A forecast h
        rows ahead has the target d(t + h) at row t. The network answers before it learns, and d(t + 1)
        is learnt once row t + 1 is there: its delay is h - 1.
        """
        return 0

    @property
    def kept_outputs(self) -> int:
        """The number of first steps of which a run keeps what the network said, before it learnt them.

        By these an on-line learner is judged, each of whose outputs counts as it was made.
        """
        return 0

    def check_network(self, network: Network) -> None:
        """Refuse a network that cannot learn the task, such as one whose loss does not fit the targets.

        Raises
        ------
        RnnsimError
            The message says why, and what would be right.
        """

    def allocate(self, rows: int, batch: int, dtype: Any) -> Stream:
        """Allocate rows for ``fill``."""
        stream = empty_stream(
            rows, batch, self.n_in, self.n_out, dtype, legal=self.has_legal,
            output_mask=self.masks_outputs,
        )  # fmt: skip
        stream.masks_outputs[0] = self.masks_outputs
        return stream

    @abstractmethod
    def source(self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False) -> Any:
        """Allocate what generation depends on, for ``batch`` sequences side by side.

        Parameters
        ----------
        rng : numpy.random.Generator
        batch : int
            B.
        dtype : numpy.dtype
        held_out : bool
            Whether it is for test data: those of the final evaluation, from which no run learns and by
            which nothing is chosen. Another part of a finite data set, or other draws of a generator.

        Returns
        -------
        NamedTuple of arrays, numbers and generators
            Everything that ``fill`` reads and updates.
        """

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the task found in its data, and a trained network needs to be used with others.

        Plain values, mappings and arrays, which are kept with a run beside the options. A generator has
        none.
        """
        return {}

    def with_facts(self, facts: Mapping[str, Any]) -> Self:
        """The task of a run that was saved, with the facts that it had then.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they cannot be those of such a task.
        """
        return self

    def told(self) -> str:
        """What is said when a run begins, such as what was found in the data; empty for nothing."""
        return ""

    def validation_source(self, rng: np.random.Generator, batch: int, dtype: Any) -> Any:
        """Allocate what the generation of validation data depends on, as ``source`` does.

        By these data it is chosen which parameters are kept and when a run ends
        (:class:`~rnnsim.criterion.HeldOut`); no run learns from them. By default they are held out as
        test data are, with other draws: a generator has both, while a finite data set whose test data
        are to decide nothing gives a part of its own here.
        """
        return self.source(rng, batch, dtype, held_out=True)

    @abstractmethod
    def fill(self) -> Kernel:
        """Make the kernel ``fill(source, stream, rows) -> filled``.

        It writes the first rows of a stream: ``rows`` of them, or as many whole episodes as fit.
        Returns their number.
        """


class StreamTask(Task, frozen=True):
    """A task without end or episodes."""

    @abstractmethod
    def step(self) -> Kernel:
        """Make the kernel ``step(source, b, u, d) -> weight``.

        It writes the input u (m,) and the target d (k,) of the next step of sequence b, and returns
        the weight of the target, 0 if there is none. A task that ``masks_outputs`` has a ``fill`` of
        its own.
        """

    def fill(self) -> Kernel:
        return stream_fill(self.step())


@cache
def stream_fill(step: Kernel) -> Kernel:
    """Make ``fill`` from the kernel of one step of one sequence."""

    @kernel
    def fill(source: Any, stream: Stream, rows: int) -> int:
        for t in range(rows):
            for b in range(stream.mask.shape[1]):
                weight = step(source, b, stream.inputs[t, b], stream.targets[t, b])
                stream.mask[t, b] = weight
        return rows

    return fill


class EpisodeTask(Task, frozen=True):
    """A task of episodes, the state being reset before each.

    The B sequences start their episodes together; one that ends early has no targets until the
    longest ends.
    """

    @abstractmethod
    def episode(self) -> Kernel:
        """Make the kernel ``episode(source, b, u, d, weight, legal) -> length``.

        It writes an episode of sequence b into u (L, m), d (L, k), weight (L,) and legal (L, k), which
        are zero beforehand, and returns its length, at most L; ``legal`` has no rows unless
        ``has_legal``.
        """

    def fill(self) -> Kernel:
        length = self.episode_length
        assert length is not None
        return episode_fill(self.episode(), length)


@cache
def episode_fill(episode: Kernel, length: int) -> Kernel:
    """Make ``fill`` from the kernel of one episode, of at most ``length`` steps, of one sequence."""

    @kernel
    def fill(source: Any, stream: Stream, rows: int) -> int:
        B, m = stream.inputs.shape[1:]
        k = stream.targets.shape[2]
        u = np.zeros((length, m), stream.inputs.dtype)
        d = np.zeros((length, k), stream.inputs.dtype)
        weight = np.zeros(length, stream.inputs.dtype)
        legal = np.zeros((min(length, stream.legal.shape[0]), k), np.bool_)
        start = 0
        while start + length <= rows:
            longest = 0
            for b in range(B):
                u[:] = 0
                d[:] = 0
                weight[:] = 0
                legal[:] = False
                longest = max(longest, episode(source, b, u, d, weight, legal))
                for t in range(length):
                    stream.mask[start + t, b] = weight[t]
                    stream.resets[start + t, b] = t == 0
                    stream.ends[start + t] = False
                    for i in range(m):
                        stream.inputs[start + t, b, i] = u[t, i]
                    for o in range(k):
                        stream.targets[start + t, b, o] = d[t, o]
                        if t < legal.shape[0]:
                            stream.legal[start + t, b, o] = legal[t, o]
            stream.ends[start + longest - 1] = True
            start += longest
        return start

    return fill
