"""The settings in which [S92] trained fast-weight networks on-line."""

from __future__ import annotations

from rnnsim.task import Suggestion

# No hidden units, no biases, slow weights uniform in [-0.1, 0.1], plain gradient descent.
PUBLISHED = Suggestion(
    rule="fast-weights-1",
    kind="fast-weight",
    network={"slow_bias": False, "output_activation": "identity", "sigma": "sum-and-squash",
             "tau": 10.0, "initial": 0.0},
    init={"scheme": "interval", "gain": 0.1},
    hidden=0,
    optimizer="sgd",
    clip=None,
)  # fmt: skip


def tuned_and_published(published: Suggestion) -> dict[str, Suggestion]:
    """Tuned settings, with which each of a hundred seeds solves its task, and the published ones.

    dsigma/dw reaches tau/4 = 2.5: traces grow while they stay in the steep part of sigma, and a single
    unclipped step can saturate a fast weight for good. Clipping also allows a larger learning rate.
    """
    return {"tuned": published._replace(learning_rate=4.0, clip=0.05), "published": published}
