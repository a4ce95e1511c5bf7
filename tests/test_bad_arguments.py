"""Every parameter of every public function, given what it cannot be: refused, in a line or two."""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from unittest.mock import patch

import numba
import numpy as np
import pytest
from forecast_task import Waves
from odd_values import (
    ANYTHING,
    ARRAY,
    DTYPE,
    FUNCTIONS,
    NAME,
    NETWORK,
    PATH,
    REAL,
    TRUTH,
    UNREAL,
    WHOLE,
    wrong_with,
)

import rnnsim
from rnnsim.errors import RnnsimError, shown
from rnnsim.options import Options
from rnnsim.registry import installed
from rnnsim.runs.comparison import Comparison
from rnnsim.testing.checking import network_checks, rule_checks, task_checks
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import configure
from rnnsim.training.optimizers import OPTIMIZERS
from rnnsim_rules.bptt import BPTT
from rnnsim_tasks.delayed_xor import DelayedXor

pytestmark = pytest.mark.usefixtures("uncompiled")


def without(values: list[Any], *absent: Any) -> list[Any]:
    """The values but for some."""
    return [value for value in values if not any(value is other for other in absent)]


T, B, M, N, K = 3, 2, 2, 3, 1
SEED = [value for value in WHOLE if not isinstance(value, int) or value < 0]  # there is no largest
NET = rnnsim.RecurrentNetwork(M, N, K)
SINGLE = rnnsim.RecurrentNetwork(M, N, K, dtype="float32")
FAST = rnnsim.FastWeightNetwork(n_slow_in=M, n_in=M, n_out=K)
PARAMS = NET.init(0, gain=0.5)
U, D = np.ones((T, B, M)), np.ones((T, B, K))
DATA = {"network": NET, "params": PARAMS, "inputs": U}
HUGE = np.full((T, B, M), 1e300)  # too large for float32
SMALL = {"rule": "bptt", "task": "delayed-xor", "steps": 8, "hidden": 2, "window": 4,
         "schedule": "linear"}  # fmt: skip
CHOICES = {name: value for name, value in SMALL.items() if name not in ("rule", "task")}
LEARNS = {name: value for name, value in SMALL.items() if name != "rule"}


def odd_params() -> list[Any]:
    """Parameters of which one is odd, or that are none."""
    as_dict = PARAMS._asdict()
    fields = [PARAMS._replace(W=value) for value in ARRAY]
    return [
        None, 3, "W", *ANYTHING, {**as_dict, "X": U}, {1: 2, None: 3}, {**as_dict, "b": None},
        *fields, PARAMS._replace(W=PARAMS.W + 1j), PARAMS._replace(b=np.full(N, np.nan)),
        PARAMS._replace(V=np.ma.masked_greater(PARAMS.V, -9)), PARAMS[:2],
    ]  # fmt: skip


def print_nothing(seen: Any) -> None:
    """A callback."""


EXPERIMENT = configure(**SMALL)
CHECKPOINT_EVERY = [
    *ANYTHING, 0, -1, 1.5, math.nan, 10**30, "", "often", "0", "0s", "30x", "9" * 5000, "\ud800",
    "nul\0", "two\nlines", "x" * 10_000,
]  # fmt: skip
CURVE = {"step": np.array([4, 8]), "loss": np.ones(2), "error": np.ones(2)}
RUN = rnnsim.Run(
    EXPERIMENT, EXPERIMENT.initial_params(), None, 8, 1.0, Evaluation(1.0, 1.0), metrics=CURVE
)

with patch.object(numba.config, "DISABLE_JIT", 1):
    COMPARISON = Comparison(
        EXPERIMENT, ("bptt", "rtrl"), CURVE["step"], *np.ones((2, 1, 2, 2, 2)), np.ones((1, 2, 2)),
        *np.ones((2, 1, 2)), *np.ones((2, 2)),
    )  # fmt: skip
    # one that can go on, and its folder, which is removed at the end of the process
    KEPT = tempfile.TemporaryDirectory(prefix="rnnsim-tests-")
    STOPPED = rnnsim.run(**{**SMALL, "hidden": N}, monitor="state", save=KEPT.name, callback_every=4,
                         callback=lambda seen: bool(seen.step >= 4))  # fmt: skip
    FORECASTS = rnnsim.run("bptt", Waves(), hidden=N, steps=20)
    RESULTS = f"{KEPT.name}/results.sqlite"
    SWEEP = rnnsim.sweep("bptt", "delayed-xor", 1, hidden=2, window=4, steps=8, file=RESULTS)
    FOUND = rnnsim.fixed_points(NET, PARAMS, np.zeros((1, N)))
    LEARNER, FUNCTION = rnnsim.Learner(NET, batch=B), rnnsim.gradient_function(NET)
