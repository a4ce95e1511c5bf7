"""The file of a run says everything that determines it: read again, it makes the same experiment."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from cases import STILL
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_loop import Script
from safetensors.numpy import load as arrays_from
from same_runs import differences

import rnnsim
from rnnsim import folders, registry
from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.registry import installed
from rnnsim.runs.loading import OF_RUN
from rnnsim.runs.repeating import arguments_of
from rnnsim.runs.run_file import RunFile, file_of, parsed
from rnnsim.training.as_data import OWN, thing_as_data
from rnnsim.training.experiment import Experiment, configure, configure_from, suits
from rnnsim.training.optimizers import OPTIMIZERS, SGD
from rnnsim_rules.truncated_bptt import TruncatedBPTT
from rnnsim_tasks.table import Table

pytestmark = pytest.mark.usefixtures("uncompiled")

KINDS = ("recurrent", "gru", "fast-weight")
OWN_NAMES = inspect.signature(configure).parameters.keys() | OF_RUN


def files_of(experiment: Experiment) -> tuple[bytes, bytes]:
    """What is on disk of an experiment: a text and arrays."""
    arrays: dict[str, np.ndarray] = {}
    text = folders.toml_file(file_of(experiment, arrays))
    return text, folders.safetensors_file(arrays)


def made_of(text: bytes, arrays: bytes | None = None, **given: Any) -> Experiment:
    """The experiment of such files."""
    held = arrays_from(arrays) if arrays is not None else {}
    choices = arguments_of(parsed(folders.parsed_toml(text, "run.toml")), held, given, OWN_NAMES)
    return configure_from(choices.pop("rule"), choices.pop("task"), choices)


def again(experiment: Experiment, **given: Any) -> Experiment:
    return made_of(*files_of(experiment), **given)


def is_kept(experiment: Experiment, **given: Any) -> None:
    """Check that the experiment comes back, and begins with the same weights."""
    back = again(experiment, **given)
    assert differences(experiment, back) == []
    for mine, its in zip(experiment.initial_params(), back.initial_params(), strict=True):
        assert mine.tobytes() == its.tobytes()


# --- every rule, task, network and setting ------------------------------------------------------------


@pytest.fixture(scope="module")
def needed(options: dict[str, dict[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return options


def choices(needed: Mapping[str, Any], rule: str) -> Iterator[tuple[str, str, str]]:
    """Each task that suits a rule, each kind of network that the rule trains on it, each setting."""
    made = registry.make_rule(rule, {})
    for name in installed().tasks:
        task = registry.make_task(name, needed.get(name, {}))
        if not suits(made, task):
            continue
        for kind in KINDS:
            yield from ((name, kind, setting) for setting in task.suggestions(rule, kind))


@pytest.mark.parametrize("rule", installed().rules)
def test_every_rule_task_network_and_setting_comes_back(rule: str, needed: dict[str, Any]) -> None:
    count = 0
    for task, kind, setting in choices(needed, rule):
        options = needed.get(task, {})
        try:
            experiment = configure(rule, task, network=kind, settings=setting, options=options)
        except RnnsimError:  # the rule trains no such network
            continue
        is_kept(experiment)
        count += 1
    assert count > 0


def test_a_difference_is_found() -> None:
    """The control: what the checks above compare."""
    base = configure("rtrl", "delayed-xor", learning_rate={"W": np.ones((2, 2))}, hidden=2,
                     params=rnnsim.RecurrentNetwork(2, 2, 1).init(0))  # fmt: skip
    assert base.params is not None
    others: dict[str, Any] = {
        "rule": registry.make_rule("uoro", {}), "task": registry.make_task("delayed-xor", {"d": 9}),
        "network": rnnsim.RecurrentNetwork(2, 2, 1, connectivity=np.eye(2, dtype=bool)),
        "settings": "other",
        "init": {"gain": 3.0}, "optimizer": SGD(), "criterion": Streak(0.1, 3), "seed": 1, "steps": 3,
        "window": 9, "batch": 9, "learning_rate": {"W": np.full((2, 2), 1 + 1e-15)}, "clip": 0.1,
        "weight_decay": 0.1, "schedule": base.schedule._replace(steps=9), "reduction": "mean",
        "stop": False, "tailored": True, "keep": "best", "keep_every": 9, "patience": 9, "sized": None,
        "params": base.params._replace(c=np.nextafter(base.params.c, 1)),
    }  # fmt: skip
    assert set(others) == {field.name for field in dataclasses.fields(Experiment)}
    for name, value in others.items():
        assert differences(base, dataclasses.replace(base, **{name: value})) == [name]


# --- all pairs of what may be chosen ------------------------------------------------------------------

CHOICES: dict[str, list[dict[str, Any]]] = {
    "rule": [
        {"rule": "rtrl"}, {"rule": "truncated-bptt", "h": 7, "last": "chunk"}, {"rule": "snap", "n": 2},
    ],
    "task": [{"task": "delayed-xor", "d": 3}, {"task": "copy-memory"}],
    "network": [
        {"network": "recurrent", "activation": "relu", "leak": 0.3, "feedback": "random",
         "feedback_seed": 5},
        {"network": "gru"},
        {"network": "recurrent", "scheme": "orthogonal", "gain": 0.7, "check_derivatives": False},
    ],
    "sizes": [{"hidden": 3}, {"hidden": 5, "dtype": "float32"}, {}],
    "optimizer": [
        {"optimizer": "sgd"}, {"optimizer": "momentum", "decay": 0.5}, {"optimizer": "rmsprop"},
        {"optimizer": "adam", "beta1": 0.1, "epsilon": 1e-3},
        {"optimizer": OPTIMIZERS["adam"](beta2=0.5)},
    ],
    "rate": [
        {}, {"learning_rate": 0.0}, {"learning_rate": {"W": 1, "b": np.float32(0.1)}},
        {"learning_rate": {"W": 0.1 + 0.2, "c": [0.5]}},
    ],
    "schedule": [
        {}, {"schedule": "linear"}, {"schedule": "step", "schedule_steps": 17}, {"schedule": "cosine"},
    ],
    "steps": [{"steps": 1000}, {"steps": 30, "window": 10, "batch": 3, "seed": 10**30}],
    "gradient": [{}, {"clip": math.inf, "weight_decay": 1e-300}, {"clip": 0.1, "reduction": "mean"}],
    "end": [{}, {"stop": False, "criterion": "default"}, {"keep": "best", "keep_every": 7}],
    "compiled": [{}, {"tailored": True}],
}  # fmt: skip


def configured(parts: Mapping[str, Mapping[str, Any]]) -> Experiment:
    """The experiment of some choices, with the first of the others."""
    merged: dict[str, Any] = {}
    for name, values in CHOICES.items():
        merged |= parts.get(name, values[0])
    return configure_from(merged.pop("rule"), merged.pop("task"), merged)


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(CHOICES, 2)])
def test_all_pairs_of_choices_come_back(one: str, other: str) -> None:
    kept = 0
    for mine, its in itertools.product(CHOICES[one], CHOICES[other]):
        try:
            experiment = configured({one: mine, other: its})
        except RnnsimError:  # the rule trains no such network, or the network has no such rates
            continue
        is_kept(experiment)
        kept += 1
    assert kept > 1


FAST = {"network": "fast-weight", "hidden": 3, "fast_hidden": "4,2", "shortcuts": "true,false"}


@pytest.mark.parametrize(
    "more",
    [{}, {"rule": "fast-weights-2", "architecture": 2, "g": "product"},
     {"sigma": "decay", "retention": 0.5}, {"tau": 3},
     {"slow_hidden": (2, 3), "n_slow_in": 1}, {"initial": "slow"},
     {"slow_bias": False, "fast_bias": True},
     {"hidden_activation": "logistic", "output_activation": "tanh"}, {"scheme": "interval", "gain": 0.3},
     {"fast_hidden": (4,)}, {"fast_hidden": np.int64(4)}, {"hidden": 0}, {"dtype": "float32"}],
)  # fmt: skip
def test_options_of_a_fast_weight_network_come_back(more: dict[str, Any]) -> None:
    chosen = {"rule": "fast-weights-1", **FAST, **more}
    is_kept(configure_from(chosen.pop("rule"), "flip-flop", chosen))


@given(data=st.data())
@settings(suppress_health_check=STILL)
def test_rates_and_params_come_back_to_the_bit(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    net = rnnsim.RecurrentNetwork(2, 2, 1)
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    flat = data.draw(st.lists(finite, min_size=net.n_params, max_size=net.n_params))
    rate = st.floats(0, 1e300)
    rates = data.draw(st.fixed_dictionaries({}, optional={
        "W": st.lists(rate, min_size=4, max_size=4).map(lambda x: np.reshape(x, (2, 2))),
        "b": st.lists(rate, min_size=2, max_size=2), "c": rate,
    }).filter(bool))  # fmt: skip
    if data.draw(st.booleans()):
        every = {name: 0.0 for name in net.shapes} | {name: np.array(x) for name, x in rates.items()}
        rates = net.params_type(**every)
    numbers: dict[str, Any] = {
        "seed": data.draw(st.integers(0, 2**70)), "steps": data.draw(st.integers(1, 2**53)),
        "clip": data.draw(st.floats(1e-300, math.inf)), "weight_decay": data.draw(st.floats(0, 1e300)),
    }  # fmt: skip
    is_kept(configure_from("rtrl", "delayed-xor", {
        "hidden": 2, "dtype": dtype, "learning_rate": rates, "params": net.views(np.array(flat)),
        **numbers,
    }))  # fmt: skip


# --- networks as objects, and what no file holds ------------------------------------------------------

MADE = [
    rnnsim.RecurrentNetwork(2, 4, 1, connectivity=np.tri(4, dtype=bool), leak=0.5, dtype="float32"),
    rnnsim.RecurrentNetwork(n_in=2, n_hidden=4, n_out=1, readout=[2], loss="logistic-cross-entropy"),
    rnnsim.RecurrentNetwork(2, 4, 1, readout=range(1), dtype=np.float32),
    rnnsim.RecurrentNetwork(np.int64(2), 4, 1, readout=np.array([3])),
    rnnsim.RecurrentNetwork(2, 2, 1, connectivity=[[True, False], [True, True]]),
]  # fmt: skip


@pytest.mark.parametrize("network", MADE)
def test_a_network_that_was_made_comes_back(network: rnnsim.RecurrentNetwork) -> None:
    is_kept(configure("rtrl", "delayed-xor", network=network))


def cubed(x: float) -> float:
    return x * x * x


def of_cubed(x: float) -> float:
    return 3 * x * x


class Mine(SGD, frozen=True):
    """An optimizer of one's own."""

    name = "mine"


