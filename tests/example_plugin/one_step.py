"""Blame the present alone: what each step's own weights did to its own error.

dE(t)/dw is taken with x(t-1) held still: no credit goes back in time, as in truncated BPTT(1, 1).
"""

import pluggy

from rnnsim.kernels import kernel
from rnnsim.rule import Cost, Rule

hookimpl = pluggy.HookimplMarker("rnnsim")


class OneStep(Rule, frozen=True):
    """Each step's error, and the weights of that step alone."""

    name = "one-step"
    claim = "truncated"
    cost = Cost(time="n^2", memory="n")
    needs = ("immediate",)

    def credit(self, network):
        immediate = network.immediate

        @kernel
        def credit(params, trajectory, window, memory, grad):
            B = trajectory.error.shape[1]
            for t in range(window.first, window.first + window.length):
                immediate(params, trajectory, t, 0, B, trajectory.error[t], grad)

        return credit


@hookimpl
def rnnsim_rules(register):
    register(OneStep)