LEVEL = [*REAL, None, 0, 1, -0.5, 90]
ODD_ROW = [*ARRAY, np.zeros(M + 1), np.zeros((B, M + 1)), np.full((B, M), np.nan), np.zeros((1, B, M))]


def corrected(target: Any, mask: Any = None) -> None:
    """A step, then its correction by a target."""
    LEARNER.step(np.ones((B, M)))
    LEARNER.correct(target, mask=mask)


def corrected_by(error: Any) -> None:
    """A step, then its correction by an error."""
    LEARNER.step(np.ones((B, M)))
    LEARNER.correct(error=error)


# arrays are data of one's own, which may stand for a task
TASK = [value for value in NAME if not isinstance(value, np.ndarray)]
WITH_RESPECT_TO = [
    *without(NAME, "xyzzy"), None, "inputs", ("params", "xyzzy"), (None,), ("inputs", 3), [["inputs"]],
    {"inputs"}, ("input",),
]  # fmt: skip

# what a forward pass takes
FORWARD: dict[str, list[Any]] = {
    "network": [*NETWORK, None, rnnsim.RecurrentNetwork],
    "params": odd_params(),
    "inputs": [*ARRAY, None],
    "resets": ARRAY,
    "initial_state": ARRAY,
    "reset_state": ARRAY,
    "steady_state": [*TRUTH, None],
    "solver": [*NAME, None],
    "check_bounds": [*TRUTH, None],
}
TABLE: dict[Callable[..., Any], tuple[dict[str, Any], dict[str, list[Any]]]] = {
    # of rnnsim.testing: what check_rule, check_network and check_task call first, with their arguments
    rule_checks: (
        {"rule": "bptt", "networks": ["recurrent"]},
        {
            "rule": [*NAME, None, DelayedXor()],
            "networks": [3, "recurrent", ["xyzzy"], [None], [], [FAST, 3]],
            "task": [*NAME, BPTT()],
            "seed": [*SEED, None],
            "reference": [*NAME, None, "truncated-bptt"],
            "draws": [*SEED, None, 0, 1],
        },
    ),
    network_checks: ({"network": NET}, {"network": [*NAME, None, BPTT], "seed": [*SEED, None]}),
    task_checks: (
        {"task": "delayed-xor"},
        {"task": [*NAME, None, BPTT()], "seed": [*SEED, None]},
    ),
    rnnsim.gradient: (
        {**DATA, "targets": D},
        {
            "network": [*NETWORK, None, rnnsim.RecurrentNetwork],
            "params": odd_params(),
            "inputs": [*ARRAY, None, np.full((T, B, M), np.nan), np.full((T, B, M), np.inf)],
            "targets": [*UNREAL, 3.0, np.zeros((T + 1, B, K)), np.full((T, B, K), np.nan)],
            "rule": [*NAME, None, BPTT, DelayedXor()],
            "mask": [*ARRAY, np.ones((T, B), complex), np.full((T, B), np.nan)],
            "resets": [*ARRAY, np.zeros((T, B)), [[True], [True, False]]],
            "initial_state": [*ARRAY, np.zeros(N, complex), np.full(N, np.inf), [[1], [1, 2]]],
            "reset_state": [*ARRAY, np.full(N, np.inf)],
            "memory": [*ANYTHING, 3],
            "window": [*SEED, 0],
            "seed": SEED,
            "reduction": [*NAME, None],
            "with_respect_to": WITH_RESPECT_TO,
            "check_bounds": [*TRUTH, None],
        },
    ),
    rnnsim.gradient_function: (
        {"network": NET},
        {
            "network": [*NETWORK, None, rnnsim.RecurrentNetwork],
            "rule": [*NAME, None, BPTT, DelayedXor()],
            "window": [*SEED, 0],
            "seed": SEED,
            "reduction": [*NAME, None],
            "with_respect_to": WITH_RESPECT_TO,
            "tailored": [*TRUTH, None],
            "check_bounds": [*TRUTH, None],
        },
    ),
    rnnsim.Learner: (
        {"network": NET, "schedule": "linear", "schedule_steps": 5},
        {
            "network": [*NETWORK, None, rnnsim.RecurrentNetwork],
            "rule": [*NAME, None, BPTT, DelayedXor()],
            "params": odd_params()[1:],
            "seed": [*SEED, None],
            "optimizer": [*NAME, None, OPTIMIZERS["adam"], BPTT()],
            "learning_rate": [*REAL, None, -1, {"X": 1}, {"W": -1}, {"W": np.ones(N)}, {"b": "x"}],
            "clip": [*without(REAL, math.inf), 0, -1, -math.inf],
            "weight_decay": [*REAL, None, -1],
            "schedule": [*NAME, None],
            "schedule_steps": [*WHOLE, None, 0],
            "window": [*WHOLE, 0],
            "batch": [*WHOLE, None, 0],
            "delay": [*WHOLE, None],
            "reduction": [*NAME, None],
            "reset_state": [*ARRAY, np.full(N, np.inf)],
            "tailored": [*TRUTH, None],
            "check_bounds": [*TRUTH, None],
        },
    ),
    FUNCTION.__call__: (
        {"params": PARAMS, "inputs": U, "targets": D},
        {
            "params": odd_params(),
            "inputs": [*ARRAY, None, np.full((T, B, M), np.nan)],
            "targets": [*UNREAL, 3.0, np.zeros((T + 1, B, K)), np.full((T, B, K), np.nan)],
            "mask": ARRAY,
            "resets": ARRAY,
            "initial_state": ARRAY,
            "reset_state": ARRAY,
            "memory": [*ANYTHING, 3],
        },
    ),
    LEARNER.step: ({"u": np.ones((B, M))}, {"u": [*ODD_ROW, None]}),
    corrected: (
        {"target": np.zeros((B, K))},
        {"target": [*ODD_ROW, None], "mask": [*UNREAL, np.zeros((7, 7)), [math.nan, 1]]},
    ),
    corrected_by: ({"error": np.zeros((B, K))}, {"error": [*ODD_ROW, None]}),
    LEARNER.learn: (
        {"inputs": U, "targets": D},
        {"inputs": [*ARRAY, None, np.full((T, B, M), np.nan), np.zeros((T, B + 1, M))],
         "targets": [*UNREAL, 3.0, np.full((T, B, K), np.inf)], "mask": ARRAY, "resets": ARRAY},
    ),
    LEARNER.predict: ({"inputs": U}, {"inputs": [*ARRAY, None], "resets": ARRAY}),
    LEARNER.save: ({"folder": "learner"}, {"folder": [*PATH, None]}),
    rnnsim.Learner.load: (
        {"folder": "no such folder"},
        {"folder": [*PATH, None, "no such folder"], "network": [], "rule": [], "optimizer": []},
    ),
    partial(rnnsim.gradient, SINGLE): (
        {"params": PARAMS, "inputs": U, "targets": D},
        {"params": [PARAMS._replace(b=np.full(N, -1e300))], "inputs": [HUGE], "targets": [HUGE[..., :K]],
         "mask": [HUGE[..., 0]], "initial_state": [np.full(N, 1e300)]},
    ),
    rnnsim.loss: (
        {**DATA, "targets": D, "steady_state": True},
        {**FORWARD, "targets": [*UNREAL, 3.0], "mask": ARRAY, "reduction": [*NAME, None]},
    ),
    rnnsim.simulate: ({**DATA, "steady_state": True}, FORWARD),
    rnnsim.input_for: (
        {"network": NET, "params": PARAMS, "states": np.zeros((T, B, N))},
        {
            "network": [*NETWORK, None, FAST],
            "params": odd_params(),
            "states": [*ARRAY, None, np.full((T, B, N), 2.0), np.full((T, B, N), np.nan)],
            "steady_state": [*TRUTH, None],
            "initial_state": ARRAY,
            "inverse": [3, "arctanh", [], np.zeros(2), lambda x: x[:1], lambda x: "x", lambda x: x + 1j],
        },
    ),
    rnnsim.fixed_points: (
        {"network": NET, "params": PARAMS, "starts": np.zeros((2, N))},
        {
            "network": [*NETWORK, None, rnnsim.RecurrentNetwork, FAST],
            "params": odd_params(),
            "starts": [*ARRAY, None, 5, np.zeros(N), np.zeros((0, N)), np.full((2, N), np.nan)],
            "inputs": [*ARRAY, np.zeros((2, M)), np.full(M, np.inf)],
            "noise": [*REAL, None, -1],
            "seed": [*SEED, None],
            "distance": [*REAL, -1],
            "tolerance": [*REAL, 0, -1],
            "max_steps": [*WHOLE, None, 0],
        },
    ),
    FOUND.plot: (
        {},
        {
            "path": [*PATH, "points", "points.xyz", "no/such/points.png"],
            "trajectory": [*ARRAY, np.zeros((T, N + 1)), np.full((T, N), np.nan)],
        },
    ),
    rnnsim.RecurrentNetwork: (
        {"n_in": M, "n_hidden": N, "n_out": K},
        {
            **{name: [*WHOLE, None] for name in ("n_in", "n_hidden", "n_out")},
            "activation": FUNCTIONS,
            "leak": [*REAL, None, 0, -1, 1.5],
            "readout": [*ANYTHING, None, 3, "xyzzy", [N], [-1], [0, 0], [0, 1], [1.5]],
            "loss": FUNCTIONS,
            "connectivity": [*ARRAY, np.full((N, N), 2), np.ones((N, N)), [[True], [True, False]]],
            "feedback": [*NAME, None],
            "feedback_seed": [*SEED, None],
            "dtype": DTYPE,
            "check_derivatives": [*TRUTH, None],
        },
    ),
    rnnsim.FastWeightNetwork: (
        {"n_slow_in": M, "n_in": M, "n_out": K, "architecture": 2, "slow_hidden": 2, "fast_hidden": 2},
        {
            "architecture": [*WHOLE, None, 0, 3],
            **{name: [*WHOLE, None] for name in ("n_slow_in", "n_in", "n_out")},
            **{name: [*without(WHOLE, *ANYTHING[:3], ""), None, {}, [0], [1.5], ["x"], "x,y", [2] * 101,
                      [[2]]] for name in ("slow_hidden", "fast_hidden")},
            **{name: FUNCTIONS for name in ("hidden_activation", "output_activation", "loss")},
            **{name: [*TRUTH, None] for name in ("slow_bias", "fast_bias")},
            "shortcuts": [*TRUTH, None, (True,), (True, 3), (True, None, True)],
            "sigma": [*FUNCTIONS, (Callable, Callable)],
            "tau": [*REAL, None, 0, -1],
            "retention": [*REAL, None],
            "g": FUNCTIONS,
            "initial": [*REAL, None, "fast"],
            "dtype": DTYPE,
            "check_derivatives": [*TRUTH, None],
        },
    ),
    NET.init: (
        {},
        {"seed": [*SEED, None],
         "scheme": [*NAME, None], "gain": [*REAL, None], "readout_scale": [*REAL, None]},
    ),
    SINGLE.init: ({}, {"gain": [1e300, -1e300], "readout_scale": [1e300, -1e300]}),
    FAST.init: (
        {},
        {"seed": [*SEED, None],
         "scheme": [*NAME, None], "gain": [*REAL, None]},
    ),
    RUN.plot: (
        {}, {"path": [*PATH, "curve", "curve.xyz", "no/such/curve.png"], "behaviour": [*TRUTH, None],
             "what": [*NAME, None], "data": [*ANYTHING, 3, "xyzzy"],
             "beside": [3, "run", None, [3], [None], object(), {"run": 3}], "steps": [*WHOLE, 0, 1, 60]},
    ),
    RUN.plot_behaviour: (
        {}, {"path": [*PATH, "curve"], "steps": [*WHOLE, None, 0, 1]},
    ),
    STOPPED.predict: (
        {"inputs": U},
        {"inputs": [*ARRAY, None], "params": odd_params()[1:], "resets": ARRAY, "initial_state": ARRAY,
         "level": LEVEL},
    ),
    FORECASTS.evaluate: (
        {},
        {"data": [3, [], {}, object(), b"bytes"], "params": [3, "W", object(), b"bytes"],
         "level": LEVEL},
    ),
    STOPPED.learner: ({}, {}),
    STOPPED.resume: (
        {"callback": print_nothing},
        {
            "steps": [*WHOLE, 0, 3, 4],
            "monitor": [*NAME, {"f": 3}, {"state": 3}, {"state": lambda seen: 1j}, {1: "state"}],
            "callback": [*NAME, [print_nothing, 3], lambda: None, lambda seen: 1],
            "callback_every": [*WHOLE, 0],
            "log": [*PATH, ".", "no/such/log"],
            "save": PATH,
            "checkpoint_every": [*CHECKPOINT_EVERY, 4],
            "progress": [*TRUTH, None],
        },
    ),
    STOPPED.save: ({"folder": KEPT.name}, {"folder": [*PATH, None]}),
    rnnsim.load: (
        {"folder": KEPT.name},
        {
            "folder": [*PATH, None, "no such folder"],
            "rule": [*NAME, BPTT, DelayedXor()],
            "task": [*TASK, DelayedXor, BPTT()],
            "network": [*NETWORK, rnnsim.RecurrentNetwork, rnnsim.RecurrentNetwork(5, 2, 1)],
            "optimizer": [*NAME, OPTIMIZERS["adam"], BPTT()],
            "criterion": NAME,
        },
    ),
    rnnsim.repeat: ({"original": STOPPED}, {"original": [*PATH, None, "no such file", "."]}),
    rnnsim.run: (
        {**SMALL, "monitor": "state", "callback": print_nothing},
        {
            "rule": [*NAME, None, BPTT, DelayedXor(), "delayed-xor", BPTT(checkpoint=3)],
            "task": [*TASK, None, DelayedXor, BPTT(), "bptt", "steady-state-xor", "table",
                     DelayedXor(d=0), DelayedXor(d="2")],
            "network": [*NETWORK, rnnsim.RecurrentNetwork, rnnsim.RecurrentNetwork(5, 2, 1)],
            "settings": NAME,
            "steps": [*WHOLE, 0],
            "seed": SEED,
            "hidden": [*WHOLE, 0],
            "optimizer": [*NAME, OPTIMIZERS["adam"], BPTT(), OPTIMIZERS["adam"](beta1=1)],
            "learning_rate": [*REAL, -1, {"X": 1}, {"W": np.ones(9)}],
            "weight_decay": [*REAL, None, -1],
            "schedule": [*NAME, None],
            "schedule_steps": [*WHOLE, 0],
            "reduction": [*NAME, None],
            "params": odd_params()[1:],
            "clip": [*without(REAL, math.inf), 0, -1, -math.inf],
            "window": [*WHOLE, 0],
            "batch": [*WHOLE, 0],
            "dtype": DTYPE,
            "criterion": NAME,
            "stop": [*TRUTH, None],
            "tailored": [*TRUTH, None],
            "keep": NAME,
            "keep_every": [*WHOLE, 0],
            "patience": [*WHOLE, 3],  # without looks at validation data
            "checkpoint_every": [*CHECKPOINT_EVERY, 4],
            "monitor": [*NAME, ["state", 3], {"f": 3}, {"f": "xyzzy"}, {1: "state"}, {"loss": "state"},
                        {"f": lambda: 1}, {"f": lambda seen: 1j}],
            "monitor_every": [*WHOLE, 0],
            "callback": [*NAME, [print_nothing, 3], lambda: None, lambda seen, more: None,
                         lambda seen: seen.weights, lambda seen: 1],
            "callback_every": [*WHOLE, 0],
            "log": [*PATH, ".", "no/such/log"],
            "save": PATH,
            "progress": [*TRUTH, None],
            "check_bounds": [*TRUTH, None],
        },
    ),
    rnnsim.compare: (
        {**LEARNS, "rules": ["bptt", "rtrl"]},
        {
            "rules": [*NAME, None, ["rtrl"], ["rtrl", "xyzzy"], ["rtrl", 3], ["rtrl", BPTT],
                      ["rtrl:h=3", "bptt"], ["bptt", "truncated-bptt:h=x"], ["bptt", "bptt:"]],
            "task": [*TASK, None, "table"],
            "seeds": [*WHOLE, None, 0],
            "progress": [*TRUTH, None],
        },
    ),
    COMPARISON.save: ({"path": "found.json"}, {"path": [*PATH, None, "found", "no/such/found.json"]}),
    COMPARISON.plot: ({}, {"path": [*PATH, "found", "found.xyz", "no/such/found.png"]}),
    rnnsim.sweep: (
        {**CHOICES, "rules": "bptt", "tasks": "delayed-xor", "seeds": 1},
        {
            "rules": [*NAME, None, [], ["rtrl", "xyzzy"], [None], [{"name": "xyzzy"}], "bptt:h=3",
                      {"name": "bptt", "xyzzy": 1}, {"name": "truncated-bptt", "h": []}],
            "tasks": [*TASK, None, [], "delayed-xor:xyzzy=3"],
            "seeds": [*WHOLE, None, 0, [], [0, 0], [1.5], [-1], "0"],
            "grid": [*ANYTHING[:1], *ANYTHING[2:], "window", {"window": 3}, {"window": []},
                     {"xyzzy": [1]}, {"seed": [1]}, {"window": {"low": 1, "high": 4}}, {3: [1]}],
            "draws": [*WHOLE, 0, 3],
            "draw_seed": [*SEED, None],
            "tune": [*ANYTHING[:1], *ANYTHING[2:], "yes", 3, 0.1, [], [0.0], [-1.0], ["x"],
                     {"xyzzy": 1}, {"seeds": 0}, {"rates": None, "factors": []}, {"rates": [math.nan]}],
            "control": [*TRUTH, None],
            "file": [*PATH, "no/such/found.sqlite", "."],
            "retry": [*TRUTH, None],
            "jobs": [*WHOLE, 0],
            "executor": [*ANYTHING, 3, "dask"],
            "dask": [*ANYTHING, 3, "", "xyzzy", "tcp://127.0.0.1:1", "\ud800", "nul\0"],
            "batch_seconds": [*REAL, None, 0, -1, math.inf],
            "progress": [*TRUTH, None],
        },
    ),
    rnnsim.Sweep.load: ({"path": RESULTS}, {"path": [*PATH, None, "no/such/found.sqlite", "."]}),
    SWEEP.summary: ({}, {"format": [*NAME, None, "html"]}),
    SWEEP.plot: (
        {},
        {"path": [*PATH, "found", "found.xyz", "no/such/found.png"], "what": [*NAME, None]},
    ),
}  # fmt: skip

