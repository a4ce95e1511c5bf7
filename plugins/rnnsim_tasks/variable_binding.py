"""Variable binding, the parking lot of [S92 3.2]: in which slot is the car parked?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Criterion, Streak
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.options import Count
from rnnsim.task import StreamTask, Suggestion
from rnnsim.typing import Array, Kernel
from rnnsim_tasks.draw import below, coin
from rnnsim_tasks.fast_weights import PUBLISHED, tuned_and_published
from rnnsim_tasks.online import SMALLER

CHANCE = 1 / 4  # probability that a car parks or leaves when it is its turn, and of a question
DRIVING = -1  # in place of a slot

# With several cars, the change of a fast weight must depend on the slot and the car jointly. In
# architecture 2 the product of FROM and TO does that; architecture 1 needs many hidden units for it.
BETWEEN_UNITS = PUBLISHED._replace(
    rule="fast-weights-2", optimizer="adam", learning_rate=0.002, clip=0.1, batch=4, steps=300_000
)
EACH_WEIGHT = PUBLISHED._replace(
    network={**PUBLISHED.network, "slow_bias": True, "hidden_activation": "relu", "tau": 8.0},
    init={"scheme": "scaled-normal", "gain": 0.5},
    hidden=64,
    optimizer="adam",
    learning_rate=0.002,
    clip=0.03,
    window=20,
    batch=4,
    steps=1_500_000,
)


class ParkingLot(NamedTuple):
    rng: np.random.Generator
    place: Array  # (B, cars) the slot in which each car is parked, or DRIVING
    slots: int
    distractors: int


class VariableBinding(StreamTask, frozen=True):
    """Say where a car was parked some time ago [S92].

    At each step a driving car parks with probability 1/4, in a slot drawn uniformly, and a parked one
    leaves with probability 1/4. A slot's detector is on only in the step in which the car parks there.
    At each later step at which the car is parked, there is a question for it with probability 1/4: the
    target is then the slot, one-hot. Without a question it is zero. Each distractor is on in half of all
    steps. There are no episodes.

    The inputs are the detectors and the distractors, which the slow net sees, and last the question,
    which the fast net sees.

    With several cars each step is the turn of one of them, drawn uniformly; it parks in a free slot.
    Beside the detectors there is a sensor for each car that indicates which one is parking, so that the
    slot and the car must be combined; each car has its own question, with at most one question per step.

    The published criterion is met by chance when there happen to be few questions. The strict criterion
    also requires a question about each slot within its steps; their number is scaled with the pairs of a
    slot and a car, from the published 100 for three slots and one car.
    """

    name = "variable-binding"
    reached = (
        "by rtrl 20 of 20 seeds, at step 11,637 in the median, eight sequences side by side; "
        "by fast-weights-1 20, at 3,750; by fast-weights-2 20, at 4,376"
    )

    slots: Annotated[Count, msgspec.Meta(description="slots of the parking lot")] = 3
    cars: Annotated[Count, msgspec.Meta(description="cars, at most as many as slots")] = 1
    distractors: Annotated[int, msgspec.Meta(ge=0, description="inputs without a meaning")] = 3

    def __post_init__(self) -> None:
        if self.cars > self.slots:
            raise RnnsimError(f"cars is {self.cars}; it must be at most slots, which is {self.slots}")

    @property
    def n_slow_in(self) -> int:
        """Number of inputs of the slow net: all but the questions."""
        return self.slots + (self.cars if self.cars > 1 else 0) + self.distractors

    @property
    def n_in(self) -> int:
        return self.n_slow_in + self.cars

    @property
    def n_out(self) -> int:
        return self.slots

    @property
    def input_names(self) -> tuple[str, ...]:
        several = self.cars > 1
        return (
            *numbered("slot", self.slots),
            *numbered("car", self.cars if several else 0),
            *numbered("noise", self.distractors),
            *(numbered("where is", self.cars) if several else ("where?",)),
        )

    @property
    def output_names(self) -> tuple[str, ...]:
        return numbered("slot", self.slots)

    @property
    def baseline(self) -> float:
        # A car parks and leaves with the same probability, and so is parked in half of all steps; in
        # 1/2 * 1/cars * 1/4 of all steps it parks at this very step.
        asked = CHANCE * (1 / 2 - 1 / (8 * self.cars))  # frequency of questions
        share = asked / self.slots  # frequency of a target of 1; its variance is the squared error
        return self.slots * share * (1 - share) / 2

    @property
    def criterion(self) -> Criterion:
        return Streak(0.05, 100 * self.slots * self.cars // 3, outputs=self.slots)

    @property
    def criteria(self) -> Mapping[str, Criterion]:
        return {"strict": self.criterion, "published": Streak(0.05, 100)}

    @property
    def published(self) -> Mapping[str, int]:
        return {"fast-weights-1": 6000} if self == VariableBinding() else {}

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(
            rule="rtrl", hidden=16, learning_rate=0.005, batch=8, steps=200_000,
            optimizer_options=SMALLER,
        )  # fmt: skip

    def suggestions(self, rule: str, kind: str) -> Mapping[str, Suggestion]:
        if kind != "fast-weight":
            return super().suggestions(rule, kind)
        separate = {"n_slow_in": self.n_slow_in}
        if self.cars > 1:
            several = BETWEEN_UNITS if rule == "fast-weights-2" else EACH_WEIGHT
            return {"tuned": several._replace(network={**several.network, **separate})}
        return tuned_and_published(PUBLISHED._replace(
            network={**PUBLISHED.network, **separate}, learning_rate=0.02, steps=200_000
        ))  # fmt: skip

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> ParkingLot:
        place = np.full((batch, self.cars), DRIVING, np.int64)
        return ParkingLot(rng, place, self.slots, self.distractors)

    def step(self) -> Kernel:
        return step


@kernel(allocates=False)
def step(source: ParkingLot, b: int, u: Array, d: Array) -> float:
    rng, place = source.rng, source.place[b]
    cars = place.size
    questions = u.size - cars  # index of the first
    u[:] = 0
    d[:] = 0
    car, parked = below(rng, cars), -1
    if rng.random() < CHANCE:
        if place[car] == DRIVING:
            place[car] = free_slot(rng, place, source.slots)
            parked = car
            u[place[car]] = 1
            if cars > 1:
                u[source.slots + car] = 1
        else:
            place[car] = DRIVING
    for i in range(questions - source.distractors, questions):
        u[i] = coin(rng)
    asked = below(rng, cars)
    if rng.random() < CHANCE and place[asked] != DRIVING and asked != parked:
        u[questions + asked] = 1
        d[place[asked]] = 1
    return 1.0


@kernel(allocates=False)
def free_slot(rng: np.random.Generator, place: Array, slots: int) -> int:
    """Draw one of the free slots; there is one, since the car that parks is driving."""
    while True:
        slot = below(rng, slots)
        free = True
        for other in range(place.size):
            if place[other] == slot:
                free = False
        if free:
            return slot


def numbered(what: str, count: int) -> tuple[str, ...]:
    """Names for ``count`` things of a kind, numbered from 1."""
    return tuple(f"{what} {i + 1}" for i in range(count))