class Unregistered(TruncatedBPTT, frozen=True):
    """A rule of one's own."""

    name = "unregistered"


class InPlaceOf(TruncatedBPTT, frozen=True):
    """Another rule than the one that is registered."""


CUBED = (cubed, of_cubed)
NET = rnnsim.RecurrentNetwork(2, 3, 1, activation=CUBED, check_derivatives=False)
GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "network": ({"network": NET}, {"network": NET}),
    "optimizer": ({"optimizer": Mine()}, {"optimizer": Mine()}),
    "rule": ({"rule": Unregistered(h=3)}, {"rule": Unregistered(h=3)}),
    "rule of a name that is taken": ({"rule": InPlaceOf(h=3)}, {"rule": InPlaceOf(h=3)}),
    "criterion": ({"criterion": Streak(0.25, 7)}, {"criterion": Streak(0.25, 7)}),
    "task": ({"task": Script()}, {"task": Script()}),
}


@pytest.mark.parametrize("part", GIVEN)
def test_what_no_file_holds_is_asked_for_and_taken(part: str) -> None:
    changes, given_again = GIVEN[part]
    choices = {"rule": "rtrl", "task": "delayed-xor", **changes}
    experiment = configure_from(choices.pop("rule"), choices.pop("task"), choices)
    name = next(iter(given_again))
    with pytest.raises(RnnsimError, match=rf"^the {name} of this run .* give it by {name}=$"):
        again(experiment)
    is_kept(experiment, **given_again)