# By what else a message may name an argument.
ALIASES = {
    **dict.fromkeys(("rule", "task", "optimizer"), ("option",)),
    "params": ("parameters", "W", "b", "V"),
    "settings": ("setting",),
    "networks": ("network", "kind"),
    "reference": ("rule",),
    "folder": ("saved run", "saved learner"),
    "original": ("file of a run",),
    "u": ("inputs",),
    "path": ("draw", "figure", "comparison", "results"),
    "what": ("figure",),
    "rules": ("rule", "option"),
    "tasks": ("task", "option"),
    "seeds": ("seed",),
    "grid": ("window", "option", "single run"),
    "tune": ("learning rate",),
    "file": ("results",),
    "dask": ("Dask",),
    "format": ("results",),
    "hidden_activation": ("activation",),
    "output_activation": ("activation",),
}
EXCEPT = {
    "hookimpl",
    "Run",
    "rules",
    "tasks",
}  # of what is public: nobody calls the first, and the others take nothing


class Case(NamedTuple):
    function: Callable[..., Any]
    parameter: str
    value: Any


CASES = [
    Case(function, parameter, value)
    for function, (_, parameters) in TABLE.items()
    for parameter, values in parameters.items()
    for value in values
]


def called(function: Any) -> str:
    return str(getattr(function, "func", function).__qualname__)  # of a partial function, too


