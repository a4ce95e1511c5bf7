"""What the fast-weight network refuses to be given, and the message that says so."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from fast_weight_cases import ARCHITECTURE_1, ARCHITECTURE_2, FAST_PLAIN, Composition, make_fast_case

import rnnsim
from rnnsim import RnnsimError, UnknownName

pytestmark = pytest.mark.usefixtures("uncompiled")  # nothing of this needs to be fast

NAN = math.nan
T, B = FAST_PLAIN.T, FAST_PLAIN.B

SIZES = dataclasses.replace(FAST_PLAIN, n_slow_in=2, slow_bias=True)  # S and F see 2 and 3 inputs


def only(message: str) -> str:
    """A pattern for a message of one or two lines that begins so."""
    return rf"\A{message}.*(\n.*)?\Z"


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (RnnsimError, r"architecture is 3; it must be at most 2", {"architecture": 3}),
        (RnnsimError, r"architecture is 0; it must be at least 1", {"architecture": 0}),
        (RnnsimError, r"architecture is a whole number, not 'two'", {"architecture": "two"}),
        (UnknownName, r"no sigma is called 'decya'; did you mean decay", {"sigma": "decya"}),
        (RnnsimError, r"sigma is a name or three functions", {"sigma": [math.hypot] * 3}),
        (RnnsimError, r"sigma is a name or three functions", {"sigma": (math.tanh, math.tanh)}),
        (RnnsimError, r"sigma is a name or three functions", {"sigma": 3}),
        (RnnsimError, r"g is 'product' or three functions", {"architecture": 2, "g": "sum"}),
        (RnnsimError, r"g is 'product' or three functions", {"architecture": 2, "g": (math.atan2,)}),
        (RnnsimError, r"g is of architecture 2", {"g": (math.atan2,) * 3}),
        (RnnsimError, r"tau is 0; it must be above 0", {"tau": 0}),
        (RnnsimError, r"tau is -1; it must be above 0", {"tau": -1}),
        (RnnsimError, r"tau is nan; it must be finite", {"tau": NAN}),
        (RnnsimError, r"tau is a number, not 'x'", {"tau": "x"}),
        (RnnsimError, r"retention is inf; it must be finite", {"retention": math.inf}),
        (RnnsimError, r"initial is .*number.*slow.*'fast'", {"initial": "fast"}),
        (RnnsimError, r"initial is nan; it must be finite", {"initial": NAN}),
        (RnnsimError, r"initial is .*number.*slow", {"initial": np.zeros(3)}),
        (RnnsimError, r"initial is .*number.*slow.*None", {"initial": None}),
        (UnknownName, r"no loss is called 'square'", {"loss": "square"}),
        (RnnsimError, r"dtype is float64 or float32", {"dtype": "int8"}),
    ],
)  # fmt: skip
def test_wrong_options_say_so(error: type[Exception], message: str, change: dict[str, Any]) -> None:
    with pytest.raises(error, match=only(message)):
        rnnsim.FastWeightNetwork(**({"n_slow_in": 2, "n_in": 3, "n_out": 2} | change))


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"n_slow_in is -1; it must be at least 0", {"n_slow_in": -1}),
        (r"n_in is -1; it must be at least 0", {"n_in": -1}),
        (r"n_in is a whole number, not 2.5", {"n_in": 2.5}),
        (r"n_in is 1000000000000; it must be at most", {"n_in": 10**12}),
        (r"n_out is 0; it must be at least 1", {"n_out": 0}),
        (r"F has no fast weights: n_in is 0 and fast_bias is false", {"n_in": 0}),
        (r"S has no weights: n_slow_in is 0 and slow_bias is false",
         {"n_slow_in": 0, "slow_bias": False}),
        (r"a layer of slow_hidden is -1; it must be at least 1", {"slow_hidden": (3, -1)}),
        (r"a layer of fast_hidden is 0; it must be at least 1", {"fast_hidden": (0,)}),
        (r"a layer of fast_hidden is a whole number, not 2.5", {"fast_hidden": (2.5,)}),
        (r"a layer of fast_hidden is a whole number, not None", {"fast_hidden": None}),
        (r"slow_hidden is 'many'; sizes of layers are written like 8,8", {"slow_hidden": "many"}),
        (r"slow_bias is true or false, not 2", {"slow_bias": 2}),
        (r"fast_bias is true or false, not 'maybe'", {"fast_bias": "maybe"}),
        (r"shortcuts is one of true and false, or a pair", {"shortcuts": (True,)}),
        (r"shortcuts is true or false, not 3", {"shortcuts": (True, 3)}),
    ],
)  # fmt: skip
def test_wrong_sizes_say_so(message: str, change: dict[str, Any]) -> None:
    with pytest.raises(RnnsimError, match=only(message)):
        rnnsim.FastWeightNetwork(**({"n_slow_in": 2, "n_in": 3, "n_out": 2} | change))


PAIR = r"hidden_activation is a name, a pair \(f, df\) of functions, or a pair \(slow, fast\)"


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (UnknownName, r"no activation is called 'tahn'; did you mean tanh", "tahn"),
        (UnknownName, r"no activation is called 'tahn'; did you mean tanh", ("tanh", "tahn")),
        (UnknownName, r"no activation is called 'tahn'", (["tanh", "tahn"], "tanh")),
        (RnnsimError, PAIR, ("tanh",)),
        (RnnsimError, PAIR, ("tanh", "relu", "tanh")),
        (RnnsimError, PAIR, math.tanh),
        (RnnsimError, PAIR, 3),
        (RnnsimError, r"hidden_activation of S is one activation, or a list of 2", (["tanh"], "tanh")),
        (
            RnnsimError,
            r"hidden_activation of F is one activation, or a list of 1",
            ("tanh", ["tanh", "tanh"]),
        ),
        (RnnsimError, r"hidden_activation of F ", ("tanh", 3)),
    ],
)
def test_wrong_activations_say_so(error: type[Exception], message: str, change: Any) -> None:
    with pytest.raises(error, match=only(message)):
        rnnsim.FastWeightNetwork(
            n_slow_in=2,
            n_in=3,
            n_out=2,
            slow_hidden=(2, 2),
            fast_hidden=(2,),
            hidden_activation=change,
        )


def test_outputs_have_one_layer_s_activation() -> None:
    with pytest.raises(
        RnnsimError, match=only("output_activation of F is one activation, or a list of 1")
    ):
        rnnsim.FastWeightNetwork(
            n_slow_in=2, n_in=3, n_out=2, output_activation=("tanh", ["tanh", "relu"])
        )


SLOW, FAST = np.zeros((T, B, 2)), np.zeros((T, B, 3))
N = 6  # fast weights: from 3 inputs to 2 outputs


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"inputs are one array or a pair \(slow, fast\), not 3", {"inputs": (SLOW, FAST, FAST)}),
        (r"inputs are one array or a pair \(slow, fast\), not 1", {"inputs": (SLOW,)}),
        (r"slow inputs has shape \(6, 2, 3\); expected \(T, B, 2\)", {"inputs": (FAST, SLOW)}),
        (r"fast inputs has shape \(6, 2, 2\); expected \(T, B, 3\)", {"inputs": (SLOW, SLOW)}),
        (r"inputs have 3 columns; S has 2 inputs and F 3: .* 5 columns", {"inputs": FAST}),
        (r"inputs have 4 columns", {"inputs": np.zeros((T, B, 4))}),
        (r"inputs has shape \(5,\); expected \(T, B, 5\)", {"inputs": np.zeros(5)}),
        (r"slow inputs are \(T, B\) = \(6, 2\), fast \(5, 2\)", {"inputs": (SLOW, FAST[1:])}),
        (r"slow inputs are \(T, B\) = \(6, 2\), fast \(6, 1\)", {"inputs": (SLOW, FAST[:, 0])}),
        (r"(slow )?inputs holds nan", {"inputs": (np.full_like(SLOW, NAN), FAST)}),
        (r"(fast )?inputs holds inf", {"inputs": (SLOW, np.full_like(FAST, np.inf))}),
        (r"fast inputs must be an array of real numbers, not", {"inputs": (SLOW, "much")}),
        (r"fast inputs must be an array of real numbers", {"inputs": (SLOW, None)}),
        (r"inputs ", {"inputs": None}),
        (r"inputs ", {"inputs": "much"}),
        (r"slow inputs has shape \(0, 2, 2\): it needs at least one step",
         {"inputs": (SLOW[:0], FAST[:0])}),
        (r"targets has shape \(6, 2, 3\)", {"targets": np.zeros((T, B, 3))}),
        (r"targets are \(T, B\) = \(5, 2\); the inputs \(6, 2\)", {"targets": np.zeros((5, 2, 2))}),
        (r"mask has shape \(2, 6\); expected \(6, 2\)", {"mask": np.ones((B, T))}),
        (r"resets must be an array of bools", {"resets": np.zeros((T, B))}),
        (r"initial_state has shape \(5,\); expected \(2, 6\) or \(6,\)", {"initial_state": np.zeros(5)}),
        (r"initial_state holds nan at \(0,\)", {"initial_state": np.full(N, NAN)}),
        (r"initial_state must be an array of real numbers, not 'slow'", {"initial_state": "slow"}),
        (r"initial_state must be an array of real numbers, not of complex128",
         {"initial_state": np.zeros((B, N), complex)}),
        (r"initial_state must be an array of real numbers, not of strings",
         {"initial_state": np.full(N, "slow")}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("initial", [0.0, "slow"])
def test_wrong_arrays_say_so(initial: float | str, message: str, change: dict[str, Any]) -> None:
    case = make_fast_case(dataclasses.replace(SIZES, initial=initial)).changed(**change)
    for function in (case.loss, lambda: case.gradient("rtrl")):
        with pytest.raises(RnnsimError, match=only(message)):
            function()


def test_one_array_of_either_kind_is_named_where_both_nets_have_as_many_inputs() -> None:
    case = make_fast_case(FAST_PLAIN).changed(inputs=np.zeros((T, B, 4)))
    with pytest.raises(RnnsimError, match=r"inputs have 4 columns; .* one of 3 or 6 columns"):
        case.loss()


@pytest.mark.parametrize(
    ("message", "params"),
    [
        (r"W1 has shape \(2, 6\); this network's is \(6, 2\)",
         {"W1": np.zeros((2, 6)), "b1": np.zeros(6)}),
        (r"b1 has shape \(1, 6\)", {"W1": np.zeros((6, 2)), "b1": np.zeros((1, 6))}),
        (r"W1 holds values that are not finite", {"W1": np.full((6, 2), NAN), "b1": np.zeros(6)}),
        (r"the parameters of this network are W1, b1; got W1", {"W1": np.zeros((6, 2))}),
        (r"the parameters of this network are W1, b1; got None", None),
        (r"the parameters of this network are W1, b1; got W1, b1, W2",
         {"W1": np.zeros((6, 2)), "b1": np.zeros(6), "W2": np.zeros((6, 6))}),
    ],
)  # fmt: skip
def test_wrong_parameters_say_so(message: str, params: Any) -> None:
    case = make_fast_case(SIZES)
    with pytest.raises(RnnsimError, match=only(message)):
        rnnsim.gradient(case.network, params, **case.arguments)


@pytest.mark.parametrize(
    ("message", "rule", "composition"),
    [
        (r"fast-weights-1 trains .* architecture 1, not .* architecture 2", "fast-weights-1",
         ARCHITECTURE_2),
        (r"fast-weights-2 trains .* architecture 2, not .* architecture 1", "fast-weights-2",
         ARCHITECTURE_1),
        (r"rtrl-block cannot train a fast-weight network", "rtrl-block", ARCHITECTURE_1),
        (r"recurrent-backprop cannot train a fast-weight network", "recurrent-backprop", ARCHITECTURE_2),
    ],
)  # fmt: skip
def test_rules_of_other_networks_say_so(message: str, rule: str, composition: Composition) -> None:
    with pytest.raises(RnnsimError, match=only(message)):
        make_fast_case(FAST_PLAIN, composition).gradient(rule)


@pytest.mark.parametrize("rule", ["fast-weights-1", "fast-weights-2"])
def test_rules_of_fast_weights_refuse_a_recurrent_network(rule: str) -> None:
    network = rnnsim.RecurrentNetwork(2, 3, 1)
    rows = np.zeros((4, 2))
    with pytest.raises(
        RnnsimError, match=only(f"{rule} trains a fast-weight network .* not a recurrent")
    ):
        rnnsim.gradient(network, network.init(), rows, rows[:, :1], rule=rule)


def test_it_does_not_settle() -> None:
    case = make_fast_case(FAST_PLAIN)
    with pytest.raises(RnnsimError, match=only(".*fast-weight")):
        rnnsim.loss(case.network, case.params, **case.arguments, steady_state=True)
    with pytest.raises(RnnsimError, match=only(".*fast-weight")):
        rnnsim.simulate(case.network, case.params, case.arguments["inputs"], steady_state=True)


def test_no_input_is_found_for_fast_weights() -> None:
    case = make_fast_case(FAST_PLAIN)
    said = "input_for is for a recurrent network, not a fast-weight network"
    with pytest.raises(RnnsimError, match=rf"\A{said}\Z"):
        rnnsim.input_for(case.network, case.params, case.path.states)


def test_fast_weights_that_overflow_are_refused() -> None:
    case = make_fast_case(dataclasses.replace(FAST_PLAIN, tau=1.0), Composition(1, "additive"))
    huge = case.params._replace(W1=np.full_like(case.params.W1, 1e200))
    with np.errstate(all="ignore"), pytest.raises(rnnsim.Diverged, match=r"the loss is .* at step \d+"):
        rnnsim.gradient(case.network, huge, **case.arguments, rule="rtrl")


def test_a_pair_may_be_text_as_on_the_command_line() -> None:
    said = rnnsim.FastWeightNetwork(
        n_slow_in=2, n_in=2, n_out=1, shortcuts="true,false", hidden_activation="tanh, relu",
    )  # fmt: skip
    meant = rnnsim.FastWeightNetwork(
        n_slow_in=2, n_in=2, n_out=1, shortcuts=(True, False), hidden_activation=("tanh", "relu"),
    )  # fmt: skip
    assert said.shortcuts == meant.shortcuts
    assert said.forward is meant.forward