def test_functions_of_ones_own_of_a_kind_of_network_are_asked_for() -> None:
    experiment = configure("rtrl", "delayed-xor", options={"activation": CUBED})
    with pytest.raises(RnnsimError, match=r"^the network of this run .* give it by network=$"):
        again(experiment)
    found = again(experiment, network=experiment.network)
    assert set(differences(experiment, found)) <= {"sized", "init"}


def test_a_file_of_a_name_that_no_file_holds_is_asked_for() -> None:
    for name in ("table\udcff.csv", "table\u00e9.csv", "\U0001f600"):
        arrays: dict[str, np.ndarray] = {}
        data = thing_as_data(Table(path=name), installed().tasks, arrays)
        written = parsed(folders.parsed_toml(folders.toml_file({"task": data}), "run.toml")).task
        assert written is not None
        assert written.options.get("path") == (name if name.isprintable() else None)
        assert written.name == ("table" if name.isprintable() else OWN)


def test_none_in_place_of_another_default_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bounded(TruncatedBPTT, frozen=True):
        name = "bounded"

        most: int | None = 3

    known = installed()
    entry = dataclasses.replace(known.rules["bptt"], registered=Bounded)
    with_it = dataclasses.replace(known, rules={**known.rules, "bounded": entry})
    monkeypatch.setattr(registry, "installed", lambda: with_it)
    for most in (3, 5):
        is_kept(configure(Bounded(most=most), "delayed-xor"))
    experiment = configure(Bounded(most=None), "delayed-xor")
    with pytest.raises(RnnsimError, match=r"the rule of this run .* has options that no file holds"):
        again(experiment)
    is_kept(experiment, rule=Bounded(most=None))


