"""The fixed points of trained 3-bit memories: ``python -m benchmarks.memory``.

For each seed, the network that ``n-bit-memory`` suggests (32 tanh units, no leak) learns until it has
solved the task. In such a network Sussillo & Barak (Neural Computation 25(3):626-649, 2013) found a
cube: 8 stable states, one for each memory, and between them saddles with 1, 2 and 3 unstable directions,
its 12 edges, 6 faces and centre. Here the outputs tell what a point is: at a corner they are three
signs, on an edge two and a 0. A small step from an edge to either side, along its unstable direction, is
to lead to the two corners that it joins. The control is the network before it has learnt anything.
"""

from __future__ import annotations

import argparse
from itertools import product
from typing import Any

import numpy as np

import rnnsim
from rnnsim.runs.fixed_points import FixedPoints
from rnnsim.runs.seeds import table

BITS, STEPS, SEQUENCES = 3, 512, 16
KINDS = ("corners", "edges", "faces", "centre")  # by the number of unstable directions


def trained(seed: int) -> rnnsim.Run:
    """A network that has solved the task."""
    return rnnsim.run("truncated-bptt", "n-bit-memory", seed=seed, n=BITS)


def search(run: rnnsim.Run, params: Any) -> tuple[np.ndarray, FixedPoints]:
    """States that pulses lead to, and fixed points found from there, with noise as large as states."""
    experiment = run.experiment
    rng, shape = np.random.default_rng(experiment.seed), (STEPS, SEQUENCES, BITS)
    pulses = rng.choice([-1.0, 1.0], shape) * (rng.random(shape) < experiment.task.rate)
    states = rnnsim.simulate(experiment.network, params, pulses).states
    found = rnnsim.fixed_points(experiment.network, params, states, noise=1.0, seed=experiment.seed)
    return states, found


def signs(run: rnnsim.Run, found: FixedPoints) -> np.ndarray:
    """The outputs at each point, rounded."""
    return np.rint(found.states @ run.params.V.T + run.params.c).astype(int)


def is_cube(run: rnnsim.Run, found: FixedPoints) -> bool:
    """Whether each of {-1, 0, 1}^3 is the output of one point, with as many 0 as unstable directions."""
    each = sorted(map(tuple, signs(run, found))) == [*product((-1, 0, 1), repeat=BITS)]
    return each and bool(((signs(run, found) == 0).sum(1) == found.unstable).all())


def joining(run: rnnsim.Run, found: FixedPoints) -> int:
    """The number of edges that lead to the two corners which differ in the bit that is 0 there."""
    count = 0
    for k in np.flatnonzero(found.unstable == 1):
        values, vectors = np.linalg.eig(found.jacobians[k])
        aside = 0.01 * vectors[:, np.argmax(np.abs(values))].real
        starts, nothing = found.states[k] + [aside, -aside], np.zeros((1000, 2, BITS))
        after = rnnsim.simulate(run.experiment.network, run.params, nothing, initial_state=starts)
        bits = signs(run, found)[k]
        corners = [[int(bit or side) for bit in bits] for side in (-1, 1)]
        ends = sorted(np.rint(after.outputs[-1]).astype(int).tolist())
        count += int((bits == 0).sum() == 1 and ends == corners)
    return count


def counts(found: FixedPoints) -> list[int]:
    """How many points are as unstable as corners, edges, faces and the centre are; how many more so."""
    number = np.bincount(found.unstable, minlength=len(KINDS))
    return [*map(int, number[: len(KINDS)]), int(number[len(KINDS) :].sum())]


def line(seed: int, plot: str | None) -> dict[str, str]:
    """The line of a seed; and the figure of its fixed points, if a file is given."""
    run = trained(seed)
    states, found = search(run, run.params)
    if plot:
        found.plot(plot, trajectory=states[:100, :4])
    return {
        "solved at": "never" if run.solved_at is None else f"{run.solved_at:,}",
        **{kind: str(number) for kind, number in zip((*KINDS, "others"), counts(found))},
        "a cube": "yes" if is_cube(run, found) else "no",
        "edges that join": str(joining(run, found)),
        "before learning": ", ".join(map(str, counts(search(run, run.experiment.initial_params())[1]))),
    }


def main() -> None:
    """Print the table, a line for each seed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--plot", metavar="FILE", help="draw the fixed points of seed 0")
    given = parser.parse_args()
    print(table([(str(s), line(s, None if s else given.plot)) for s in range(given.seeds)], "seed"))


if __name__ == "__main__":
    main()
