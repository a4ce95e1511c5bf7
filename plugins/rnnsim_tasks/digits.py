"""Classification of handwritten digits that are read row by row."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rnnsim.criterion import Criterion, HeldOut
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.task import EpisodeTask, Suggestion
from rnnsim.typing import Array, Bools, Kernel
from rnnsim_tasks.draw import below

BATCH = 32


class DigitsSource(NamedTuple):
    rng: np.random.Generator
    images: Array  # (N, 8, 8) in 0..1
    labels: Array  # (N,)
    order: Array  # (N,) the order in which they are shown
    place: Array  # (1,) number of images shown in this pass
    shuffle: bool  # whether each pass has a new random order


class Images(NamedTuple):
    images: Array
    labels: Array


class Digits(EpisodeTask, frozen=True):
    """Read a handwritten digit row by row and say which it is (scikit-learn's digits).

    1797 images of 8 x 8 pixels, scaled to 0..1: one row per step, with the target at the last row, a
    softmax over ten classes. Every fifth image of each class is held out (359 of them): a fixed split.
    The others are shown in a new random order in each pass; the sequences of a batch take the next
    images in turn.

    Solved when 95 % of the held-out images are classified correctly, evaluated after each pass (at a
    batch of 32). Chance level is 10 %. Data: E. Alpaydin, C. Kaynak, *Optical recognition of handwritten
    digits*, UCI repository, 1998. Needs scikit-learn: ``pip install 'rnnsim[digits]'``.
    """

    name = "digits"
    n_in = 8
    n_out = 10
    reached = "by bptt 20 of 20 seeds, at step 2,520 in the median; going on, 96.4% to 98.1%"
    score = "accuracy"

    @property
    def episode_length(self) -> int:
        return 8

    @property
    def baseline(self) -> float:
        share = np.bincount(load(False).labels) / load(False).labels.size
        return float(-(share * np.log(share)).sum())

    @property
    def criterion(self) -> Criterion:
        return HeldOut("accuracy", 0.95, every=8 * -(-load(False).labels.size // BATCH))

    def held_out_shape(self) -> tuple[int, int]:
        return 8, load(True).labels.size

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            network={"loss": "softmax-cross-entropy"},
            hidden=64,
            init={"scheme": "orthogonal"},
            learning_rate=0.003,
            batch=BATCH,
            steps=40_000,
        )

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> DigitsSource:
        images, labels = load(held_out)
        return DigitsSource(
            rng,
            images=images.astype(dtype),
            labels=labels.astype(np.int64),
            order=np.arange(labels.size),
            place=np.zeros(1, np.int64),
            shuffle=not held_out,
        )

    def episode(self) -> Kernel:
        return episode


@kernel(allocates=False)
def episode(source: DigitsSource, b: int, u: Array, d: Array, weight: Array, legal: Bools) -> int:
    order, place = source.order, source.place[0]
    if place == 0 and source.shuffle:
        for i in range(order.size - 1, 0, -1):
            j = below(source.rng, i + 1)
            order[i], order[j] = order[j], order[i]
    image = order[place]
    source.place[0] = (place + 1) % order.size
    for t in range(8):
        for i in range(8):
            u[t, i] = source.images[image, t, i]
    d[7, source.labels[image]] = 1
    weight[7] = 1
    return 8


@cache
def load(held_out: bool) -> Images:
    """Return the held-out images, or the others.

    Raises
    ------
    RnnsimError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise RnnsimError(
            "the task digits needs scikit-learn's images: pip install 'rnnsim[digits]'"
        ) from None
    images, labels = load_digits(return_X_y=True)
    kept_back = np.zeros(labels.size, np.bool_)
    for label in range(10):
        kept_back[np.flatnonzero(labels == label)[::5]] = True
    chosen = kept_back == held_out
    return Images(images[chosen].reshape(-1, 8, 8) / 16, labels[chosen])
