"""The errors that rnnsim raises: each says what was wrong and what would be right."""

from __future__ import annotations


class RnnsimError(ValueError):
    """What the caller gave cannot be used; the message says what would be right."""


class UnknownName(RnnsimError):
    """No rule, task, option or column has this name; the message lists the nearest."""


class NoSteadyState(RnnsimError):
    """The network, or its adjoint, did not settle; the message names the residual."""


class Diverged(RnnsimError):
    """A number stopped being finite; the message names the step."""


class RnnsimWarning(UserWarning):
    """The answer is right, but something about it should be known."""
