"""What tells runs apart, by which they are named in a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_runs import train

import rnnsim
from rnnsim.runs.telling_apart import groups_of, names_of

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled", "few_held_out")


def labels_of(*runs: rnnsim.Run) -> list[str]:
    return [group.label for group in groups_of(runs)]


def test_runs_are_named_by_what_they_differ_by(tmp_path: Path) -> None:
    few = {"steps": 8, "window": 4}
    run = train("bptt", **few)
    assert labels_of(run) == [""]
    assert labels_of(run, train("rtrl", **few)) == ["bptt", "rtrl"]
    assert labels_of(run, train("bptt", "flip-flop", **few)) == ["delayed-xor", "flip-flop"]
    assert labels_of(run, train("bptt", network="gru", **few)) == ["recurrent", "gru"]
    assert labels_of(run, train("bptt", **few, hidden=3)) == ["hidden=4", "hidden=3"]
    assert labels_of(run, train("bptt", **few, learning_rate=0.5)) == [
        "learning_rate=0.005", "learning_rate=0.5"]  # fmt: skip
    assert labels_of(run, train("bptt", **few, leak=0.5)) == ["leak=1", "leak=0.5"]
    assert labels_of(run, train("bptt", **few, gain=2.0))[1] == "gain=2"


def test_options_are_said_only_of_the_runs_that_they_tell_apart() -> None:
    few = {"steps": 8, "window": 4}
    one, other = (train("truncated-bptt", h=h, h_prime=4, **few) for h in (4, 8))
    found = labels_of(train("rtrl", **few), one, other)
    assert found == ["rtrl", "truncated-bptt, h=4", "truncated-bptt, h=8"]
    assert labels_of(train("rtrl", **few), one) == ["rtrl", "truncated-bptt"]


def test_seeds_are_put_together_and_said_where_they_differ_otherwise() -> None:
    few = {"steps": 8, "window": 4}
    seeds = [train("bptt", seed=seed, **few) for seed in (0, 1)]
    assert labels_of(*seeds) == ["2 seeds"]
    assert labels_of(*seeds, train("rtrl", seed=1, **few)) == ["bptt, 2 seeds", "rtrl, seed 1"]


def test_runs_that_differ_by_nothing_are_named_by_their_folders(tmp_path: Path) -> None:
    few = {"steps": 8, "window": 4}
    for name in ("one", "other"):
        train("bptt", **few, save=tmp_path / name)
    runs = [rnnsim.load(tmp_path / name) for name in ("one", "other")]
    assert labels_of(*runs) == [str(tmp_path / "one"), str(tmp_path / "other")]
    assert labels_of(train("bptt", **few), train("bptt", **few)) == ["run 1", "run 2"]


def test_each_of_several_runs_has_a_name_of_its_own() -> None:
    few = {"steps": 8, "window": 4}
    seeds = [train("bptt", seed=seed, **few) for seed in (0, 1)]
    assert names_of(seeds) == ["seed 0", "seed 1"]
    assert names_of([train("rtrl", **few), seeds[0]]) == ["rtrl", "bptt"]
    assert names_of([train("rtrl", **few), seeds[1], seeds[1]]) == [
        "rtrl, seed 0", "bptt, seed 1, run 2", "bptt, seed 1, run 3"]  # fmt: skip


def test_seeds_on_different_data_are_not_put_together(tmp_path: Path) -> None:
    """Tables in memory have one name; what the task found in them is not the same."""
    waves = np.sin(np.arange(60) / 3)
    runs = [rnnsim.run("bptt", {"a": each}, hidden=2, steps=4, window=4, seed=seed)
            for each, seed in ((waves, 0), (3 * waves, 1), (waves, 2))]  # fmt: skip
    assert labels_of(*runs) == ["data 1, 2 seeds", "data 2, seed 1"]
    runs[2].save(tmp_path / "run")
    assert labels_of(runs[0], rnnsim.load(tmp_path / "run")) == ["2 seeds"]