# --- written by hand ----------------------------------------------------------------------------------


def table(text: str) -> RunFile:
    return parsed(folders.parsed_toml(text.encode(), "run.toml"))


SHORT = """
rule = "truncated-bptt"
task = "delayed-xor"
network = "gru"
optimizer = "sgd"
[settings]
steps = 50
learning_rate = 1
"""


def test_a_short_file_says_what_its_arguments_would() -> None:
    wanted = configure("truncated-bptt", "delayed-xor", network="gru", optimizer="sgd", steps=50,
                       learning_rate=1)  # fmt: skip
    assert differences(made_of(SHORT.encode()), wanted) == []
    least = made_of(b'rule = "rtrl"\ntask = "delayed-xor"')
    assert differences(least, configure("rtrl", "delayed-xor")) == []
    longer = SHORT.replace('"truncated-bptt"', '{name = "truncated-bptt", options = {h = 3}}')
    assert differences(made_of(longer.encode()), made_of(SHORT.encode())) == [
        "rule", "window", "keep_every",  # which are those of the rule
    ]  # fmt: skip


def test_the_name_of_settings_supplies_what_is_not_said() -> None:
    text = 'rule = "bptt"\ntask = "delayed-xor"\n[settings]\nname = "published"'
    names = registry.make_task("delayed-xor", {}).suggestions("bptt", "recurrent")
    for name in names:
        found = made_of(text.replace("published", name).encode())
        assert differences(found, configure("bptt", "delayed-xor", settings=name)) == []


