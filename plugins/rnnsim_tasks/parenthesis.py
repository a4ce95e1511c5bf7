"""The parenthesis Turing machine [WZ89]: imitate the controller from the tape symbols alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.kernels import kernel
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Kernel
from rnnsim_tasks.draw import below, coin
from rnnsim_tasks.online import OPTIMIZER_OPTIONS

# The machine (Minsky 1967). On the tape there is an A at both ends; X is a crossed-out parenthesis.
SYMBOLS = "A()X"
A, OPEN, CLOSE, X = range(4)
LEFT, RIGHT, ACCEPT, REJECT = range(4)

# SEARCH moves right to the first ")" and crosses it out; MATCH then moves left to its "(" and crosses
# that out. From the right end, CHECK moves left and checks that no "(" remains. MATCH and CHECK never
# see a ")".
SEARCH, MATCH, CHECK = range(3)
#                     A       OPEN    CLOSE   X
WRITE = np.array([[A,      OPEN,   X,      X],
                  [A,      X,      CLOSE,  X],
                  [A,      OPEN,   CLOSE,  X]])  # fmt: skip
MOVE = np.array([[LEFT,   RIGHT,  LEFT,   RIGHT],
                 [REJECT, RIGHT,  REJECT, LEFT],
                 [ACCEPT, REJECT, REJECT, LEFT]])  # fmt: skip
NEXT = np.array([[CHECK,  SEARCH, MATCH,  SEARCH],
                 [SEARCH, SEARCH, SEARCH, MATCH],
                 [SEARCH, SEARCH, SEARCH, CHECK]])  # fmt: skip


class ParenthesisSource(NamedTuple):
    rng: np.random.Generator
    tape: Array  # (B, longest + 2)
    head: Array  # (B,) the head's position; 0: a new tape is needed
    state: Array  # (B,) the controller's state


class Parenthesis(StreamTask, frozen=True):
    """Be the controller of a Turing machine that checks parentheses, seeing the tape alone [WZ89].

    The machine decides whether a string of parentheses is balanced. Input: the symbol under the head,
    one-hot of ``A ( ) X``. Target: the controller's action, i.e. the symbol that it writes, one-hot of
    the same four, followed by one of left, right, accept, reject. The controller's state is not shown:
    the network must learn states of its own. When the machine halts, a new tape starts with the head on
    the string's first symbol; nothing else is reset, since the last action says that it halted.

    The table is that of M. Minsky, *Computation: finite and infinite machines*, 1967; that of [WZ89] may
    differ from it. Strings have at most ``longest`` parentheses, their number being uniform. Half of
    the strings are balanced by construction: where both parentheses can be extended to a balanced
    string, each has probability 1/2.

    Without memory every balanced string ends in an error, since the A at the two ends requires different
    actions; the criterion's steps in a row, some 30 strings, are therefore not passed by chance.
    """

    name = "parenthesis"
    n_in = 4
    n_out = 8
    reached = "by rtrl 20 of 20 seeds, at step 16,639 in the median"

    longest: Annotated[int, msgspec.Meta(ge=2, le=12, description="most parentheses of a string")] = 6

    @property
    def baseline(self) -> float:
        share = action_shares(self.longest)
        return float((share * (1 - share)).sum() / 2)

    @property
    def criterion(self) -> Criterion:
        return Streak(0.2, 100 * self.longest)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="rtrl", hidden=16, learning_rate=0.005, steps=500_000,
            optimizer_options=OPTIMIZER_OPTIONS,
        )  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ParenthesisSource:
        return ParenthesisSource(
            rng,
            tape=np.zeros((batch, self.longest + 2), np.int64),
            head=np.zeros(batch, np.int64),
            state=np.zeros(batch, np.int64),
        )

    def step(self) -> Kernel:
        return step


@kernel(allocates=False)
def step(source: ParenthesisSource, b: int, u: Array, d: Array) -> float:
    tape, state = source.tape[b], source.state[b]
    if source.head[b] == 0 and state == SEARCH:
        write_string(source.rng, tape)
        source.head[b] = 1
    head = source.head[b]
    symbol = tape[head]
    move = MOVE[state, symbol]
    u[:] = 0
    u[symbol] = 1
    d[:] = 0
    d[WRITE[state, symbol]] = 1
    d[4 + move] = 1
    tape[head] = WRITE[state, symbol]
    source.state[b] = NEXT[state, symbol]
    if move == LEFT:
        source.head[b] -= 1
    elif move == RIGHT:
        source.head[b] += 1
    else:  # halted: SEARCH at position 0, which does not occur otherwise, requests a new tape
        source.head[b] = 0
    return 1.0


@kernel(allocates=False)
def write_string(rng: np.random.Generator, tape: Array) -> None:
    """Write a random string onto the tape, between two A."""
    longest = tape.size - 2
    balanced = coin(rng) == 1
    length = 2 * (1 + below(rng, longest // 2)) if balanced else 1 + below(rng, longest)
    tape[:] = A
    depth = 0
    for i in range(length):
        symbol = OPEN if coin(rng) == 0 else CLOSE
        if balanced and depth == 0:
            symbol = OPEN
        elif balanced and depth == length - i:
            symbol = CLOSE
        tape[1 + i] = symbol
        depth += 1 if symbol == OPEN else -1


@cache
def action_shares(longest: int) -> Array:
    """The fraction of the steps in which each target (8,) is 1, over all strings."""
    total = np.zeros(8)
    for probability, string in strings(longest):
        total += probability * actions(string)
    return np.asarray(total / total[:4].sum())  # each step writes one symbol


def strings(longest: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield every string that :func:`write_string` can write, with its probability."""
    for length in range(1, longest + 1):
        for code in range(2**length):
            string = tuple(CLOSE if code >> i & 1 else OPEN for i in range(length))
            yield 0.5 / longest / 2**length, string
    for pairs in range(1, longest // 2 + 1):
        for probability, string in balanced_strings((), 0, 2 * pairs):
            yield 0.5 / (longest // 2) * probability, string


def balanced_strings(
    begun: tuple[int, ...], depth: int, rest: int
) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield the balanced strings that begin with ``begun``, with their conditional probabilities.

    Parameters
    ----------
    begun : tuple of int
        The symbols so far.
    depth : int
        The number of parentheses that are open after them.
    rest : int
        The number of symbols still to come.
    """
    if rest == 0:
        yield 1.0, begun
    choices = [OPEN] if depth == 0 else [CLOSE] if depth == rest else [OPEN, CLOSE]
    for symbol in choices if rest else []:
        change = 1 if symbol == OPEN else -1
        for probability, string in balanced_strings((*begun, symbol), depth + change, rest - 1):
            yield probability / len(choices), string


def actions(string: tuple[int, ...]) -> Array:
    """Count (8,) how often the machine writes each symbol and takes each action on a string."""
    tape, head, state, counts = [A, *string, A], 1, SEARCH, np.zeros(8)
    move = RIGHT
    while move in (LEFT, RIGHT):
        symbol = tape[head]
        move = MOVE[state, symbol]
        tape[head] = WRITE[state, symbol]
        counts[tape[head]] += 1
        counts[4 + move] += 1
        state = NEXT[state, symbol]
        head += 1 if move == RIGHT else -1
    return counts
