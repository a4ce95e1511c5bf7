"""The cases of the side-by-side benchmark."""

from __future__ import annotations

from benchmarks.cases.bptt import BPTTGradient
from benchmarks.cases.case import Case
from benchmarks.cases.delayed_xor import DelayedXorOnLine, OneStep
from benchmarks.cases.equilibrium import Equilibrium
from benchmarks.cases.fast_weights import FastWeightGradient, FlipFlopOnLine
from benchmarks.cases.forward import ForwardPass
from benchmarks.cases.rtrl import LARGE, RTRL, STEPS, BlockForm

DTYPES = ("float64", "float32")
BPTT_SIZES = (  # T, B, m, n, k
    (100, 1, 4, 32, 2),
    (100, 1, 4, 128, 2),
    (100, 32, 10, 32, 10),
    (100, 32, 10, 128, 10),
    (100, 32, 32, 512, 10),
    (1000, 1, 4, 64, 2),
    (1000, 16, 8, 64, 4),
)

CASES: list[Case] = [
    *(BPTTGradient(*sizes, dtype) for dtype in DTYPES for sizes in BPTT_SIZES),
    *(RTRL(n, dtype) for dtype in DTYPES for n in STEPS),
    *(RTRL(32, dtype, B=8) for dtype in DTYPES),
    *(RTRL(n, dtype, online=True) for dtype in DTYPES for n in STEPS if n >= LARGE),
    *(BlockForm(n, "float64") for n in (32, 64, 128)),
    *(Equilibrium(n, B) for n, B in ((32, 32), (128, 1), (128, 32), (512, 1))),
    *(ForwardPass(*sizes, "float64", what) for what in ("states", "loss") for sizes in BPTT_SIZES),
    OneStep(8),
    DelayedXorOnLine(8, bar=1.5, steps=20 * 1024),
    DelayedXorOnLine(32, bar=None, steps=1024),
    FastWeightGradient(1, 4, 8, 4, 4, steps=2000),
    FastWeightGradient(1, 16, 32, 16, 16, steps=200, dense_bar=25, structured_bar=3),
    FastWeightGradient(1, 32, 64, 32, 32, steps=50),
    FastWeightGradient(2, 4, 8, 4, 4, steps=2000),
    FastWeightGradient(2, 16, 32, 16, 16, steps=200, dense_bar=6, structured_bar=3),
    FastWeightGradient(2, 32, 64, 32, 32, steps=50),
    FlipFlopOnLine(1, bar=1.7),
    FlipFlopOnLine(2, bar=1.7),
]

# By family: the geometric mean of its ratios that is wanted.
MEANS = {BPTTGradient.family: 2.0, ForwardPass.family: 2.0}