def name_of(case: Case) -> str:
    """Not by the value, which may be said otherwise in each process."""
    values = TABLE[case.function][1][case.parameter]
    place = next(i for i, value in enumerate(values) if value is case.value)
    return f"{called(case.function)}-{case.parameter}-{place}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_what_an_argument_cannot_be_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {**TABLE[case.function][0], case.parameter: case.value}
    with pytest.raises(Exception) as caught:  # noqa: PT011 (looked at below)
        case.function(**arguments)
    subjects = (case.parameter, *ALIASES.get(case.parameter, ()))
    assert wrong_with(caught.value, *subjects) == []
    assert not list(tmp_path.iterdir())


def test_every_parameter_of_every_public_function_is_in_the_table() -> None:
    public = {
        getattr(rnnsim, name)
        for name in {*rnnsim.__all__} - EXCEPT
        if callable(getattr(rnnsim, name))
        and not issubclass(type(getattr(rnnsim, name)), type(Exception))
    }
    assert public | {rnnsim.RecurrentNetwork, rnnsim.FastWeightNetwork} <= set(TABLE)
    for function, (_, parameters) in TABLE.items():
        signature = inspect.signature(function).parameters.values()
        named = {each.name for each in signature if each.kind is not each.VAR_KEYWORD}
        about_single = getattr(function, "__self__", function) is SINGLE or isinstance(function, partial)
        assert set(parameters) == named or about_single, function
    assert len(CASES) > 400


