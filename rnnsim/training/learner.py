"""A network that learns: its parameters, state and rule's memory, and the compiled loop."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

from rnnsim import checks, registry
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import Network, Stream, check_is_network
from rnnsim.rule import Rule
from rnnsim.training import saved_learners
from rnnsim.training.advancing import Settings
from rnnsim.training.experiment import clipping
from rnnsim.training.learner_memory import go_on_from, memory_of
from rnnsim.training.learning_rates import checked_rate
from rnnsim.training.on_line import Made, OnLine
from rnnsim.training.optimizers import Optimizer, make_optimizer, optimizer_type
from rnnsim.training.schedules import REDUCTIONS, make_schedule
from rnnsim.training.sequences import Carried
from rnnsim.training.step_arguments import step_inputs, step_mask, step_target
from rnnsim.training.streams import make_stream, stream_as_it_is
from rnnsim.typing import Array, Inputs, Params

ENDLESS = checks.LARGEST  # steps


class Learnt(NamedTuple):
    """The result of :meth:`Learner.learn`, in arrays of its own.

    Attributes
    ----------
    outputs : (T, B, k) array
        What the network said before it learnt the window that the step belongs to.
    losses : (T,) array
        mask * loss of each step, a mean over the sequences.
    """

    outputs: Array
    losses: Array


class OneThread:
    """Refuses a second thread, which would move the same state."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RnnsimError("another thread is using this learner; each thread needs its own")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Learner:
    """A network that learns on-line from whatever it is given, by a rule and an optimizer.

    Arrays are allocated and kernels are compiled once. What functions of your own refer to is bound
    now: later changes of globals, closures and arrays are not seen.

    Parameters
    ----------
    network : Network
    rule : str or Rule
        The name of a rule, whose options are given by keyword, or a rule object.
    params : NamedTuple of arrays, optional
        The parameters to begin with, which are copied; by default ``network.init(seed)``.
    seed : int
    optimizer : str or Optimizer
        ``sgd``, ``momentum``, ``rmsprop`` or ``adam``, whose options are given by keyword too.
    learning_rate : float, or mapping or NamedTuple of floats and arrays
        One for all parameters, or one for each by name (a number, or an array of its shape); 0 freezes.
        Parameters that are left out of a mapping are frozen.
    clip : float
        The maximum norm of the gradient, which is scaled down to it; ``inf`` for no clipping.
    weight_decay : float
        Each update takes this part of the weights away, times the learning rate; not by way of the
        gradient [Loshchilov & Hutter 2019].
    schedule : "constant", "linear", "cosine" or "step"
        How the learning rate falls: to 0 over ``schedule_steps``, or to a tenth after each of them.
    schedule_steps : int, optional
    window : int, optional
        Steps between updates; by default what the rule prefers on-line. For a rule without a preference
        (bptt) each call of ``learn`` is then a window, and ``step`` demands that it is given.
    batch : int
        B, the number of sequences side by side.
    delay : int
        h rows between an input and the target that is learnt with it (theory.md 7): what is said at row
        t is a forecast of the target of row t + h. An acting state is at the present row, and is what
        ``state`` gives; a learning state with the same weights is h rows behind.
    reduction : "sum" or "mean"
        Whether the gradient of a window is a sum over its steps, or a mean over its targets.
    reset_state : (B, N) or (N,) array, optional
        Where a reset leads, and where the state begins; by default the network's own.
    tailored : bool
        Whether to compile for the exact sizes of the arrays: small networks then learn up to five times
        as fast, but each size is compiled by itself.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line.
    **options
        Options of the rule and of the optimizer.

    Attributes
    ----------
    network : Network
    rule : Rule
    optimizer : Optimizer
    batch : int
    window : int or None

    Raises
    ------
    RnnsimError
        If an argument has a wrong type, name or value.

    Examples
    --------
    >>> learner = Learner(network, "rtrl", learning_rate=0.01)      # doctest: +SKIP
    >>> y = learner.step(u)                                         # doctest: +SKIP
    >>> learner.correct(target=d)                                   # doctest: +SKIP
    """

    @reports_memory
    def __init__(
        self,
        network: Network,
        rule: str | Rule = "rtrl",
        *,
        params: Params | None = None,
        seed: int = 0,
        optimizer: str | Optimizer = "adam",
        learning_rate: Any = 1e-3,
        clip: float | None = 1.0,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        schedule_steps: int | None = None,
        window: int | None = None,
        batch: int = 1,
        delay: int = 0,
        reduction: str = "sum",
        reset_state: Array | None = None,
        tailored: bool = False,
        check_bounds: bool = False,
        **options: Any,
    ) -> None:
        of_rule, of_optimizer = _divided(rule, optimizer, options)
        self.network = check_is_network(network)
        self.rule = registry.make_rule(rule, of_rule)
        self.rule.check_network(network)
        self.optimizer = make_optimizer(optimizer, of_optimizer)
        self.window = self._checked_window(window)
        self.batch = checks.whole("batch", batch, 1, checks.LARGEST_SIZE)
        settings = Settings(
            window=self.window or 1, batch=self.batch, steps=ENDLESS,
            seed=checks.whole("seed", seed, 0), learning_rate=checked_rate(network, learning_rate),
            clip=clipping(clip),
            weight_decay=checks.real("weight_decay", weight_decay, at_least=0),
            schedule=make_schedule(schedule, schedule_steps),
            mean=checks.known_name("reduction", reduction, REDUCTIONS) == "mean",
            stop=False, tailored=checks.boolean("tailored", tailored),
        )  # fmt: skip
        delay = checks.whole("delay", delay, 0, checks.LARGEST_SIZE)
        if delay and settings.tailored:
            raise RnnsimError("tailored is not offered with a delay")
        made = Made(
            network, self.rule, self.optimizer, settings, delay,
            checks.boolean("check_bounds", check_bounds),
        )  # fmt: skip
        flat = network.pack(network.init(settings.seed) if params is None else params)
        self._flat, self._alone = flat, OneThread()
        self._on_line = OnLine(made, flat, reset_state)

    def _checked_window(self, window: int | None) -> int | None:
        if window is not None:
            return checks.whole("window", window, 1, checks.LARGEST_SIZE)
        found = self.rule.online_window(self.network)
        if found is None and self.rule.carries:
            raise RnnsimError(f"{self.rule.name} has no window of its own: give window=, the number of "
                              "steps between updates")  # fmt: skip
        return found

    # --- one step at a time ---

    @reports_memory
    def step(self, u: Inputs) -> Array:
        """Go one step on: the state moves, and nothing is learnt yet.

        A step before it that was not corrected counts as one without a target.

        Parameters
        ----------
        u : (m,) or (B, m) array
            For a fast-weight network also a pair (slow, fast) of such.

        Returns
        -------
        (k,) or (B, k) array
            y, in the form of u.

        Raises
        ------
        RnnsimError
            If u has another shape or is not finite, or neither the rule nor you have said how many
            steps a window has.
        """
        with self._alone:
            if self.window is None:
                raise RnnsimError(f"{self.rule.name} has no window of its own: step needs window=, the "
                                  "number of steps between updates")  # fmt: skip
            given, is_single = step_inputs(self.network, u, self.batch)
            y = self._on_line.step(given)
            return y[0] if is_single else y

    @reports_memory
    def correct(
        self, target: Array | None = None, *, error: Array | None = None, mask: Any = None
    ) -> None:
        """Give the target of the last step, or its error; at the end of a window the weights move.

        Parameters
        ----------
        target : (k,) or (B, k) array, optional
            d.
        error : (k,) or (B, k) array, optional
            In place of the target dE/dy of each sequence, by a loss of your own or a reward; it is
            divided by B.
        mask : (B,) array or float, optional
            The weight of each sequence; 1 by default.

        Raises
        ------
        RnnsimError
            If no step is waiting for it, or an array has a wrong shape or is not finite.
        Diverged
            If a loss or a parameter is not finite.
        """
        with self._alone:
            if not self._on_line.unfinished.is_open:
                raise RnnsimError("correct follows a step, once: none is waiting for its correction")
            if (target is None) == (error is None):
                raise RnnsimError("correct takes target= or error=, one of them")
            name, given = ("target", target) if error is None else ("error", error)
            d = step_target(self.network, name, given, self.batch)
            weight = None if mask is None else step_mask(self.network, mask, self.batch)
            self._on_line.correct(d, weight, target is None)

    # --- many steps ---

    @reports_memory
    def learn(
        self, inputs: Inputs, targets: Array, *, mask: Array | None = None, resets: Array | None = None
    ) -> Learnt:
        """Learn from any number of steps; the outputs of a window come before it is learnt.

        A call may leave a window unfinished; the next one goes on with it, or ``flush`` closes it.

        Parameters
        ----------
        inputs, targets, mask, resets
            As for :func:`rnnsim.gradient`.

        Returns
        -------
        Learnt

        Raises
        ------
        RnnsimError
            If an array has a wrong shape, type or value.
        Diverged
            If a loss or a parameter is not finite.
        NoSteadyState
            If a rule settles, and the network does not converge to a steady state.
        """
        with self._alone:
            stream = self._stream(inputs, targets, mask, resets)
            outputs, losses = self._on_line.learn(stream, self.window is None)
            return Learnt(outputs, losses / self.batch)

    def _stream(
        self, inputs: Inputs, targets: Array | None, mask: Array | None, resets: Array | None
    ) -> Stream:
        stream = stream_as_it_is(self.network, inputs, targets, mask, resets)
        if stream is None:
            stream = make_stream(self.network, inputs, targets, mask, resets, settles=self.rule.settles)
        if stream.mask.shape[1] != self.batch:
            raise RnnsimError(f"inputs have {stream.mask.shape[1]} sequences; batch is {self.batch}")
        return stream

    @reports_memory
    def flush(self) -> None:
        """Close the unfinished window, if there is one: learn what it holds.

        Raises
        ------
        Diverged
            If a loss or a parameter is not finite.
        """
        with self._alone:
            self._on_line.flush()

    @reports_memory
    def predict(self, inputs: Inputs, *, resets: Array | None = None) -> Array:
        """Give the outputs (T, B, k) for inputs that follow; neither state nor weights move.

        Raises
        ------
        RnnsimError
            If an array has a wrong shape, type or value.
        """
        with self._alone:
            return self._on_line.predict(self._stream(inputs, None, None, resets))

    # --- what it holds ---

    @property
    def steps(self) -> int:
        """Number of steps so far."""
        return self._on_line.steps

    @property
    def params(self) -> Params:
        """A copy of the parameters. Assign others to go on with them."""
        return self.network.views(self._flat.copy())

    @params.setter
    def params(self, params: Params) -> None:
        with self._alone:
            self._flat[:] = self.network.pack(params)

    @property
    def state(self) -> Array:
        """A copy of the state, (B, N). To assign one is to reset to it, and closes the window."""
        state: Array = self._on_line.acting[0].copy()
        return state

    @state.setter
    def state(self, state: Array) -> None:
        with self._alone:
            self._on_line.begin_at(state)

    @property
    def reset_state(self) -> Array | None:
        """The state to which a reset leads, (B, N); None for the network's own. It can be assigned."""
        return self._on_line.reset_state

    @reset_state.setter
    def reset_state(self, reset_state: Array | None) -> None:
        with self._alone:
            self._on_line.set_reset_state(reset_state)

    @property
    def memory(self) -> Carried:
        """A copy of what it keeps for the steps that follow, as ``memory`` of :func:`rnnsim.gradient`.

        The rule's memory, its history, and the rows of an unfinished window. To assign that of another
        learner with the same rule, batch and window is to go on from there; ``steps`` is then what that
        learner had counted. Assign ``state`` first, since that forgets the memory.
        """
        return memory_of(self._on_line)

    @memory.setter
    def memory(self, memory: Carried) -> None:
        with self._alone:
            go_on_from(self._on_line, memory)

    def reset(self) -> None:
        """Reset state and sensitivities, as a row of resets does; weights and optimizer stay."""
        with self._alone:
            self._on_line.reset()

    # --- in a folder ---

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write all of it into a folder: what it is made of, and what it holds, an open window included.

        Raises
        ------
        RnnsimError
            If the folder cannot be written to.
        """
        with self._alone:
            return saved_learners.save(self, folder)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, network: Network | None = None, rule: Rule | None = None,
        optimizer: Optimizer | None = None,
    ) -> Self:  # fmt: skip
        """Make the learner that was saved in a folder: its next step is the same to the last bit.

        Parameters
        ----------
        folder : path
        network : Network, optional
            The network, where it has functions of your own, which are not in the folder.
        rule : Rule, optional
            The rule, where it is registered nowhere.
        optimizer : Optimizer, optional
            The optimizer, where it is of a class of your own.

        Raises
        ------
        RnnsimError
            If the folder holds no learner, a file is damaged, or one of these is missing.
        """
        learner: Self = saved_learners.load(cls, folder, network, rule, optimizer)
        return learner


def _divided(
    rule: str | Rule, optimizer: str | Optimizer, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide options by name into those of the rule and those of the optimizer."""
    if not isinstance(optimizer, str):
        return options, {}
    known = optimizer_type(optimizer).defaults()
    of_rule = registry.rule_type(rule).defaults() if isinstance(rule, str) else {}
    both = [name for name in options if name in known and name in of_rule]
    if both:
        raise RnnsimError(f"the rule and the optimizer both have an option {both[0]}; pass one of them "
                          "as an object, with its own")  # fmt: skip
    return (
        {name: value for name, value in options.items() if name not in known},
        {name: value for name, value in options.items() if name in known},
    )
