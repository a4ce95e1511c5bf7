"""What gradients and networks refuse to be given, and the message that says so."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from cases import PLAIN, TYPICAL, make_case

import rnnsim
from rnnsim import RnnsimError, UnknownName
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim_rules.bptt import BPTT


@pytest.mark.parametrize(
    ("error", "message", "rule", "options"),
    [
        (UnknownName, r"no rule is called 'btpp'; did you mean bptt", "btpp", {}),
        (UnknownName, r"no option of truncated-bptt is called 'hh'.*\bh\b", "truncated-bptt", {"hh": 3}),
        (UnknownName, r"no option of bptt is called 'h'", "bptt", {"h": 3}),
        (RnnsimError, r"option h of rtrl-block is 0: .*>= 1", "rtrl-block", {"h": 0}),
        (RnnsimError, r"option h of truncated-bptt is -1: .*>= 1", "truncated-bptt", {"h": -1}),
        (RnnsimError, r"option h of truncated-bptt is 2.5", "truncated-bptt", {"h": 2.5}),
        (RnnsimError, r"h_prime is 4; it must be at most h, which is 3", "truncated-bptt",
         {"h": 3, "h_prime": 4}),
        (RnnsimError, r"option solver of recurrent-backprop is 'magic'", "recurrent-backprop",
         {"solver": "magic"}),
        (RnnsimError, r"options go with the name of a rule", BPTT(), {"checkpoint": True}),
        (RnnsimError, r"rule is the name of a rule or a Rule, not 3", 3, {}),
        (RnnsimError, r"window is 0; it must be at least 1", "bptt", {"window": 0}),
    ],
)  # fmt: skip
def test_wrong_rules_and_options_say_so(
    error: type[Exception], message: str, rule: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        make_case(PLAIN).gradient(rule, **options)


NAN = math.nan


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"inputs has shape \(8, 2, 3\); expected \(T, B, 2\) or \(T, 2\)",
         {"inputs": np.zeros((8, 2, 3))}),
        (r"inputs has shape \(2,\)", {"inputs": np.zeros(2)}),
        (r"inputs has shape \(0, 2, 2\): it needs at least one step", {"inputs": np.zeros((0, 2, 2))}),
        (r"targets are \(T, B\) = \(7, 2\); the inputs \(8, 2\)", {"targets": np.zeros((7, 2, 2))}),
        (r"targets has shape \(8, 2, 5\)", {"targets": np.zeros((8, 2, 5))}),
        (r"mask has shape \(2, 8\); expected \(8, 2\)", {"mask": np.ones((2, 8))}),
        (r"resets has shape \(8,\); expected \(8, 2\)", {"resets": np.zeros(8, bool)}),
        (r"resets must be an array of bools", {"resets": np.zeros((8, 2))}),
        (r"initial_state has shape \(3,\); expected \(2, 4\) or \(4,\)", {"initial_state": np.zeros(3)}),
        (r"inputs must be an array of real numbers", {"inputs": np.zeros((8, 2, 2), complex)}),
        (r"inputs holds nan at \(0, 0, 0\)", {"inputs": np.full((8, 2, 2), NAN)}),
        (r"inputs holds inf at \(0, 0, 0\)", {"inputs": np.full((8, 2, 2), np.inf)}),
        (r"targets holds nan at \(0, 0, 0\)", {"targets": np.full((8, 2, 2), NAN)}),
        (r"mask holds nan at \(0, 0\)", {"mask": np.full((8, 2), NAN)}),
        (r"initial_state holds nan at \(0, 0\)", {"initial_state": np.full((2, 4), NAN)}),
        (r"initial_state must be an array of real numbers, not of complex128",
         {"initial_state": np.zeros((2, 4), complex)}),
        (r"initial_state must be an array of real numbers, not of object",
         {"initial_state": np.full(4, None)}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_wrong_arrays_say_so(message: str, change: dict[str, Any]) -> None:
    case = make_case(PLAIN)
    for function in (rnnsim.gradient, rnnsim.loss):
        with pytest.raises(RnnsimError, match=message):
            function(case.network, case.params, **(case.arguments | change))


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"W has shape \(3, 3\); this network's is \(4, 4\)", {"W": np.zeros((3, 3))}),
        (r"b holds values that are not finite", {"b": np.full(4, NAN)}),
    ],
)
def test_wrong_parameters_say_so(message: str, change: dict[str, Any]) -> None:
    case = make_case(PLAIN)
    with pytest.raises(RnnsimError, match=message):
        rnnsim.gradient(case.network, case.params._replace(**change), **case.arguments)


def test_absent_parameters_say_so() -> None:
    case = make_case(PLAIN)
    with pytest.raises(RnnsimError, match="the parameters of this network are W, U, b, V, c; got W"):
        rnnsim.gradient(case.network, {"W": case.params.W}, **case.arguments)  # type: ignore[arg-type]


def test_weights_where_there_is_no_connection_are_refused() -> None:
    case = make_case(TYPICAL)
    with pytest.raises(RnnsimError, match="no connection"):
        rnnsim.gradient(case.network, case.params._replace(W=np.ones((5, 5))), **case.arguments)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (UnknownName, r"no activation is called 'tahn'; did you mean tanh", {"activation": "tahn"}),
        (UnknownName, r"no loss is called 'square'", {"loss": "square"}),
        (RnnsimError, r"activation is a name or a pair", {"activation": (math.tanh,)}),
        (RnnsimError, r"leak is 0; it must be above 0 and at most 1", {"leak": 0}),
        (RnnsimError, r"leak is 1.5; it must be above 0 and at most 1", {"leak": 1.5}),
        (RnnsimError, r"leak is nan; it must be finite", {"leak": NAN}),
        (RnnsimError, r"readout names 1 units; n_out is 2", {"readout": [0]}),
        (RnnsimError, r"readout must be different unit indices from 0 to 3", {"readout": [0, 4]}),
        (RnnsimError, r"readout must be different unit indices from 0 to 3", {"readout": [1, 1]}),
        (RnnsimError, r"connectivity must be a bool array of shape \(4, 4\)",
         {"connectivity": np.ones((3, 4), bool)}),
        (RnnsimError, r"dtype is float64 or float32", {"dtype": "int8"}),
        (RnnsimError, r"n_hidden is 0; it must be at least 1", {"n_hidden": 0}),
        (RnnsimError, r"n_hidden is a whole number, not 2.5", {"n_hidden": 2.5}),
    ],
)  # fmt: skip
def test_wrong_networks_say_so(error: type[Exception], message: str, change: dict[str, Any]) -> None:
    with pytest.raises(error, match=message):
        RecurrentNetwork(**({"n_in": 2, "n_hidden": 4, "n_out": 2} | change))


@pytest.mark.usefixtures("uncompiled")
def test_a_gradient_that_overflows_is_refused() -> None:
    case = make_case(dataclasses.replace(PLAIN, n=1, k=1, T=12), "identity", "linear",
                     "softmax-cross-entropy")  # fmt: skip
    huge = case.params._replace(W=np.full((1, 1), 1e200))
    with np.errstate(all="ignore"), pytest.raises(rnnsim.Diverged, match=r"the loss is .* at step \d+"):
        rnnsim.gradient(case.network, huge, **case.arguments)


@pytest.mark.parametrize("given", [np.zeros((2, 4), int), np.ones(4, bool), [0.5, 1, 2, 3]])
def test_an_initial_state_of_any_real_numbers_is_taken(given: Any) -> None:
    """The control: nothing above is refused for being an initial state."""
    network = RecurrentNetwork(2, 4, 1, dtype="float32")
    initial = network.state(2, given).x
    assert (initial.shape, initial.dtype) == ((2, 4), np.dtype("float32"))
    assert initial.flags.c_contiguous
    assert initial.flags.writeable
    np.testing.assert_array_equal(initial, np.broadcast_to(given, (2, 4)))