@pytest.mark.parametrize("function", TABLE, ids=called)
def test_nothing_is_refused_for_the_other_arguments(
    function: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the odd value it works."""
    monkeypatch.chdir(tmp_path)
    if function not in (rnnsim.load, rnnsim.Learner.load):
        function(**TABLE[function][0])


# --- options ---------------------------------------------------------------------------------------

OF_TYPE: Mapping[Any, list[Any]] = {
    int: [*ANYTHING, "three", "", 1.5, 1j, math.nan, "nan", 10**20, -(10**20), 10**5000, "1" + "0" * 30,
          "1" + "0" * 5000, "1e400", "\ud800", "nul\0"],
    float: [*ANYTHING, "three", "", 1j, math.nan, math.inf, -math.inf, "nan", "inf", 10**400, "1e400",
            "\ud800"],
    bool: [*ANYTHING, "maybe", "", 3, 1.5, math.nan, "\ud800"],
    str: [*without(ANYTHING, b"bytes"), 3, 1.5, math.nan],
}  # fmt: skip


def odd_for(hint: Any) -> list[Any]:
    """What an option of a type cannot be."""
    if hint is Any:
        return []  # whoever takes it looks at it
    if get_origin(hint) is Literal:
        return [*ANYTHING, "xyzzy", "", 1.5, "\ud800"]
    kinds = [kind for kind in (get_args(hint) or [hint]) if kind is not type(None)]
    others = {get_origin(kind) or kind for kind in kinds[1:]}
    others |= {int} if float in others else set()
    taken = tuple(others | ({list, int, float} & ({list} if tuple in others else others)))
    return [value for value in OF_TYPE[kinds[0]] if not isinstance(value, taken)]


def owners() -> dict[str, type[Options]]:
    """Whatever has options."""
    registry = installed()
    found = {**registry.rules, **registry.tasks}
    choices = {f"{name} network": entry.thing.choices for name, entry in registry.networks.items()}
    return {**{name: entry.thing for name, entry in found.items()}, **choices, **OPTIMIZERS}


OPTIONS = [
    (owner, option) for owner in owners() for option in owners()[owner].defaults()
]  # fmt: skip


@pytest.mark.parametrize(("owner", "option"), OPTIONS)
def test_what_an_option_cannot_be_is_refused(owner: str, option: str) -> None:
    thing = owners()[owner]
    for value in odd_for(get_type_hints(thing)[option]):
        with pytest.raises(Exception) as caught:  # noqa: PT011 (looked at below)
            thing.from_options({option: value})
        assert wrong_with(caught.value, option) == [], shown(value)
        if not isinstance(value, str):
            # not looked at when an instance is made, unless the class compares it with others
            with pytest.raises((RnnsimError, TypeError, ValueError)):
                thing(**{option: value}).check()


@pytest.mark.parametrize("owner", owners())
def test_the_options_of_an_instance_are_checked(owner: str) -> None:
    """The control: those that it has by default are fine."""
    thing = owners()[owner]
    thing().check()
    with pytest.raises(RnnsimError, match=r"no option of .* is called 'xyzzy'"):
        thing.from_options({"xyzzy": 1})