WRONG = {
    '[settings]\nsteps = "many"': "settings.steps is 'many'; expected a whole number",
    "[settings]\nsteps = 0": "settings.steps is 0; expected a whole number >= 1",
    "[settings]\nsteps = true": "settings.steps is True; expected a whole number",
    "[settings]\nseed = 1.5": "settings.seed is 1.5; expected a whole number",
    '[settings]\nstop = "yes"': "settings.stop is 'yes'; expected true or false",
    '[settings]\nlearning_rate = "x"': "settings.learning_rate is 'x'; expected a number or a table",
    "[settings]\nlearning_rate = -1": "learning_rate is -1; it must be at least 0",
    "[settings]\nclip = nan": "clip is nan; it must be finite",
    "[settings]\nweight_decay = inf": "weight_decay is inf; it must be finite",
    "[settings.monitor]\nx = 3": "settings.monitor is {'x': 3}; expected text",
    "rule = 3": "rule is 3; expected a table",
    "[rule]\noptions = {h = 3}": "table rule has no name",
    '[network]\nkind = "gru"\narguments = 3': "network.arguments is 3; expected a list",
    "[checkpoint]\nstep = 1": "table checkpoint has no seconds",
    "[settings]\nlerning_rate = 0.1": "no key of table settings is called 'lerning_rate'; did you mean "
    "learning_rate?",
    "[setings]\nsteps = 3": "no table of a run's file is called 'setings'; did you mean settings?",
    "[[rule.x]]": "table rule has no name",
    '[rule]\nname = "bptt"\noption = {}': "no key of table rule is called 'option'; did you mean "
    "options?",
    '[rule]\nname = "bptt"\n[rule.options]\nx = 1': None,
    'rnnsim = "0.0.1"\n[settings]\nsteps = "x"': "settings.steps is 'x'; expected a whole number "
    "(rnnsim '0.0.1' saved it)",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_in_a_file_is_said(text: str) -> None:
    message = WRONG[text]
    if message is None:  # it is right as far as it goes: options are looked at by who has them
        assert table(text).rule is not None
        return
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (compared below)
        table(text)
    assert str(caught.value) == message


def test_an_option_that_a_thing_does_not_have_is_named() -> None:
    with pytest.raises(RnnsimError, match="no option of truncated-bptt is called 'hh'"):
        made_of(b'rule = {name = "truncated-bptt", options = {hh = 3}}\ntask = "delayed-xor"')
    network = b'rule = "bptt"\ntask = "delayed-xor"\n[network]\nkind = "recurrent"\n'
    for name in (b"leek", b"seed", b"network"):  # none is an argument of the run
        text = network + b"options = {%b = 1}" % name
        with pytest.raises(
            RnnsimError, match=rf"no option of recurrent network is called '{name.decode()}'"
        ):
            made_of(text)
    assert made_of(network + b"options = {leak = 1}").network.leak == 1
    with pytest.raises(RnnsimError, match="the network of this run is made of its arguments; sizes and"):
        made_of(network + b"arguments = [2, 3, 1]\nhidden = 4")
    assert made_of(network + b"arguments = [2, 3, 1]").network.n_hidden == 3


def test_what_another_version_says_is_left_out_with_a_note() -> None:
    text = SHORT + "boredom = 3\n[weather]\nrain = 1\n"
    with pytest.warns(RnnsimWarning) as said:
        found = made_of(f'rnnsim = "7.0"\n{text}'.encode())
    assert [str(note.message) for note in said] == [
        f"this run was saved by rnnsim 7.0, and this is {rnnsim.__version__}; settings.boredom, "
        "weather in it is not known here"
    ]
    assert differences(found, made_of(SHORT.encode())) == []
    with pytest.raises(ValueError, match="no key of table settings is called 'boredom'"):
        made_of(f'rnnsim = "{rnnsim.__version__}"\n{text}'.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made_of(f'rnnsim = "{rnnsim.__version__}"\n{SHORT}'.encode())
