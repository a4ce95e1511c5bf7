"""The Reber grammar and the embedded Reber grammar: predict the next symbol."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Average, Criterion
from rnnsim.kernels import kernel
from rnnsim.task import EpisodeTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import coin

SYMBOLS = "BTPSXVE"
B, T, P, S, X, V, E = range(7)

# The grammar: each node has two equally likely branches, each a symbol and the next node. Where there
# is no choice, both branches are the same.
SYMBOL = np.array([[B, B], [T, P], [S, X], [T, V], [X, S], [P, V], [E, E]])
NEXT = np.array([[1, 1], [2, 3], [2, 4], [3, 5], [3, 6], [4, 6], [7, 7]])
END = 7


class ReberSource(NamedTuple):
    rng: np.random.Generator
    symbols: Array  # (longest,) of the current string
    nodes: Array  # (longest,) the node that each symbol leaves


class Reber(EpisodeTask, frozen=True):
    """Predict the next symbol of strings of the Reber grammar (Reber 1967).

    A string runs from B to E; at each step the network sees a symbol, one-hot of ``B T P S X V E``, and
    predicts the next one. Where the grammar allows two, either counts as right (``legal``).

    The grammar's strings are of unbounded length: those longer than ``longest`` are drawn again (one in
    120 at 20 symbols), so that its loops are taken slightly less often than with probability 1/2.

    Solved when the last 1000 predictions were all legal. The current symbol does not determine what is
    legal next (each of T, P, S, X and V leads to two nodes): a network without memory is wrong at some
    predictions of most strings.

    A. S. Reber, *Implicit learning of artificial grammars*, 1967; A. Cleeremans, D. Servan-Schreiber,
    J. L. McClelland, *Finite state automata and simple recurrent networks*, Neural Computation
    1(3):372-381, 1989.
    """

    name = "reber"
    n_in = 7
    n_out = 7
    reached = "by bptt 20 of 20 seeds, at step 2,095 in the median"
    score = "accuracy"

    longest: Annotated[int, msgspec.Meta(ge=6, description="most symbols of a string")] = 20

    @property
    def episode_length(self) -> int:
        return self.longest - 1

    @property
    def has_legal(self) -> bool:
        return True

    @property
    def baseline(self) -> float:
        counts, _ = expected_counts(self.longest)
        counts[B] = 0  # B is never predicted
        return entropy(counts)

    @property
    def criterion(self) -> Criterion:
        return Average("accuracy", 1.0, 1000)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            network={"loss": "softmax-cross-entropy"}, hidden=16, learning_rate=0.01, steps=200_000
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ReberSource:
        return ReberSource(rng, np.zeros(self.longest, np.int64), np.zeros(self.longest, np.int64))

    def episode(self) -> Kernel:
        return episode


class EmbeddedReber(Reber, frozen=True):
    """Predict Reber strings wrapped in a pair of T or P to be remembered (Fahlman 1991).

    A string is ``B T <Reber string> T E`` or ``B P <Reber string> P E``: its last symbol but one
    repeats its second. All other predictions are those of the Reber grammar, which does not depend on
    the wrapping; all but about a twentieth of the predictions can be right without remembering it.

    It is therefore solved when the last 2000 predictions were *all* legal: some 180 of them depend on
    the wrapping, each being right with probability 1/2 if the network guesses. ``longest`` counts the
    whole string; longer ones are drawn again.

    S. E. Fahlman, *The recurrent cascade-correlation architecture*, NIPS 3, 1991; S. Hochreiter,
    J. Schmidhuber, *Long short-term memory*, Neural Computation 9(8):1735-1780, 1997.
    """

    name: ClassVar[str] = "embedded-reber"
    reached: ClassVar[str] = "by bptt 20 of 20 seeds, at step 20,785 in the median"

    longest: Annotated[int, msgspec.Meta(ge=10, description="most symbols of a string")] = 24

    @property
    def baseline(self) -> float:
        counts, _ = expected_counts(self.longest - 4)
        counts[T] += 1  # half of the strings have two T more, the others two P
        counts[P] += 1
        counts[E] += 1
        return entropy(counts)

    @property
    def criterion(self) -> Criterion:
        return Average("accuracy", 1.0, 2000)

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            network={"loss": "softmax-cross-entropy"},
            hidden=32,
            init={"scheme": "orthogonal"},
            learning_rate=0.003,
            steps=2_000_000,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ReberSource:
        inner = self.longest - 4
        return ReberSource(rng, np.zeros(inner, np.int64), np.zeros(inner, np.int64))

    def episode(self) -> Kernel:
        return embedded_episode


@kernel(allocates=False)
def draw_string(rng: np.random.Generator, symbols: Array, nodes: Array) -> int:
    """Draw a string that fits into ``symbols``, with its nodes; return its length."""
    length = 0
    node = 0
    while node != END:
        if length == symbols.size:  # too long: draw again
            length = 0
            node = 0
        branch = coin(rng)
        symbols[length] = SYMBOL[node, branch]
        nodes[length] = node
        node = NEXT[node, branch]
        length += 1
    return length


@kernel(allocates=False)
def predict(u: Array, d: Array, weight: Array, t: int, symbol: int, following: int) -> None:
    """Write step t, with input ``symbol`` and target ``following``."""
    u[t, symbol] = 1
    d[t, following] = 1
    weight[t] = 1


@kernel(allocates=False)
def episode(source: ReberSource, b: int, u: Array, d: Array, weight: Array, legal: Bools) -> int:
    symbols, nodes = source.symbols, source.nodes
    steps = draw_string(source.rng, symbols, nodes) - 1
    for t in range(steps):
        predict(u, d, weight, t, symbols[t], symbols[t + 1])
        for branch in range(2):
            legal[t, SYMBOL[nodes[t + 1], branch]] = True
    return steps


@kernel(allocates=False)
def embedded_episode(
    source: ReberSource, b: int, u: Array, d: Array, weight: Array, legal: Bools
) -> int:
    symbols, nodes = source.symbols, source.nodes
    wrapping = T if coin(source.rng) == 0 else P
    length = draw_string(source.rng, symbols, nodes)
    predict(u, d, weight, 0, B, wrapping)
    legal[0, T] = True
    legal[0, P] = True
    seen = wrapping
    for i in range(length):
        predict(u, d, weight, 1 + i, seen, symbols[i])
        for branch in range(2):
            legal[1 + i, SYMBOL[nodes[i], branch]] = True
        seen = symbols[i]
    predict(u, d, weight, length + 1, E, wrapping)  # depends on the wrapping
    legal[length + 1, wrapping] = True
    predict(u, d, weight, length + 2, wrapping, E)
    legal[length + 2, E] = True
    return length + 3


def expected_counts(longest: int) -> tuple[Array, float]:
    """Mean number of each symbol (7,) in a string, and the fraction of strings that are too long.

    The counts are of strings of at most ``longest`` symbols.
    """
    counts, fits = _expected_counts(longest)
    return counts.copy(), 1 - fits


@cache
def _expected_counts(longest: int) -> tuple[Array, float]:
    # fits[r, node]: the probability of reaching the end within r symbols
    fits = np.zeros((longest + 1, END + 1))
    fits[:, END] = 1
    for r in range(1, longest + 1):
        for node in range(END):
            fits[r, node] = fits[r - 1, NEXT[node]].mean()
    counts = np.zeros(7)
    at = np.eye(END + 1)[0]  # the probability of each node after ``length`` symbols
    for length in range(longest):
        after = np.zeros(END + 1)
        for node in range(END):
            for branch in range(2):
                following = NEXT[node, branch]
                share = at[node] / 2
                counts[SYMBOL[node, branch]] += share * fits[longest - length - 1, following]
                after[following] += share
        at = after
    return counts / fits[longest, 0], float(fits[longest, 0])


def entropy(counts: Array) -> float:
    """The entropy of a distribution given by counts, in nats: its best constant answer's loss."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())
