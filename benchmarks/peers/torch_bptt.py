"""Back-propagation through time in PyTorch, eager (theory.md 1.2).

``nn.RNN`` with autograd; a loop over the steps with autograd; and a hand-written backward pass into
arrays that are allocated once. Each is tried with all threads and with one, since threading slows small
products down.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.entries import Entry

MISSING = "this case needs PyTorch: pip install 'rnnsim[peers]'"


def torch() -> Any:
    """Import PyTorch.

    Raises
    ------
    SystemExit
        If it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise SystemExit(MISSING) from None
    return torch


def bptt(params: Any, data: Any) -> dict[str, list[Entry]]:
    """Make the entries: params (W, U, b, V, c), data (inputs (T, B, m), targets (T, B, k))."""
    given = [torch().from_numpy(array) for array in params]
    inputs, targets = (torch().from_numpy(array) for array in data)
    ways = {
        "nn.RNN": by_module(given, inputs, targets),
        "loop with autograd": by_loop(given, inputs, targets),
        "by hand": by_hand(given, inputs, targets),
    }
    threads = sorted({1, os.cpu_count() or 1}, reverse=True)
    return {
        "PyTorch": [
            entry(f"{label}, threads {count}", way, count)
            for label, way in ways.items()
            for count in threads
        ]
    }


def entry(label: str, way: Callable[[], tuple[Any, Any]], threads: int) -> Entry:
    def answer() -> Mapping[str, np.ndarray]:
        torch().set_num_threads(threads)
        loss, grads = way()
        values = (loss, *grads)
        names = ("loss", "W", "U", "b", "V", "c")
        return {name: value.numpy().copy() for name, value in zip(names, values, strict=True)}

    def work() -> int:
        torch().set_num_threads(threads)
        way()
        return 1

    return Entry(label, answer, work)


def by_module(params: Any, inputs: Any, targets: Any) -> Callable[[], tuple[Any, Any]]:
    """PyTorch's own module with autograd."""
    W, U, b, V, c = params
    nn = torch().nn
    rnn = nn.RNN(U.shape[1], len(b), dtype=W.dtype)
    readout = nn.Linear(len(b), len(c), dtype=W.dtype)
    with torch().no_grad():
        for mine, theirs in (
            (rnn.weight_hh_l0, W), (rnn.weight_ih_l0, U), (rnn.bias_ih_l0, b), (readout.weight, V),
            (readout.bias, c),
        ):  # fmt: skip
            mine.copy_(theirs)
        rnn.bias_hh_l0.zero_()
    rnn.bias_hh_l0.requires_grad_(False)  # the module has two biases
    learned = (rnn.weight_hh_l0, rnn.weight_ih_l0, rnn.bias_ih_l0, readout.weight, readout.bias)

    def gradient() -> tuple[Any, Any]:
        x, _ = rnn(inputs)
        e = readout(x) - targets
        loss = e.square().sum() / (2 * inputs.shape[1])
        return loss.detach(), torch().autograd.grad(loss, learned)

    return gradient


def by_loop(params: Any, inputs: Any, targets: Any) -> Callable[[], tuple[Any, Any]]:
    """A Python loop over the steps, with projection and readout outside of it."""
    learned = [array.clone().requires_grad_() for array in params]

    def gradient() -> tuple[Any, Any]:
        W, U, b, V, c = learned
        drive = torch().nn.functional.linear(inputs, U, b)
        x, states = drive.new_zeros(drive.shape[1:]), []
        for a in drive.unbind():
            x = torch().addmm(a, x, W.T).tanh()
            states.append(x)
        e = torch().nn.functional.linear(torch().stack(states), V, c) - targets
        loss = e.square().sum() / (2 * inputs.shape[1])
        return loss.detach(), torch().autograd.grad(loss, learned)

    return gradient


def by_hand(params: Any, inputs: Any, targets: Any) -> Callable[[], tuple[Any, Any]]:
    """Eqs. (10) and (9) by hand, without a graph, and without allocations in the time loops."""
    lib = torch()
    W, U, b, V, c = params
    steps, batch, _ = inputs.shape
    n = len(b)
    transposed = W.T.contiguous()
    x, s, slope = (lib.zeros((steps, batch, n), dtype=W.dtype) for _ in range(3))
    u, d = inputs.reshape(steps * batch, -1), targets.reshape(steps * batch, -1)
    flat_x, flat_s = x.view(steps * batch, n), s.view(steps * batch, n)
    states, deltas, slopes = x.unbind(), s.unbind(), slope.unbind()

    @lib.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def gradient() -> tuple[Any, Any]:
        transposed.copy_(W.T)
        lib.addmm(b, u, U.T, out=flat_x)
        states[0].tanh_()
        for before, now in pairwise(states):
            now.addmm_(before, transposed).tanh_()
        e = lib.addmm(c, flat_x, V.T).sub_(d)
        loss = e.square().sum() / (2 * batch)
        lib.mm(e, V, out=flat_s)
        lib.square(x, out=slope)
        slope.neg_().add_(1)
        deltas[-1].mul_(slopes[-1])
        for t in range(steps - 2, -1, -1):
            deltas[t].addmm_(deltas[t + 1], W).mul_(slopes[t])
        flat_s.div_(batch)
        e.div_(batch)
        by_W = flat_s[batch:].T @ flat_x[:-batch]
        return loss, (by_W, flat_s.T @ u, flat_s.sum(0), e.T @ flat_x, e.sum(0))

    return gradient
